import type { PackedTriggers } from '../../contract/holder.ts';
import { isSending } from './dispatching.ts';
import { type PersonTrigger, unpackTriggers } from './queue/chain.ts';
import { neededIn } from './queue/profile-holders.ts';
import { readingFailed } from './queue/overflow.ts';
import type { RunPhase } from './run-end.ts';
import { type DispatcherState, chainRoom } from './state.ts';
import type { SpillStep, Step } from './steps.ts';

/** How many holders are dropped at once. */
const DROPS_AT_ONCE = 50;

/** The next step for holders: fill one, read one, or drop some. None while a run is ending, since it can hand on its state. */
export function nextHolderStep(state: DispatcherState, now: number, { isOld, isEnding }: RunPhase): Step | undefined {
  // Any event while a run ends makes the server refuse the end, and a worker replay the run.
  if (isEnding) return undefined;
  const stayBytes = !isOld && isSending(state, now) ? state.budgets.tailBytes : 0;
  return nextSpill(state, stayBytes) ?? loadStep(state, now) ?? dropStep(state);
}

/** The content to put into a holder now; this many bytes of the newest triggers may stay. */
export function nextSpill(state: DispatcherState, stayBytes = 0): SpillStep | undefined {
  const spill = state.overflow.nextSpill(stayBytes);
  if (spill === undefined) return undefined;
  const { number, content, bytes } = spill;
  return { kind: 'spill', number, content, bytes };
}

function loadStep(state: DispatcherState, now: number): Step | undefined {
  // A job that sends nothing, or is to keep its backlog, leaves it where it is.
  if (state.pause !== undefined || state.stopping?.waiting === 'keep') return undefined;
  const { chains, overflow, budgets, unreadable } = state;
  if (chains.bytes + overflow.bytesUnderWay + budgets.sliceBytes > chainRoom(state)) return undefined;
  const number = overflow.nextLoad((one) => one === unreadable?.number && unreadable.retryAt > now);
  return number === undefined ? undefined : { kind: 'load', number };
}

function dropStep(state: DispatcherState): Step | undefined {
  if (state.owedDrops.length === 0 || state.underWay.has('drop')) return undefined;
  state.underWay.add('drop');
  return { kind: 'drop', holders: state.owedDrops.slice(0, DROPS_AT_ONCE) };
}

/** Takes in the content of a holder; null when it was deleted from outside, with its content. */
export function holderRead(state: DispatcherState, number: number, content: PackedTriggers | null, now: number): void {
  const triggers = content === null ? [] : readable(content);
  // Another release may be able to read it; until then it counts as unreadable.
  if (triggers === undefined)
    return loadFailed(state, number, 'It holds something that no job of this release puts there.', now);
  if (content === null) state.loss = `The holder ${number} is gone: its workflow was deleted. Its triggers are lost.`;
  if (state.unreadable?.number === number) state.unreadable = undefined;
  state.overflow.loaded(number, triggers);
}

/** Returns undefined for content that this release cannot have put there. */
function readable(content: PackedTriggers): PersonTrigger[] | undefined {
  try {
    return unpackTriggers(content);
  } catch {
    return undefined;
  }
}

/** Records that a holder could not be read, for this reason. It is read again after a while, and the triggers behind it wait. */
export function loadFailed(state: DispatcherState, number: number, reason: string, now: number): void {
  state.unreadable = readingFailed(state.unreadable, number, reason, now);
  state.overflow.loadFailed(number);
}

/** Forgets holders that were told to end. */
export function holdersDropped(state: DispatcherState, holders: readonly string[]): void {
  const gone = new Set(holders);
  state.owedDrops = state.owedDrops.filter((name) => !gone.has(name));
}

/** Drops the profile holders that no trigger needs any more. */
export function dropUnneeded(state: DispatcherState): void {
  const { profileHolders, chains, deadLetters, overflow } = state;
  if (profileHolders.size === 0) return;
  const needed = neededIn(chains.all(), deadLetters.carry());
  state.owedDrops.push(...profileHolders.takeUnneeded(needed, !overflow.isEmpty));
}
