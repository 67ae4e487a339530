// Which Node this runs on: from the oldest that is let in to the one that is recommended (test/node-lines.test.ts holds everything else that names them to it).

/** The oldest that everything runs on. 20 has been out of support since April 2026: it goes when nobody's machine has it any more. */
export const OLDEST = '20.19';
/** The line to run on: long-term support, until April 2028. */
export const RECOMMENDED = 24;
/** What the tests are run on, by `npm run test:node`: every line in support, and 20 where the machine itself has it. */
export const TESTED = [20, 22, 24, 26];

export function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}
