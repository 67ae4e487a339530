import type { PreparedJob } from '../../contract/ports.ts';
import { settleAt } from './arriving.ts';
import { BackfillIntake } from './backfill-intake.ts';
import { Breaker, UNPROVEN } from './breaker.ts';
import type { JobRecord } from './job-record.ts';
import type { Stopping } from './carried.ts';
import { beginJob, type JobState, recordJob, setJob } from './job-state.ts';

/**
 * Begins a job whose definition was checked; with Existing Users, with a backfill.
 *
 * @param subscriptionId 32 hexadecimal digits, new.
 */
export function beginPreparedJob(
  subscriptionId: string,
  prepared: Extract<PreparedJob, { ok: true }>,
  now: number,
): JobState {
  const seed = Number.parseInt(subscriptionId.slice(0, 8), 16) | 0;
  const state = beginJob(recordJob(subscriptionId, prepared), seed);
  const audiences = state.job.audiences.map(({ id }) => id);
  if (prepared.definition.existingUsers) beginBackfill(state, audiences, now);
  return state;
}

/** Stops sending but keeps accepting. */
export function pauseJob(state: JobState): void {
  state.changes++;
  state.pause = { by: 'operator' };
}

/**
 * Sends again, whoever paused it. The wait that the endpoint asked for is over and its failures are forgotten, but an endpoint that has
 * yet to take its first request still gets one at a time.
 */
export function resumeJob(state: JobState): void {
  state.changes++;
  state.pause = undefined;
  state.throttle = undefined;
  state.breaker = new Breaker(state.breaker.isUnproven ? UNPROVEN : undefined);
}

/** Puts a checked edit into effect, from the next slice on. */
export function applyEdit(state: JobState, job: JobRecord): void {
  const before = state.job.definition;
  setJob(state, job);
  state.editProblem = undefined;
  for (const { id } of job.formerAudiences) state.backfill?.dropAudience(id);
  const { webhookUrl, authorization } = job.definition;
  if (webhookUrl === before.webhookUrl && authorization === before.authorization) return;
  // Another endpoint: what the old one answered says nothing about it.
  state.throttle = undefined;
  state.breaker = new Breaker(UNPROVEN);
  if (state.pause?.by === 'endpoint') state.pause = undefined;
  state.chains.releaseAll();
}

/** Records why an edit did not take effect. Bounded, since it is carried and shown. */
export function refuseEdit(state: JobState, problem: string): void {
  state.editProblem = problem.length <= PROBLEM_LENGTH ? problem : `${problem.slice(0, PROBLEM_LENGTH)} …`;
}

const PROBLEM_LENGTH = 1000;

/** Why a stopping job accepts no further requests from operators. */
export const STOPPING =
  'The job is stopping. When it has stopped, resume it (if it was stopped with "keep") or start it again.';

/** Why a backfill cannot begin now, in words; undefined when it can. */
export function backfillObstacle(state: JobState): string | undefined {
  if (state.stopping !== undefined) return STOPPING;
  if (state.backfill?.isUnderWay === true)
    return `Backfill ${state.backfill.n} is still running. Wait for its end, or cancel it first.`;
  return undefined;
}

/**
 * Begins a backfill, unless one with this `requestId` was asked for before.
 *
 * @param audiences canonical ids.
 * @param options.sample pause after this many members, until a person resumes it.
 */
export function beginBackfill(
  state: JobState,
  audiences: readonly string[],
  now: number,
  { requestId, sample }: { readonly requestId?: string | undefined; readonly sample?: number | undefined } = {},
): void {
  if (requestId !== undefined && state.backfill?.requestId === requestId) return;
  const at = settleAt(state, now);
  const id = requestId === undefined ? {} : { requestId };
  const few = sample === undefined ? {} : { sample };
  state.backfill = BackfillIntake.begin({ n: (state.backfill?.n ?? 0) + 1, ...id, ...few, audiences, at, now });
}

/** Pauses, resumes or cancels a running backfill; returns why it cannot, in words. After a cancel, what is already in chains is still sent. */
export function operateBackfill(state: JobState, action: 'pause' | 'resume' | 'cancel'): string | undefined {
  const { backfill } = state;
  if (backfill?.state !== 'running') return 'No backfill is running.';
  if (action === 'pause') backfill.pace.pause();
  if (action === 'resume') backfill.pace.resume();
  if (action === 'cancel') endBackfill(state, 'cancelled');
  return undefined;
}

/** How long, by default, a stopping job goes on sending what is waiting before it keeps the rest. */
export const STOP_DEADLINE_MS = 60 * 60_000;

/**
 * Ends sending for good, after doing with the waiting triggers what `waiting` says.
 *
 * @param deadlineAt epoch ms; with `deliver`: when the rest is kept.
 */
export function stopJob(state: JobState, waiting: Stopping['waiting'], deadlineAt?: number): void {
  state.changes++;
  // What was to be dropped may already be gone, so there is no way back.
  if (state.stopping?.waiting !== 'discard')
    state.stopping = { waiting, ...(waiting === 'deliver' && deadlineAt !== undefined ? { deadlineAt } : {}) };
  // A job that is to deliver what is waiting cannot stay paused; one that keeps or discards it need not send.
  if (waiting === 'deliver') resumeJob(state);
  endBackfill(state, 'cancelled');
}

/** Ends a running backfill; what is already in chains is still sent. */
export function endBackfill(state: JobState, as: 'cancelled' | 'lost'): void {
  const { backfill } = state;
  if (backfill?.state !== 'running') return;
  backfill.end(as);
  if (as === 'cancelled' && backfill.started) state.backfillToCancel = backfill.n;
}

/** Records that the state as of `changes` has been kept. */
export function jobKept(state: JobState, changes: number): void {
  state.keptAtChange = changes;
}
