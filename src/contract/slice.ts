import type { Verdict } from './verdict.ts';
import type { AnswerSettings, DecidedVerdict } from './answers.ts';
import type { Audience } from './audience.ts';
import type { ProfileRef, SupersededTrigger } from './holder.ts';
import type { ExportField, RequestShape } from './request-shape.ts';
import type { TriggerEvent } from './trigger.ts';

/** One trigger as a slice carries it: with the id of its audience, and its time decided. */
export interface SliceTrigger {
  readonly user: string;
  /** Canonical id of the audience. */
  readonly audience: string;
  readonly event: TriggerEvent;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** Its JSON. Absent: the activity reads it from the source, with one look-up for the whole slice. */
  readonly profile?: string;
  /** In place of a profile: where the activity finds it. */
  readonly profileRef?: ProfileRef;
  /** True: send with `segment_events` alone if the source does not know the person. */
  readonly profileOptional?: true;
  /** True: a replay tells it again. Only the delivery log depends on it. */
  readonly replay?: true;
  /** True: a backfill found it, though its slice is not one of a backfill. Only logs, spans and metrics depend on it. */
  readonly member?: true;
  /** How often it has been redelivered as a dead letter, from 1; absent: never. Only its trace depends on it. */
  readonly redelivery?: number;
  /** Steps of the retry schedule that it has used up, from 1; absent: none. */
  readonly failures?: number;
  /** Requests that were made for it so far, or may have been, over its whole life; absent: as many as `failures`. */
  readonly attempts?: number;
  /** The older trigger that it replaced before that was delivered. Only logs and traces depend on it. */
  readonly superseded?: SupersededTrigger;
  /** With batches: the most triggers in its batch, since a larger one was refused; absent: none was. */
  readonly batchMost?: number;
}

/** The settings of a job that a slice needs to make and send requests. */
export interface DeliverySettings extends AnswerSettings {
  readonly subscriptionId: string;
  /** The number of edits of the job; outcomes of an older revision do not count for the present endpoint. */
  readonly revision: number;
  readonly webhookUrl: string;
  readonly authorization: string | null;
  readonly exportFields: readonly ExportField[];
  readonly userLegacyMessageFormat: boolean;
  /** True: each message says which audiences the person is in. */
  readonly memberships?: true;
  /** Longest time of one request, in ms, that the job allows for. */
  readonly requestTimeoutMs: number;
  /** The job's settings of its requests; absent: none, so that each is a POST of the default body. */
  readonly request?: RequestShape;
  /** A request carries a list of at most `size` triggers; absent: one trigger, and no list. */
  readonly batch?: { readonly size: number };
}

/** The settings by which a job sends, and its audiences. */
export interface JobSettings {
  readonly settings: DeliverySettings;
  /** The audiences that the job subscribes to, in its order. */
  readonly audiences: readonly Audience[];
}

/** The origin of a slice: signalled triggers or, behind them, members that a backfill found and dead letters that came back. */
export type SliceKind = 'live' | 'backfill';

/** How a slice spaces the starts of its requests (`domain/job/throttles/request-rate.ts`). */
export interface SlicePace {
  readonly perSecond: number;
  /** When the first request may start, epoch ms by the clocks of workers; absent: at once. */
  readonly nextAtMs?: number;
}

/** Where the spacing of a slice ended, for the slice after it. */
export interface SpacingEnd {
  /** When the next request may start, epoch ms by the clock of the worker. */
  readonly nextAtMs: number;
  /** How long after the slice's report that is, in ms; below 0 when the next one is late. */
  readonly inMs: number;
}

/** Argument of the `deliver` activity. The triggers of one person are in order. */
export interface SliceInput {
  readonly sliceId: number;
  /** Absent for `live`. Only metrics depend on it. */
  readonly kind?: SliceKind;
  /** At most this many requests in flight. */
  readonly permits: number;
  /** No request is started later than this after the profiles have been read. */
  readonly budgetMs: number;
  /** Nor later than this, by the clock of the worker, epoch ms; absent: only the budget counts. */
  readonly notAfterMs?: number;
  /** With a quota: when the period began that its first attempts count for, epoch ms. The worker does not need it; a recovery does. */
  readonly quotaFrom?: number;
  /** How requests are spaced; absent: not at all. */
  readonly pace?: SlicePace;
  readonly settings: DeliverySettings;
  /** The audiences that the triggers name. */
  readonly audiences: readonly Audience[];
  readonly triggers: readonly SliceTrigger[];
}

