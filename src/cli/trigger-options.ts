import type { EventTrigger, Json } from '../contract/trigger.ts';
import { readTrigger } from '../domain/trigger.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { UsageError } from './usage-error.ts';

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
  try {
    return parseJson(text);
  } catch {
    throw new UsageError(`--profile is not JSON: something is wrong at character ${jsonMistake(text).character}.`);
  }
}
