import type { Audience } from './audience.ts';

export type JobState = 'starting' | 'running' | 'paused' | 'stopping' | 'stopped';

export interface BackfillStatus {
  readonly n: number;
  readonly state: 'running' | 'paused' | 'finished' | 'cancelled' | 'lost';
  /** With `paused`: by a person, or because the sample that was asked for has been sent. */
  readonly pausedBy?: 'operator' | 'sample';
  /** RFC 3339: when it was asked for; the `at` of all its enters. */
  readonly at: string;
  /** Slugs. */
  readonly audiences: readonly string[];
  /**
   * How many members there are to send, by the source's own count at the start; exact once all have been read. Absent when the source does
   * not say.
   */
  readonly expected?: number;
  /** Members read from the source and accepted by the job. */
  readonly taken: number;
  /** Members whose enter was delivered. */
  readonly delivered: number;
  /** Members left out, because a live trigger of the same audience is newer or the source listed them twice. */
  readonly superseded: number;
  /** Members whose enter became a dead letter. */
  readonly deadLetters: number;
  /** Members waiting in the job. */
  readonly waiting: number;
  /** Members delivered a second, over about the last minute. */
  readonly ratePerSecond: number;
  /** How long it will take at that rate, when that can be said. */
  readonly secondsLeft?: number;
  /** What a person should know, in words. */
  readonly notice?: string;
  /**
   * Why the next members are not being read, when the source failed the last time it was asked: it is down, goes in a circle, or refuses a
   * cursor. Absent again once it answers. The job itself never sets this: like `kept`, it is looked up by the client.
   */
  readonly trouble?: string;
}

export interface LastFailure {
  /** RFC 3339 */
  readonly at: string;
  readonly status?: number;
  readonly code?: string;
  readonly answer?: string;
}

export interface EndpointStatus {
  /**
   * `new`: it has accepted nothing yet, so one request at a time is tried, and what it refuses is kept; `unwell`: only probes are sent;
   * `recovering`: permits grow back to the full number.
   */
  readonly state: 'new' | 'unwell' | 'recovering';
  /** RFC 3339: when the next probe is sent. */
  readonly nextProbeAt?: string;
  /** What a person should do, when only a person can correct what is wrong. */
  readonly advice?: string;
}

/** What a stopped job has kept for a resume. */
export interface KeptTriggers {
  /** Triggers that wait. */
  readonly waiting: number;
  /** RFC 3339 */
  readonly keptAt: string;
}

/** Answer of the query `status`, and of every update. */
export interface JobStatus {
  readonly v: 1;
  readonly jobId: string;
  readonly subscriptionId: string;
  readonly state: JobState;
  /** Why it is in this state, when that is not obvious. */
  readonly reason?: string;
  readonly label: string;
  readonly description?: string;
  readonly audiences: readonly Audience[];
  /**
   * As people may see it, with its path and the values of its query masked: `https://hooks.example.com/…?token=…`. Only the job itself has
   * it in full.
   */
  readonly webhookUrl: string;
  readonly authorization: string | null;
  readonly exportFields: readonly string[];
  readonly userLegacyMessageFormat: boolean;
  readonly parallelRequestCount: number;
  readonly backfillPerSecond: number | null;
  readonly backfillParallelCount: number | null;
  /** How many edits have taken effect. */
  readonly revision: number;
  /** Triggers accepted since the job began. */
  readonly received: number;
  readonly delivered: number;
  /** Deliveries a second, as a fading average: over the last minute, and over the last five. */
  readonly ratePerSecond: { readonly oneMinute: number; readonly fiveMinutes: number };
  /** Attempts after the first that were made. */
  readonly retried: number;
  /** Signals that did not contain a trigger for this job. */
  readonly rejected: number;
  /** Triggers that were signalled again while the first was waiting or had just been delivered, and so were sent once. They count as received. */
  readonly repeated: number;
  /** Triggers that became dead letters since the job began: refused by the endpoint, or at the end of their retry schedule. */
  readonly deadLetters: number;
  /** Triggers that are waiting, including those in running slices. */
  readonly waiting: number;
  /** How many of these are outside the job's own state, in holders. */
  readonly overflow: number;
  /** What a stopped job kept for a later resume. The job itself never sets this: it is looked up by the client. */
  readonly kept?: KeptTriggers;
  /** RFC 3339: until when a terminated job can be recovered. Looked up by the client, like `kept`. */
  readonly recoverableUntil?: string;
  /** People whose next trigger is waiting for its next attempt. */
  readonly held: number;
  /** Requests that may be in flight now. */
  readonly inFlight: number;
  /** `at` of the trigger that has waited longest. */
  readonly oldestWaitingAt?: string;
  readonly lastDeliveredAt?: string;
  readonly lastFailure?: LastFailure;
  /** The endpoint asked to wait until then (RFC 3339). */
  readonly throttledUntil?: string;
  /** Present while the endpoint is unwell or recovering, or while something is waiting for a new one. */
  readonly endpoint?: EndpointStatus;
  readonly backfill?: BackfillStatus;
  /** The reasons for the last few rejected signals. */
  readonly rejects: readonly { readonly at: string; readonly reason: string }[];
  /** Things a person should know or do. */
  readonly notices: readonly string[];
  /** Bytes of the state that the next run would be given, and the budget that it should stay within. */
  readonly stateBytes: number;
  readonly stateBudgetBytes: number;
}
