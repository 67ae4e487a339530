import { drainOverflow } from './arriving.ts';
import { canCut, cutSlice } from './cutting.ts';
import { makeRoom } from './giving-up.ts';
import { discardWaiting, nextHolderStep } from './holders.ts';
import { carriedBytes, carryJob, estimateBytes, type JobState, stayingBytes } from './job-state.ts';
import type { RunFacts, Step } from './steps.ts';

/** After this long without a word from its child, a backfill checks on it. */
export const BACKFILL_SILENCE_MS = 3 * 60_000;

/** How long a backfill waits for calmer traffic before it reads a page once more. */
const CALM_MS = 60_000;

/**
 * What the workflow does next. Every step but `wait` changes the state, so asking again after acting always makes progress; `wait` names
 * the only time at which asking again can give another answer without anything having happened.
 */
export function nextStep(state: JobState, now: number, run: RunFacts): Step {
  state.chains.release(now);
  endDelivering(state, now);
  // Not only what was waiting when it was asked: also what had arrived but was not yet taken in, and what slices give back.
  if (state.stopping?.waiting === 'discard') discardWaiting(state);
  makeRoom(state, now);
  drainOverflow(state);
  state.alerts.observe(state, now);
  const isOld = isOldRun(state, run);
  const isEnding = isOld && canEnd(state, run);
  const errand =
    nextHolderStep(state, now, { isOld, isEnding }) ??
    deadLettersErrand(state) ??
    backfillErrand(state, now) ??
    alertsErrand(state);
  if (errand !== undefined) return errand;
  if (isEnding) {
    return state.slices.size === 0 && !run.busy ? { kind: 'continue-as-new' } : wait(state, now);
  }
  while (canCut(state, now)) {
    const cut = cutSlice(state, now);
    if (cut !== undefined) return { kind: 'deliver', slice: cut.input, bytes: cut.bytes };
  }
  const calm = state.slices.size === 0 && !run.busy;
  if (calm && isDone(state)) return { kind: 'finish' };
  if (calm && state.stopping?.waiting === 'keep' && fits(state)) return { kind: 'keep-job', changes: state.changes };
  if (calm && (run.continueSuggested || run.signals >= state.budgets.calmSignals) && fits(state))
    return { kind: 'continue-as-new' };
  return wait(state, now);
}

/** The deadline of a job that was to send what is waiting before it stops has passed: the rest is kept. */
function endDelivering(state: JobState, now: number): void {
  const { stopping } = state;
  if (stopping?.waiting !== 'deliver' || stopping.deadlineAt === undefined || stopping.deadlineAt > now) return;
  state.stopping = { waiting: 'keep' };
}

function deadLettersErrand({ deadLetters, budgets }: JobState): Step | undefined {
  const next = deadLetters.next(budgets.sliceBytes);
  return next === undefined ? undefined : { kind: 'keep-dead-letters', ...next };
}

/** One at a time: what fails is sent again with what came meanwhile. */
function alertsErrand(state: JobState): Step | undefined {
  if (state.isAlerting || state.alerts.owed.length === 0) return undefined;
  state.isAlerting = true;
  return { kind: 'raise-alerts', alerts: state.alerts.owed };
}

function backfillErrand(state: JobState, now: number): Step | undefined {
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
  if (backfill === undefined) return undefined;
  if (backfill.state === 'running' && !backfill.started) {
    backfill.started = true;
    backfill.heardAt = now;
    return { kind: 'start-backfill', n: backfill.n, audiences: backfill.audiences, from: backfill.cursor };
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
  const missedAt = childMissedAt(state);
  if (missedAt !== undefined && now >= missedAt) {
    backfill.heardAt = now;
    return { kind: 'look-for-backfill', n: backfill.n };
  }
  return undefined;
}

/**
 * When the child is checked on if it says nothing before, epoch ms. While the backfill is paused no page is expected, and each check costs
 * a dozen events.
 */
function childMissedAt({ backfill, pause }: JobState): number | undefined {
  if (backfill?.needsChild !== true || pause !== undefined || backfill.pace.paused !== undefined) return undefined;
  return backfill.heardAt + BACKFILL_SILENCE_MS;
}

function isOldRun({ budgets }: JobState, { signals, events, historyBytes }: RunFacts): boolean {
  const { forcedSignals, forcedEvents, forcedHistoryBytes } = budgets;
  return signals >= forcedSignals || events >= forcedEvents || historyBytes >= forcedHistoryBytes;
}

/** From here on an old run cuts no slice until it has ended. */
function canEnd(state: JobState, run: RunFacts): boolean {
  // A state that is too large to be carried has to shrink first: by what goes to holders, and by sending.
  if (estimateBytes(state) > state.budgets.carryBytes) return false;
  return state.slices.size > 0 || run.busy || fits(state);
}

/** Measured, since a run that was given more than the server accepts could never begin. */
function fits(state: JobState): boolean {
  return carriedBytes(carryJob(state)) <= state.budgets.carryBytes;
}

function isDone(state: JobState): boolean {
  const { stopping, chains, overflow, deadLetters, owedReleases } = state;
  if (stopping === undefined || owedReleases.length > 0) return false;
  if (stopping.waiting === 'keep') return state.keptAtChange === state.changes;
  return chains.triggers === 0 && overflow.isEmpty && deadLetters.size === 0;
}

function wait(state: JobState, now: number): Step {
  const times: number[] = [];
  if (state.stopping?.deadlineAt !== undefined) times.push(state.stopping.deadlineAt);
  if (state.pause === undefined) {
    // A next attempt that becomes due while nothing may be sent is no reason to wake: an endpoint that is dead for hours has thousands.
    const barredUntil = Math.max(state.throttle?.until ?? 0, state.breaker.barredUntil);
    if (barredUntil > now) times.push(barredUntil);
    else {
      if (state.chains.nextDue !== undefined) times.push(state.chains.nextDue);
      const { backfill, job } = state;
      const perSecond = job.definition.backfillPerSecond ?? undefined;
      const next = backfill?.pace.nextAt(backfill.waitingInPages, perSecond, now);
      if (next !== undefined) times.push(next);
    }
  }
  // While slices run, something always wakes the job; a timer for each wait would cost more than everything else.
  const backlogDueAt = state.slices.size === 0 ? state.alerts.backlogDueAt(state) : undefined;
  if (backlogDueAt !== undefined && backlogDueAt > now) times.push(backlogDueAt);
  const missedAt = childMissedAt(state);
  if (missedAt !== undefined) times.push(missedAt);
  return times.length === 0 ? { kind: 'wait' } : { kind: 'wait', until: Math.min(...times) };
}
