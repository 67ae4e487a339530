import type { JobAlert } from './alert.ts';
import type { AudienceList, AudienceListing } from './audience.ts';
import type { AuthorizationListing } from './authorization.ts';
import type { MemberIds } from './backfill.ts';
import type { DeadLetter } from './dead-letter.ts';
import type { JobDefinition, Problem } from './export-job.ts';
import type { PackedTriggers } from './holder.ts';
import type { Sample, Sampled, SampleInput, SentSample } from './sample.ts';
import type { PackedSlice, SliceReport } from './slice.ts';
import type { ConfirmedChanges, EmissionReport, PreparedWatch, ScanReport, ScanRequest } from './watch.ts';

/** A job definition held against what this worker knows: its source, its authorizations, its namespace. */
export type PreparedJob =
  | { readonly ok: false; readonly problems: readonly Problem[] }
  | {
      readonly ok: true;
      /** With every default filled in. */
      readonly definition: JobDefinition;
      /** The definition's audiences, resolved, in its order. */
      readonly audiences: readonly AudienceListing[];
      /** What a person should know before the job runs. */
      readonly warnings: readonly string[];
      /** How late the source may show an exit. */
      readonly sourceLagMs: number;
      /** Search attributes that the namespace lacks; the job then runs without any. */
      readonly missingSearchAttributes: readonly string[];
      /** Longest time of one request, in ms. */
      readonly requestTimeoutMs: number;
      /** Triggers that wait longer than this, in ms, are worth an alert. */
      readonly alertBacklogMs: number;
      /** What the Temporal server allows, as the worker's configuration states it. */
      readonly serverLimits: ServerLimits;
    };

/** What the Temporal server allows a workflow; every bound of a job is a share of one of these, so that all scale together. */
export interface ServerLimits {
  /** Most bytes of one payload (`limit.blobSize.error`); also of the input of continue-as-new. Default 2 MiB. */
  readonly payloadBytes: number;
  /** Most signals a run may take (`history.maximumSignalsPerExecution`). Default 10,000. */
  readonly signalsPerRun: number;
  /** Most events a run may have (`limit.historyCount.error`). Default 51,200. */
  readonly eventsPerRun: number;
}

/** How a workflow stands, asked from inside another. */
export type WorkflowStanding = 'running' | 'closed' | 'absent';

/** The activities, as the workflows see them. Implemented by `activities/`. */
export interface Activities {
  /** Checks a definition and resolves its audiences. Fails (and is retried) only when the source does. */
  prepareJob(definition: unknown): Promise<PreparedJob>;
  /** The authorizations of the worker that answers. */
  listAuthorizations(): Promise<readonly AuthorizationListing[]>;
  /** The audiences of the source; `total` counts those, too, that the answer has no room for. */
  listAudiences(): Promise<AudienceList>;
  /** Names and dotted paths of the fields that a member of an audience (slug or id) has; empty when no member has a profile. */
  listProfileFields(audience: string): Promise<readonly string[]>;
  /** The request that would be made about a real person. */
  sampleRequest(wanted: SampleInput): Promise<Sampled<Sample>>;
  /** Sends it: one request, and a second one only after a 401 that a new token may cure. Not to be retried. */
  sendSample(wanted: SampleInput): Promise<Sampled<SentSample>>;
  /** Sends a slice. Never fails because of the endpoint: what came of each trigger is in the report. */
  deliver(slice: PackedSlice): Promise<SliceReport>;
  /** One page of an audience's members, at most `limit` ids and about `maxBytes` of JSON. */
  listMembers(audience: string, after: string | null, limit: number, maxBytes: number): Promise<MemberIds>;
  /** How many members these audiences have together, by the source's own count; null when it does not say of all. */
  countMembers(audiences: readonly string[]): Promise<number | null>;
  /** Whether a workflow runs. */
  lookUpWorkflow(workflowId: string): Promise<WorkflowStanding>;
  /** Starts the holder workflow of this id with its content; done already, it is done. */
  hold(holderId: string, content: PackedTriggers): Promise<void>;
  /** The content of a holder; null when the server knows no such workflow any more. */
  recall(holderId: string): Promise<PackedTriggers | null>;
  /** Lets holders end; those that have ended, or are not known, are left alone. */
  release(holderIds: readonly string[]): Promise<void>;
  /** Starts a dead-letter workflow for each; those that run already are left alone. */
  keepDeadLetters(letters: readonly DeadLetter[]): Promise<void>;
  /** Says each alert in the worker's log and, where one is configured, has it sent to the alert webhook. Done already, it is done. */
  raiseAlerts(alerts: readonly JobAlert[]): Promise<void>;
  /** Sends one alert to the webhook of this worker. Fails unless it was taken. */
  sendAlert(alert: JobAlert): Promise<void>;
  /** Whether a person is in an audience now, by the source. */
  isMember(audience: string, user: string): Promise<boolean>;
  /** Keeps what a stopping job carries (its workflow's input) for a later resume, instead of what was kept of it before. */
  keepJob(jobWorkflowId: string, carried: object): Promise<void>;
  /** Resolves the names of audiences that are to be watched, and says whether this worker can. Fails only when the source does. */
  prepareWatch(names: readonly string[]): Promise<PreparedWatch>;
  /** Writes down who is a member, and how that differs from the last time. Fails when the source does not come to its end in order. */
  scanMembers(request: ScanRequest): Promise<ScanReport>;
  /** Asks the source about each exit of a scan, and writes down what is to be told. */
  confirmExits(audience: string, scanId: string): Promise<ConfirmedChanges>;
  /** Tells each running job that listens of a scan's changes, at this time; repeated, it goes on where it was. */
  emitChanges(audience: string, scanId: string, at: string): Promise<EmissionReport>;
  /** Removes what is on disk of an audience. */
  forgetSnapshots(audience: string): Promise<void>;
}
