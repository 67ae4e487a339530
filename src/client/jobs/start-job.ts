import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { By } from '../../contract/audit.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import type { JobDefinitionInput } from '../../contract/export-job.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import type { ExportField, RequestSettings } from '../../contract/request-shape.ts';
import {
  andLetters,
  InvalidJob,
  JobAlreadyRunning,
  JobKept,
  JobRecoverable,
  type Recoverable,
  TriggersError,
} from '../calls/errors.ts';
import { DEEPEST, MOST_FIELDS } from '../../domain/message.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import type { PreparedInput } from '../../domain/job/operating.ts';
import { urlDigests } from '../../domain/workflow-visibility.ts';
import { settled } from '../calls/asking.ts';
import { describeLast, isOpen, isStopped } from '../calls/executions.ts';
import { isNothing, undeliveredBy, recoverableOf } from './ended-run.ts';
import { type DeedOptions, nameJob } from '../calls/options.ts';
import { TemporalSideWorkflows } from '../calls/side-workflows.ts';
import { workerRpc } from './worker-rpc.ts';
import { LIST_PROFILE_FIELDS } from '../../domain/worker-rpc.ts';
import { prepare } from './job-definition.ts';
import type { Destinations } from './destinations.ts';
import { ofJob, queryStatus, startJobWorkflow } from './job-service.ts';
import { endStopped } from './stopped-jobs.ts';

/** The fields that a job sends, and the audiences. */
export interface FieldsOf extends RequestSettings {
  readonly webhookUrl: string;
  readonly exportFields: readonly ExportField[];
  readonly audiences: readonly { readonly id: string }[];
}

/** How many audiences are checked for the fields of their members. */
const AUDIENCES_ASKED = 3;
const ANSWER_MS = 5_000;
/** These are in the data, whatever a profile has. */
const OURS = /^(?:segment_events|segments_all|_audience\w*)(?:\.|$)/;

/**
 * Returns warnings about a job's fields: the ones that none of the first members has. They may still be right, since profiles may be sparse. Returns none
 * when no profile can be read.
 */
export async function fieldWarnings(client: Client, taskQueue: string, job: FieldsOf): Promise<string[]> {
  const { exportFields, audiences } = job;
  // With export fields, a template can name no others: a worker has checked that.
  const named =
    exportFields.length === 0
      ? fieldsInTemplates(job)
      : exportFields.map((one) => (typeof one === 'string' ? one : one.field));
  if (named.length === 0) return [];
  const lookUps = audiences.slice(0, AUDIENCES_ASKED).map(({ id }) => fieldsOrNone(client, taskQueue, id));
  return unknownFields(named, [...new Set((await Promise.all(lookUps)).flat())]);
}

const TAG = /\{[{%].*?[}%]\}/gs;
const TEXT = /"[^"]*"|'[^']*'/g;
const FIELD = /(?<![\w.-])(?:\w+\.)?data\.([\w-]+(?:\.[\w-]+)*)/g;
/** The properties of a list or a text that a template can ask for. */
const OF_LIST = /(?<=.)\.(?:size|first|last)\b.*$/;

/** Returns the fields that a job's templates name, as export fields would name them. */
export function fieldsInTemplates(
  job: RequestSettings & { readonly webhookUrl?: string | null | undefined },
): string[] {
  const sources = [job, job.onEnter ?? {}, job.onExit ?? {}].flatMap(({ webhookUrl, headers, body }) => [
    webhookUrl ?? '',
    ...Object.values(headers ?? {}),
    body ?? '',
  ]);
  const tags = sources.flatMap((source) => source.match(TAG) ?? []).map((tag) => tag.replaceAll(TEXT, ''));
  return [
    ...new Set(tags.flatMap((tag) => [...tag.matchAll(FIELD)].map(([, name = '']) => name.replace(OF_LIST, '')))),
  ];
}

async function fieldsOrNone(client: Client, taskQueue: string, audience: string): Promise<readonly string[]> {
  try {
    return await workerRpc(client, taskQueue, LIST_PROFILE_FIELDS, audience, ANSWER_MS);
  } catch (error) {
    if (error instanceof TriggersError) return [];
    throw error;
  }
}

/** Returns a warning for each field that is not known; none when no fields, or not all fields, are known. */
export function unknownFields(exportFields: readonly string[], known: readonly string[]): string[] {
  if (known.length === 0 || known.length >= MOST_FIELDS) return [];
  const isUnknown = (field: string): boolean =>
    !OURS.test(field) && field.split('.').length <= DEEPEST && !known.includes(field);
  return exportFields.filter(isUnknown).map((field) => {
    const parts = field.split(',').map((part) => part.trim());
    const near = nearestKey(field, known);
    const several = parts.length > 1 && parts.some((part) => known.includes(part));
    const advice = several
      ? ` Name each field by itself: ${parts.map((part) => `"${part}"`).join(', ')}.`
      : near === undefined
        ? ''
        : ` Did you mean "${near}"?`;
    return `No profile that was looked at has the field "${field}".${advice}`;
  });
}

