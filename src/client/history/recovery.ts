import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { By } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { JobFact } from '../../contract/trace.ts';
import { undecodable } from '../../domain/errors.ts';
import { instantOf } from '../../domain/instant.ts';
import type { Arrival } from '../../domain/job/steps.ts';
import { sliceEndsWithinMs } from '../../domain/job/dispatching.ts';
import { nextSpill } from '../../domain/job/holders.ts';
import { beginPreparedJob, isPreparedJob } from '../../domain/job/operating.ts';
import { recoverJob, type RecoveryState, type Remains } from '../../domain/job/recovering.ts';
import { type CarriedJob, carryJob, isCarriedJob, refuseNewerJob } from '../../domain/job/carrying.ts';
import type { DispatcherState } from '../../domain/job/state.ts';
import { parseJson } from '../../domain/json.ts';
import { describeJob } from '../../domain/job/describing.ts';
import {
  backfillWorkflowId,
  holderWorkflow,
  holderWorkflowId,
  refusedSignalMarker,
  subscriptionIdOf,
} from '../../domain/names.ts';
import { hasSurplus, MORE_THAN_A_DEFINITION } from '../../domain/requests.ts';
import { isBackfillOver } from '../../domain/job-state.ts';
import { recoveryQuery } from '../../workflows/messages.ts';
import { ask, settled } from '../asking.ts';
import { InvalidJob, JobAlreadyRunning, JobKept, NothingToRecover, type Recoverable } from '../errors.ts';
import { describeOpen, endedAs, endedFromOutside, isOpen, isStopped, retainedUntil } from '../executions.ts';
import { prepare } from '../jobs/job-definition.ts';
import type { ClientCore } from '../core.ts';
import { checkOptions, OPTIONS, type DeedOptions } from '../options.ts';
import { describeExecution, ofJob, queryStatus, startJobWorkflow } from '../jobs/job-service.ts';
import { ownLetters } from '../jobs/waiting-letters.ts';
import { TemporalSideWorkflows } from '../side-workflows.ts';
import { arrivalsOf, neverBegun, runFacts } from '../events.ts';

export interface RecoverOptions extends DeedOptions {
  /** Called when it must wait for requests of the ended run, with the end of the wait in epoch ms. */
  readonly onWait?: (until: number) => void;
}

/** Long, because a worker replays the whole run before it answers. */
const REPLAY_MS = 120_000;

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
  checkOptions(OPTIONS.recover, options);
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

/** Until when a job whose workflow has ended can be recovered, in epoch ms; undefined when it ended normally, or never can begin. */
export async function recoverableUntil(
  client: Client,
  ended: WorkflowExecutionDescription,
): Promise<number | undefined> {
  if (!endedFromOutside(ended.status.name)) return undefined;
  if ((await neverBegun(client, ended))?.mayBegin === false) return undefined;
  return await retainedUntil(client, ended);
}

/**
 * Returns the losses if another job took the place of one that has ended. Undefined when that one ended normally, or had delivered everything and has no
 * dead letter that waits.
 */
export async function recoverableOf(
  client: Client,
  jobId: string,
  ended: WorkflowExecutionDescription,
): Promise<Recoverable | undefined> {
  const until = await recoverableUntil(client, ended);
  if (until === undefined) return undefined;
  const known = { ended: endedAs(ended.status.name), recoverableUntil: instantOf(until) };
  try {
    const left = await undeliveredOfEnded(client, jobId, ended);
    return isNothing(left) ? undefined : { ...known, ...left };
  } catch (cause) {
    // Whatever the reason, the unread part may be large.
    return { ...known, ...NOTHING, waiting: undefined, cause };
  }
}

/** The undelivered rest of a job. */
type Undelivered = Pick<Recoverable, 'waiting' | 'backfill' | 'letters'>;

const NOTHING: Undelivered = { waiting: 0, backfill: false, letters: 0 };

export function isNothing({ waiting, backfill, letters }: Undelivered): boolean {
  return waiting === 0 && !backfill && letters === 0;
}

/** Returns the undelivered rest of a job, from its own status. */
export async function undeliveredBy(client: Client, status: JobStatus, taskQueue: string): Promise<Undelivered> {
  const { waiting, backfill } = status;
  return {
    waiting,
    backfill: backfill !== undefined && !isBackfillOver(backfill.state),
    letters: await ownLetters(client, status, taskQueue),
  };
}

