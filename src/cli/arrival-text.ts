import { printable } from '../domain/printable.ts';
import type { Arrival } from '../local/ledger.ts';

export type { Arrival } from '../local/ledger.ts';

/** One arrival on a line: when, who, what, how many requests were open. */
export function arrivalText({ arrivedAtMs, message, inFlight, deliveryId }: Arrival): string {
  const time = new Date(arrivedAtMs).toISOString().slice(11, 23);
  const id = deliveryId === undefined ? '' : `  ${printable(deliveryId.slice(0, 12))}`;
  if (message === undefined) return `${time}  a request that is not a trigger message${id}`;
  const { event, user, slug } = message;
  return `${time}  ${event.padEnd(5)}  ${printable(user)}  ${printable(slug)}  (${inFlight} in flight)${id}`;
}
