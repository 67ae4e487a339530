import type { TriggerEvent } from '../contract/trigger.ts';

/** What a body of either payload format says happened. */
export interface ReceivedMessage {
  readonly user: string;
  /** 32-hex id of the audience. */
  readonly audience: string;
  readonly slug: string;
  readonly event: TriggerEvent;
  /** When it happened, as spelt in the body. */
  readonly at: string;
}

/** Reads a body of the new or the legacy format; undefined for anything else. Never throws. */
export function readMessage(body: string): ReceivedMessage | undefined {
  let message: unknown;
  try {
    message = JSON.parse(body);
  } catch {
    return undefined;
  }
  const user = memberOf(message, 'id');
  const events = memberOf(message, 'segment_events') ?? memberOf(memberOf(message, 'data'), 'segment_events');
  const change: unknown = Array.isArray(events) ? events[0] : undefined;
  const event = memberOf(change, 'event');
  if (event !== 'enter' && event !== 'exit') return undefined;
  const audience = memberOf(change, 'id');
  const slug = memberOf(change, 'slug');
  const at = memberOf(change, event);
  if (typeof user !== 'string' || typeof audience !== 'string' || typeof slug !== 'string' || typeof at !== 'string')
    return undefined;
  return { user, audience, slug, event, at };
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
