import type { Audience } from '../contract/audience.ts';
import type { SpilledProfiles, PackedTriggers } from '../contract/holder.ts';

/** Workflow types, as any Temporal client starts them. */
export const EXPORT_JOB = 'exportJob';
export const BACKFILL = 'backfill';
/** Returns a worker's answer to a question, and starts nothing. */
export const WORKER_RPC = 'workerRpc';

/** Keeps waiting triggers for a job, outside the job's own state. */
export const HOLDER = 'holder';
/** Keeps a trigger until a person decides what to do with it. */
export const DEAD_LETTER = 'deadLetter';

/** The task queue on which jobs and workers meet, by default. */
export const DEFAULT_TASK_QUEUE = 'audience-triggers';

/** Our search attributes and their types; registered by `triggers up` and `triggers setup`. */
export const SEARCH_ATTRIBUTES = {
  ExportJobId: 'KEYWORD',
  ExportJobStatus: 'KEYWORD',
  ExportAudiences: 'KEYWORD_LIST',
  /** Whose trigger a dead letter is. */
  ExportPerson: 'KEYWORD',
  /** The result of the last attempt of a dead letter: `HTTP 422`, or a code. */
  ExportFailure: 'KEYWORD',
} as const;

const JOB_PREFIX = 'export-job-';

/** A job id: what people type. Letters, digits, dots, dashes and underscores, 1..100, beginning with a letter or digit. */
export const JOB_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** The same in words. */
export const JOB_ID_RULE =
  'A job id has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit.';

/**
 * Whether a job with this id would have the workflow id of another job's backfill, such as `export-job-vip-backfill-1` for job `vip`. One
 * would replace or end the other.
 */
export function isReservedJobId(jobId: string): boolean {
  return /-backfill-\d+$/.test(jobId);
}

/** Returns why such an id is not allowed, for people. */
export function reservedIdText(jobId: string): string {
  return `"${jobId}" could be another job's backfill: no job id ends in "-backfill-" and a number.`;
}

export function jobWorkflowId(jobId: string): string {
  return JOB_PREFIX + jobId;
}

/** The job id for a job's workflow id; the id of a workflow that was started under a foreign id is itself the job id. */
export function jobIdOf(workflowId: string): string {
  return workflowId.startsWith(JOB_PREFIX) ? workflowId.slice(JOB_PREFIX.length) : workflowId;
}

/**
 * The subscription of a job, from the id of its first run. No other job has it, and delivery ids stay the same through a reset, which does
 * not change it. 32 hexadecimal digits.
 */
export function subscriptionIdOf(firstRunId: string): string {
  return firstRunId.replaceAll('-', '');
}

/**
 * When the first job of a subscription began, epoch ms. A newer server writes it into the ids of runs (UUIDv7); undefined with an older
 * one. A recovery continues a subscription.
 */
export function beganAt(subscriptionId: string): number | undefined {
  return /^[0-9a-f]{12}7[0-9a-f]{19}$/.test(subscriptionId)
    ? Number.parseInt(subscriptionId.slice(0, 12), 16)
    : undefined;
}

export function backfillWorkflowId(jobWorkflow: string, n: number): string {
  return `${jobWorkflow}-backfill-${n}`;
}

/** @param holder a number of the overflow. */
export function holderWorkflowId(subscriptionId: string, holder: string): string {
  return `holder-${subscriptionId}-${holder}`;
}

/** The workflow of a profile holder. It contains the job's id, because clients do not know the subscription. */
export function profileHolderWorkflowId(jobId: string, name: string): string {
  return `${profileHolderPrefix(jobId)}${name}`;
}

/** The prefix of the ids of a job's profile holders. Jobs whose longer ids begin with this one's share it. */
export function profileHolderPrefix(jobId: string): string {
  return `profiles-${jobId}-`;
}

const DEAD_LETTER_PREFIX = 'dead-letter-';

/** @param id of a dead letter, as `deadLetterId` makes it. */
export function deadLetterWorkflowId(id: string): string {
  return DEAD_LETTER_PREFIX + id;
}

/** The id of a dead letter, from its workflow id or itself. */
export function deadLetterIdOf(id: string): string {
  return id.startsWith(DEAD_LETTER_PREFIX) ? id.slice(DEAD_LETTER_PREFIX.length) : id;
}

/** The id by which people refer to a dead letter. @param redeliveries how many it had before; `%` in a pattern for all. */
export function deadLetterId(deliveryId: string, redeliveries: number | '%'): string {
  return `${deliveryId}-${redeliveries}`;
}

/** An audience id as it is written in `ExportAudiences`: its first 16 digits, so that 100 fit into the attribute's 2,048 bytes. */
export function audienceAttribute(audienceId: string): string {
  return audienceId.slice(0, 16);
}

/** The marker in a run's history that says that its signal with this number, from 1, was refused. */
export function refusedSignalMarker(number: number): string {
  return `refused-signal-${number}`;
}

/** Longer than any job keeps its triggers. */
const HOLDER_DAYS = 3_650;
/** An orphan ends after this time: its signal never came, or its job was ended from outside. */
const PROFILE_DAYS = 365;

/** The options that a holder is started with, by a job's activity or by a recovery. */
export function holderWorkflow(workflowId: string, content: PackedTriggers) {
  const count = content.triggers.length;
  const summary = `${count.toLocaleString('en')} waiting trigger${count === 1 ? '' : 's'} of a job`;
  // After a reset the job uses its holders' numbers again, with other content: the newer content counts.
  return { type: HOLDER, workflowId, input: content, summary, sleepsDays: HOLDER_DAYS, renews: 'all' } as const;
}

/** The options that a profile holder is started with, before the signal whose profiles it keeps. */
export function profileHolderWorkflow(workflowId: string, content: SpilledProfiles) {
  const count = content.profiles.length;
  const summary = `Profile${count === 1 ? '' : 's'} of ${count.toLocaleString('en')} trigger${count === 1 ? '' : 's'} of a job`;
  return { type: HOLDER, workflowId, input: content, summary, sleepsDays: PROFILE_DAYS } as const;
}

/** An audience's id, in its only spelling. */
export const AUDIENCE_ID = /^[0-9a-f]{32}$/;

/** The audience that a slug or an id names, an id first, since a slug may look like one; undefined for anything else. */
export function findAudience<T extends Pick<Audience, 'id' | 'slug'>>(
  audiences: readonly T[],
  name: unknown,
): T | undefined {
  return audiences.find(({ id }) => id === name) ?? audiences.find(({ slug }) => slug === name);
}

/** The audience with this id to which the job subscribes, or subscribed before. */
export function audienceById(
  job: { readonly audiences: readonly Audience[]; readonly formerAudiences: readonly Audience[] },
  id: string,
): Audience | undefined {
  return job.audiences.find((one) => one.id === id) ?? job.formerAudiences.find((one) => one.id === id);
}

/** The id of a difference: a UUID. It is also the name of its folder. */
export const DIFFERENCE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
