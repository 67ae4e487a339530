import type { Json } from '../../contract/trigger.ts';
import { doubledKey } from '../../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../../domain/json.ts';
import { InvalidTrigger } from '../errors.ts';

/** Longest line read, in characters; a trigger has at most 64 KiB. */
const MAX_LINE = 1024 * 1024;

/**
 * What the text of a trigger says; whether it is one is not checked. Digits of long integers are kept.
 * @throws InvalidTrigger
 */
export function parseTrigger(text: string): Json {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    throw new InvalidTrigger(`it is not JSON (something is wrong at character ${jsonMistake(text).character})`);
  }
  // A profile's keys are somebody else's; of the trigger's own, none may say two things.
  const doubled = doubledKey(text, 1);
  if (doubled !== undefined) throw new InvalidTrigger(`it has "${doubled}" twice`);
  return value;
}

/** What `read` returns; when it is no trigger, the error says its line, from 1. */
export function withLine<T>(line: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InvalidTrigger ? new InvalidTrigger(error.reason, { line }) : error;
  }
}

/**
 * The lines of a text that comes in chunks, as UTF-8. Memory: one chunk and one line.
 * @throws InvalidTrigger when one is longer than 1 MiB, or the text is not UTF-8: a person of another name would be told of
 */
export async function* readLines(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const text = (chunk: Uint8Array | undefined): string => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (error) {
      throw new InvalidTrigger('the input is not UTF-8', { cause: error });
    }
  };
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : text(chunk))).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > MAX_LINE) throw new InvalidTrigger(`a line is longer than ${MAX_LINE} characters`);
  }
  rest += text(undefined);
  if (rest !== '') yield rest;
}
