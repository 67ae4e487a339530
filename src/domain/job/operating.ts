import type { DifferenceToSend } from '../../contract/difference.ts';
import type { JobDefinition, Problem } from '../../contract/export-job.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import type { Calendar } from '../../contract/timing.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { parseInstant } from '../instant.ts';
import { wantsEvent } from '../form-fields.ts';
import { uniqueAt } from './arriving.ts';
import { WHEN_LOST, askedFor, lostInWords } from './backfill-requests.ts';
import { BackfillIntake } from './backfill.ts';
import { beginJob, recordJob } from './carrying.ts';
import { withoutAnswers } from './delivery-settings.ts';
import { type JobRecord, type Stopping, isStopped } from './job.ts';
import { type DispatcherState, setJob, countLeft, waitingTriggers } from './state.ts';
import { gatherNoLonger } from './throttles/batching.ts';
import { Breaker, UNPROVEN } from './throttles/breaker.ts';
import { calendarBarsUntil } from './throttles/calendar.ts';
import { takeOverQuota } from './throttles/quota.ts';

/**
 * Begins a job whose definition was checked; with Existing Users, with a backfill.
 *
 * @param subscriptionId 32 hexadecimal digits, new.
 * @param startedAt when the job was started, epoch ms: the `at` of its backfill, which a reset does not change.
 */
export function beginPreparedJob(
  subscriptionId: string,
  prepared: Extract<PreparedJob, { ok: true }>,
  now: number,
  startedAt: number,
): DispatcherState {
  // The first digits of a run's id are the time at which it began.
  const seed = Number.parseInt(subscriptionId.slice(-8), 16) | 0;
  const state = beginJob(recordJob(subscriptionId, prepared), seed);
  const audiences = state.job.audiences.map(({ id }) => id);
  if (prepared.definition.existingUsers) beginBackfill(state, audiences, now, { at: uniqueAt(state, startedAt) });
  return state;
}

/** Stops sending but keeps accepting. */
export function pauseJob(state: DispatcherState): void {
  state.pause = { by: 'operator' };
}

/**
 * Sends again, whoever paused it. The wait that the endpoint asked for is over and its failures are forgotten, but an endpoint that has
 * yet to take its first request still gets one at a time.
 */
export function resumeJob(state: DispatcherState): void {
  state.pause = undefined;
  state.throttle = undefined;
  state.breaker = state.breaker.anew();
}

/**
 * An operator has fixed the endpoint: the next probe goes now, as does everything that waits for its next
 * attempt once the endpoint is well. No attempt is forgotten.
 */
export function retryNow(state: DispatcherState, now: number): void {
  state.throttle = undefined;
  state.breaker = state.breaker.probingFrom(now);
  state.chains.releaseAll();
  if (state.unreadable !== undefined) state.unreadable = { ...state.unreadable, retryAt: now };
  gatherNoLonger(state);
}

/** What stands in the way of an edit that was checked, as it would be now; undefined when nothing does. */
export function editObstacle({ backfill }: DispatcherState, definition: JobDefinition): Problem | undefined {
  return backfill?.isUnfinished === true ? eventsObstacle(backfill, definition) : undefined;
}

/** The same, where this backfill is not over. */
export function eventsObstacle(
  { n, difference }: { readonly n: number; readonly difference?: DifferenceToSend | undefined },
  definition: Pick<JobDefinition, 'events'>,
): Problem | undefined {
  const unwanted = eventsOf(difference).find((event) => !wantsEvent(definition, event));
  if (unwanted === undefined) return undefined;
  return {
    field: 'events',
    message: `Backfill ${n} sends ${unwanted}s and is not over. Wait for its end, or cancel it first.`,
  };
}

/** What a backfill sends. */
function eventsOf(difference: DifferenceToSend | undefined): TriggerEvent[] {
  if (difference === undefined) return ['enter'];
  return [...(difference.enters > 0 ? ['enter' as const] : []), ...(difference.exits > 0 ? ['exit' as const] : [])];
}

