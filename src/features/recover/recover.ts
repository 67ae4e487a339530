import { NothingToRecover } from './errors.ts';
import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { By } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { sliceEndsWithinMs } from '../../domain/job/dispatching.ts';
import { nextSpill } from '../../domain/job/holders.ts';
import { recoverJob } from '../../client/jobs/recovering.ts';
import { type CarriedJob, carryJob } from '../../domain/job/carrying.ts';
import type { DispatcherState } from '../../domain/job/state.ts';
import { backfillWorkflowId, holderWorkflow, holderWorkflowId } from '../../domain/names.ts';
import { settled } from '../../client/calls/asking.ts';
import { JobAlreadyRunning, JobKept } from '../../client/calls/errors.ts';
import { describeOpen, endedAs, endedFromOutside, isOpen, isStopped } from '../../client/calls/executions.ts';
import type { ClientCore } from '../../client/core.ts';
import { checkOptions, type DeedOptions } from '../../client/calls/options.ts';
import { describeExecution, ofJob, queryStatus, startJobWorkflow } from '../../client/jobs/job-service.ts';
import { TemporalSideWorkflows } from '../../client/calls/side-workflows.ts';
import { readEndedRun, remainsOf } from '../../client/jobs/ended-run.ts';
import { call, deed } from '../../client/calls/kinds.ts';

export interface RecoverOptions extends DeedOptions {
  /** Called when it must wait for requests of the ended run, with the end of the wait in epoch ms. */
  readonly onWait?: (until: number) => void;
}

const OPTIONS = { ...deed, onWait: call };

/**
 * Starts a terminated job again, with exactly the triggers that it is not known to have delivered: its carried state and later signals, without its slices'
 * deliveries. It keeps its subscription, hence its delivery ids. Needs a worker.
 *
 * @throws JobNotFound, JobAlreadyRunning, JobKept, NothingToRecover, NoWorker; InvalidJob when it never began, and cannot; OutcomeUnknown
 */
export async function recover(
  { open, byOf }: ClientCore,
  jobId: string,
  options: RecoverOptions = {},
): Promise<JobStatus> {
  checkOptions(OPTIONS, options);
  const by = byOf(options);
  const client = open();
  const last = await describeExecution(client, jobId);
  const { kept } = isStopped(last) ? await queryStatus(client, jobId) : {};
  if (kept !== undefined) throw new JobKept(jobId, kept);
  if (isOpen(last)) throw new JobAlreadyRunning(jobId, { isRecovery: true });
  if (!endedFromOutside(last.status.name)) throw new NothingToRecover(jobId, endedAs(last.status.name));
  await recoverRun(client, jobId, last, by, options);
  return await settled(queryStatus(client, jobId), ofJob('recover', jobId));
}

async function recoverRun(
  client: Client,
  jobId: string,
  ended: WorkflowExecutionDescription,
  by: By,
  options: RecoverOptions,
): Promise<void> {
  const run = await readEndedRun(client, ended.workflowId, ended.runId);
  const remains = await remainsOf(client, ended, run);
  const backfillGone = await isBackfillGone(client, ended, remains.carried);
  await outwait(ended, remains.carried, options);
  const state = recoverJob(remains, backfillGone, Date.now(), by);
  await spillSurplus(client, ended.taskQueue, state);
  const carried = carryJob(state);
  const started = startJobWorkflow(client, jobId, ended.taskQueue, carried, carried.job);
  try {
    await settled(started, ofJob('recover', jobId));
  } catch (error) {
    // Somebody else has recovered it meanwhile.
    throw error instanceof JobAlreadyRunning ? new JobAlreadyRunning(jobId, { isRecovery: true, cause: error }) : error;
  }
}

/** Waits until the slices of the ended run are over, whatever their workers do: otherwise both runs would send at once. */
async function outwait(
  { closeTime }: WorkflowExecutionDescription,
  { job }: CarriedJob,
  { onWait }: RecoverOptions,
): Promise<void> {
  const until = (closeTime?.getTime() ?? 0) + sliceEndsWithinMs(job.requestTimeoutMs);
  if (until <= Date.now()) return;
  onWait?.(until);
  await setTimeout(until - Date.now());
}

/** More may have been signalled since the run's last task than a run can begin with. */
async function spillSurplus(client: Client, taskQueue: string, state: DispatcherState): Promise<void> {
  const workflows = new TemporalSideWorkflows(client, taskQueue);
  for (let spill = nextSpill(state); spill !== undefined; spill = nextSpill(state)) {
    const { number, content } = spill;
    const workflowId = holderWorkflowId(state.job.subscriptionId, String(number));
    await workflows.start(holderWorkflow(workflowId, content));
    state.overflow.confirm(number);
  }
}

async function isBackfillGone(
  client: Client,
  { workflowId }: WorkflowExecutionDescription,
  { backfill }: CarriedJob,
): Promise<boolean> {
  if (backfill === undefined) return false;
  return (await describeOpen(client, backfillWorkflowId(workflowId, backfill.n))) === undefined;
}
