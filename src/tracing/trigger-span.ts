import { knownInstant } from '../domain/instant.ts';
import { rootSpanId } from '../domain/trace-context.ts';
import { sha256 } from '../webhook/sha256.ts';
import type { Span } from './span.ts';

export interface TriggerEnd {
  readonly deliveryId: string;
  /** How often it was redelivered. */
  readonly redelivery: number;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** Epoch ms by which it was certainly there, whatever the clock of the sender said. */
  readonly latestMs: number;
  readonly endMs: number;
  readonly attributes: Span['attributes'];
  readonly isError: boolean;
}

/** The span of a trigger, from its `at` to its last answer: the parent of all other spans in its trace. */
export function triggerSpan({ deliveryId, redelivery, at, latestMs, ...rest }: TriggerEnd): Span {
  const more = redelivery === 0 ? {} : { 'triggers.redelivery': redelivery };
  return {
    name: 'trigger',
    traceId: deliveryId,
    spanId: rootSpanId(deliveryId, redelivery, sha256),
    isRequest: false,
    startMs: startOf(at, latestMs),
    endMs: rest.endMs,
    attributes: { ...rest.attributes, ...more },
    isError: rest.isError,
  };
}

/** No span begins before 1970: OTLP has no number for it. */
function startOf(at: string, latestMs: number): number {
  const instant = knownInstant(at);
  if (instant === undefined) return latestMs;
  return Math.min(Math.max(0, Date.parse(`${instant.slice(0, 23)}Z`)), latestMs);
}