/** Puts a checked edit into effect, from the next slice on. */
export function applyEdit(state: DispatcherState, job: JobRecord, now: number): void {
  const before = state.job.definition;
  setJob(state, job);
  state.editProblem = undefined;
  takeOverQuota(state, now);
  for (const { id } of job.formerAudiences) state.backfill?.dropAudience(id);
  if (isSameEndpoint(before, job.definition)) {
    // What the answers mean now, the failures of before do not show.
    const { isOpen, isDoubtful } = state.breaker;
    if (isSameJudge(before, job.definition) || !(isOpen || isDoubtful)) return;
    state.breaker = state.breaker.anew();
    state.chains.releaseAll();
    return;
  }
  // Another endpoint, or other requests to it: what was answered to the old ones says nothing about these.
  state.throttle = undefined;
  state.breaker = new Breaker(UNPROVEN);
  if (state.pause?.by === 'endpoint') state.pause = undefined;
  state.chains.releaseAll();
}

/** The calendar was read for the job as of this revision: after an edit since then, that has brought its own. */
export function calendarRead(state: DispatcherState, revision: number, calendar: Calendar | undefined): void {
  if (state.job.revision !== revision || calendar === undefined) return;
  setJob(state, { ...state.job, calendar });
}

function isSameEndpoint(a: JobDefinition, b: JobDefinition): boolean {
  if (a.webhookUrl !== b.webhookUrl || a.authorization !== b.authorization) return false;
  return JSON.stringify(requestsOf(a)) === JSON.stringify(requestsOf(b));
}

function isSameJudge(a: JobDefinition, b: JobDefinition): boolean {
  const answersOf = ({ answers, onEnter, onExit }: JobDefinition) => [answers, onEnter?.answers, onExit?.answers];
  return JSON.stringify(answersOf(a)) === JSON.stringify(answersOf(b));
}

/** What requests are like; what their answers mean is no part of it. */
function requestsOf({
  method,
  headers,
  contentType,
  body,
  onEnter,
  onExit,
  envelope,
  batch,
}: JobDefinition): unknown[] {
  const isList = batch !== null;
  return [method, headers, contentType, body, withoutAnswers(onEnter), withoutAnswers(onExit), envelope, isList];
}

/** Records why an edit did not take effect. Bounded, since it is carried and shown. */
export function refuseEdit(state: DispatcherState, problem: string): void {
  state.editProblem = problem.length <= PROBLEM_LENGTH ? problem : `${problem.slice(0, PROBLEM_LENGTH)} …`;
}

const PROBLEM_LENGTH = 1000;

/** Why a stopped job accepts no other requests from operators. */
export const STOPPED = 'The job has stopped. Resume it first.';

/** Why a stopping job accepts no further requests from operators. */
export const STOPPING =
  'The job is stopping. To undo that, unless it drops what waits, stop it with "keep", and then resume it. Otherwise start it again then.';

/** Why a backfill cannot begin now, in words; undefined when it can. */
export function backfillObstacle(state: DispatcherState, difference?: DifferenceToSend): string | undefined {
  if (isStopped(state)) return STOPPED;
  if (state.stopping !== undefined) return STOPPING;
  if (state.backfill?.isLost === true) return `${lostInWords(state.backfill)} ${WHEN_LOST}`;
  if (state.backfill?.isUnderWay === true)
    return `Backfill ${state.backfill.n} is still running. Wait for its end, or cancel it first.`;
  const unwanted = eventsOf(difference).find((event) => !wantsEvent(state.job.definition, event));
  if (unwanted === undefined) return undefined;
  return difference === undefined
    ? 'A backfill sends enters, and this job leaves them out ("events"). Edit the job so that it sends both events.'
    : `This difference has ${unwanted}s, and the job leaves them out ("events"). Reconcile it again: only what it sends is compared then.`;
}

