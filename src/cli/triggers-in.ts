import { InvalidTrigger } from '../client/errors.ts';
import { parseTrigger, readLines, UnreadableLine, withLine } from '../client/push/trigger-lines.ts';
import { type EventTrigger, type Json, misspeltInTrigger } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';
import { UsageError } from './exit-code.ts';

/**
 * Reads one trigger a line, digits of long integers kept; blank lines do not count. Memory: one chunk and one line.
 *
 * @throws InvalidTrigger at a line that is no trigger, with its number.
 */
export async function* readTriggers(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<EventTrigger> {
  let number = 0;
  for await (const line of readLines(chunks)) {
    number += 1;
    if (line instanceof UnreadableLine) throw new InvalidTrigger(line.reason, { line: number });
    if (line.trim() === '') continue;
    yield withLine(number, () => triggerOf(line));
  }
}

function triggerOf(text: string): EventTrigger {
  const value = parseTrigger(text);
  const reading = readTrigger(value);
  if (!reading.ok) throw new InvalidTrigger(reading.reason);
  const trigger = value as unknown as EventTrigger; // It just was read as one.
  const misspelt = misspeltInTrigger(trigger);
  if (misspelt !== undefined) throw new InvalidTrigger(misspelt);
  return trigger;
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
  return raw as EventTrigger; // It just was read as one.
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
