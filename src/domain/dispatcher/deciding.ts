import { canCut, cutSlice } from './cutting.ts';
import { carriedBytes, carryJob, countLeft, estimateBytes, type JobState } from './job-state.ts';
import type { RunFacts, Step } from './steps.ts';

/** A backfill child that was silent for this long is looked for; it resends an unanswered page each minute. */
export const BACKFILL_SILENCE_MS = 3 * 60_000;

/** How long a backfill waits for calmer traffic before it reads a page once more. */
const CALM_MS = 60_000;

/**
 * What the workflow does next. Every step but `wait` changes the state, so asking again after acting always gets on; `wait` names
 * the only time at which asking again can give something else without anything having happened.
 */
export function nextStep(state: JobState, now: number, run: RunFacts): Step {
  state.chains.release(now);
  // Not only what waited when it was asked: what had arrived by then, unlooked at, and what slices give back goes too.
  if (state.stopping?.waiting === 'discard') countLeft(state, state.chains.discard(), 'discarded');
  const errand = backfillErrand(state, now);
  if (errand !== undefined) return errand;
  if (mustContinue(state, run)) {
    return state.slices.size === 0 && !run.busy ? { kind: 'continue-as-new' } : wait(state, now);
  }
  while (canCut(state, now)) {
    const cut = cutSlice(state);
    if (cut !== undefined) return { kind: 'deliver', slice: cut.input, bytes: cut.bytes };
  }
  const calm = state.slices.size === 0 && !run.busy;
  if (calm && isDone(state)) return { kind: 'finish' };
  if (calm && (run.continueSuggested || run.signals >= state.budgets.calmSignals) && fits(state))
    return { kind: 'continue-as-new' };
  return wait(state, now);
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
    return { kind: 'start-backfill', n: backfill.n, audiences: backfill.audiences };
  }
  if (state.pageToReadAgain !== undefined) {
    const number = state.pageToReadAgain;
    state.pageToReadAgain = undefined;
    const calm = backfill.waitsForCalm ? { afterMs: CALM_MS } : {};
    return { kind: 'answer-page', answer: { n: backfill.n, number, readAgain: true, ...calm } };
  }
  // A state over its budget takes no more on: the child waits until there is room.
  const taken = estimateBytes(state) > state.budgets.stateBytes ? undefined : backfill.owedAcknowledgement;
  if (taken !== undefined) {
    backfill.acknowledge(taken);
    return { kind: 'answer-page', answer: { n: backfill.n, number: taken } };
  }
  if (backfill.needsChild && now - backfill.heardAt >= BACKFILL_SILENCE_MS) {
    backfill.heardAt = now;
    return { kind: 'look-for-backfill', n: backfill.n };
  }
  return undefined;
}

/** From here on no slice is cut until the run has ended. */
function mustContinue(state: JobState, run: RunFacts): boolean {
  const { forcedSignals, forcedEvents, forcedHistoryBytes } = state.budgets;
  const isOld = run.signals >= forcedSignals || run.events >= forcedEvents || run.historyBytes >= forcedHistoryBytes;
  // A state that is too large to be carried has to shrink first, and only sending shrinks it. The estimate may be below the truth.
  if (!isOld || estimateBytes(state) > state.budgets.carryBytes) return false;
  return state.slices.size > 0 || fits(state);
}

/** Measured, since a run that is given more than the server takes could never begin. */
function fits(state: JobState): boolean {
  return carriedBytes(carryJob(state)) <= state.budgets.carryBytes;
}

function isDone(state: JobState): boolean {
  return state.stopping !== undefined && state.chains.triggers === 0;
}

function wait(state: JobState, now: number): Step {
  const times: number[] = [];
  if (state.pause === undefined) {
    if (state.chains.nextDue !== undefined) times.push(state.chains.nextDue);
    if (state.throttle !== undefined && state.throttle.until > now) times.push(state.throttle.until);
    if (state.breaker.isOpen && state.breaker.openUntil > now) times.push(state.breaker.openUntil);
  }
  if (state.backfill?.needsChild === true) times.push(state.backfill.heardAt + BACKFILL_SILENCE_MS);
  return times.length === 0 ? { kind: 'wait' } : { kind: 'wait', until: Math.min(...times) };
}
