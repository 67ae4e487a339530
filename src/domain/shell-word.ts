import { printable } from './shown.ts';

/** A word of a command, quoted if a shell would split it. Characters that control a terminal are escaped. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  return `$'${printable(text.replaceAll(/[\\']/g, String.raw`\$&`))}'`;
}
