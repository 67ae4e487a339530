import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { By } from '../../contract/audit.ts';
import type { PersonStands } from '../trace/events.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { instantOf } from '../../domain/instant.ts';
import { definedOf } from '../../domain/json.ts';
import { deadLetterWorkflowId } from '../../domain/names.ts';
import { forgetUpdate } from '../../workflows/messages.ts';
import { queryOf } from '../../client/jobs/dead-letter-filter.ts';
import type { Decided, DeadLetters } from '../../client/dead-letters.ts';
import { clientForLists, retentionMs } from '../../client/calls/executions.ts';
import { runsOf } from '../../client/jobs/attempts.ts';
import { standingOf, trace } from '../trace/trace.ts';
import { updateJob } from '../../client/jobs/job-service.ts';
import { missingSearchAttributes } from '../../client/jobs/search-attributes.ts';
import type { ClientCore } from '../../client/core.ts';
import type { DeedOptions } from '../../client/calls/options.ts';
import { GRPC, grpcCode } from '../../client/calls/server-errors.ts';

/** A job that has a person in its histories, or triggers of the person that wait. */
export interface PersonInJob {
  readonly jobId: string;
  /** Triggers of the person that wait to be sent, in the job or in its holders. */
  readonly waiting: number;
  /** Triggers that waited, and no longer do: dropped, or sent meanwhile. */
  readonly noLongerWaiting?: number;
  /** RFC 3339: until when its histories have the person. Absent: its present run does, and they have it for the retention after the end of that run. */
  readonly until?: string;
}

/** Where Temporal has a person. */
export interface PersonPlaces {
  /** Dead letters that wait for a decision, and those decided that the server still keeps. */
  readonly deadLetters: number;
  readonly jobs: readonly PersonInJob[];
  /** Jobs that could not be read to their end, or did not say all that waits there, and why. */
  readonly leftOut: readonly { readonly jobId: string; readonly reason: string }[];
  /** How long histories are kept after their end, in days; absent when unknown. */
  readonly retentionDays?: number;
}

/** The outcome of removing a person's dead letters. */
export interface RemovedLetters extends Pick<Decided, 'failures'> {
  readonly removed: number;
}

interface StillWaiting extends Pick<PersonStands, 'notice'> {
  readonly waiting: number;
}

type Letter = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId'>;

/** A person in a job, as far as its trace has been read. */
interface InJob {
  readonly runs: Set<string>;
  waiting: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const PAGE = 500;
const AT_ONCE = 8;
/** How long, in ms, a request under way is waited for. */
const UNDER_WAY_MS = 10_000;
const LOOK_AGAIN_MS = 250;
const PERSON = defineSearchAttributeKey('ExportPerson', SearchAttributeType.KEYWORD);

/** People, wherever Temporal has them. An id is taken exactly as it is in triggers. */
export class People {
  readonly #open: () => Client;
  readonly #taskQueue: string;
  readonly #deadLetters: Pick<DeadLetters, 'discard'>;
  readonly #by: (options: DeedOptions) => By;

  constructor({ open, taskQueue, by }: ClientCore, deadLetters: Pick<DeadLetters, 'discard'>) {
    this.#by = by;
    this.#open = open;
    this.#taskQueue = taskQueue;
    this.#deadLetters = deadLetters;
  }

