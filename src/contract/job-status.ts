import type { DecidedVerdict } from './answers.ts';
import type { Audience } from './audience.ts';
import type { SentInstead } from './backfill.ts';
import type { JobDefinition, JobEdit, Problem } from './export-job.ts';

/** How a job's workflow has ended, if it did not stop as it should. */
export type JobEnd = 'terminated' | 'failed' | 'timed out' | 'canceled';

export type JobState = 'starting' | 'running' | 'paused' | 'stopping' | 'stopped' | JobEnd;

/** With `difference` it is a reconcile, and with `replay` a replay; "members" below then means its people, or triggers. */
export interface BackfillStatus extends SentInstead {
  readonly n: number;
  /** `kept`: the job was stopped and kept its backlog; the rest of the backfill goes on when it is resumed. */
  readonly state: 'running' | 'paused' | 'finished' | 'cancelled' | 'lost' | 'kept';
  /** With `paused`: by a person, or because the sample that was asked for has been sent. */
  readonly pausedBy?: 'operator' | 'sample';
  /** RFC 3339: when it was asked for; the `at` of all its triggers, but for those of a replay. */
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
  /**
   * Members left out: a live trigger of the same audience is newer, the source listed them twice, or the source says that a difference no longer holds.
   */
  readonly superseded: number;
  /** Members left out because an edit removed their audience while it ran, by its slug, also where it is back; absent: none. */
  readonly leftOut?: readonly { readonly audience: string; readonly members: number }[];
  /** Members whose enter became a dead letter. */
  readonly deadLetters: number;
  /** Members that a template skips, so that nothing is sent; absent: none. */
  readonly filtered?: number;
  /** Members waiting in the job. */
  readonly waiting: number;
  /** Members delivered a second, over about the last minute. */
  readonly ratePerSecond: number;
  /** How long it will take at that rate, if that is known. */
  readonly secondsLeft?: number;
  /** RFC 3339: when the job's quota lets the last of them be sent, if no live triggers come; absent: it does now, or that is unknown. */
  readonly lastFrom?: string;
  /** A hint for people, in words. */
  readonly notice?: string;
  /**
   * Why the next members are not being read, when the source failed the last time it was asked: it is down, its pages are circular, or it refuses a
   * cursor. Absent again once it answers. The job itself never sets this: like `kept`, it is looked up by the client.
   */
  readonly trouble?: string;
}

export interface LastFailure {
  /** RFC 3339 */
  readonly at: string;
  readonly status?: number;
  readonly code?: string;
  /** Its verdict, where the job's `answers` decide it. */
  readonly as?: DecidedVerdict;
  readonly answer?: string;
  /** The worker that it happened to, `1234@host`, as far as that is known. */
  readonly worker?: string;
}

export interface EndpointStatus {
  /**
   * `new`: it has accepted nothing yet, so one request at a time is tried, and refused triggers are kept; `unhealthy`: only probes are sent;
   * `recovering`: permits grow back to the full number.
   */
  readonly state: 'new' | 'unhealthy' | 'recovering';
  /** RFC 3339: when the next probe is sent; absent: one is under way, or nothing is to be sent. */
  readonly nextProbeAt?: string;
  /** While `unhealthy`: how many different people in a row it refused; at most 120 are counted. */
  readonly refusedInRow?: number;
  /** RFC 3339: when it last accepted somebody; absent: never, since its URL or authorization last changed. */
  readonly acceptedAt?: string;
  /** Advice, when only a person can fix the endpoint. */
  readonly advice?: string;
}

/** A holder (a workflow that keeps waiting triggers) that could not be read several times in a row. The triggers behind it wait. */
export interface HolderTrouble {
  /** Its name in the job: the end of its workflow id, `holder-<subscription id>-<name>`. */
  readonly holder: string;
  /** Why, in words. */
  readonly reason: string;
  /** RFC 3339: when reading it failed for the first time. */
  readonly since: string;
  /** RFC 3339: when it is read again. */
  readonly nextTryAt: string;
}

