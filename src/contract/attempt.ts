import type { Verdict } from '../domain/verdict.ts';
import type { SliceInput, SliceProgress, SliceReport } from './slice.ts';
import type { TriggerEvent } from './trigger.ts';

/** How a slice ended, by the job's history. */
export type SliceEnd =
  | { readonly kind: 'reported'; readonly report: SliceReport }
  /** Its activity did not come to its end: what its last heartbeat said, if there was one. */
  | { readonly kind: 'lost'; readonly progress?: SliceProgress }
  | { readonly kind: 'running'; readonly progress?: SliceProgress };

/** A slice, from its start to its end. */
export interface SliceRun {
  readonly slice: SliceInput;
  readonly end: SliceEnd;
  /** Epoch ms: when a worker took it up, for the last time; absent when none is known to have. */
  readonly startedAtMs?: number;
}

/**
 * What a slice did for a trigger.
 *
 * - `delivered`: answered with 2xx. Which of them, and how long it took, a history does not say.
 * - `failed`: see `status`, `code` and `answer`; with some codes no request was made.
 * - `unsent`: its slice ended before a request was begun; it waits in the job.
 * - `unknown`: its slice was lost, and whether a request was made is not known. It is sent again, under the same delivery id.
 * - `running`: its slice runs, and has not said yet.
 */
export type AttemptOutcome = 'delivered' | 'failed' | 'unsent' | 'unknown' | 'running';

/** One trigger in one slice. */
export interface Attempt {
  readonly jobId: string;
  readonly runId: string;
  readonly sliceId: number;
  /** RFC 3339: its slice's start. When in its slice its own request was made is not known. */
  readonly startedAt?: string;
  /** RFC 3339: its slice's end, as the job heard of it; absent while that runs. */
  readonly endedAt?: string;
  readonly user: string;
  readonly event: TriggerEvent;
  /** Slug */
  readonly audience: string;
  /** RFC 3339: the `at` of the trigger. */
  readonly triggerAt: string;
  /** Header `webhook-id`. */
  readonly deliveryId: string;
  readonly outcome: AttemptOutcome;
  /** What a failure means. */
  readonly verdict?: Verdict;
  readonly status?: number;
  readonly code?: string;
  /** At most 200 characters of what the endpoint answered, secrets masked. */
  readonly answer?: string;
  /** Of the request; only of one that failed. */
  readonly durationMs?: number;
  /** What the endpoint asked everybody to wait, in ms. */
  readonly retryAfterMs?: number;
}
