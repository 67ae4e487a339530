import type { DeliveryLane, Exchange } from '../../contract/delivery.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import type { AttemptVerdict } from '../../contract/verdict.ts';

/** One attempt to tell an endpoint about one trigger, as the delivery log keeps it. A request for several triggers has a row for each. */
export interface DeliveryRow {
  /** RFC 3339: when the attempt ended, by the worker's clock. */
  readonly at: string;
  readonly jobId: string;
  /** Header `webhook-id` of a request for this trigger alone. */
  readonly deliveryId: string;
  /** Header `webhook-id` of the request, if it was for a batch. */
  readonly batchId?: string | undefined;
  readonly user: string;
  /** Slug */
  readonly audience: string;
  readonly event: TriggerEvent;
  /** RFC 3339: the `at` of the trigger. */
  readonly triggerAt: string;
  /**
   * The number of the request, from 1, over the trigger's whole life: redeliveries, recoveries and lost workers included. A request that may have
   * been made counts, too. Without a request, it is the number of the next one. A replay begins at 1.
   */
  readonly attempt: number;
  readonly verdict: LoggedVerdict;
  /** The HTTP status, when the endpoint answered. */
  readonly status?: number | undefined;
  /** Stable code of the failure, when it did not answer or no request was made. */
  readonly code?: string | undefined;
  /** From the start of the request to the end of the answer; 0 when no request was made. */
  readonly durationMs: number;
  /** Bytes of the request's body; 0 when no request was made. */
  readonly requestBytes: number;
  /** The first 1 KiB of what the endpoint answered, secrets masked; absent where it is encrypted. */
  readonly answer?: string | undefined;
  /** The worker that made the attempt. */
  readonly worker: string;
  readonly lane: DeliveryLane;
  /**
   * Orders the rows of a person in a job: by the server's clock, the microsecond at which the slice was scheduled, plus the trigger's place there.
   * 0: 0.2.0 or an older release wrote it, and the times of the triggers decide.
   */
  readonly sequence: number;
}

/** `superseded`: no attempt. A newer trigger, which `answer` names, replaced this one of a backfill or a replay before it was delivered. */
export type LoggedVerdict = AttemptVerdict | 'superseded';

/** An attempt with what was sent and what came back, as far as that was kept. */
export type DeliveryDetails = DeliveryRow & Exchange;

/** Which deliveries are looked for: those for which all of this holds. */
export interface DeliveryFilter {
  readonly jobId?: string | undefined;
  /** Only these jobs; absent: all. */
  readonly onlyJobs?: readonly string[] | undefined;
  readonly user?: string | undefined;
  /** Slug */
  readonly audience?: string | undefined;
  readonly event?: TriggerEvent | undefined;
  /** The header `webhook-id`, or its beginning: a delivery id, or the id of a batch. */
  readonly deliveryId?: string | undefined;
  /** `failed`: any but `delivered`, `skipped`, `superseded` and `profile-missing`. */
  readonly verdict?: LoggedVerdict | 'failed' | undefined;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly slowerThanMs?: number | undefined;
  /** RFC 3339, inclusive. */
  readonly since?: string | undefined;
  /** RFC 3339, exclusive. */
  readonly until?: string | undefined;
}

/** A time for which rows may be missing. */
export interface LogGap {
  /**
   * - `begins`: the log has no rows from before `until`: it was made then, or older ones are no longer kept
   * - `dropped`: a worker dropped rows, since its buffer was full or the log refused them
   * - `behind`: a worker has not yet written what it did after `from`: it is slow, cannot reach the log, or was killed
   * - `unheard`: a worker asked Temporal for work, and never wrote
   */
  readonly why: 'begins' | 'dropped' | 'behind' | 'unheard';
  /** Its rows. Absent for a caller who may see some jobs only, as is `dropped`, and for `begins`. */
  readonly worker?: string;
  /** RFC 3339: up to when the log has its rows. */
  readonly from: string;
  /** RFC 3339: when it wrote again. Absent: it has not since. */
  readonly until?: string;
  /** Rows that it dropped meanwhile; 0: how many are missing is not known. */
  readonly dropped?: number;
}

/** Some deliveries, newest first. With `next`, there may be fewer than were asked for, or none: a search without a match takes long. */
export interface DeliveryPage {
  readonly rows: readonly DeliveryRow[];
  /** Continues after the last row; absent: there are no more. */
  readonly next?: string;
}

/** Which attempts are counted, and in which steps. */
export interface StatsQuery extends Pick<DeliveryFilter, 'jobId' | 'onlyJobs'> {
  /** RFC 3339, inclusive; the beginning of its step counts. */
  readonly since: string;
  /** RFC 3339, exclusive. */
  readonly until: string;
  /** How long a step is: a whole number of minutes. Default: such that there are at most 120. */
  readonly stepSeconds?: number | undefined;
}

/** Attempts, counted. */
export interface DeliveryCounts {
  readonly delivered: number;
  /** Neither delivered nor `skipped` nor `profile-missing`: those are not counted. */
  readonly failed: number;
  /** The failed ones by status, or by code where there was none. */
  readonly failedBy: Readonly<Record<string, number>>;
  /** How long requests took: half of them at most this, 95 %, 99 %. To within 10 %; absent: no request was made. */
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  readonly p99Ms?: number;
}

/** A step of the time that was asked for. */
export interface StatsPoint extends DeliveryCounts {
  /** RFC 3339: when it began. */
  readonly at: string;
}

/** A job in the time that was asked for. */
export interface JobStats extends DeliveryCounts {
  readonly jobId: string;
}

export interface DeliveryStats {
  readonly since: string;
  readonly until: string;
  readonly stepSeconds: number;
  readonly total: DeliveryCounts;
  /** Steps with attempts, oldest first. */
  readonly points: readonly StatsPoint[];
  /** Jobs with attempts, those with most failures first. */
  readonly jobs: readonly JobStats[];
  readonly gaps: readonly LogGap[];
}