  /** Finds a person in dead letters of the namespace and in jobs of the task queue, of which it reads all histories. */
  async places(user: string): Promise<PersonPlaces> {
    const client = this.#open();
    const inJobs = new Map<string, InJob>();
    const leftOut: { jobId: string; reason: string }[] = [];
    for await (const event of trace(client, this.#taskQueue, user)) {
      const { jobId } = event;
      const inJob = inJobs.get(jobId) ?? { runs: new Set(), waiting: 0 };
      inJobs.set(jobId, inJob);
      if ('runId' in event && event.runId !== undefined) inJob.runs.add(event.runId);
      if (event.kind === 'stands') inJob.waiting = waitingIn(event);
      const reason = event.kind === 'left-out' ? event.reason : event.kind === 'stands' ? event.notice : undefined;
      if (reason !== undefined) leftOut.push({ jobId, reason });
    }
    const retention = await retentionMs(client);
    const jobs: PersonInJob[] = [];
    for (const [jobId, inJob] of inJobs)
      // Otherwise only a dead letter knows the job, since it outlives histories, or the job could not be read.
      if (inJob.runs.size + inJob.waiting > 0) jobs.push(await placeIn(client, jobId, inJob, retention));
    return {
      deadLetters: (await lettersOf(client, user)).length,
      jobs,
      leftOut,
      ...(retention === undefined ? {} : { retentionDays: retention / DAY_MS }),
    };
  }

  /**
   * Drops what waits for the person in a job and in its holders. A trigger that comes later is sent.
   * @returns how many triggers still wait: those in requests that take longer than 10 s. With a notice it is not known, for this reason.
   * @throws JobNotFound, JobNotRunning, RequestRefused, NoWorker
   */
  async stopWaiting(user: string, jobId: string, options: DeedOptions = {}): Promise<StillWaiting> {
    const client = this.#open();
    const by = this.#by(options);
    const deadline = Date.now() + UNDER_WAY_MS;
    const look = async (): Promise<PersonStands> => await standingOf(client, jobId, user, new Map());
    let stands = await look();
    for (let isUnderWay = false; isLeft(stands); await setTimeout(LOOK_AGAIN_MS)) {
      // A trigger that a request gives back waits again.
      if (!isUnderWay) await updateJob(client, jobId, forgetUpdate, [{ user }, by], { mayBeStopped: true });
      stands = await look();
      if (Date.now() > deadline) break;
      const { standing } = stands;
      isUnderWay = standing !== undefined && (standing.chain?.place === 'running' || standing.pendingDeadLetters > 0);
    }
    return { waiting: waitingIn(stands), ...definedOf({ notice: stands.notice }) };
  }

  /**
   * Discards the person's dead letters, and deletes them with their histories, also those decided before.
   * @throws as `deadLetters.discard`
   */
  async removeDeadLetters(user: string, options: DeedOptions = {}): Promise<RemovedLetters> {
    const client = this.#open();
    const letters = await lettersOf(client, user);
    const { failures } = await this.#deadLetters.discard({ user }, options);
    const stay = new Set(failures.map(({ id }) => deadLetterWorkflowId(id)));
    const gone = letters.filter(({ workflowId }) => !stay.has(workflowId));
    await forEachLimit(gone, AT_ONCE, async (letter) => await deleteWorkflow(client, letter));
    return { removed: gone.length, failures };
  }
}

function isLeft(stands: PersonStands): boolean {
  return waitingIn(stands) > 0 || stands.notice !== undefined;
}

function waitingIn({ standing }: PersonStands): number {
  return standing === undefined ? 0 : standing.waitingCount + standing.pendingDeadLetters + Number(standing.inPages);
}

async function lettersOf(client: Client, user: string): Promise<Letter[]> {
  const { connection, options } = client;
  const missing = await missingSearchAttributes(connection, options.namespace);
  const query = queryOf({ user }, missing, 'all');
  const found: Letter[] = [];
  for await (const run of clientForLists(client).workflow.list({ query, pageSize: PAGE })) {
    const { workflowId, runId, memo } = run;
    const person = run.typedSearchAttributes.get(PERSON) ?? memo?.['person'];
    if (person === user) found.push({ workflowId, runId });
  }
  return found;
}

async function deleteWorkflow(client: Client, { workflowId, runId }: Letter): Promise<void> {
  const { namespace } = client.options;
  try {
    await client.workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId, runId } });
  } catch (error) {
    if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
  }
}

async function placeIn(
  client: Client,
  jobId: string,
  { runs, waiting }: InJob,
  retention: number | undefined,
): Promise<PersonInJob> {
  const known = await runsOf(client, jobId);
  const last = waiting > 0 ? known.at(-1) : known.findLast(({ runId }) => runs.has(runId));
  if (last?.closedAtMs === undefined || retention === undefined) return { jobId, waiting };
  return { jobId, waiting, until: instantOf(last.closedAtMs + retention) };
}
