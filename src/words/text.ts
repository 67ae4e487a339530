import { printable } from '../domain/text.ts';

/** The text with its first letter as a capital. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Whether a text has all words that somebody searches for, anywhere and in any letters. */
export function hasWords(text: string, search: string): boolean {
  const where = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => where.includes(word));
}

/** The parts of a job that a search looks at. */
export interface NamedJob {
  readonly jobId: string;
  readonly label?: string;
  readonly audiences?: readonly { readonly slug: string }[];
}

/** Whether a job's id, label and audiences have all words that somebody searches for. */
export function jobHasWords({ jobId, label = '', audiences = [] }: NamedJob, search: string): boolean {
  return hasWords([jobId, label, ...audiences.map(({ slug }) => slug)].join('\n'), search);
}

/** A word of a command, quoted if a shell would split it. Characters that control a terminal are escaped. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  return `$'${printable(text.replaceAll(/[\\']/g, String.raw`\$&`))}'`;
}
