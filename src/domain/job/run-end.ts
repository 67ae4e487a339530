import { carriedBytes, carryJob, estimateBytes } from './carrying.ts';
import { SLICE_BUDGET_MS, hasReady, sliceEndsWithinMs } from './dispatching.ts';
import type { DispatcherState } from './state.ts';

/** Facts about a run that the workflow knows and the dispatcher does not. */
export interface RunFacts {
  readonly signals: number;
  readonly events: number;
  readonly historyBytes: number;
  /** How long the run lasts by now, in ms. */
  readonly ageMs: number;
  /** The server, or a new worker version, suggests to continue as new; or the run is a day old. */
  readonly continueSuggested: boolean;
  /** The workflow itself is doing something (starting a child, sending a signal), and the run may not end meanwhile. */
  readonly busy: boolean;
  /** Content is on its way to holders, or from them. The next run does it again. */
  readonly atHolders: boolean;
}

/** The phase of a run. */
export interface RunPhase {
  /** It is to end as soon as possible. */
  readonly isOld: boolean;
  /** It can end now: nothing more begins. */
  readonly isEnding: boolean;
}

/** The server lets no next run begin within a second of the one before (`history.workflowIdReuseMinimalInterval`): an earlier end would be a pause. */
const LEAST_RUN_MS = 1_500;

/** A run ends early only if its history is this many times as long as the state that it hands on. Otherwise most writes would be for handing on. */
const WORTH_ENDING = 2;

/** The age of a run, by its length. */
const AGES = {
  young: 0,
  /** Long enough to end when nobody has to wait for that. */
  grown: 1,
  old: 2,
  asOldAsItMayBe: 3,
} as const;
type Age = (typeof AGES)[keyof typeof AGES];

/**
 * The phase of a run: a run that is to end dispatches no slices until the running ones have reported. It waits for them as long as slices usually
 * take. A slice that takes longer (its endpoint hangs, its worker was killed) holds up no others: the run continues, and ends in the next
 * calm moment. It tries once when it is grown and once when it is old. When it is as old as it may be, it waits for all slices.
 *
 * Runs are short: where triggers come steadily, one nearly always comes while a run is ending. The server then refuses the end, and a
 * worker has to replay the whole run before it can end it. Until then nothing is sent, and signallers wait.
 */
export function phaseOf(state: DispatcherState, now: number, run: RunFacts): RunPhase {
  const age = ageOf(state, now, run);
  const isToEnd = age > AGES.young || state.endTried > AGES.young;
  if (!isToEnd) return YOUNG;
  // Asked once: in a calm moment it writes the whole state as JSON, and a signal meanwhile may keep the run from ending.
  const isEnding = canEnd(state, run);
  if (age === AGES.asOldAsItMayBe) return { isOld: true, isEnding };
  if (isEnding && age > state.endTried) {
    state.endTried = age;
    state.endPutOffAt = now + usualSliceMs(state);
  }
  const { endTried, endPutOffAt = 0 } = state;
  const isPutOff = now >= endPutOffAt && endTried >= Math.max(age, AGES.grown) && !isCalm(state, run);
  return isPutOff ? YOUNG : { isOld: true, isEnding };
}

const YOUNG: RunPhase = { isOld: false, isEnding: false };

/** How long a slice usually takes at most. */
function usualSliceMs({ requestMs, job }: DispatcherState): number {
  return Math.min(SLICE_BUDGET_MS + 2 * requestMs, sliceEndsWithinMs(job.requestTimeoutMs));
}

function ageOf(state: DispatcherState, now: number, run: RunFacts): Age {
  const { signals, events, historyBytes } = run;
  const { budgets } = state;
  const { forcedSignals, forcedEvents, forcedHistoryBytes } = budgets;
  const { mostSignals, mostEvents, mostHistoryBytes } = budgets;
  if (signals >= mostSignals || events >= mostEvents || historyBytes >= mostHistoryBytes) return AGES.asOldAsItMayBe;
  if (signals >= forcedSignals || events >= forcedEvents || historyBytes >= forcedHistoryBytes) return AGES.old;
  return isGrown(state, run) && !hasReady(state, now) ? AGES.grown : AGES.young;
}

/** Whether a run may end early. */
function isGrown(state: DispatcherState, { events, historyBytes, ageMs }: RunFacts): boolean {
  return (
    events >= state.budgets.calmEvents && ageMs >= LEAST_RUN_MS && historyBytes >= WORTH_ENDING * estimateBytes(state)
  );
}

/** Whether a run is to end in a calm moment: it is long enough, or its job has stopped in it. */
export function endsWhenCalm(state: DispatcherState, now: number, run: RunFacts): boolean {
  // A stopped job may wait for months, so its run begins with only its kept state. And a run can be cancelled only once.
  const hasStopped = (state.stopping?.stoppedAt ?? 0) > now - run.ageMs;
  return hasStopped || run.continueSuggested || run.signals >= state.budgets.calmSignals || isGrown(state, run);
}

/** Whether nothing is under way. Slices in quarantine stay there in the next run, too. */
export function isCalm({ slices }: DispatcherState, { busy }: RunFacts): boolean {
  if (busy) return false;
  for (const { overAt } of slices.values()) if (overAt === undefined) return false;
  return true;
}

/** Whether the next run can be given the state. Measured, since a run that was given more than the server accepts could never begin. */
export function fits(state: DispatcherState): boolean {
  // Unneeded profile holders have yet to be dropped.
  return carriedBytes(carryJob(state)) + state.profileHolders.bytes <= state.budgets.carryBytes;
}

/** Whether the run can wait for its end: from then on no slice is dispatched. */
function canEnd(state: DispatcherState, run: RunFacts): boolean {
  // A state that is too large to be carried has to shrink first: by spilling to holders, and by sending.
  if (estimateBytes(state) > state.budgets.carryBytes) return false;
  return !isCalm(state, run) || fits(state);
}
