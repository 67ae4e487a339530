import type { Redelivery } from '../contract/dead-letter.ts';
import { isRecord } from './json.ts';
import { readTrigger } from './trigger.ts';

/** What a trigger may have more than when it was signalled: an audience's id instead of its slug, and a time of its own. */
const SETTLED_BYTES = 100;

/**
 * Reads what came as the signal of a dead letter. Our own workflow sends it, but a person can send one too, and nothing that is signalled
 * may break a job. A text says what is wrong with it.
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