/** The rest of a backfill that a stopped job has kept. */
export interface KeptBackfill {
  readonly n: number;
  /** Members read so far. */
  readonly taken: number;
  /** See `BackfillStatus`. */
  readonly expected?: number;
}

/** The backlog that a stopped job has kept for a resume. */
export interface KeptTriggers {
  /** Triggers that wait, and members that a backfill has read. */
  readonly waiting: number;
  /** The backfill that goes on with the job; absent when none was under way. */
  readonly backfill?: KeptBackfill;
  /** RFC 3339 */
  readonly keptAt: string;
}

/**
 * The form of a job as its status has it: every field that can be edited, as it is. Two fields are not as in the form, and are declared
 * below (`domain/job/describing.ts` fills them in). Any later field that may hold a secret must be, too.
 */
type ShownForm = {
  readonly [Field in keyof Pick<JobDefinition, Exclude<keyof JobEdit, 'audiences' | 'webhookUrl'>>]: Readonly<
    JobDefinition[Field]
  >;
};

/**
 * Until when (RFC 3339) requests wait for a throttle; absent: not for that one. It is named by its field of the form, unless it has a name
 * here.
 */
export interface Waits extends Readonly<Partial<Record<keyof JobEdit, string>>> {
  /** The endpoint asked to wait. */
  readonly endpoint?: string;
  /** Quiet hours. */
  readonly quiet?: string;
  /** The quota is used up, and first attempts wait. */
  readonly quota?: string;
  /** The rate lets the next request go then. Absent when that is within a second. */
  readonly rate?: string;
  /** Ready triggers go then even if they fill no batch, or as soon as they do. */
  readonly batch?: string;
}

