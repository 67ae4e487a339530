import type { Client } from '@temporalio/client';
import type { AudienceListing } from '../../contract/audience.ts';
import type { JobDefinition, JobDefinitionInput, JobEdit, Problem } from '../../contract/export-job.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import { hasStopped, isBackfillOver } from '../../domain/job-state.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { changedFields } from '../../domain/job/audit-log.ts';
import { shownForm } from '../../domain/job/describing.ts';
import { formOf } from '../../domain/job/job.ts';
import { eventsObstacle } from '../../domain/job/operating.ts';
import { isReservedJobId, JOB_ID_PATTERN, jobWorkflowId, reservedIdText } from '../../domain/names.ts';
import { isRecord } from '../../domain/json.ts';
import { flag } from '../../domain/kinds.ts';
import { areTwins, type Destination, isRenamed, twinText } from '../../client/jobs/twins.ts';
import { urlDigests } from '../../domain/workflow-visibility.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import {
  AudienceMoved,
  InvalidRequest,
  JobKept,
  JobNotRunning,
  JobRecoverable,
  remediesOf,
  RequestRefused,
} from '../../client/calls/errors.ts';
import { describeLast, isOpen, isStopped } from '../../client/calls/executions.ts';
import type { ClientCore } from '../../client/core.ts';
import { checkOptions } from '../../client/calls/options.ts';
import { prepare, type WholeJob, wholeJob } from '../../client/jobs/job-definition.ts';
import { type FieldChange, isAboutFields, lossOf, refuseMoved, stillSentOf } from '../../client/jobs/edit-job.ts';
import { destinationsIn, reachableJobs } from '../../client/jobs/job-list.ts';
import { fieldWarnings, undeliveredOf } from '../../client/jobs/start-job.ts';
import { statusOf } from '../../client/jobs/stopped-jobs.ts';

/** A step towards the wanted jobs. */
export type PlannedJob = CreatedJob | ChangedJob | UnchangedJob | StoppedJob;

interface CreatedJob {
  readonly jobId: string;
  readonly action: 'create';
  readonly definition: JobDefinitionInput;
  readonly audiences: readonly AudienceListing[];
  /** Whether it sends everybody who is a member when it starts. */
  readonly existingUsers: boolean;
  /** The job that is stopped and has the same URLs and audiences: most likely this one, before its file was renamed. */
  readonly renames?: string;
  readonly warnings: readonly string[];
}

interface ChangedJob {
  readonly jobId: string;
  readonly action: 'change';
  readonly edit: JobEdit;
  /** The changes, as people may see them: two webhook URLs may look alike. */
  readonly changes: readonly FieldChange[];
  /** In words, the people that a backfill under way would leave out because of it; absent: nobody. */
  readonly loss?: string;
  readonly warnings: readonly string[];
}

interface UnchangedJob {
  readonly jobId: string;
  readonly action: 'unchanged';
}

/** A job that is no longer wanted. */
interface StoppedJob {
  readonly jobId: string;
  readonly action: 'stop';
  /** Triggers that it sends first. */
  readonly waiting: number;
  /** Its own dead letters, which can then never be sent; absent: none, or unknown. */
  readonly deadLettersWaiting?: number;
}

export interface PlanOptions {
  /** Stop the jobs of this task queue that are not wanted. Default: they stay. */
  readonly prune?: boolean;
}

const OPTIONS = { prune: flag };

/** Why a job cannot become as wanted. */
export interface UnplannedJob {
  readonly jobId: string;
  readonly problems: readonly Problem[];
}

export type JobsPlan =
  | { readonly ok: true; readonly jobs: readonly PlannedJob[] }
  | { readonly ok: false; readonly problems: readonly UnplannedJob[] };

/** How many jobs are planned at a time. */
const AT_ONCE = 8;

/**
 * Returns how to make each job as wanted, or all obstacles to that, for all jobs at once. Does nothing.
 * @param definitions as `start` takes them, by job id. A missing field gets its default.
 * @throws NoWorker, WorkerFailed, ServerUnreachable
 */
export async function planJobs(
  { open, taskQueue }: ClientCore,
  definitions: Readonly<Record<string, unknown>>,
  options: PlanOptions,
): Promise<JobsPlan> {
  checkOptions(OPTIONS, options);
  if (!isRecord(definitions))
    throw new InvalidRequest([
      { field: 'wanted', message: 'This must be an object with a definition for each job id.' },
    ]);
  const client = open();
  const { prune = false } = options;
  const destinations: Destination[] = [];
  const planned = await concurrently(Object.entries(definitions), async ([jobId, definition]) =>
    orProblems(jobId, async () => await planOf(client, taskQueue, jobId, definition, destinations)),
  );
  const unwanted = prune ? await unwantedJobs(client, taskQueue, definitions) : [];
  const stopped = await concurrently(unwanted, async (jobId) =>
    orProblems(jobId, async () => await stopOf(client, jobId)),
  );
  const all = [...planned, ...stopped.filter((one) => one !== undefined)];
  const problems = all.filter((one) => 'problems' in one);
  if (problems.length > 0) return { ok: false, problems };
  const jobs = all.filter((one) => 'action' in one);
  if (!jobs.some(isNews)) return { ok: true, jobs };
  const wanted = new Set(destinations.map(({ jobId }) => jobId));
  const others = (await destinationsIn(client, taskQueue)).filter(({ jobId }) => !wanted.has(jobId));
  return { ok: true, jobs: withTwins(jobs, destinations, others) };
}

