import { InvalidTrigger } from '../client/errors.ts';
import { type EventTrigger, type Json, misspeltInTrigger } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';
import { UsageError } from './exit-code.ts';

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
  const trigger = value as unknown as EventTrigger; // It just was read as one.
  const misspelt = misspeltInTrigger(trigger);
  if (misspelt !== undefined) throw new InvalidTrigger(misspelt, { line });
  return trigger;
}

function parseLine(text: string, line: number): Json {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    throw new InvalidTrigger(`it is not JSON (something is wrong at character ${jsonMistake(text).character})`, {
      line,
    });
  }
  // A profile's keys are somebody else's; of the trigger's own, none may say two things.
  const doubled = doubledKey(text, 1);
  if (doubled !== undefined) throw new InvalidTrigger(`it has "${doubled}" twice`, { line });
  return value;
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

/** One trigger as options give it. */
export interface TriggerOptions {
  readonly audience?: string | undefined;
  readonly enter?: boolean | undefined;
  readonly exit?: boolean | undefined;
  readonly user?: string | undefined;
  readonly at?: string | undefined;
  /** JSON */
  readonly profile?: string | undefined;
}

/**
 * The trigger that options describe.
 * @throws UsageError
 */
export function triggerFrom(options: TriggerOptions): EventTrigger {
  const { audience, user, at, enter, exit } = options;
  if (audience === undefined || user === undefined || (enter === true) === (exit === true)) {
    throw new UsageError('One trigger needs --audience, --user, and either --enter or --exit.');
  }
  const raw = {
    event: enter === true ? 'enter' : 'exit',
    audience,
    user,
    ...(at === undefined ? {} : { at }),
    ...(options.profile === undefined ? {} : { profile: profileFrom(options.profile) }),
  };
  const reading = readTrigger(raw);
  if (!reading.ok) throw new UsageError(`This is not a trigger: ${reading.reason}.`);
  const { profileBytes: _bytes, ...trigger } = reading.trigger;
  return trigger;
}

function profileFrom(text: string): Json {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    throw new UsageError(`--profile is not JSON: something is wrong at character ${jsonMistake(text).character}.`);
  }
  const doubled = doubledKey(text);
  if (doubled !== undefined) throw new UsageError(`--profile has the key "${doubled}" twice. Leave one of them.`);
  return value;
}
