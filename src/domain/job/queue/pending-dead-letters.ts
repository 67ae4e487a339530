import type { LastFailure } from '../../../contract/job-status.ts';
import { jsonBytes } from '../../json.ts';
import type { QueuedTrigger } from './chain.ts';

/** A trigger that will not be sent unless a person decides so. */
export interface DeadTrigger {
  readonly user: string;
  readonly trigger: QueuedTrigger;
  /** Its last attempt. */
  readonly failure: LastFailure;
  /** Attempts that were made. */
  readonly attempts: number;
}

/** Most dead triggers that go to their workflows at once. */
const MOST_AT_ONCE = 50;

/** Dead triggers on their way to a workflow of their own. Until that is confirmed they count as waiting. */
export class PendingDeadLetters {
  readonly #pending = new Map<number, DeadTrigger>();
  readonly #leaving = new Set<number>();
  #nextKey = 0;
  #bytes = 0;

  constructor(carried: readonly DeadTrigger[] = []) {
    for (const dead of carried) this.add(dead);
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Bytes that they take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  some(matches: (dead: DeadTrigger) => boolean): boolean {
    for (const dead of this.#pending.values()) if (matches(dead)) return true;
    return false;
  }

  count(matches: (dead: DeadTrigger) => boolean): number {
    return [...this.#pending.values()].filter(matches).length;
  }

  add(dead: DeadTrigger): void {
    this.#pending.set(this.#nextKey++, dead);
    this.#bytes += jsonBytes(dead);
  }

  /** The triggers to be kept next, by key; undefined when all are on their way. */
  next(mostBytes: number): { readonly letters: ReadonlyMap<number, DeadTrigger>; readonly bytes: number } | undefined {
    const letters = new Map<number, DeadTrigger>();
    let bytes = 0;
    for (const [key, dead] of this.#pending) {
      if (this.#leaving.has(key)) continue;
      if (letters.size > 0 && (letters.size >= MOST_AT_ONCE || bytes + jsonBytes(dead) > mostBytes)) break;
      letters.set(key, dead);
      bytes += jsonBytes(dead);
    }
    if (letters.size === 0) return undefined;
    for (const key of letters.keys()) this.#leaving.add(key);
    return { letters, bytes };
  }

  /** Confirms that they are kept. */
  confirm(keys: Iterable<number>): void {
    for (const key of keys) {
      const dead = this.#pending.get(key);
      if (dead === undefined) continue;
      this.#bytes -= jsonBytes(dead);
      this.#pending.delete(key);
      this.#leaving.delete(key);
    }
  }

  /** Confirms that the matching ones are kept. */
  confirmWhere(matches: (dead: DeadTrigger) => boolean): void {
    this.confirm([...this.#pending].filter(([, dead]) => matches(dead)).map(([key]) => key));
  }

  /** Offers them again, since it is not known whether they were kept. */
  failed(keys: Iterable<number>): void {
    for (const key of keys) this.#leaving.delete(key);
  }

  carry(): DeadTrigger[] {
    return [...this.#pending.values()];
  }
}