/** Whether a job may send, from now on, the same changes as another. */
function isNews(job: PlannedJob): job is CreatedJob | ChangedJob {
  if (job.action === 'create') return true;
  return job.action === 'change' && PUBLISHED_FIELDS.some((field) => job.edit[field] !== undefined);
}
const PUBLISHED_FIELDS = ['webhookUrl', 'audiences', 'events', 'onEnter', 'onExit'] as const;

/**
 * Returns the plan with warnings about jobs that send the same changes to one URL; exported for its test.
 * @param destinations of the jobs of the plan, except stopped ones
 * @param others those of other running jobs, including stopped ones
 */
export function withTwins(
  jobs: readonly PlannedJob[],
  destinations: readonly Destination[],
  others: readonly Destination[],
): readonly PlannedJob[] {
  const stopped = new Set(jobs.filter(({ action }) => action === 'stop').map(({ jobId }) => jobId));
  const stay = others.filter(({ jobId }) => !stopped.has(jobId));
  return jobs.map((job) => {
    const one = destinations.find(({ jobId }) => jobId === job.jobId);
    if (one === undefined || !isNews(job)) return job;
    const former = job.action === 'create' ? others.find((other) => isRenamed(one, other)) : undefined;
    const renames = former !== undefined && stopped.delete(former.jobId) ? { renames: former.jobId } : {};
    const twins = [...destinations, ...stay].filter((other) => other.jobId !== one.jobId && areTwins(one, other));
    const warnings = [
      ...job.warnings,
      ...twins.map(({ jobId }) => (jobId === former?.jobId ? `${twinText(jobId)} ${idText(jobId)}` : twinText(jobId))),
      ...(renames.renames === undefined ? [] : [renameText(renames.renames)]),
    ];
    return { ...job, ...renames, warnings };
  });
}

function renameText(jobId: string): string {
  return `This looks like the job "${jobId}" under another name. It starts as another job: its members are not sent, its webhook-ids are new, and the dead letters of "${jobId}" stay behind. ${idText(jobId)}`;
}

function idText(jobId: string): string {
  return `If only the file was renamed, say in it "id": "${jobId}".`;
}

async function concurrently<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  await forEachLimit(items.entries(), AT_ONCE, async ([place, item]) => {
    results[place] = await act(item);
  });
  return results;
}

const OF_ONE_JOB = [AudienceMoved, JobKept, JobNotRunning, JobRecoverable, RequestRefused, UnknownPayloadKey];

/**
 * Turns an error of one job into its problems, so that the others' problems are reported too. An error that concerns all, such as a missing worker, is
 * thrown.
 */
async function orProblems<T>(jobId: string, plan: () => Promise<T | UnplannedJob>): Promise<T | UnplannedJob> {
  try {
    return await plan();
  } catch (error) {
    if (!(error instanceof Error) || !OF_ONE_JOB.some((kind) => error instanceof kind)) throw error;
    const field = error instanceof AudienceMoved ? 'audiences' : '';
    return { jobId, problems: [{ field, message: error.message, remedies: remediesOf(error) }] };
  }
}

