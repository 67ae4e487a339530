import { printable } from './shown.ts';

/**
 * JSON in lines for people, printable, every value as it is written: reading and writing it again would lose digits. What was cut off is
 * shown as far as it goes.
 */
export function indentedJson(json: string): string[] {
  // A string (perhaps without its end), a mark, or anything else up to the next of these; spaces between them are dropped.
  const tokens = json.match(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s"{}[\],:]+/gs) ?? [];
  const lines = [''];
  let depth = 0;
  const write = (text: string): void => void lines.push((lines.pop() ?? '') + text);
  const breakLine = (): void => void lines.push('  '.repeat(depth));
  tokens.forEach((token, i) => {
    const isEmpty = (token === '{' && tokens[i + 1] === '}') || (token === '[' && tokens[i + 1] === ']');
    const closesEmpty = (token === '}' && tokens[i - 1] === '{') || (token === ']' && tokens[i - 1] === '[');
    if (/^[}\]]$/.test(token) && !closesEmpty) {
      depth--;
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
