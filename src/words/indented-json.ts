import { printable } from '../domain/text.ts';

/** Deeper lines are not indented further: they would consist of spaces. */
const MOST_DEPTH = 40;

/**
 * JSON in lines for people, printable, every value as it is written: parsing and writing it again would lose digits. Truncated JSON is
 * shown as far as it goes.
 */
export function indentedJson(json: string): string[] {
  // A string (perhaps without its end), a mark, or anything else up to the next of these; spaces between them are dropped.
  const tokens = json.match(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s"{}[\],:]+/gs) ?? [];
  const lines = [''];
  let depth = 0;
  const write = (text: string): void => void lines.push((lines.pop() ?? '') + text);
  const breakLine = (): void => void lines.push('  '.repeat(Math.min(depth, MOST_DEPTH)));
  tokens.forEach((token, i) => {
    const isEmpty = (token === '{' && tokens[i + 1] === '}') || (token === '[' && tokens[i + 1] === ']');
    const closesEmpty = (token === '}' && tokens[i - 1] === '{') || (token === ']' && tokens[i - 1] === '[');
    if (/^[}\]]$/.test(token) && !closesEmpty) {
      depth = Math.max(0, depth - 1); // An endpoint may answer anything.
      breakLine();
    }
    write(token === ':' ? ': ' : printable(token));
    if (/^[{[]$/.test(token) && !isEmpty) {
      depth++;
      breakLine();
    }
    if (token === ',') breakLine();
  });
  return lines;
}
