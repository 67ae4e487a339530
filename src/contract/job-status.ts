import type { Audience } from './audience.ts';

export type JobState = 'starting' | 'running' | 'paused' | 'stopping' | 'stopped';

export interface BackfillStatus {
  readonly n: number;
  readonly state: 'running' | 'paused' | 'finished' | 'cancelled' | 'lost';
  /** With `paused`: by a person, or since the sample that was asked for is sent. */
  readonly pausedBy?: 'operator' | 'sample';
  /** RFC 3339: when it was asked for; the `at` of all its enters. */
  readonly at: string;
  /** Slugs. */
  readonly audiences: readonly string[];
  /** How many members there are to tell, by the source's own count at the start; exact once all are read. Absent when the source does not say. */
  readonly expected?: number;
  /** Members read from the source and taken by the job. */
  readonly taken: number;
  /** Members that got their enter. */
  readonly delivered: number;
  /** Members left out: a live trigger of the same audience says more, or the source showed them twice. */
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
   * Why its next members are not read, when the source failed the last time that it was asked: down, in a circle, a cursor refused. Gone when it
   * answers. The job itself never says it: whoever asks for the status looks it up, as `kept`.
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
   * `new`: it has taken nothing yet, so that one request at a time is tried and what it refuses is kept; `unwell`: nothing is sent but probes;
   * `recovering`: permits grow back to the full count.
   */
  readonly state: 'new' | 'unwell' | 'recovering';
  /** RFC 3339: when the next probe goes. */
  readonly nextProbeAt?: string;
  /** What a person should do, when the kind of failure is one that only a person can mend. */
  readonly advice?: string;
}

/** What waits for a stopped job to be resumed. */
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
  /** Why it is in this state, when that is not plain. */
  readonly reason?: string;
  readonly label: string;
  readonly description?: string;
  readonly audiences: readonly Audience[];
  /** As people may see it, its path and the values of its query masked: `https://hooks.example.com/…?token=…`. In full it is only with the job itself. */
  readonly webhookUrl: string;
  readonly authorization: string | null;
  readonly exportFields: readonly string[];
  readonly userLegacyMessageFormat: boolean;
  readonly parallelRequestCount: number;
  readonly backfillPerSecond: number | null;
  readonly backfillParallelCount: number | null;
  /** Counts the edits that took effect. */
  readonly revision: number;
  /** Triggers accepted since the job began. */
  readonly received: number;
  readonly delivered: number;
  /** Deliveries a second, fading: of the last minute, and of the last five. */
  readonly ratePerSecond: { readonly oneMinute: number; readonly fiveMinutes: number };
  /** Attempts after the first that were made. */
  readonly retried: number;
  /** Signalled things that were no trigger for this job. */
  readonly rejected: number;
  /** Triggers signalled again while the first was waiting or had just been delivered: sent once. They count as received. */
  readonly repeated: number;
  /** Triggers that became dead letters since the job began: refused by the endpoint, or at the end of their retry schedule. */
  readonly deadLetters: number;
  /** Triggers that wait, those of running slices included. */
  readonly waiting: number;
  /** Of these, those that wait outside the job's own state, in holders. */
  readonly overflow: number;
  /** What a stopped job kept for a later resume; the job itself never says it, whoever asks for the status looks it up. */
  readonly kept?: KeptTriggers;
  /** RFC 3339: a job that was terminated can be recovered until then. Looked up by whoever asks, as `kept` is. */
  readonly recoverableUntil?: string;
  /** People whose next trigger waits for its next attempt. */
  readonly held: number;
  /** Requests that may be in flight now. */
  readonly inFlight: number;
  /** `at` of the trigger that has waited longest. */
  readonly oldestWaitingAt?: string;
  readonly lastDeliveredAt?: string;
  readonly lastFailure?: LastFailure;
  /** The endpoint asked to wait until then (RFC 3339). */
  readonly throttledUntil?: string;
  /** There while the endpoint is unwell or coming back, or something waits for one that is new. */
  readonly endpoint?: EndpointStatus;
  readonly backfill?: BackfillStatus;
  /** The last few signalled things that were refused: why. */
  readonly rejects: readonly { readonly at: string; readonly reason: string }[];
  /** Things a person should know or do. */
  readonly notices: readonly string[];
  /** Bytes of the state that the next run would be given, and the budget it should stay in. */
  readonly stateBytes: number;
  readonly stateBudgetBytes: number;
}