async function undeliveredOfEnded(
  client: Client,
  jobId: string,
  ended: WorkflowExecutionDescription,
): Promise<Undelivered> {
  const run = await readEndedRun(client, ended.workflowId, ended.runId);
  try {
    const now = Date.now();
    const state = recoverJob(await remainsOf(client, ended, run), false, now);
    if (state.stopping?.waiting === 'discard') return NOTHING;
    return await undeliveredBy(client, describeJob(state, jobId, now), ended.taskQueue);
  } catch (error) {
    // It never began, and cannot now: all triggers signalled to it wait.
    if (!(error instanceof InvalidJob)) throw error;
    const signalled = run.arrivals.filter(({ arrival }) => arrival.kind === 'trigger');
    return { ...NOTHING, waiting: signalled.length };
  }
}

/** The history of a job's last run, as far as recovery needs it. */
interface EndedRun {
  /** The run's first argument. */
  readonly input: unknown;
  /** Whether it had further arguments. */
  readonly hasSurplusInput: boolean;
  /** Whether a worker ever ran it. */
  readonly wasTakenUp: boolean;
  /** Everything that was signalled to it, one by one, oldest first. */
  readonly arrivals: Remains['arrivals'];
  /** The slices, and what is known of their ends. */
  readonly ends: Remains['ends'];
}

type Signalled = Extract<JobFact, { kind: 'signalled' | 'unreadable' }>;

/** Reads a run's history to its end. @throws UnknownPayloadKey */
async function readEndedRun(client: Client, workflowId: string, runId: string): Promise<EndedRun> {
  let args: readonly unknown[] = [];
  let wasTakenUp = false;
  const signals: Signalled[] = [];
  const marks = new Set<string>();
  const ends: EndedRun['ends'][number][] = [];
  for await (const fact of runFacts(client, workflowId, runId)) {
    if (fact.kind === 'began') ({ args } = fact);
    else if (fact.kind === 'ran') wasTakenUp = true;
    else if (fact.kind === 'signalled' || fact.kind === 'unreadable') signals.push(fact);
    else if (fact.kind === 'marked') marks.add(fact.name);
    else if (fact.kind === 'slice') ends.push(fact);
  }
  const arrivals = signals.flatMap((signal, index) =>
    takenOf(signal, marks.has(refusedSignalMarker(index + 1))).map((arrival) => ({ arrival, at: signal.atMs })),
  );
  return { input: args[0], hasSurplusInput: hasSurplus(args), wasTakenUp, arrivals, ends };
}

/**
 * Returns a signal as the run's inbox took it. A signal that was refused as a whole, because no worker had its key, is one arrival, whatever it contains.
 */
function takenOf(signal: Signalled, isRefused: boolean): readonly Arrival[] {
  if (isRefused) return arrivalsOf(signal.name, [undecodable('it was refused when it came')]);
  if (signal.kind === 'unreadable') throw signal.error;
  return signal.arrivals;
}

/** Returns the state that the run had reached, and the later arrivals. */
async function remainsOf(client: Client, ended: WorkflowExecutionDescription, run: EndedRun): Promise<Remains> {
  const { carried, admitted, running } = await carriedAtTheEnd(client, ended, run);
  const inFlight = new Set(running);
  return {
    carried,
    ends: run.ends.filter(({ slice }) => inFlight.has(slice.sliceId)),
    arrivals: run.arrivals.slice(admitted),
  };
}

async function carriedAtTheEnd(
  client: Client,
  ended: WorkflowExecutionDescription,
  { input, hasSurplusInput, wasTakenUp }: EndedRun,
): Promise<RecoveryState> {
  const { runId, taskQueue, startTime } = ended;
  const { firstRunId } = ended.raw.workflowExecutionInfo ?? {};
  if (wasTakenUp) {
    const answer = await askForState(client, ended);
    if (answer !== undefined) return answer;
  }
  if (isCarriedJob(input)) return { carried: input, admitted: 0, running: [] };
  // It never began: its definition had not been checked yet.
  if (hasSurplusInput) throw new InvalidJob([MORE_THAN_A_DEFINITION]);
  const prepared = isPreparedJob(input) ? input : await prepare(client, taskQueue, input);
  if (!prepared.ok) throw new InvalidJob(prepared.problems);
  const state = beginPreparedJob(subscriptionIdOf(firstRunId ?? runId), prepared, Date.now(), startTime.getTime());
  return { carried: carryJob(state), admitted: 0, running: [] };
}

/** Has a worker replay the run, and returns the state that it reached; undefined when the job had not begun. */
async function askForState(client: Client, run: WorkflowExecutionDescription): Promise<RecoveryState | undefined> {
  let text = '';
  for (let part = 0, parts = 1; part < parts; part++) {
    const answer = await ask(client, run.workflowId, recoveryQuery, { args: [part], answerMs: REPLAY_MS, run });
    if (answer === null) return undefined;
    text += answer.text;
    ({ parts } = answer);
  }
  const state = parseJson(text) as unknown as RecoveryState; // Our own workflow wrote it.
  refuseNewerJob(state.carried);
  return state;
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
