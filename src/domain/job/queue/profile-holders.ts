import type { ProfileRef } from '../../../contract/holder.ts';
import type { Chain } from './chain.ts';

export interface CarriedProfileHolders {
  /** While more waits behind the chains: the holder of the last trigger that went into them. */
  readonly last?: string;
}

/**
 * The profile holders that a job may drop: those that triggers in its chains needed. Triggers behind the chains come in the order of
 * arrival, and all triggers of one holder came with one signal. Therefore at most the last holder known here still has a trigger behind the
 * chains.
 *
 * Dropping one too early loses nothing: its profiles can be read for as long as the server keeps a closed workflow. One that is never
 * dropped is an orphan, which ends by itself: its publisher was killed before the signal, or its triggers were discarded unread.
 */
export class ProfileHolders {
  readonly #known = new Set<string>();
  #last: string | undefined;

  constructor(needed: Iterable<string>, carried?: CarriedProfileHolders) {
    this.#known = new Set(needed);
    this.#last = carried?.last;
    if (this.#last !== undefined) this.#known.add(this.#last);
  }

  /** Bytes that they take when they are dropped. */
  get bytes(): number {
    return this.#known.size * OWED_BYTES;
  }

  get size(): number {
    return this.#known.size;
  }

  /** A trigger goes into a chain. */
  enters({ profileRef }: { readonly profileRef?: ProfileRef }): void {
    if (profileRef === undefined || profileRef[0] === this.#last) return;
    [this.#last] = profileRef;
    this.#known.add(this.#last);
  }

  /** Takes out the holders that are not needed. @param isMoreBehind whether triggers wait behind the chains. */
  takeUnneeded(needed: ReadonlySet<string>, isMoreBehind: boolean): string[] {
    const unneeded = [...this.#known].filter((name) => !needed.has(name) && !(isMoreBehind && name === this.#last));
    for (const name of unneeded) this.#known.delete(name);
    return unneeded;
  }

  carry(isMoreBehind: boolean): CarriedProfileHolders | undefined {
    return isMoreBehind && this.#last !== undefined ? { last: this.#last } : undefined;
  }
}

// "h0123456789abcde",
const OWED_BYTES = 19;

/** The profile holders of triggers in chains, or on their way to dead letters. */
export function neededIn(
  chains: Iterable<Pick<Chain, 'triggers'>>,
  pending: Iterable<{ readonly trigger: { readonly profileRef?: ProfileRef } }>,
): Set<string> {
  const needed = new Set<string>();
  for (const { triggers } of chains)
    for (const { profileRef } of triggers) if (profileRef !== undefined) needed.add(profileRef[0]);
  for (const { trigger } of pending) if (trigger.profileRef !== undefined) needed.add(trigger.profileRef[0]);
  return needed;
}
