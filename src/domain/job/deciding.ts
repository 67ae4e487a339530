import { drainOverflow } from './arriving.ts';
import { stayingBytes } from './carrying.ts';
import { canDispatch, dispatchSlice, gather, gatheringUntil } from './dispatching.ts';
import { discardWaiting, endByItself, endDelivering, endStopping, plannedEnd } from './operating.ts';
import { nextHolderStep, dropUnneeded } from './holders.ts';
import { isStopped } from './job.ts';
import { endQuarantines, quarantineEnds } from './quarantine.ts';
import { type RunFacts, endsWhenCalm, fits, isCalm, phaseOf } from './run-end.ts';
import { makeRoom } from './settling.ts';
import { type DispatcherState, noteTrend } from './state.ts';
import type { Step } from './steps.ts';
import { calendarToRead } from './throttles/calendar.ts';
import { isIdle } from './throttles/throttle.ts';
import { firstsFrom, heldUntil, sleepsUntil, wakesAt } from './throttles/throttles.ts';

/** After this long without a word from its child, a backfill checks on it. */
const BACKFILL_SILENCE_MS = 3 * 60_000;

/** How long a backfill waits for calmer traffic before it reads a page once more. */
const CALM_MS = 60_000;

/** Most answers to dead letters that go out in one activity. */
const ANSWERS_AT_ONCE = 200;

/**
 * Decides the next step of the workflow. Every step but `wait` changes the state, so asking again after acting always makes progress.
 * `wait` names the only time at which the answer can change without any event.
 */
export function nextStep(state: DispatcherState, now: number, run: RunFacts): Step {
  state.chains.promoteDue(now);
  endQuarantines(state, now);
  endByItself(state, now);
  endDelivering(state, now);
  // Not only triggers that were waiting when it was asked: also arrivals not yet taken in, and triggers that slices give back.
  if (state.stopping?.waiting === 'discard') discardWaiting(state);
  makeRoom(state, now);
  drainOverflow(state);
  if (state.chains.count === 0 && state.deadLetters.size === 0) dropUnneeded(state);
  if (!isStopped(state)) state.alerts.observe(state, now);
  noteTrend(state, 0, 0, now);
  const phase = phaseOf(state, now, run);
  const effect =
    nextHolderStep(state, now, phase) ??
    deadLettersStep(state) ??
    answersStep(state) ??
    calendarStep(state, now) ??
    backfillStep(state, now) ??
    alertsStep(state);
  if (effect !== undefined) return effect;
  const calm = isCalm(state, run);
  if (phase.isEnding) {
    // It waits for holders no longer than for slices: a holder may be unreadable.
    const canEnd = calm && (!run.atHolders || now >= (state.endPutOffAt ?? 0));
    return canEnd ? endRun(state) : wait(state, now, state.endPutOffAt);
  }
  gather(state, now);
  while (canDispatch(state, now)) {
    const dispatched = dispatchSlice(state, now);
    gather(state, now);
    if (dispatched !== undefined) return { kind: 'deliver', slice: dispatched.input, bytes: dispatched.bytes };
  }
  if (calm && isDone(state)) return { kind: 'finish' };
  if (calm) endStopping(state, now);
  if (calm && !run.atHolders && endsWhenCalm(state, now, run) && fits(state)) return endRun(state);
  return wait(state, now);
}

/** Ends the run. Unneeded profile holders are dropped now: the next run no longer knows them. */
function endRun(state: DispatcherState): Step {
  dropUnneeded(state);
  return { kind: 'continue-as-new' };
}

function deadLettersStep({ deadLetters, budgets }: DispatcherState): Step | undefined {
  const next = deadLetters.next(budgets.sliceBytes);
  return next === undefined ? undefined : { kind: 'keep-dead-letters', ...next };
}

/** One at a time: the next one takes all answers that came meanwhile. */
function answersStep(state: DispatcherState): Step | undefined {
  if (state.underWay.has('answer-letters') || state.owedAnswers.length === 0) return undefined;
  state.underWay.add('answer-letters');
  return { kind: 'answer-letters', answers: state.owedAnswers.slice(0, ANSWERS_AT_ONCE) };
}

function calendarStep(state: DispatcherState, now: number): Step | undefined {
  // A stopped job needs no calendar.
  const settings = state.stopping?.waiting === 'keep' ? undefined : calendarToRead(state, now);
  if (settings === undefined) return undefined;
  state.underWay.add('read-calendar');
  return { kind: 'read-calendar', settings, from: now, revision: state.job.revision };
}

/** One at a time: failed alerts are sent again with those that came meanwhile. */
function alertsStep(state: DispatcherState): Step | undefined {
  if (state.underWay.has('raise-alerts') || state.alerts.owed.length === 0) return undefined;
  state.underWay.add('raise-alerts');
  return { kind: 'raise-alerts', alerts: state.alerts.owed };
}

