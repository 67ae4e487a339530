import type { RaisedAlert } from './alert.ts';
import type { AudienceList, AudienceListing, AuthorizationListing } from './audience.ts';
import type { LoggedDeed } from './audit.ts';
import type { DifferencePage, MemberIds, ToldPage } from './backfill.ts';
import type { AddressedAnswer, DeadLetter, RedeliveryAnswer } from './dead-letter.ts';
import type { JobDefinition, Problem } from './export-job.ts';
import type { PackedTriggers } from './holder.ts';
import type { ToldQuery } from './replay.ts';
import type { PackedSlice, SliceReport } from './slice.ts';
import type { Calendar, CalendarSettings } from './timing.ts';

/** The result of checking a job definition against what this worker knows: its source, its authorizations, its namespace. */
export type PreparedJob =
  | { readonly ok: false; readonly problems: readonly Problem[] }
  | {
      readonly ok: true;
      /** With every default filled in. */
      readonly definition: JobDefinition;
      /** The definition's audiences, resolved, in its order. */
      readonly audiences: readonly AudienceListing[];
      /** Warnings for a person before the job runs. */
      readonly warnings: readonly string[];
      /** When something begins and ends by the job's calendar; absent when nothing depends on one. */
      readonly calendar?: Calendar;
      /** How late the source may show an exit. */
      readonly sourceLagMs: number;
      /** Search attributes that the namespace does not have; the job then runs without any. */
      readonly missingSearchAttributes: readonly string[];
      /** Longest time of one request, in ms. */
      readonly requestTimeoutMs: number;
      /** When triggers have waited longer than this, in ms, an alert is sent. */
      readonly alertBacklogMs: number;
      /** The limits of the Temporal server, as the worker's configuration states them. */
      readonly serverLimits: ServerLimits;
      /** The only jobs that its authorization is for; absent: all. The client looks at it. */
      readonly onlyJobs?: readonly string[];
    };

/** Limits of the Temporal server for a workflow. Every limit of a job is a share of one of these, so that they all scale together. */
export interface ServerLimits {
  /** Most bytes of one payload (`limit.blobSize.error`); also of the input of continue-as-new. Default 2 MiB. */
  readonly payloadBytes: number;
  /** Most signals a run may take (`history.maximumSignalsPerExecution`). Default 10,000. */
  readonly signalsPerRun: number;
  /** Most events a run may have (`limit.historyCount.error`). Default 51,200. */
  readonly eventsPerRun: number;
}

/** The state of a workflow, as asked from another one. */
export type WorkflowStanding = 'running' | 'closed' | 'absent';

