import { reasonOf } from '../src/local/run-program.ts';

/** Prints whether a statement holds, and what was seen; when one does not, the program's exit code is 1. */
export async function holds(statement: string, prove: () => Promise<string | void> | string | void): Promise<void> {
  try {
    const seen = await prove();
    console.log(`ok      ${statement}${seen === undefined ? '' : `: ${seen}`}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED  ${statement}: ${reasonOf(error)}`);
  }
}

/** @throws Error with these words unless it is so. */
export function must(isSo: boolean, words: string): void {
  if (!isSo) throw new Error(words);
}