async function planOf(
  client: Client,
  taskQueue: string,
  jobId: string,
  definition: unknown,
  destinations: Destination[],
): Promise<PlannedJob | UnplannedJob> {
  const ofName = nameProblems(jobId);
  const prepared = await prepare(client, taskQueue, definition, jobId);
  if (!prepared.ok || ofName.length > 0)
    return { jobId, problems: [...ofName, ...(prepared.ok ? [] : prepared.problems)] };
  destinations.push({ jobId, urls: urlDigests(prepared.definition), audiences: prepared.audiences });
  const accepted = { ...prepared.definition, audiences: prepared.audiences };
  const warningsOfFields = async () => await fieldWarnings(client, taskQueue, accepted);
  const input = definition as JobDefinitionInput; // It was accepted.
  const found = await describeLast(client, jobWorkflowId(jobId));
  if (found === undefined || !isOpen(found) || isStopped(found)) {
    if (found !== undefined) await undeliveredOf(client, jobId, found, false);
    const { existingUsers } = prepared.definition;
    const warnings = [...prepared.warnings, ...(await warningsOfFields())];
    return { jobId, action: 'create', definition: input, audiences: prepared.audiences, existingUsers, warnings };
  }
  if (found.taskQueue !== taskQueue)
    return ofJob(jobId, `It runs on another task queue ("${found.taskQueue}"), with other workers.`);
  const job = await wholeJob(client, jobId);
  if (job.status.state === 'stopping') return ofJob(jobId, STOPPING);
  refuseMoved(jobId, job.status, input.audiences, prepared.audiences);
  const problems = unchangeable(job.status, prepared.definition);
  if (problems.length > 0) return { jobId, problems };
  const changed = changesTo(job, input, prepared);
  if (changed.changes.length === 0) return { jobId, action: 'unchanged' };
  const { edit } = changed;
  const loss = lossOf(job.status, prepared.audiences);
  const stillSent = stillSentOf(job.status, prepared.audiences);
  const warnings = [
    ...(stillSent === undefined ? [] : [stillSent]),
    ...prepared.warnings,
    ...(isAboutFields(edit) ? await warningsOfFields() : []),
  ];
  return { jobId, action: 'change', ...changed, ...(loss === undefined ? {} : { loss }), warnings };
}

const STOPPING =
  'It is stopping, so it takes no change. Create it again once it has stopped. To undo the stop, stop it with "keep", then resume it.';

function ofJob(jobId: string, message: string): UnplannedJob {
  return { jobId, problems: [{ field: '', message }] };
}

function nameProblems(jobId: string): Problem[] {
  if (!JOB_ID_PATTERN.test(jobId))
    return [
      {
        field: 'id',
        message: `"${jobId}" is no job id: it has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit.`,
      },
    ];
  return isReservedJobId(jobId) ? [{ field: 'id', message: reservedIdText(jobId) }] : [];
}

type Accepted = Extract<PreparedJob, { readonly ok: true }>;

/** Returns the wishes that a running job cannot fulfil, or not now. */
function unchangeable(
  { backfill }: Pick<WholeJob['status'], 'backfill'>,
  definition: Pick<JobDefinition, 'existingUsers' | 'events'>,
): Problem[] {
  const isOver = backfill === undefined || isBackfillOver(backfill.state);
  const obstacle = isOver ? undefined : eventsObstacle(backfill, definition);
  // If there was a backfill, they were sent, or somebody decided against it.
  const isLate = definition.existingUsers && backfill === undefined;
  return [...(isLate ? [TOO_LATE] : []), ...(obstacle === undefined ? [] : [obstacle])];
}

const TOO_LATE: Problem = {
  field: 'existingUsers',
  message:
    'This can only be given when a job is started, and this one runs without. To send all current members, start a backfill.',
};

/** Returns the fields in which a running job is not as wanted. */
function changesTo(
  { status, form }: WholeJob,
  input: Pick<JobDefinitionInput, 'audiences'>,
  { definition, audiences }: Pick<Accepted, 'definition' | 'audiences'>,
): Pick<ChangedJob, 'edit' | 'changes'> {
  const had = formOf(form, status.audiences);
  const wanted = formOf(definition, audiences);
  const slugs = (of: readonly { readonly slug: string }[]): string[] => of.map(({ slug }) => slug);
  const shownHad: JobEdit = shownForm(form, slugs(status.audiences));
  const shownWanted: JobEdit = shownForm(definition, slugs(audiences));
  const fields = changedFields(had, wanted);
  // Audiences as they were given: the job looks them up by itself.
  const edit = fields.map((field) => [field, field === 'audiences' ? input.audiences : wanted[field]]);
  return {
    edit: Object.fromEntries(edit) as JobEdit, // They are fields of it.
    changes: fields.map((field) => ({ field, from: shownHad[field] ?? '', to: shownWanted[field] ?? '' })),
  };
}

/** Returns the ids of the running jobs of a task queue that are not wanted. */
async function unwantedJobs(
  client: Client,
  taskQueue: string,
  definitions: Readonly<Record<string, unknown>>,
): Promise<readonly string[]> {
  const jobs = await reachableJobs(client);
  return jobs
    .filter((job) => job.taskQueue === taskQueue && !Object.hasOwn(definitions, job.jobId))
    .map(({ jobId }) => jobId);
}

/** Undefined: it is stopping already. */
async function stopOf(client: Client, jobId: string): Promise<StoppedJob | undefined> {
  const { state, waiting, deadLettersWaiting, deadLettersOfEarlierJobs = 0 } = await statusOf(client, jobId);
  if (state === 'stopping' || hasStopped(state)) return undefined;
  const own =
    deadLettersWaiting === undefined ? {} : { deadLettersWaiting: deadLettersWaiting - deadLettersOfEarlierJobs };
  return { jobId, action: 'stop', waiting, ...own };
}