interface BackfillOptions {
  readonly requestId?: string | undefined;
  /** What was asked for under it (`askedFor`); default: these audiences and this sample. */
  readonly asked?: string | undefined;
  /** Pause after this many members, until a person resumes it. */
  readonly sample?: number | undefined;
  /** The `at` of its triggers; default: now. */
  readonly at?: string | undefined;
  /** What it sends in place of all members. */
  readonly difference?: DifferenceToSend | undefined;
}

/**
 * Begins a backfill, unless one with this `requestId` was asked for before.
 *
 * @param audiences canonical ids.
 */
export function beginBackfill(
  state: DispatcherState,
  audiences: readonly string[],
  now: number,
  { requestId, sample, difference, asked = askedFor(audiences, sample, difference), at: given }: BackfillOptions = {},
): void {
  if (requestId !== undefined && state.backfillRequests.standing(requestId, state.backfill) !== undefined) return;
  const n = (state.backfill?.n ?? 0) + 1;
  state.backfillRequests.remember(requestId, asked, n, state.backfill);
  const at = given ?? uniqueAt(state, now);
  const few = sample === undefined ? {} : { sample };
  state.backfill = BackfillIntake.begin({ n, ...few, audiences, at, now, difference });
}

/**
 * Pauses, resumes or cancels a running backfill; returns why it cannot, in words. One that is lost is resumed from where it had come. After a
 * cancel, what is already in chains is still sent.
 */
export function operateBackfill(state: DispatcherState, action: 'pause' | 'resume' | 'cancel'): string | undefined {
  const { backfill } = state;
  if (backfill?.isLost === true) {
    if (action === 'pause') return `${lostInWords(backfill)} ${WHEN_LOST}`;
    if (action === 'resume') restartBackfill(state);
  } else if (backfill?.state !== 'running') return 'No backfill is running.';
  if (action === 'pause') backfill.pace.pause();
  if (action === 'resume') backfill.pace.resume();
  if (action === 'cancel') cancelBackfill(state);
  return undefined;
}

/** A stopped job runs again. An end that has passed meanwhile is gone, since by that it would stop again at once. A pause remains. */
export function runAgain(state: DispatcherState, now: number): void {
  state.stopping = undefined;
  const end = plannedEnd(state);
  if (end !== undefined && end <= now) withoutEnd(state);
}

function withoutEnd(state: DispatcherState): void {
  const { job } = state;
  setJob(state, { ...job, definition: { ...job.definition, endsAt: null } });
}

/** How long, by default, a stopping job goes on sending what is waiting before it keeps the rest. */
export const STOP_DEADLINE_MS = 60 * 60_000;

/**
 * Ends sending, after doing with the waiting triggers what `waiting` says. Only a job that keeps them can be resumed.
 *
 * @param deadlineAt epoch ms; with `deliver`: when the rest is kept.
 */
export function stopJob(state: DispatcherState, waiting: Stopping['waiting'], deadlineAt?: number): void {
  // What was to be dropped may already be gone, so there is no way back.
  if (state.stopping?.waiting !== 'discard')
    state.stopping = { waiting, ...(waiting === 'deliver' && deadlineAt !== undefined ? { deadlineAt } : {}) };
  // A job that is to deliver what is waiting cannot stay paused; one that keeps or discards it need not send.
  if (waiting === 'deliver') resumeJob(state);
  if (waiting === 'keep') suspendBackfill(state);
}

/** When a running job is to stop by itself, epoch ms; undefined: not before somebody stops it. */
export function plannedEnd({ job, stopping }: Pick<DispatcherState, 'job' | 'stopping'>): number | undefined {
  const { endsAt } = job.definition;
  const instant = endsAt === null || stopping !== undefined ? undefined : parseInstant(endsAt);
  return instant === undefined ? undefined : Date.parse(instant);
}

/**
 * Stops a job whose end has come: it sends what waits first or, while it is paused, keeps it, since whoever paused it wants nothing sent.
 * The end then goes from the form: a job that is resumed goes on without one.
 */
