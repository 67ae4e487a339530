import { AudienceMoved, InvalidTrigger, TriggersError, WorkerFailed } from '../client/errors.ts';
import { parseTrigger, readLines, UnreadableLine, withLine } from '../client/push/trigger-lines.ts';
import { type EventTrigger, type Json, misspeltInTrigger } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';
import { UsageError } from './exit-code.ts';
import type { Slugs } from '../client/export-jobs.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { AUDIENCE_ID } from '../domain/names.ts';
import { UnknownPayloadKey } from '../temporal/encrypting-codec.ts';

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

interface Meaning {
  /** Asked once, when the first slug comes. */
  readonly slugs: () => Promise<Slugs>;
  /** The same triggers once more, where they can be read twice: then nothing is sent when a later one is refused. */
  readonly again: (() => AsyncIterable<EventTrigger>) | undefined;
  /** Called once when it is not known which audiences have the slugs now; what is sent means what the jobs take it for. */
  readonly onUnchecked: (slug: string, why: Error) => void;
  /** Called in place of each trigger about an audience that no job listens to, as far as it is known, with the slug that was most likely meant. */
  readonly onUnmatched?: ((audience: string, near: string | undefined) => void) | undefined;
}

/**
 * Triggers as they were typed, each about the audience that has its slug now.
 * @throws AudienceMoved at one whose slug a job takes for another audience
 */
export async function* withMeantAudiences(
  triggers: Iterable<EventTrigger> | AsyncIterable<EventTrigger>,
  { slugs: open, again, onUnchecked, onUnmatched }: Meaning,
): AsyncGenerator<EventTrigger> {
  let slugs: Slugs | undefined;
  let isAsked = false;
  let isTold = false;
  for await (const trigger of triggers) {
    let { audience } = trigger;
    if (onUnmatched !== undefined) slugs ??= await open();
    if (!AUDIENCE_ID.test(audience)) {
      const isFirst = !isAsked;
      isAsked = true;
      slugs ??= await open();
      try {
        audience = await slugs.meant(audience);
        if (isFirst && slugs.hasMoved && again !== undefined) await refuseLater(again(), slugs);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        if (!isTold) onUnchecked(audience, error);
        isTold = true;
      }
    }
    if (onUnmatched !== undefined && slugs?.mayListen(audience) === false)
      onUnmatched(trigger.audience, nearestKey(trigger.audience, slugs.known));
    else yield audience === trigger.audience ? trigger : { ...trigger, audience };
  }
}

/** @throws AudienceMoved */
async function refuseLater(triggers: AsyncIterable<EventTrigger>, slugs: Slugs): Promise<void> {
  try {
    for await (const { audience } of triggers) await slugs.meant(audience);
  } catch (error) {
    // Nothing behind it is sent, and it is reported when it is reached.
    if (!(error instanceof InvalidTrigger)) throw error;
  }
}

/** Whether it only is not known what a slug means. */
function isUnknown(error: unknown): error is Error {
  // A worker without the key would reject what is pushed.
  if (error instanceof AudienceMoved || (error instanceof WorkerFailed && error.hasOtherKeys)) return false;
  return error instanceof UnknownPayloadKey || error instanceof TriggersError;
}
