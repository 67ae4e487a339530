import type { PackedTriggers } from '../../contract/holder.ts';
import { instantOf } from '../instant.ts';
import { ATTEMPT_CODES } from '../verdict.ts';
import { isSending } from './dispatching.ts';
import { type PersonTrigger, unpackTriggers } from './queue/chain.ts';
import { neededIn } from './queue/profile-holders.ts';
import type { RunPhase } from './run-end.ts';
import { type DispatcherState, chainRoom } from './state.ts';
import type { HoldStep, Holder, Step } from './steps.ts';

/** How many holders are released at once. */
const RELEASES_AT_ONCE = 50;

/** What is to be put into a holder or read from one, or which holders are to end; nothing while a run is ending, which can hand on what it has. */
export function nextHolderStep(state: DispatcherState, now: number, { isOld, isEnding }: RunPhase): Step | undefined {
  // What happens while a run ends has the server refuse the end, and a worker replay the run.
  if (isEnding) return undefined;
  const stayBytes = !isOld && isSending(state, now) ? state.budgets.tailBytes : 0;
  return nextHold(state, stayBytes) ?? recallStep(state, now) ?? releaseStep(state);
}

/** What is to be put into a holder now; this many bytes of what came last may stay. */
export function nextHold(state: DispatcherState, stayBytes = 0): HoldStep | undefined {
  const hold = state.overflow.nextHold(stayBytes);
  if (hold === undefined) return undefined;
  const { number, content, bytes } = hold;
  return { kind: 'hold', holder: { name: String(number), of: 'overflow', number }, content, bytes };
}

function recallStep(state: DispatcherState, now: number): Step | undefined {
  // A job that sends nothing, or is to keep what is waiting, leaves it where it is.
  if (state.pause !== undefined || state.stopping?.waiting === 'keep') return undefined;
  const asked = state.unreadable.takeAsked();
  if (asked !== undefined) return { kind: 'recall', holder: { name: asked, of: 'aside' } };
  const { chains, overflow, budgets } = state;
  if (chains.bytes + overflow.bytesUnderWay + budgets.sliceBytes > chainRoom(state)) return undefined;
  const number = overflow.nextRecall((one) => state.unreadable.isBarred(String(one), now));
  return number === undefined
    ? undefined
    : { kind: 'recall', holder: { name: String(number), of: 'overflow', number } };
}

function releaseStep(state: DispatcherState): Step | undefined {
  if (state.owedReleases.length === 0 || state.releasing) return undefined;
  state.releasing = true;
  return { kind: 'release', holders: state.owedReleases.slice(0, RELEASES_AT_ONCE) };
}

/** A holder has its content. */
export function confirmHold(state: DispatcherState, holder: Holder): void {
  if (holder.of === 'overflow') state.overflow.confirm(holder.number);
}

/** It is not known whether a holder has its content. */
export function holdFailed(state: DispatcherState, holder: Holder): void {
  if (holder.of === 'overflow') state.overflow.holdFailed(holder.number);
}

/** A holder was read; null when it was deleted from outside, and its content with it. */
export function holderRead(state: DispatcherState, holder: Holder, content: PackedTriggers | null, now: number): void {
  const { unreadable } = state;
  if (content === null) {
    noteLoss(state, holder);
    return take(state, holder, [], now);
  }
  const read = readable(content);
  // Another release may be able to read it; until then it is as if it could not be read at all.
  if (read === undefined)
    return recallFailed(state, holder, 'It holds something that no job of this release puts there.', now);
  if (holder.of === 'aside' || unreadable.get(holder.name)?.isAside !== true) take(state, holder, read, now);
}

function take(state: DispatcherState, holder: Holder, content: readonly PersonTrigger[], now: number): void {
  state.unreadable.forget(holder.name);
  if (holder.of === 'overflow') state.overflow.recalled(holder.number, [...content]);
  if (holder.of !== 'aside') return;
  // Later triggers of the same people went ahead, so a person decides about each, as about any dead letter.
  const failure = { at: instantOf(now), code: ATTEMPT_CODES.holderSetAside };
  for (const { user, trigger } of content) {
    state.deadLetters.add({ user, trigger, failure, attempts: 0 });
    state.profileHolders.comesBack(trigger);
  }
  state.owedReleases.push(holder.name);
}

/** Undefined for content that this release cannot have put there. */
function readable(content: PackedTriggers): PersonTrigger[] | undefined {
  try {
    return unpackTriggers(content);
  } catch {
    return undefined;
  }
}

/** A holder could not be read, for this reason; it is read again after a while, and what stands behind it waits. */
export function recallFailed(state: DispatcherState, holder: Holder, reason: string, now: number): void {
  const { unreadable, overflow } = state;
  if (holder.of !== 'aside' && unreadable.get(holder.name)?.isAside === true) return;
  unreadable.failed(holder.name, reason, now);
  if (holder.of === 'overflow') overflow.recallFailed(holder.number);
}

/**
 * Nothing waits any longer for a holder that cannot be read: what stands behind it goes on. The holder keeps its triggers, until somebody asks
 * for it to be read, or the job is stopped with `discard`. Returns why that cannot be, in words.
 */
export function setHolderAside(state: DispatcherState, name: string): string | undefined {
  const { unreadable, overflow } = state;
  const holder = unreadable.get(name);
  if (holder === undefined) return `The holder ${name} is not one that could not be read.`;
  if (holder.isAside === true) return undefined;
  if (overflow.passBy(Number(name))) state.profileHolders.passHolderBy();
  else return `Nothing waits for the holder ${name} yet: others come before it.`;
  unreadable.setAside(name);
  return undefined;
}

/**
 * Reads a holder now that could not be read. If it was set aside, its triggers become dead letters. Returns why that cannot be, in words.
 */
export function readHolderNow(state: DispatcherState, name: string, now: number): string | undefined {
  if (state.unreadable.get(name) === undefined) return `The holder ${name} is not one that could not be read.`;
  state.unreadable.ask(name, now);
  return undefined;
}

/** These holders were told to end; if not all of them were, they are told again. */
export function holdersReleased(state: DispatcherState, holders: readonly string[], done: boolean): void {
  state.releasing = false;
  if (!done) return;
  const gone = new Set(holders);
  state.owedReleases = state.owedReleases.filter((name) => !gone.has(name));
}

function noteLoss(state: DispatcherState, { name }: Holder): void {
  state.loss = `The holder ${name} is gone: its workflow was deleted. What it held is lost.`;
}

/** Has those let go that no trigger needs any more. */
export function releaseUnneeded(state: DispatcherState): void {
  const { profileHolders, chains, deadLetters, overflow } = state;
  if (profileHolders.size === 0) return;
  const needed = neededIn(chains.all(), deadLetters.carry());
  state.owedReleases.push(...profileHolders.takeUnneeded(needed, !overflow.isEmpty));
}
