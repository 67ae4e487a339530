import { deliveryText, shortKey } from '../delivery-id.ts';
import { type Instant, knownInstant } from '../instant.ts';
import type { QueuedTrigger } from './chain.ts';
import type { DispatcherState } from './state.ts';

/**
 * The last few thousand texts, with the time at which each came last; the oldest are forgotten first. Those of this run are kept in full and
 * those of earlier runs as short keys, since in the sandbox a hash takes longer than everything else that is decided about a trigger.
 */
export class RecentMemory {
  readonly #carried: Map<string, number>;
  readonly #recent = new Map<string, number>();
  readonly #most: number;
  #forgottenUntil: number;

  constructor(most: number, carried: Iterable<readonly [key: string, at: number]> = [], forgottenUntil = 0) {
    this.#most = most;
    this.#carried = new Map(carried);
    this.#forgottenUntil = forgottenUntil;
  }

  get size(): number {
    return this.#carried.size + this.#recent.size;
  }

  /** What came up to this epoch ms may have been forgotten. */
  get forgottenUntil(): number {
    return this.#forgottenUntil;
  }

  /** @param at epoch ms; only those who ask for a time need to give one. */
  remember(text: string, at = 0): void {
    this.#recent.delete(text);
    this.#recent.set(text, at);
    this.#forgetWhile(() => this.size > this.#most);
  }

  /** Whether this text came at `since` (epoch ms) or later. */
  knows(text: string, since = 0): boolean {
    if ((this.#recent.get(text) ?? -1) >= since) return true;
    return this.#carried.size > 0 && (this.#carried.get(shortKey(text)) ?? -1) >= since;
  }

  /** Forgets what came before `epochMs`, which will not be asked for. */
  forgetBefore(epochMs: number): void {
    this.#forgetWhile((at) => at < epochMs);
  }

  carry(): [key: string, at: number][] {
    return [...this.#carried, ...[...this.#recent].map(([text, at]): [string, number] => [shortKey(text), at])];
  }

  /** `carry` without the times. */
  carryKeys(): string[] {
    return this.carry().map(([key]) => key);
  }

  /** From the oldest on. */
  #forgetWhile(isToGo: (at: number) => boolean): void {
    for (const older of [this.#carried, this.#recent]) {
      for (const [key, at] of older) {
        if (!isToGo(at)) return;
        older.delete(key);
        this.#forgottenUntil = Math.max(this.#forgottenUntil, at);
      }
    }
  }
}

/** The instants of triggers that were compared. One person may have thousands waiting, and each new one is compared with all of them. */
export type KnownInstants = WeakMap<QueuedTrigger, Instant | undefined>;

/** Whether two triggers of one person are the same delivery. A dead letter that comes back was asked for, so it is not a repeat. */
export function isSameDelivery(known: KnownInstants, one: QueuedTrigger, other: QueuedTrigger): boolean {
  const { audience, event, at } = one;
  if (audience !== other.audience || event !== other.event) return false;
  return at === other.at || instantIn(known, one) === instantIn(known, other);
}

function instantIn(known: KnownInstants, trigger: QueuedTrigger): Instant | undefined {
  if (known.has(trigger)) return known.get(trigger);
  const instant = knownInstant(trigger.at);
  known.set(trigger, instant);
  return instant;
}

/** Whether this trigger is already waiting, in a chain, in a slice or on its way to a dead letter, or was among the last few thousand delivered. */
export function isRepeat(state: DispatcherState, user: string, trigger: QueuedTrigger): boolean {
  if (trigger.redelivery !== undefined) return false;
  const chain = state.chains.get(user);
  if (chain?.triggers.some((one) => isSameDelivery(state.instants, trigger, one)) === true) return true;
  if (state.deadLetters.some((dead) => dead.user === user && isSameDelivery(state.instants, dead.trigger, trigger)))
    return true;
  return state.delivered.knows(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}

/** Remembers that a trigger was delivered: if it is signalled again soon, that is a repeat. */
export function rememberDelivery(state: DispatcherState, user: string, trigger: QueuedTrigger): void {
  state.delivered.remember(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}