export function endByItself(state: DispatcherState, now: number): void {
  const end = plannedEnd(state);
  if (end === undefined || end > now) return;
  const { pause } = state;
  withoutEnd(state);
  state.stopping =
    pause === undefined
      ? { waiting: 'deliver', deadlineAt: sendsFrom(state, now) + STOP_DEADLINE_MS, isPlanned: true }
      : { waiting: 'keep', isPlanned: true };
  if (pause !== undefined) suspendBackfill(state);
}

/** From when on it may send, as far as its calendar says; epoch ms. */
function sendsFrom(state: DispatcherState, now: number): number {
  const until = calendarBarsUntil(state, now);
  return until === Infinity ? now : Math.max(now, until);
}

/**
 * What a job that was to send everything before it stops cannot send is kept: at its deadline, or as soon as nothing is left but a backfill
 * that goes no further. A person decides about that: its members were neither to be sent regardless, nor to be left out.
 */
export function endDelivering(state: DispatcherState, now: number): void {
  const { stopping, chains, overflow, deadLetters, backfill } = state;
  if (stopping?.waiting !== 'deliver') return;
  const isOver = stopping.deadlineAt !== undefined && stopping.deadlineAt <= now;
  const isSent = chains.triggers === 0 && overflow.isEmpty && deadLetters.size === 0;
  if (!isOver && !(isSent && backfill?.isHeldBack === true)) return;
  state.stopping = { waiting: 'keep', ...(stopping.isPlanned === true ? { isPlanned: true } : {}) };
  suspendBackfill(state);
}

/**
 * The job stops and keeps what waits: the members that the backfill has read, as they were then, and where the next ones are read. Its child
 * ends; another one goes on when the job is resumed.
 */
function suspendBackfill(state: DispatcherState): void {
  const { backfill } = state;
  if (backfill?.state !== 'running') return;
  if (backfill.started && backfill.needsChild) state.backfillToCancel = backfill.n;
  restartBackfill(state);
}

/** Ends a backfill that is running or lost; what is already in chains is still sent. */
export function cancelBackfill(state: DispatcherState): void {
  const { backfill } = state;
  if (backfill?.state === 'running' && backfill.started) state.backfillToCancel = backfill.n;
  backfill?.cancel();
}

/** The child of backfill `n` could not be told something: it is looked for at once, if it is needed. */
export function missBackfill({ backfill }: DispatcherState, n: number): void {
  if (backfill?.n === n) backfill.heardAt = 0;
}

/** The child of backfill `n` is gone, or could not be started. When it had read all members, nothing is missing. */
export function backfillChildGone(state: DispatcherState, n: number): void {
  const { backfill } = state;
  if (backfill?.n !== n || !backfill.needsChild) return;
  if (backfill.expectsPages) backfill.lose();
  else restartBackfill(state);
}

/** The child of the backfill is gone or is to go. What was still to be said to it does not concern the one that goes on. */
function restartBackfill(state: DispatcherState): void {
  state.backfill?.restart();
  state.pageToReadAgain = undefined;
  state.unwantedPage = undefined;
}

/** A job that was to keep what waits has stopped: call it when nothing is under way. */
export function endStopping(state: DispatcherState, now: number): void {
  const { stopping } = state;
  if (stopping?.waiting === 'keep' && !isStopped(state)) state.stopping = { ...stopping, stoppedAt: now };
}

/** Drops everything that is waiting, wherever it is, and members that a backfill has found. What is in a slice is dropped when that gives it back. */
export function discardWaiting(state: DispatcherState): void {
  const before = waitingTriggers(state);
  cancelBackfill(state);
  countLeft(state, state.chains.discard(), 'discarded');
  dropOverflow(state);
  const count = before - waitingTriggers(state);
  if (count > 0) state.counters.discarded = (state.counters.discarded ?? 0) + count;
}

function dropOverflow(state: DispatcherState): void {
  const { overflow, owedReleases } = state;
  // A holder that is being started might begin after it was told to end, and stay forever: so it is first allowed to start.
  if (overflow.isEmpty || overflow.isLeaving) return;
  owedReleases.push(...overflow.discard().map(String));
  state.unreadable = undefined;
}
