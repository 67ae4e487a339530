import { createReadStream } from 'node:fs';

/**
 * The lines of a file of JSON values, one at a time, in memory that does not grow with the file. Only a newline ends a line: the other
 * characters at which Node's own reader breaks lines may appear unescaped in a JSON string.
 */
export async function* readLines(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
