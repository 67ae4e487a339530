import type { JobFact } from '../calls/job-fact.ts';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { JobStatus } from '../../contract/job-status.ts';
import { undecodable } from '../../domain/errors.ts';
import { instantOf } from '../../domain/instant.ts';
import type { Arrival } from '../../domain/job/steps.ts';
import { beginPreparedJob, isPreparedJob } from '../../domain/job/operating.ts';
import { recoverJob, type Remains } from './recovering.ts';
import { type RecoveryState, carryJob, isCarriedJob, refuseNewerJob } from '../../domain/job/carrying.ts';
import { parseJson } from '../../domain/json.ts';
import { describeJob } from '../../domain/job/describing.ts';
import { refusedSignalMarker, subscriptionIdOf } from '../../domain/names.ts';
import { hasSurplus, MORE_THAN_A_DEFINITION } from '../../domain/requests.ts';
import { isBackfillOver } from '../../domain/job-state.ts';
import { recoveryQuery } from '../../workflows/messages.ts';
import { ask } from '../calls/asking.ts';
import { InvalidJob, type Recoverable } from '../calls/errors.ts';
import { endedAs, endedFromOutside, retainedUntil } from '../calls/executions.ts';
import { prepare } from './job-definition.ts';
import { ownLetters } from './waiting-letters.ts';
import { arrivalsOf, neverBegun, runFacts } from '../calls/events.ts';

/** Long, because a worker replays the whole run before it answers. */
const REPLAY_MS = 120_000;

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
export async function readEndedRun(client: Client, workflowId: string, runId: string): Promise<EndedRun> {
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
export async function remainsOf(client: Client, ended: WorkflowExecutionDescription, run: EndedRun): Promise<Remains> {
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