/**
 * A trigger of a packed slice. `what` is twice its audience's place in the slice's list, and 1 more for an enter. An empty `at` stands for the
 * time of the trigger before it. `more` is for fields that few triggers have; also an audience, if the slice does not list it.
 */
export type PackedSliceTrigger =
  | readonly [user: string, what: number, at: string]
  | readonly [user: string, what: number, at: string, more: Partial<Omit<SliceTrigger, 'user' | 'event' | 'at'>>];

/** A slice as it goes to the activity and into the job's history: a third of the bytes. */
export interface PackedSlice extends Omit<SliceInput, 'triggers'> {
  readonly triggers: readonly PackedSliceTrigger[];
}

/** An attempt that did not deliver, as a value. */
export interface FailedAttempt {
  /** Place of the trigger in the slice. */
  readonly index: number;
  /** The HTTP status, when the endpoint answered. */
  readonly status?: number;
  /** Stable code of the failure, when it did not answer (`ECONNREFUSED`, `UND_ERR_…`) or no request was made (see `domain/verdict.ts`). */
  readonly code?: string;
  /** Its verdict; absent: a worker before 0.2.0 reports it, or it is `like` another. */
  readonly verdict?: Verdict;
  /** The same, where the job's `answers` decide it; absent: it is as for any job. */
  readonly as?: DecidedVerdict;
  /** The `Retry-After` of the answer, in ms from then; absent when it was not usable. */
  readonly retryAfterMs?: number;
  readonly durationMs: number;
  /** At most 200 characters of what the endpoint answered, with … at the end when it was cut. */
  readonly answer?: string;
  /**
   * Place of the first trigger of the same request, if that carried several. A report of such an attempt has nothing else but its duration:
   * all else is as for that trigger.
   */
  readonly like?: number;
}

/** An attempt as a reader of reports has it: with its verdict. */
export interface JudgedAttempt extends FailedAttempt {
  readonly verdict: Verdict;
}

/** Argument of a running slice's signal to its job. */
export interface PermitsReturned {
  readonly sliceId: number;
  /** How many permits it keeps. */
  readonly left: number;
  /** With a pace: it starts no more requests, and its spacing ended here. */
  readonly spacing?: SpacingEnd;
}

/** Result of the `deliver` activity. Every trigger that is in neither list was delivered. */
export interface SliceReport<Attempt = FailedAttempt> {
  readonly failed: readonly Attempt[];
  /** Places of the triggers for which no request was started. */
  readonly unsent: readonly number[];
  /** Time from the first request's start to the last one's end. */
  readonly sendingMs: number;
  /** With a pace, where it ended. */
  readonly spacing?: SpacingEnd;
  /** With batches, how many requests were made; absent: one for each trigger that is not unsent. */
  readonly requests?: number;
  readonly halved?: HalvedBatches;
  /** The worker that got the failures, as Temporal names it; absent: there are none, or it is of an earlier release. */
  readonly worker?: string;
}

/**
 * Places of triggers whose batch was refused, with the most triggers that their next batch may have. `isUnrequested`: no request was made for it, since
 * its template could not be rendered. Absent: none.
 */
export type HalvedBatches = readonly (readonly [place: number, most: number, isUnrequested?: true])[];

/** Details of a `deliver` heartbeat: the outcomes so far. If the worker is lost, only the rest is sent again. */
export interface SliceProgress<Attempt = FailedAttempt> {
  /** Delivered places, as closed ranges. */
  readonly delivered: readonly (readonly [first: number, last: number])[];
  readonly failed: readonly Attempt[];
  readonly halved?: HalvedBatches;
}
