import { expect, test } from '@jest/globals';
import { PAGES, proseOf } from './pages.ts';

/** The most words of a sentence. A colon ends one, since a list may follow it; code counts as one word. */
const MOST_WORDS = 25;
const FORBIDDEN = /^(?:Whoever|Whom|What|Of|So|That|Those|Nobody)\b(?!.*\?$)/;

/** Sentences of a text outside its blocks, tables and headings. */
function sentencesOf(text: string): string[] {
  const plain = text
    .replaceAll(/^ *(?:\||#|<).*$/gm, '')
    .replaceAll(/!\[[^\]]*\]\([^)]*\)/g, '')
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/`[^`]+`/g, 'code')
    .replaceAll(/[*_]/g, '');
  const pieces = plain.split(/\n\s*\n|\n *(?:-|\d+\.) /).map((piece) => piece.replaceAll(/\s+/g, ' ').trim());
  return pieces.flatMap((piece) => piece.split(/(?<=[.!?][)"]*) +(?=[("\p{Lu}]|code)|(?<=:) /u)).filter(Boolean);
}

function complaintsAbout(text: string): string[] {
  return sentencesOf(text).filter((one) => FORBIDDEN.test(one) || one.split(' ').length > MOST_WORDS);
}

// errors.md has rules and tests of its own.
const pages = [...PAGES, 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'].filter((page) => page !== 'docs/errors.md');

test.each(pages)('the sentences of %s are short, and begin with who does something', (page) => {
  expect(complaintsAbout(proseOf(page))).toEqual([]);
});

test.each([
  ['What a job keeps waits.', 1],
  ['What does a job keep?', 0],
  [`A job ${'very '.repeat(30)}slowly sends. It waits.`, 1],
  [`A job sends \`${'a '.repeat(40)}\`. It waits.`, 0],
])('of "%s" it complains %i times', (text, times) => {
  expect(complaintsAbout(text)).toHaveLength(times);
});
