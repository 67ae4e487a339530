import type { Verdict } from '../../contract/verdict.ts';
import type { DeliveryLane } from '../../contract/delivery.ts';
import type { JudgedAttempt, SliceInput, SliceProgress, SliceReport } from '../../contract/slice.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';

/** How a slice ended, according to the job's history. */
export type SliceEnd =
  | { readonly kind: 'reported'; readonly report: SliceReport<JudgedAttempt> }
  /** Its activity did not finish; with the details of its last heartbeat, if there was one. */
  | { readonly kind: 'lost'; readonly progress?: SliceProgress<JudgedAttempt> }
  | { readonly kind: 'running'; readonly progress?: SliceProgress<JudgedAttempt> };

/** A slice, from its start to its end. */
export interface SliceRun {
  readonly slice: SliceInput;
  readonly end: SliceEnd;
  /** Epoch ms: when a worker last started it; absent when none is known to have. */
  readonly startedAtMs?: number;
}

/**
 * The outcome of a trigger in a slice.
 *
 * - `delivered`: answered with a 2xx, or another status that counts as delivered. A history has neither the status nor the duration; the delivery log has both.
 * - `failed`: see `status`, `code` and `answer`; with some codes no request was made.
 * - `superseded`: it was a trigger of a backfill or a replay. A newer one, which `answer` names, replaced it before it was delivered.
 * - `skipped`: a template of the job decided to send nothing; `answer` is its reason.
 * - `unsent`: its slice ended before a request was begun; it is waiting in the job.
 * - `unknown`: its slice was lost, and it is not known whether a request was made. It is sent again under the same delivery id.
 * - `running`: its slice is running and has not reported it yet.
 */
export type AttemptOutcome = 'delivered' | 'failed' | 'skipped' | 'superseded' | 'unsent' | 'unknown' | 'running';

/** One trigger in one slice. */
export interface Attempt {
  readonly jobId: string;
  /** Its run and slice; absent when the delivery log has it. */
  readonly runId?: string;
  readonly sliceId?: number;
  /** RFC 3339: the start of its slice. When its own request was made within the slice is not known. */
  readonly startedAt?: string;
  /** RFC 3339: when the job learned that its slice had ended; absent while the slice is running. By the delivery log: when the attempt ended. */
  readonly endedAt?: string;
  readonly user: string;
  readonly event: TriggerEvent;
  /** Slug */
  readonly audience: string;
  /** RFC 3339: the `at` of the trigger. */
  readonly triggerAt: string;
  /** Header `webhook-id`. */
  readonly deliveryId: string;
  /** The number of this request, over the trigger's whole life; absent when none was made. */
  readonly attempt?: number;
  /** Why it was sent; absent: as a live trigger. */
  readonly lane?: Exclude<DeliveryLane, 'live'>;
  readonly outcome: AttemptOutcome;
  /** The verdict about a failure. */
  readonly verdict?: Verdict;
  readonly status?: number;
  readonly code?: string;
  /** At most 200 characters of what the endpoint answered, secrets masked. */
  readonly answer?: string;
  /** How long the request took; a history has it only for one that failed. */
  readonly durationMs?: number;
  /** How long the endpoint asked us to wait before any request, in ms. */
  readonly retryAfterMs?: number;
}
