import type { Sha256 } from '../../domain/delivery-id.ts';
import { deadLetterId } from '../../domain/names.ts';

// A trigger's trace needs no state: its trace id (W3C Trace Context, 3.2.2.3) is its delivery id. Both have the same length and are evenly
// distributed, and a delivery id stays the same on every attempt, from every worker, after every crash. All zeros, which no trace may have,
// would be one id in 2^128.
/**
 * The id of the root span of a trigger, 16 hex digits: every worker knows it before that span is exported, when the trigger is settled. A
 * redelivered dead letter begins another one in the same trace.
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