function backfillStep(state: DispatcherState, now: number): Step | undefined {
  if (state.backfillToCancel !== undefined) {
    const n = state.backfillToCancel;
    state.backfillToCancel = undefined;
    return { kind: 'cancel-backfill', n };
  }
  if (state.unwantedPage !== undefined) {
    const answer = { ...state.unwantedPage, gone: true } as const;
    state.unwantedPage = undefined;
    return { kind: 'answer-page', answer };
  }
  const { backfill } = state;
  // Members still to be read are read when the job is resumed.
  if (backfill === undefined || state.stopping?.waiting === 'keep') return undefined;
  if (backfill.state === 'running' && !backfill.started) {
    backfill.started = true;
    backfill.heardAt = now;
    const { n, audiences, cursor, restarts, instead } = backfill;
    return { kind: 'start-backfill', n, audiences, from: cursor, restarts, instead };
  }
  if (state.pageToReadAgain !== undefined) {
    const number = state.pageToReadAgain;
    state.pageToReadAgain = undefined;
    const calm = backfill.waitsForCalm ? { afterMs: CALM_MS } : {};
    return { kind: 'answer-page', answer: { n: backfill.n, number, readAgain: true, ...calm } };
  }
  // A state over its budget accepts no more: the child waits until there is room.
  const taken = stayingBytes(state) > state.budgets.stateBytes ? undefined : backfill.owedAcknowledgement;
  if (taken !== undefined) {
    backfill.acknowledge(taken);
    return { kind: 'answer-page', answer: { n: backfill.n, number: taken } };
  }
  const missedAt = childMissedAt(state, now);
  if (missedAt !== undefined && now >= missedAt) {
    backfill.heardAt = now;
    return { kind: 'look-for-backfill', n: backfill.n };
  }
  return undefined;
}

/**
 * When the job checks on a silent child, epoch ms. No page is expected while the backfill is paused, or a throttle holds the job back for long. Each check costs a dozen events.
 */
function childMissedAt(state: DispatcherState, now: number): number | undefined {
  const { backfill, pause, stopping } = state;
  if (stopping?.waiting === 'keep') return undefined;
  if (backfill?.needsChild !== true || pause !== undefined || backfill.pace.paused !== undefined) return undefined;
  return Math.max(backfill.heardAt, heldUntil(state, now)) + BACKFILL_SILENCE_MS;
}

function isDone(state: DispatcherState): boolean {
  const { stopping, chains, overflow, deadLetters, owedDrops, backfill } = state;
  if (stopping === undefined || stopping.waiting === 'keep' || owedDrops.length > 0) return false;
  if (backfill?.isUnfinished === true) return false;
  return chains.triggers === 0 && overflow.isEmpty && deadLetters.size === 0;
}

/** When the first holder is read again, if it could not be read, epoch ms. */
function nextReading({ overflow, unreadable, pause, stopping }: DispatcherState): number | undefined {
  if (pause !== undefined || stopping?.waiting === 'keep') return undefined;
  return unreadable?.number === overflow.firstHolder ? unreadable?.retryAt : undefined;
}

/** @param endPutOffAt when the run that is to end continues after all. */
function wait(state: DispatcherState, now: number, endPutOffAt?: number): Step {
  const times = quarantineEnds(state);
  if (endPutOffAt !== undefined && endPutOffAt > now) times.push(endPutOffAt);
  // A stopped job wakes only for requests that may still be in flight.
  if (!isStopped(state)) times.push(...workTimes(state, now));
  const until = Math.min(...times);
  return until === Infinity ? { kind: 'wait' } : { kind: 'wait', until };
}

/** When a job that has not stopped has something to do. */
function workTimes(state: DispatcherState, now: number): number[] {
  const times: number[] = [];
  if (state.stopping?.deadlineAt !== undefined) times.push(state.stopping.deadlineAt);
  const end = plannedEnd(state);
  if (end !== undefined) times.push(end);
  if (state.pause === undefined) {
    // Do not wake for a next attempt that becomes due while nothing may be sent: an endpoint that is dead for hours has thousands.
    const barredUntil = Math.max(state.breaker.barredUntil, sleepsUntil(state, now));
    if (barredUntil > now) times.push(barredUntil);
    else {
      if (state.chains.nextDue !== undefined) times.push(state.chains.nextDue);
      const firstsAt = isIdle(state) ? 0 : firstsFrom(state, now);
      if (firstsAt > now) times.push(firstsAt);
      const unfilledAt = gatheringUntil(state, now);
      if (unfilledAt !== undefined) times.push(unfilledAt);
      const { backfill, job } = state;
      const perSecond = job.definition.backfillPerSecond ?? undefined;
      const next = backfill?.pace.nextAt(backfill.waitingInPages, perSecond, now);
      if (next !== undefined) times.push(next);
    }
  }
  const readAt = nextReading(state);
  if (readAt !== undefined && readAt > now) times.push(readAt);
  // While slices run, something always wakes the job; a timer for each wait would cost more than everything else.
  const backlogDueAt = state.slices.size === 0 ? state.alerts.backlogDueAt(state, now) : undefined;
  if (backlogDueAt !== undefined && backlogDueAt > now) times.push(backlogDueAt);
  const deadLettersDueAt = state.alerts.deadLettersDueAt(state);
  if (deadLettersDueAt !== undefined) times.push(deadLettersDueAt);
  const missedAt = childMissedAt(state, now);
  if (missedAt !== undefined) times.push(missedAt);
  // While the calendar is not known, reading it wakes the job.
  if (state.stopping?.waiting !== 'keep') times.push(wakesAt(state, now));
  return times;
}
