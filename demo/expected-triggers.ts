import type { TriggerEvent } from '../src/contract/trigger.ts';
import { parseInstant } from '../src/domain/instant.ts';
import type { ReceivedMessage } from '../src/features/local/receiver.ts';
import { elementsOf, type Ledger } from './recorder.ts';

/** A trigger that a demo or a test expects to arrive. */
export interface ExpectedTrigger {
  readonly user: string;
  /** Slug or id. */
  readonly audience: string;
  readonly event: TriggerEvent;
  readonly at: string;
}

/** The expected triggers that the receiver never answered 2xx. */
export function missingFrom(ledger: Ledger, expected: Iterable<ExpectedTrigger>): ExpectedTrigger[] {
  const arrived = new Set(firstSuccesses(ledger).flatMap(keysOf));
  return [...expected].filter((trigger) => !arrived.has(keyOf(trigger, trigger.audience)));
}

/** The messages answered 2xx that are none of the expected triggers. */
export function unexpectedIn(ledger: Ledger, expected: Iterable<ExpectedTrigger>): ReceivedMessage[] {
  const wanted = new Set([...expected].map((trigger) => keyOf(trigger, trigger.audience)));
  return firstSuccesses(ledger).filter((message) => !keysOf(message).some((key) => wanted.has(key)));
}

/**
 * Where the order per person is not the one in which the triggers are listed here: one text for each message that came
 * before an older one of its person. Triggers that never arrived are missing, not here; so are messages that were not expected.
 */
export function violationsIn(ledger: Ledger, expected: Iterable<ExpectedTrigger>): string[] {
  const rank = new Map<string, number>();
  for (const trigger of expected) rank.set(keyOf(trigger, trigger.audience), rank.size);
  const youngest = new Map<string, { rank: number; message: ReceivedMessage }>();
  const found: string[] = [];
  for (const message of firstSuccesses(ledger)) {
    const own = keysOf(message).flatMap((key) => rank.get(key) ?? [])[0];
    if (own === undefined) continue;
    const before = youngest.get(message.user);
    if (before === undefined || own > before.rank) youngest.set(message.user, { rank: own, message });
    else found.push(`person ${message.user}: ${inWords(message)} arrived after ${inWords(before.message)}`);
  }
  return found;
}

/** The messages answered 2xx, each delivery id once, in the order in which their requests arrived. */
function firstSuccesses({ entries }: Ledger): ReceivedMessage[] {
  const seen = new Set<string>();
  const successes = entries.filter(({ answered }) => typeof answered === 'number' && answered >= 200 && answered < 300);
  return successes.flatMap(elementsOf).flatMap(({ deliveryId, message }) => {
    if (message === undefined || (deliveryId !== undefined && seen.has(deliveryId))) return [];
    if (deliveryId !== undefined) seen.add(deliveryId);
    return message;
  });
}

function keyOf({ user, event, at }: Pick<ExpectedTrigger, 'user' | 'event' | 'at'>, audience: string): string {
  return JSON.stringify([user, audience, event, parseInstant(at) ?? at]);
}

/** A message's audience is known by id and by slug, an expectation names one of them. */
function keysOf(message: ReceivedMessage): string[] {
  return [keyOf(message, message.audience), keyOf(message, message.slug)];
}

function inWords({ event, slug, at }: ReceivedMessage): string {
  return `${event} ${slug} (${at})`;
}
