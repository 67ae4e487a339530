import type { Sha256 } from './delivery-id.ts';
import { deadLetterId } from './names.ts';

// A trigger's trace needs no state: its trace id (W3C Trace Context, 3.2.2.3) is its delivery id, which is as long, as evenly spread, and the same
// on every attempt, from every worker, after every crash. All zeros, which no trace may have, would be one id in 2^128.

/**
 * The id of the span that all others of a trigger stand under, 16 hex digits: known to every worker before that span is told, which is when the
 * trigger has come to its end. A dead letter that is redelivered begins another one, in the same trace.
 *
 * @param redelivery how often the trigger was redelivered, from 0.
 */
export function rootSpanId(deliveryId: string, redelivery: number, hash: Sha256): string {
  return hash(deadLetterId(deliveryId, redelivery)).slice(0, 16);
}

/** The header `traceparent` of a request: W3C Trace Context, version 00. Its last part says whether the request's span is recorded. */
export function traceparentOf(traceId: string, spanId: string, isSampled: boolean): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