/** Answer of the query `status`, and of every update. */
export interface JobStatus extends ShownForm {
  readonly v: 1;
  readonly jobId: string;
  readonly subscriptionId: string;
  readonly state: JobState;
  /** Why it is in this state, when that is not obvious. */
  readonly reason?: string;
  /** It stops, or has stopped, since its end (`endsAt`) came. */
  readonly hasReachedEnd?: true;
  readonly audiences: readonly Audience[];
  /**
   * As people may see it, with its path and the values of its query masked: `https://hooks.example.com/…?token=…`. Only the job itself has
   * it in full.
   */
  readonly webhookUrl: string;
  /** How many edits have taken effect. */
  readonly revision: number;
  /** Triggers accepted since the job began. */
  readonly received: number;
  readonly delivered: number;
  /**
   * Deliveries a second, as a fading average over one minute and over five, or since the first delivery if that is less. The client reads from `meter`
   * what they are by now, and leaves it out: a workflow knows no later time than that of its last event.
   */
  readonly ratePerSecond: {
    readonly oneMinute: number;
    readonly fiveMinutes: number;
    readonly meter?: CarriedMeter;
  };
  /** Attempts after the first that were made. */
  readonly retried: number;
  /** Signals that did not contain a trigger for this job. */
  readonly rejected: number;
  /** Triggers that were signalled again while the first was waiting or had just been delivered, and so were sent once. They count as received. */
  readonly repeated: number;
  /** Triggers that the job's form leaves out (`events`, `quietHours`), or a template skips, and that were not sent. They count as received. Absent: none. */
  readonly filtered?: number;
  /** Triggers that came after a newer one, and that the job dropped (`stale`). They count as received. Absent: none. */
  readonly staleDropped?: number;
  /**
   * How much was dropped because the job was stopped with `discard`, or for a person who was forgotten: waiting triggers, and members that a
   * backfill had read. Absent: none.
   */
  readonly discarded?: number;
  /** Only in the answer to a stop with `discard`, once the job has ended: how much this stop dropped. Absent: it is still stopping, and drops the rest. */
  readonly dropped?: number;
  /** Triggers that became dead letters since the job began: refused by the endpoint, or at the end of their retry schedule. */
  readonly deadLetters: number;
  /**
   * Dead letters under the job's id that wait for a decision now, also those of an earlier job. Absent when there was none, or when that cannot
   * be known: the job itself never sets this, it is looked up by the client.
   */
  readonly deadLettersWaiting?: number;
  /** How many of these earlier jobs of this id left, which this one cannot send. Absent: none, or the server's run ids do not tell when a job began. */
  readonly deadLettersOfEarlierJobs?: number;
  /** Triggers that are waiting, including those in running slices. */
  readonly waiting: number;
  /** How many of these are in the overflow: the job has no room for them in chains. */
  readonly overflow: number;
  /** The backlog that a stopped job kept for a later resume. The job itself never sets this: the client looks it up. */
  readonly kept?: KeptTriggers;
  /** RFC 3339: until when a terminated job can be recovered, or one whose kept triggers were ended from outside. Looked up by the client, like `kept`. */
  readonly recoverableUntil?: string;
  /** Why a job that another client started never began: the problems of its definition. Looked up by the client, like `kept`. */
  readonly problems?: readonly Problem[];
  /** RFC 3339: when somebody reset its present run, which began again from an earlier moment. Looked up by the client, like `kept`. */
  readonly resetAt?: string;
  /** People whose next trigger is waiting for its next attempt. */
  readonly delayed: number;
  /** Requests that may be in flight now. */
  readonly inFlight: number;
  /** The job is paused, or stops without sending, and not all workers have confirmed that they begin no further request. Absent: none begins. */
  readonly mayStillSend?: true;
  /** RFC 3339: when the job accepted the trigger that has waited longest, to a minute. Its `at` may be any time. */
  readonly oldestWaitingAt?: string;
  readonly lastDeliveredAt?: string;
  readonly lastFailure?: LastFailure;
  /** The waits of the next requests, besides the endpoint's health. */
  readonly waits: Waits;
  /** With `quota`: how many first attempts were made in the present period, or may have been. */
  readonly quotaUsed?: number;
  /** Present while the endpoint is unhealthy or recovering, or while something is waiting for a new one. */
  readonly endpoint?: EndpointStatus;
  readonly backfill?: BackfillStatus;
  /** Only in an answer to `backfill`: the one that was started earlier under the same request id. Nothing was started now. */
  readonly askedBefore?: Pick<BackfillStatus, 'n' | 'state'>;
  /** Holders that cannot be read, while there are any. */
  readonly unreadableHolder?: HolderTrouble;
  /** The reasons for the last few rejected signals. */
  readonly rejects: readonly { readonly at: string; readonly reason: string }[];
  /** Hints for people: facts, and what to do. */
  readonly notices: readonly string[];
  /** Bytes of the state that the next run would be given, and the budget that it should stay within. */
  readonly stateBytes: number;
  readonly stateBudgetBytes: number;
}

/** How often something happened lately, as a job keeps it: plain JSON. */
export interface CarriedMeter {
  /** Epoch ms of the first count; 0 before. */
  readonly since: number;
  /** Epoch ms that the sums are of. */
  readonly at: number;
  /** Recent counts, each fading with its age, for one minute and for five. */
  readonly one: number;
  readonly five: number;
}

/** A minute or a quarter of an hour of a job. */
export interface TrendPoint {
  /** RFC 3339: when it began. */
  readonly at: string;
  /** Triggers delivered in it. */
  readonly delivered: number;
  /** Attempts in it that failed: one of a batch is one, however many people it was about. */
  readonly failed: number;
  /** Triggers that waited at its end, or now. */
  readonly waiting: number;
}

/** Answer of the query `trend`: a job's recent activity, oldest first, without a gap, up to now. It begins with the first event of the job. */
export interface JobTrend {
  readonly v: 1;
  /** By minute, at most 60. */
  readonly hour: readonly TrendPoint[];
  /** By quarter of an hour, at most 96. */
  readonly day: readonly TrendPoint[];
}

/** Answer of a job's query `recovery`: a part of a text, which is JSON. */
export interface RecoveryPart {
  readonly v: 1;
  readonly text: string;
  /** How many parts there are. */
  readonly parts: number;
}
