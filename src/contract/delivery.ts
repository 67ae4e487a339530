import type { AttemptVerdict } from '../domain/verdict.ts';
import type { TriggerEvent } from './trigger.ts';

/** Why a trigger was sent. `backfill`: a slice of members that a backfill found; one with signalled triggers among them, or a probe, is `live`. */
export type DeliveryLane = 'live' | 'backfill' | 'redelivery';

/** One attempt to tell an endpoint about one trigger, as the delivery log keeps it. A request for several triggers has a row for each. */
export interface DeliveryRow {
  /** RFC 3339: when the attempt ended, by the worker's clock. */
  readonly at: string;
  readonly jobId: string;
  /** Header `webhook-id` of a request for this trigger alone. */
  readonly deliveryId: string;
  readonly user: string;
  /** Slug */
  readonly audience: string;
  readonly event: TriggerEvent;
  /** RFC 3339: the `at` of the trigger. */
  readonly triggerAt: string;
  /** From 1. A redelivery begins anew. */
  readonly attempt: number;
  readonly verdict: AttemptVerdict;
  /** The HTTP status, when the endpoint answered. */
  readonly status?: number | undefined;
  /** Stable code of the failure, when it did not answer or no request was made. */
  readonly code?: string | undefined;
  /** From the start of the request to the end of the answer; 0 when no request was made. */
  readonly durationMs: number;
  /** Bytes of the request's body; 0 when no request was made. */
  readonly requestBytes: number;
  /** The beginning of what the endpoint answered, secrets masked. */
  readonly answer?: string | undefined;
  /** The worker that made the attempt. */
  readonly worker: string;
  readonly lane: DeliveryLane;
}

/** Which deliveries are looked for: those for which all of this holds. */
export interface DeliveryFilter {
  readonly jobId?: string | undefined;
  readonly user?: string | undefined;
  /** Slug */
  readonly audience?: string | undefined;
  readonly event?: TriggerEvent | undefined;
  /** The delivery id, or its beginning. */
  readonly deliveryId?: string | undefined;
  /** `failed`: any but `delivered`. */
  readonly verdict?: AttemptVerdict | 'failed' | undefined;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly slowerThanMs?: number | undefined;
  /** RFC 3339, inclusive. */
  readonly since?: string | undefined;
  /** RFC 3339, exclusive. */
  readonly until?: string | undefined;
}

/** Some deliveries, newest first. */
export interface DeliveryPage {
  readonly rows: readonly DeliveryRow[];
  /** Continues after the last row; absent: there are no more. */
  readonly next?: string;
}