/** The activities, as the workflows see them. Implemented by `activities/`. */
export interface Activities {
  /** Checks a definition and looks up its audiences. Fails (and is retried) only when the source does. */
  prepareJob(definition: unknown): Promise<PreparedJob>;
  /** The calendar of a job, from this time on, epoch ms; undefined when it depends on none. */
  readCalendar(settings: CalendarSettings, from: number): Promise<Calendar | undefined>;
  /** The authorizations of the worker that runs this. */
  listAuthorizations(): Promise<readonly AuthorizationListing[]>;
  /** The audiences of the source; `total` also counts those that do not fit into the answer. */
  listAudiences(): Promise<AudienceList>;
  /** Names and dotted paths of the fields of an audience's first members (slug or id); empty when none of them has a profile. */
  listProfileFields(audience: string): Promise<readonly string[]>;
  /** Sends a slice. Never fails because of the endpoint: the outcome of each trigger is in the report. */
  deliver(slice: PackedSlice): Promise<SliceReport>;
  /** One page of an audience's members, at most `limit` ids and about `maxBytes` of JSON. */
  listMembers(audience: string, after: string | null, limit: number, maxBytes: number): Promise<MemberIds>;
  /** The next part of a difference, as far as it still holds by the source now; at most about `maxBytes` of JSON. */
  listDifference(
    differenceId: string,
    audience: string,
    after: string | null,
    maxBytes: number,
  ): Promise<DifferencePage>;
  /** Removes a difference; nothing when there is none. */
  forgetDifference(differenceId: string): Promise<void>;
  /** The next part of what is told again, at most about `maxBytes` of JSON, each with an `at` that is so many nanoseconds later. */
  listTold(query: ToldQuery, after: string | null, maxBytes: number, laterNs: number): Promise<ToldPage>;
  /** How many members these audiences have together, by the source's own count; null when it lacks one of them. */
  countMembers(audiences: readonly string[]): Promise<number | null>;
  /** Whether a workflow runs. */
  lookUpWorkflow(workflowId: string): Promise<WorkflowStanding>;
  /** Starts the holder workflow with this id and content; calling it again changes nothing. */
  spill(holderId: string, content: PackedTriggers): Promise<void>;
  /** The content of a holder; null when the server no longer knows such a workflow. */
  load(holderId: string): Promise<PackedTriggers | null>;
  /** Lets holders end; ignores those that have ended or are not known. */
  drop(holderIds: readonly string[]): Promise<void>;
  /** Starts a dead-letter workflow for each; leaves alone those that are already running. */
  keepDeadLetters(letters: readonly DeadLetter[]): Promise<void>;
  /** Tells dead letters whether their job accepted them; leaves out those that have ended. */
  answerLetters(answers: readonly AddressedAnswer[]): Promise<void>;
  /**
   * Writes the alerts of one job or watch to the worker's log. If an alert webhook is configured, has them sent there, one after the other.
   * Calling it again changes nothing while they are under way; later, they are sent again with the same ids.
   */
  raiseAlerts(alerts: readonly RaisedAlert[]): Promise<void>;
  /** Whether a person is in an audience now, according to the source. */
  isMember(audience: string, user: string): Promise<boolean>;
}

/** A workflow beside a job, which keeps something for it. */
export interface SideWorkflow {
  readonly type: string;
  readonly workflowId: string;
  /** Its only argument. */
  readonly input: object;
  /** Its description in the Temporal UI, shown without a query. */
  readonly summary: string;
  readonly memo?: Readonly<Record<string, unknown>>;
  readonly attributes?: readonly SearchAttribute[];
  /** It only keeps its input: for so many days, no worker has anything to do before it is dropped. Absent: it begins at once. */
  readonly sleepsDays?: number;
  /**
   * Absent: one that exists, running or closed, is as good as this one.
   * `ended`: one with the same id that has ended, and was given something else, does not prevent it. `all`: nor does one that runs and was
   * given something else, which is terminated, nor any that has ended.
   */
  readonly renews?: 'ended' | 'all';
  /** The run that wants it. Once that has ended, nothing is started or replaced: a later run's workflow of the same id counts. */
  readonly by?: WorkflowRun | undefined;
}

export interface WorkflowRun {
  readonly workflowId: string;
  readonly runId: string;
}

/** Messages of workflow code to the worker that runs it. */
export type WorkerSinks = {
  readonly deeds: {
    /** Somebody did this. A replay does not tell it again. @param n tells it from other deeds that this run tells. */
    done(n: number, deed: LoggedDeed): void;
  };
  readonly payloadKeys: {
    /** The workflow needs a payload key that this worker does not have; the reason names the key. Also told while it replays. */
    missing(reason: string): void;
  };
};

/** The workflows beside jobs, as activities reach them. Every method may be called again after its answer was lost. */
export interface SideWorkflows {
  start(workflow: SideWorkflow): Promise<void>;
  /** The argument that it was started with, also after its end; undefined when the server knows no such workflow (any more). */
  inputOf(workflowId: string): Promise<unknown>;
  /** Tells a dead letter whether its job accepted it; ignores one that is not running. */
  answer(workflowId: string, answer: RedeliveryAnswer): Promise<void>;
  /** Lets a holder end; ignores one that is not running. */
  drop(workflowId: string): Promise<void>;
  /** Lets all profile holders of a job end that were started before this time, epoch ms. */
  dropProfiles(jobId: string, before: number): Promise<void>;
}

/** A search attribute and its value, as the SDK takes them when it starts a workflow. */
export type SearchAttribute =
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD' }; readonly value: string }
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD_LIST' }; readonly value: string[] };
