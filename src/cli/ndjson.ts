import type { EventTrigger, Json } from '../contract/trigger.ts';
import { InvalidTrigger } from '../client/errors.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';

/** Longest line read, in characters; a trigger has at most 64 KiB. */
const MAX_LINE = 1024 * 1024;

/**
 * Reads one trigger a line, digits of long integers kept; blank lines do not count. Memory: one chunk and one line.
 *
 * @throws InvalidTrigger at a line that is no trigger, with its number.
 */
export async function* readTriggers(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<EventTrigger> {
  let number = 0;
  for await (const line of readLines(chunks)) {
    number += 1;
    if (line.trim() === '') continue;
    yield triggerOf(line, number);
  }
}

function triggerOf(text: string, line: number): EventTrigger {
  const value = parseLine(text, line);
  const reading = readTrigger(value);
  if (!reading.ok) throw new InvalidTrigger(reading.reason, { line });
  return value as unknown as EventTrigger; // It just was read as one.
}

function parseLine(text: string, line: number): Json {
  try {
    return parseJson(text);
  } catch {
    throw new InvalidTrigger(`it is not JSON (something is wrong at character ${jsonMistake(text).character})`, {
      line,
    });
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
