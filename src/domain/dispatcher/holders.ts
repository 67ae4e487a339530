import type { PackedTriggers } from '../../contract/holder.ts';
import { isSending, lacksProbe } from './cutting.ts';
import { countLeft, type JobState } from './job-state.ts';
import { unpackTriggers, type WaitingTrigger } from './packed.ts';
import { confirmPark, nextPark, nextUnpark, parkFailed, unpark, unparkFailed } from './parked-chains.ts';
import { parkedHolder } from './parking.ts';
import { chainRoom } from './room.ts';
import type { Holder, HoldStep, Step } from './steps.ts';

/** How many holders are released at once. */
const RELEASES_AT_ONCE = 50;

/** The phase of a run. */
export interface RunAge {
  /** It is to end as soon as possible. */
  readonly isOld: boolean;
  /** It can end now: nothing more begins. */
  readonly isEnding: boolean;
}

/** What is to be put into a holder or read from one, or which holders are to end; while a run is ending, only what has to be put away. */
export function nextHolderStep(state: JobState, now: number, { isOld, isEnding }: RunAge): Step | undefined {
  const stayBytes = !isOld && isSending(state, now) ? state.budgets.tailBytes : 0;
  return nextHold(state, stayBytes) ?? (isEnding ? undefined : (recallStep(state, now) ?? releaseStep(state)));
}

/** What is to be put into a holder now; this many bytes of what came last may stay. */
export function nextHold(state: JobState, stayBytes = 0): HoldStep | undefined {
  const hold = state.overflow.nextHold(stayBytes);
  if (hold !== undefined) {
    const { number, content, bytes } = hold;
    return { kind: 'hold', holder: { name: String(number), of: 'overflow', number }, content, bytes };
  }
  const park = nextPark(state);
  if (park === undefined) return undefined;
  const { number, content, bytes } = park;
  return { kind: 'hold', holder: { name: parkedHolder(number), of: 'parking', number }, content, bytes };
}

function recallStep(state: JobState, now: number): Step | undefined {
  // A job that sends nothing, or is to keep what is waiting, leaves it where it is.
  if (state.pause !== undefined || state.stopping?.waiting === 'keep') return undefined;
  if (state.chains.dueCount === 0 && lacksProbe(state, now)) state.chains.callFirst();
  const chain = nextUnpark(state);
  if (chain?.parked !== undefined) {
    const { number } = chain.parked;
    return { kind: 'recall', holder: { name: parkedHolder(number), of: 'parking', number, chain } };
  }
  const { chains, overflow, budgets } = state;
  const bytesUnderWay = overflow.bytesUnderWay + state.parking.bytesComing;
  if (chains.bytes + bytesUnderWay + budgets.sliceBytes > chainRoom(state)) return undefined;
  const number = overflow.nextRecall();
  return number === undefined
    ? undefined
    : { kind: 'recall', holder: { name: String(number), of: 'overflow', number } };
}

function releaseStep(state: JobState): Step | undefined {
  if (state.owedReleases.length === 0 || state.releasing) return undefined;
  state.releasing = true;
  return { kind: 'release', holders: state.owedReleases.slice(0, RELEASES_AT_ONCE) };
}

/** A holder has its content. */
export function confirmHold(state: JobState, holder: Holder): void {
  if (holder.of === 'overflow') state.overflow.confirm(holder.number);
  else confirmPark(state, holder.number);
}

/** It is not known whether a holder has its content. */
export function holdFailed(state: JobState, holder: Holder): void {
  if (holder.of === 'overflow') state.overflow.holdFailed(holder.number);
  else parkFailed(state, holder.number);
}

/** A holder was read; null when it was deleted from outside, and its content with it. */
export function holderRead(state: JobState, holder: Holder, content: PackedTriggers | null): void {
  const read = content === null ? undefined : readable(content);
  if (read === undefined) noteLoss(state, holder, content === null);
  if (holder.of === 'overflow') state.overflow.recalled(holder.number, read ?? []);
  else if (holder.chain !== undefined) unpark(state, holder.chain, read ?? []);
}

/** Undefined for content that no job of ours put there: reading it again would give the same, and what comes after it would wait forever. */
function readable(content: PackedTriggers): WaitingTrigger[] | undefined {
  try {
    return unpackTriggers(content);
  } catch {
    return undefined;
  }
}

export function recallFailed(state: JobState, holder: Holder): void {
  if (holder.of === 'overflow') state.overflow.recallFailed(holder.number);
  else if (holder.chain !== undefined) unparkFailed(state, holder.chain);
}

/** These holders were told to end; if not all of them were, they are told again. */
export function holdersReleased(state: JobState, holders: readonly string[], done: boolean): void {
  state.releasing = false;
  if (!done) return;
  const gone = new Set(holders);
  state.owedReleases = state.owedReleases.filter((name) => !gone.has(name));
}

/** Drops everything that is waiting, wherever it is. */
export function discardWaiting(state: JobState): void {
  const { chains, overflow } = state;
  const { dropped, holders } = chains.discard();
  countLeft(state, dropped, 'discarded');
  state.owedReleases.push(...holders.map(parkedHolder));
  // A holder that is being started might begin after it was told to end, and stay forever: so it is first allowed to start.
  if (!overflow.isEmpty && !overflow.isLeaving) state.owedReleases.push(...overflow.discard().map(String));
}

function noteLoss(state: JobState, { name }: Holder, isGone: boolean): void {
  const what = isGone ? 'is gone: its workflow was deleted' : 'holds something that cannot be read';
  state.loss = `The holder ${name} ${what}. What it held is lost.`;
}
