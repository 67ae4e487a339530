import type { EventTrigger } from '../contract/trigger.ts';
import { InvalidTrigger } from '../client/errors.ts';
import { parseJson } from '../domain/json.ts';

/** Longest line read, in characters; a trigger has at most 64 KiB. */
const MAX_LINE = 1024 * 1024;

/**
 * Reads one JSON value a line, digits of long integers kept; blank lines do not count. What is in the lines is for the
 * push to check: it names what is wrong with a trigger. Memory: one chunk and one line.
 *
 * @throws InvalidTrigger at a line that is not JSON, with its number.
 */
export async function* readTriggers(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<EventTrigger> {
  let number = 0;
  for await (const line of readLines(chunks)) {
    number += 1;
    if (line.trim() === '') continue;
    yield parseLine(line, number) as unknown as EventTrigger; // Checked by the push, which says what is wrong.
  }
}

function parseLine(line: string, number: number) {
  try {
    return parseJson(line);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new InvalidTrigger(`line ${number} is not JSON (${why})`, { cause: error });
  }
}

async function* readLines(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > MAX_LINE) throw new InvalidTrigger(`a line is longer than ${MAX_LINE} characters`);
  }
  if (rest !== '') yield rest;
}
