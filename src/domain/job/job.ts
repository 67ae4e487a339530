import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition, JobEdit } from '../../contract/export-job.ts';
import type { ServerLimits } from '../../contract/ports.ts';
import type { SliceTrigger, DeliverySettings } from '../../contract/slice.ts';
import type { ThrottledJob, ThrottledSlice } from './throttles/throttle.ts';
import type { AnswerSettings } from '../../contract/answers.ts';
import { isTemplate } from '../message.ts';

/** The record of an accepted definition. */
export interface JobRecord extends ThrottledJob {
  readonly subscriptionId: string;
  readonly revision: number;
  /** The audiences to which the job subscribes. */
  readonly audiences: readonly Audience[];
  /** Audiences to which it subscribed before, whose triggers may still be waiting. */
  readonly formerAudiences: readonly Audience[];
  readonly sourceLagMs: number;
  readonly missingSearchAttributes: readonly string[];
  readonly warnings: readonly string[];
  readonly requestTimeoutMs: number;
  /** When triggers have waited longer than this, in ms, an alert is sent. */
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

export interface Counters {
  received: number;
  delivered: number;
  retried: number;
  rejected: number;
  /** Triggers signalled again while the first was waiting or had just been delivered; they count as received too. */
  repeated: number;
  /** Triggers that became dead letters. */
  deadLetters: number;
  /** Slices in which an attempt failed or may have failed. If two runs were given the same count, the first has no failed attempt to look for. */
  slicesFailed: number;
  /** Triggers that the job does not want and dropped without a request; absent: none. They count as received. */
  filtered?: number;
  /** Triggers that came after a newer one and were dropped; absent: none. They count as received. */
  staleDropped?: number;
  /** Triggers that a stop dropped, with the members that a backfill had read; absent: none. No decision depends on it. */
  discarded?: number;
}

/** Why a job does not send although triggers wait. */
export interface Pause {
  readonly by: 'operator' | 'endpoint';
  /** With `endpoint`: the status at which the job's `answers` have it pause; absent: it was a 410, whatever they say. */
  readonly status?: number;
  /** With `operator`: who paused it, and why, as far as they are known. */
  readonly who?: string;
  readonly reason?: string;
}

/** How a job ends. */
export interface Stopping {
  /** The fate of waiting triggers: sent first, kept for a later resume, or dropped. */
  readonly waiting: 'deliver' | 'keep' | 'discard';
  /** Epoch ms at which the triggers still waiting are kept. Set with `deliver`. */
  readonly deadlineAt?: number;
  /** True: nobody asked for it, but its end (`endsAt`) had passed. */
  readonly isPlanned?: true;
  /** With `keep`: when the job had stopped, epoch ms. Absent: some of its work is still under way. */
  readonly stoppedAt?: number;
}

/** Whether a job has stopped and keeps its backlog: it sends nothing until a person resumes it. */
export function isStopped({ stopping }: { readonly stopping?: Stopping | undefined }): boolean {
  return stopping?.stoppedAt !== undefined;
}

/** The form of a job as an edit names it: audiences by id, and an empty description instead of none. */
export function formOf(definition: JobDefinition, audiences: readonly Pick<Audience, 'id'>[]): JobEdit {
  return { ...definition, description: definition.description ?? '', audiences: audiences.map(({ id }) => id) };
}

/** A running slice: which triggers of which chains went into it, in the order of its input. */
export interface Slice extends ThrottledSlice {
  readonly id: number;
  readonly revision: number;
  readonly triggers: readonly SliceTrigger[];
  readonly dispatchedPermits: number;
  /** For a probe that was not due yet: when it was due, so a failure costs it no step of its schedule. */
  readonly notDueBefore?: number;
  /** Whether it contains members that a backfill found. */
  readonly isBackfill?: boolean;
  /** Permits it still owns. */
  permits: number;
  /** Set once it was reclaimed (`quarantine.ts`): until then, epoch ms, a request of it may be open. Its triggers are no longer known. */
  readonly overAt?: number;
  /** With `overAt`: whether people wait whose slices were lost again and again. */
  readonly delaysLost?: boolean;
}

/** The settings that the requests of a job are made with. */
export function deliverySettings({
  subscriptionId,
  revision,
  definition,
  requestTimeoutMs,
}: Pick<JobRecord, 'subscriptionId' | 'revision' | 'definition' | 'requestTimeoutMs'>): DeliverySettings {
  return {
    subscriptionId,
    revision,
    webhookUrl: definition.webhookUrl,
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    ...(definition.memberships ? { memberships: true } : {}),
    requestTimeoutMs,
    ...requestOf(definition),
    ...answersOf(definition),
    ...(definition.batch === null ? {} : { batch: { size: definition.batch.size } }),
  };
}

/** The request settings of a definition; nothing when each request is a POST of the default body to one URL, as most are. */
function requestOf(definition: JobDefinition): Pick<DeliverySettings, 'request'> {
  const { label, webhookUrl, method, headers, contentType, body, onEnter, onExit, envelope } = definition;
  const ofEvents = { onEnter: withoutAnswers(onEnter), onExit: withoutAnswers(onExit) };
  const request = withoutNulls({ method, headers, contentType, body, ...ofEvents, envelope });
  return isTemplate(webhookUrl) || Object.keys(request).length > 0 ? { request: { label, ...request } } : {};
}

/** The request settings of an event; null: none. */
export function withoutAnswers(own: JobDefinition['onEnter']): JobDefinition['onEnter'] {
  if (own?.answers === undefined) return own;
  const { answers: _, ...requests } = own;
  return Object.keys(requests).length === 0 ? null : requests;
}

function answersOf({ answers, onEnter, onExit }: JobDefinition): AnswerSettings {
  const own = (event: JobDefinition['onEnter']) => (event?.answers == null ? null : { ...answers, ...event.answers });
  const eventAnswers = withoutNulls({ enter: own(onEnter), exit: own(onExit) });
  return { ...withoutNulls({ answers }), ...(Object.keys(eventAnswers).length === 0 ? {} : { eventAnswers }) };
}

/** An object without its null fields. */
function withoutNulls<T extends object>(of: T): { readonly [Field in keyof T]?: Exclude<T[Field], null> } {
  // Only the fields that are not null are left.
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== null)) as {
    readonly [Field in keyof T]?: Exclude<T[Field], null>;
  };
}
