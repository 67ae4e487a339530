import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** README and all that is in docs, by their paths from the root. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path))
    .sort(),
];

export function readPage(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** What a page has between two fences. */
export interface Block {
  readonly page: string;
  readonly language: string;
  /** What else stands behind the opening fence: the name of the file that the block is, where there is one. */
  readonly file: string;
  readonly text: string;
}

const FENCED = /^( *)```([^\s`]*) *([^\n`]*)\n(.*?)^\1```$/gms;

export function blocksOf(page: string): Block[] {
  return [...readPage(page).matchAll(FENCED)].map(([, , language = '', file = '', text = '']) => {
    return { page, language, file, text };
  });
}

/** What a reader may type into a shell: blocks of commands, and of transcripts the lines behind a prompt. */
export function shellBlocksOf(page: string): Block[] {
  return blocksOf(page).flatMap((block) => {
    if (block.language === 'sh') return [block];
    if (block.language !== 'console') return [];
    const typed = [...block.text.matchAll(/^\$ (.*\n)/gm)].map(([, line = '']) => line);
    return [{ ...block, text: typed.join('') }];
  });
}

/** A page without its fenced blocks. */
export function proseOf(page: string): string {
  return readPage(page).replaceAll(FENCED, '');
}

/** The names in the first cells of the table that begins with this head. */
export function namesUnder(text: string, head: RegExp): string[] {
  const [, table = ''] = text.split(head);
  return [...(/^\n\|[-| ]+\n((?:\|.*\n)+)/.exec(table)?.[1] ?? '').matchAll(/^\| `([\w.]+)`/gm)].map(
    ([, name = '']) => name,
  );
}
