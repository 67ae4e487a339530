import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PAGES, proseOf, root } from './pages.ts';

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

/** A comment of its own lines, or one after code. */
const COMMENT = /^[ \t]*\{?\/\*\*?(.*?)\*\/|((?:^[ \t]*\/\/[^\n]*\n)+)|(?<=[;{},)] )\/\/([^\n]*)$/gms;

/** The comments of TypeScript, each as a piece of its own; a tag begins another. */
function commentsIn(code: string): string {
  return [...code.matchAll(COMMENT)]
    .map(([, block, lines, rest]) => (block ?? lines ?? rest ?? '').replaceAll(/^[ \t]*(?:\*|\/\/) ?/gm, ''))
    .join('\n\n')
    .replaceAll(/\n *@\w+/g, '\n\n')
    .replaceAll(/\{@link [^}]*\}/g, 'code');
}

const rooms = readdirSync(join(root, 'src'));

test.each(rooms)('the comments of src/%s are short, and begin with who does something', (room) => {
  const paths = readdirSync(join(root, 'src', room), { recursive: true, encoding: 'utf8' });
  const complaints = paths
    .filter((path) => /\.tsx?$/.test(path))
    .flatMap((path) => {
      const code = readFileSync(join(root, 'src', room, path), 'utf8');
      return complaintsAbout(commentsIn(code)).map((sentence) => `${path}: ${sentence}`);
    });
  expect(complaints).toEqual([]);
});

test.each([
  ['/** What a job keeps. */\nconst kept = 1;', 1],
  ['  // It waits.\n  // Whoever asks is told.\n', 1],
  ['const wait = 1; // Of nothing else.\n', 1],
  ["const path = '/docs/*'; const what = 'What a job keeps.';\n", 0],
  ['/**\n * It waits.\n * @param what of the job, never empty\n * @throws What it throws.\n */', 1],
])('the comments in "%s" get %i complaints', (code, times) => {
  expect(complaintsAbout(commentsIn(code))).toHaveLength(times);
});

test.each([
  ['What a job keeps waits.', 1],
  ['What does a job keep?', 0],
  [`A job ${'very '.repeat(30)}slowly sends. It waits.`, 1],
  [`A job sends \`${'a '.repeat(40)}\`. It waits.`, 0],
])('the text "%s" gets %i complaints', (text, times) => {
  expect(complaintsAbout(text)).toHaveLength(times);
});
