import type { Redelivery } from '../contract/dead-letter.ts';
import { isRecord } from './json.ts';
import { readTrigger } from './trigger.ts';

/** How many more bytes a trigger may have than when it was signalled: for an audience's id instead of its slug, and for its own time. */
const SETTLED_BYTES = 100;

/**
 * Reads what came as the signal of a dead letter. Our own workflow sends it, but a person can send one too, and no signal may break a job.
 * Returns a text that says what is wrong, if anything is.
 */
export function readRedelivery(raw: unknown, mostBytes: number): Redelivery | string {
  if (!isRecord(raw)) return 'it is not a JSON object';
  const { subscriptionId, user, trigger } = raw;
  if (typeof subscriptionId !== 'string') return '"subscriptionId" must be a string';
  if (!isRecord(trigger)) return '"trigger" must be a JSON object';
  const { redelivery } = trigger;
  if (typeof redelivery !== 'number' || !Number.isSafeInteger(redelivery) || redelivery < 1)
    return '"redelivery" must be a number from 1';
  const reading = readTrigger({ ...trigger, user }, undefined, mostBytes + SETTLED_BYTES);
  if (!reading.ok) return reading.reason;
  const { user: whose, at, ...rest } = reading.trigger;
  if (at === undefined) return '"at" is missing';
  return { subscriptionId, user: whose, trigger: { ...rest, at, redelivery } };
}
