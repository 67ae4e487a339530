import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { JobStatus } from '../contract/job-status.ts';
import { type CarriedJob, isCarriedJob, refuseNewerJob } from '../domain/dispatcher/carried.ts';
import { sliceEndsWithinMs } from '../domain/dispatcher/cutting.ts';
import { confirmHold, nextHold } from '../domain/dispatcher/holders.ts';
import { carryJob, type JobState } from '../domain/dispatcher/job-state.ts';
import { beginPreparedJob } from '../domain/dispatcher/operating.ts';
import { recoverJob, type Remains } from '../domain/dispatcher/recovering.ts';
import { holderWorkflow } from '../domain/holder.ts';
import { parseJson } from '../domain/json.ts';
import { backfillWorkflowId, holderWorkflowId } from '../domain/names.ts';
import type { RecoveryState } from '../domain/recovery-parts.ts';
import { TemporalSideWorkflows } from '../temporal-side-workflows.ts';
import { recoveryQuery } from '../workflows/messages.ts';
import { prepare } from './ask-worker.ts';
import { type EndedRun, readEndedRun } from './ended-run.ts';
import { InvalidJob, JobAlreadyRunning, NothingToRecover } from './errors.ts';
import {
  ask,
  describeJob,
  describeOpen,
  endedAs,
  endedFromOutside,
  isOpen,
  queryStatus,
  startJobWorkflow,
} from './job-service.ts';
import { dropKept } from './kept-jobs.ts';

export interface RecoverOptions {
  /** Called when it has to wait for what the ended run had in flight, with the time at which the wait ends, in epoch ms. */
  readonly onWait?: (until: number) => void;
}

/** An activity that keeps what a stopping job carries has 20 s. */
const KEPT_WITHIN_MS = 21_000;
/** Long, because a worker replays the whole run before it answers. */
const REPLAY_MS = 120_000;

/**
 * Starts a terminated job again, with exactly what it is not known to have delivered: what it carried and what was signalled since, without
 * what its slices delivered. It keeps its subscription, hence its delivery ids. Needs a worker.
 *
 * @throws JobNotFound, JobAlreadyRunning, NothingToRecover, NoWorker; InvalidJob when it never began, and cannot.
 */
export async function recover(client: Client, jobId: string, options: RecoverOptions = {}): Promise<JobStatus> {
  const ended = await describeEnded(client, jobId);
  const run = await readEndedRun(client, ended.workflowId, ended.runId);
  const remains = await remainsOf(client, ended, run);
  const backfillGone = await isBackfillGone(client, ended, remains.carried);
  await outwait(ended, remains.carried, options);
  const state = recoverJob(remains, backfillGone, Date.now());
  await holdWhatIsTooMuch(client, ended.taskQueue, state);
  await startAgain(client, jobId, ended, carryJob(state));
  return await queryStatus(client, jobId);
}

/** Until when a job whose workflow has ended can be recovered, in epoch ms; undefined when it ended normally. */
export async function recoverableUntil(
  client: Client,
  { status, closeTime }: WorkflowExecutionDescription,
): Promise<number | undefined> {
  if (!endedFromOutside(status.name) || closeTime === undefined) return undefined;
  const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
  const retention = config?.workflowExecutionRetentionTtl;
  return retention == null ? undefined : closeTime.getTime() + Number(retention.seconds ?? 0) * 1000;
}

/** @throws JobNotFound, JobAlreadyRunning, NothingToRecover */
async function describeEnded(client: Client, jobId: string): Promise<WorkflowExecutionDescription> {
  const found = await describeJob(client, jobId);
  if (isOpen(found)) throw new JobAlreadyRunning(jobId);
  if (!endedFromOutside(found.status.name)) throw new NothingToRecover(jobId, endedAs(found.status.name));
  return found;
}

/** The state that the run had reached, and what came after that. */
async function remainsOf(client: Client, ended: WorkflowExecutionDescription, run: EndedRun): Promise<Remains> {
  const { carried, admitted, running } = await carriedAtTheEnd(client, ended, run);
  const inFlight = new Set(running);
  return {
    carried,
    reports: run.reports.filter(({ slice }) => inFlight.has(slice.sliceId)),
    arrivals: run.arrivals.slice(admitted),
  };
}

async function carriedAtTheEnd(
  client: Client,
  { workflowId, taskQueue }: WorkflowExecutionDescription,
  { input, wasTakenUp }: EndedRun,
): Promise<RecoveryState> {
  if (wasTakenUp) {
    const answer = await askForState(client, workflowId);
    if (answer !== undefined) return answer;
  }
  if (isCarriedJob(input)) return { carried: input, admitted: 0, running: [] };
  // It never began: its definition had not been checked yet.
  const prepared = await prepare(client, taskQueue, input);
  if (!prepared.ok) throw new InvalidJob(prepared.problems);
  const state = beginPreparedJob(randomUUID().replaceAll('-', ''), prepared, Date.now());
  return { carried: carryJob(state), admitted: 0, running: [] };
}

/** A worker replays the run and returns the state that it reached; undefined when the job had not begun. */
async function askForState(client: Client, workflowId: string): Promise<RecoveryState | undefined> {
  let text = '';
  for (let part = 0, parts = 1; part < parts; part++) {
    const answer = await ask(client, workflowId, recoveryQuery, { args: [part], answerMs: REPLAY_MS });
    if (answer === null) return undefined;
    text += answer.text;
    ({ parts } = answer);
  }
  const state = parseJson(text) as unknown as RecoveryState; // What our own workflow wrote.
  refuseNewerJob(state.carried);
  return state;
}

/** Waits until the slices of the ended run are over, whatever their workers do: otherwise both runs would send at once. */
async function outwait(
  { closeTime }: WorkflowExecutionDescription,
  { job, stopping }: CarriedJob,
  { onWait }: RecoverOptions,
): Promise<void> {
  const overWithinMs = Math.max(
    sliceEndsWithinMs(job.requestTimeoutMs),
    stopping?.waiting === 'keep' ? KEPT_WITHIN_MS : 0,
  );
  const until = (closeTime?.getTime() ?? 0) + overWithinMs;
  if (until <= Date.now()) return;
  onWait?.(until);
  await setTimeout(until - Date.now());
}

/** More may have been signalled since the run's last task than a run can begin with. */
async function holdWhatIsTooMuch(client: Client, taskQueue: string, state: JobState): Promise<void> {
  const workflows = new TemporalSideWorkflows(client, taskQueue);
  for (let hold = nextHold(state); hold !== undefined; hold = nextHold(state)) {
    const { holder, content } = hold;
    const workflowId = holderWorkflowId(state.job.subscriptionId, holder.name);
    await workflows.start(holderWorkflow(workflowId, content));
    confirmHold(state, holder);
  }
}

async function startAgain(
  client: Client,
  jobId: string,
  { taskQueue }: WorkflowExecutionDescription,
  carried: CarriedJob,
): Promise<void> {
  await startJobWorkflow(client, jobId, taskQueue, carried, carried.job);
  // A run that was ended while it was being kept left a kept job behind; now the job runs again with all of that.
  await dropKept(client, jobId);
}

async function isBackfillGone(
  client: Client,
  { workflowId }: WorkflowExecutionDescription,
  { backfill }: CarriedJob,
): Promise<boolean> {
  if (backfill === undefined) return false;
  return (await describeOpen(client, backfillWorkflowId(workflowId, backfill.n))) === undefined;
}
