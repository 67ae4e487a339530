import type { HeldProfile } from '../../../contract/holder.ts';
import type { Chain } from './chain.ts';

export interface CarriedProfileHolders {
  /** While more waits behind the chains: whose trigger went into them last. */
  readonly last?: string;
}

/**
 * The profile holders that a job may let go: those that triggers in its chains needed. What waits behind the chains comes in the order of its
 * arrival, and all triggers that need one holder came with one signal. So of those that still have a trigger there, the chains know at most the last.
 *
 * One that is let go too early is no loss: its profiles can be read for as long as the server keeps a workflow that has ended. One that nobody
 * lets go is an orphan, which ends by itself: its publisher was killed before the signal, or its triggers were dropped unread.
 */
export class ProfileHolders {
  readonly #known = new Set<string>();
  #last: string | undefined;

  constructor(needed: Iterable<string>, carried?: CarriedProfileHolders) {
    this.#known = new Set(needed);
    this.#last = carried?.last;
    if (this.#last !== undefined) this.#known.add(this.#last);
  }

  /** Bytes that they take when they are let go. */
  get bytes(): number {
    return this.#known.size * OWED_BYTES;
  }

  get size(): number {
    return this.#known.size;
  }

  /** A trigger goes into a chain. */
  enters({ held }: { readonly held?: HeldProfile }): void {
    if (held === undefined || held[0] === this.#last) return;
    [this.#last] = held;
    this.#known.add(this.#last);
  }

  /** Gives those up that are not needed. @param isMoreBehind whether triggers wait behind the chains. */
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

/** The profile holders that triggers need which are in chains, or on their way to dead letters. */
export function neededIn(
  chains: Iterable<Pick<Chain, 'triggers'>>,
  dying: Iterable<{ readonly trigger: { readonly held?: HeldProfile } }>,
): Set<string> {
  const needed = new Set<string>();
  for (const { triggers } of chains) for (const { held } of triggers) if (held !== undefined) needed.add(held[0]);
  for (const { trigger } of dying) if (trigger.held !== undefined) needed.add(trigger.held[0]);
  return needed;
}
