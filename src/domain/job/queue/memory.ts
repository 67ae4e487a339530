import { membershipText, shortKey } from '../../delivery-id.ts';
import { type Instant, knownInstant } from '../../instant.ts';
import type { QueuedTrigger } from './chain.ts';

/**
 * The last few thousand texts, with the time at which each came last; the oldest are forgotten first. Texts of this run are kept in full,
 * and texts of earlier runs as short keys: in the sandbox a hash takes longer than all other decisions about a trigger.
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

  /** When the oldest of them came last, epoch ms. */
  get oldestAt(): number {
    const [oldest = Infinity] = this.#carried.size > 0 ? this.#carried.values() : this.#recent.values();
    return oldest;
  }

  /** Texts that came up to this epoch ms may have been forgotten. */
  get forgottenUntil(): number {
    return this.#forgottenUntil;
  }

  /** @param at epoch ms; needed only if `knows` is asked with a time. */
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

  /** Forgets texts that came before `epochMs`, which will not be asked for. */
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

/** Whether two triggers of one person are the same delivery. Somebody asked for a dead letter that comes back, so it is not a repeat. */
export function isSameDelivery(known: KnownInstants, one: QueuedTrigger, other: QueuedTrigger): boolean {
  const { audience, event, at } = one;
  if (audience !== other.audience || event !== other.event) return false;
  return at === other.at || instantIn(known, one) === instantIn(known, other);
}

export function instantIn(known: KnownInstants, trigger: QueuedTrigger): Instant | undefined {
  if (known.has(trigger)) return known.get(trigger);
  const instant = knownInstant(trigger.at);
  known.set(trigger, instant);
  return instant;
}

/** When the newest change happened, by person and audience as a short key, in the order in which they were remembered. */
export type NewestChanges = Map<string, Instant>;

/** One person's change of one audience, at an RFC 3339 time. */
export interface Change {
  readonly user: string;
  readonly audience: string;
  readonly at: string;
}

/**
 * When a newer change than this one happened, if one is known. Otherwise this one is remembered as the newest; if there are more than
 * `most`, the first is forgotten.
 *
 * @param waiting when the newest waiting change happened, which may have been forgotten.
 */
export function newerChange(
  newest: NewestChanges,
  { user, audience, at }: Change,
  { most = Infinity, waiting = '' }: { readonly most?: number; readonly waiting?: Instant } = {},
): Instant | undefined {
  const key = shortKey(membershipText(user, audience));
  const instant = knownInstant(at) ?? at;
  const known = newest.get(key) ?? '';
  const latest = known > waiting ? known : waiting;
  if (latest > instant) return latest;
  newest.delete(key);
  newest.set(key, instant);
  const [first] = newest.keys();
  if (first !== undefined && newest.size > most) newest.delete(first);
  return undefined;
}