export interface StartedJob {
  readonly jobId: string;
  readonly workflowId: string;
  readonly runId: string;
  /** The audiences it subscribes to, with their sizes if the source gives them. */
  readonly audiences: readonly AudienceListing[];
  /** Warnings for people: a time window too short to be reliable, say. */
  readonly warnings: readonly string[];
  /** Running jobs of this task queue that send changes of the same audience to the same URL. The server lists changes up to a second late. */
  readonly twins: readonly string[];
  /** Search attributes that the namespace does not have: `triggers setup` registers them. */
  readonly missingSearchAttributes: readonly string[];
}

/** The parts of a form that not everybody may use. Audiences are named as in the form, or as their source knows them. */
export interface Used {
  readonly authorization?: unknown;
  readonly audiences?: unknown;
  readonly memberships?: unknown;
}

/**
 * Called with a form as a start or an edit would make it, and with the edit: before a worker is asked, and again with what it answered. It rejects to
 * refuse the form.
 */
export type Allows = (form: Used, edit?: Used) => Promise<void>;

export interface StartOptions extends DeedOptions {
  /** Its name for people: letters, digits, `.`, `-`, `_`, at most 100, beginning with a letter or digit; default: made from the label. */
  readonly jobId?: string | undefined;
  /** True: start although the last job with this id can be recovered; its undelivered triggers are then lost. Default false. */
  readonly discardRecoverable?: boolean | undefined;
  /** See `Allows`. Default: all may be used. */
  readonly allows?: Allows | undefined;
}

/**
 * Checks a job and starts it.
 * @throws InvalidJob, JobAlreadyRunning, JobKept, JobRecoverable, NoWorker; OutcomeUnknown
 */
export async function startJob(
  client: Client,
  taskQueue: string,
  destinations: Destinations,
  definition: JobDefinitionInput,
  { jobId: wantedId, discardRecoverable = false, allows }: StartOptions,
  by: By,
): Promise<StartedJob> {
  const naming = nameJob(definition, wantedId);
  await allows?.(definition);
  const prepared = await prepare(client, taskQueue, definition, naming.jobId);
  const problems = [...naming.problems, ...(prepared.ok ? [] : prepared.problems)];
  if (!prepared.ok || problems.length > 0) throw new InvalidJob(problems);
  const { jobId } = naming;
  const { audiences, missingSearchAttributes } = prepared;
  await allows?.({ ...prepared.definition, audiences });
  const last = await describeLast(client, jobWorkflowId(jobId));
  const left = last && (await undeliveredOf(client, jobId, last, discardRecoverable));
  const [ofFields, twins] = await Promise.all([
    fieldWarnings(client, taskQueue, { ...prepared.definition, audiences }),
    destinations.add({ jobId, urls: urlDigests(prepared.definition), audiences }),
  ]);
  const warnings = [...prepared.warnings, ...ofFields, ...(left === undefined ? [] : [discardedText(jobId, left)])];
  if (last !== undefined) await endStopped(client, jobId, by);
  const startedAt = Date.now();
  // As the worker prepared it: the job begins at once. Audiences by their ids, since slugs may move to others.
  const definitive = { ...prepared.definition, audiences: audiences.map(({ id }) => id) };
  const input: PreparedInput = { v: 1, ...prepared, definition: definitive, by };
  const runId = await settled(startJobWorkflow(client, jobId, taskQueue, input, prepared), ofJob('start', jobId));
  if (left !== undefined) {
    // The discarded triggers may have left profiles behind, and nothing else will look for them. If that fails, the new job has started anyway.
    const sideWorkflows = new TemporalSideWorkflows(client, taskQueue);
    await sideWorkflows.dropProfiles(jobId, startedAt).catch(() => undefined);
  }
  return { jobId, workflowId: jobWorkflowId(jobId), runId, audiences, warnings, twins, missingSearchAttributes };
}

/**
 * Returns the undelivered rest of the last job with this id, if that may be given up; undefined when there is none.
 * @throws JobAlreadyRunning, JobKept, JobRecoverable: no other job can be started under this id
 */
export async function undeliveredOf(
  client: Client,
  jobId: string,
  last: WorkflowExecutionDescription,
  mayBeGivenUp: boolean,
): Promise<Recoverable | undefined> {
  if (isStopped(last)) await refuseWhenKept(client, jobId, last.taskQueue);
  else if (isOpen(last)) throw new JobAlreadyRunning(jobId);
  const left = await recoverableOf(client, jobId, last);
  if (left !== undefined && !mayBeGivenUp) throw new JobRecoverable(jobId, left);
  return left;
}

/** Refuses when a stopped job keeps triggers or dead letters. @throws JobKept; JobAlreadyRunning: it was resumed */
async function refuseWhenKept(client: Client, jobId: string, taskQueue: string): Promise<void> {
  const status = await queryStatus(client, jobId);
  if (status.kept === undefined) throw new JobAlreadyRunning(jobId);
  const left = await undeliveredBy(client, status, taskQueue);
  if (!isNothing(left)) throw new JobKept(jobId, { ...status.kept, letters: left.letters });
}

function discardedText(jobId: string, { ended, waiting, backfill, letters }: Recoverable): string {
  const triggers = waiting === undefined ? 'whatever' : waiting === 1 ? '1 trigger' : `${waiting} triggers`;
  return `The last job "${jobId}" did not end normally (${ended}). As you asked, ${triggers} that it had not delivered${backfill ? ', and the rest of its backfill,' : ''} ${waiting === 1 ? 'was' : 'were'} given up${andLetters(letters)}.`;
}
