import type { PackedTriggers } from '../../../contract/holder.ts';
import { jsonStringBytes } from '../../json.ts';
import { type PersonTrigger, packTriggers, queuedBytes, unpackTriggers, waitsSince } from './chain.ts';

export interface CarriedOverflow {
  /** Numbers of the oldest holder and of the next one to be made; all in between exist. */
  readonly first: number;
  readonly next: number;
  /** Triggers in holders. */
  readonly spilled: number;
  /** While there are holders: since when the content of the oldest waits, epoch ms, or a little earlier. */
  readonly spilledSince?: number;
  /** Content that holders are not yet confirmed to keep, by number. */
  readonly unconfirmed: readonly (readonly [number: number, content: PackedTriggers])[];
  readonly tail: PackedTriggers;
  /** People whose triggers in holders before this number are dropped when they come back. Absent: none. */
  readonly forgotten?: readonly (readonly [user: string, before: number])[];
}

/** Content to be put into the holder with this number. */
interface Spill {
  readonly number: number;
  readonly content: PackedTriggers;
  readonly bytes: number;
}

/** Most people whose triggers in holders are to be dropped at a time. */
const MOST_FORGOTTEN = 100;
// ["",1234567890],
const FORGOTTEN_BYTES = 20;
/** Holders that are read before the chains ask for them. */
const LOADS_AHEAD = 5;
/** The bytes that a holder's content takes in the chains, given its bytes in the holder: each trigger may begin a chain. */
const GROWTH = 2.5;

/**
 * Waiting triggers that the chains have no room for, first in, first out. The newest are in the `tail`; before them come the holders,
 * numbered in order of arrival. Little more than their numbers is known here. A holder's content never changes, and its number is never
 * used again. A holder is first `unconfirmed` (its content is here until its workflow has it), later `loaded` (read back, waiting for its
 * turn). Once its triggers are in chains it is no longer needed, and its workflow has to be dropped.
 */
export class Overflow {
  readonly #tail = new Fifo<PersonTrigger>();
  #tailBytes = 0;
  #first: number;
  #next: number;
  #spilled: number;
  /** The content of a holder is not known here, but it came after the triggers taken before it. */
  #spilledSince: number | undefined;
  readonly #unconfirmed = new Map<number, Spill>();
  /** The unconfirmed ones that are on their way to their holder. */
  readonly #leaving = new Set<number>();
  /** Holders asked to give their content back, and what came. */
  readonly #loaded = new Map<number, PersonTrigger[] | undefined>();
  readonly #holderBytes: number;
  readonly #forgotten: Map<string, number>;

  /** @param holderBytes most bytes of triggers in one holder. */
  constructor(holderBytes: number, carried?: CarriedOverflow) {
    this.#holderBytes = holderBytes;
    this.#first = carried?.first ?? 1;
    this.#next = carried?.next ?? 1;
    this.#spilled = carried?.spilled ?? 0;
    this.#spilledSince = carried?.spilledSince;
    this.#forgotten = new Map(carried?.forgotten);
    for (const [number, content] of carried?.unconfirmed ?? []) {
      const bytes = bytesOf(unpackTriggers(content));
      this.#unconfirmed.set(number, { number, content, bytes });
    }
    if (carried !== undefined) for (const waiting of unpackTriggers(carried.tail)) this.push(waiting);
  }

  /** Triggers that are waiting here, in holders or not. */
  get triggers(): number {
    return this.#spilled + this.#tail.length;
  }

  /** Since when the first trigger waits, epoch ms; undefined when nothing waits here. */
  get waitingSince(): number | undefined {
    const first = this.#tail.first;
    const inTail = first === undefined ? undefined : waitsSince(first.trigger);
    return this.holders === 0 ? inTail : (this.#spilledSince ?? inTail);
  }

  get isEmpty(): boolean {
    return this.holders === 0 && this.#tail.length === 0;
  }

  /** Whether content is on its way to a holder. */
  get isLeaving(): boolean {
    return this.#leaving.size > 0;
  }

  get holders(): number {
    return this.#next - this.#first;
  }

  /** Bytes that this takes when carried. */
  get bytes(): number {
    let bytes = this.#tailBytes;
    for (const spill of this.#unconfirmed.values()) bytes += spill.bytes;
    for (const user of this.#forgotten.keys()) bytes += FORGOTTEN_BYTES + jsonStringBytes(user);
    return bytes;
  }

  /** Bytes of the tail that would go into holders if it were put away. */
  get surplusBytes(): number {
    return Math.max(0, this.#tailBytes - this.#holderBytes);
  }

  /** Bytes that the holders now being read may bring into the chains. */
  get bytesUnderWay(): number {
    return this.#loaded.size * this.#holderBytes * GROWTH;
  }

  push(waiting: PersonTrigger): void {
    this.#tail.push(waiting);
    this.#tailBytes += queuedBytes(waiting.user, waiting.trigger);
  }

  /**
   * The content to put into a holder now; undefined while the tail is not worth one, or may stay.
   *
   * @param stayBytes how many bytes of the tail may stay.
   */
  nextSpill(stayBytes = 0): Spill | undefined {
    for (const spill of this.#unconfirmed.values()) {
      if (this.#leaving.has(spill.number)) continue;
      this.#leaving.add(spill.number);
      return spill;
    }
    if (this.#tailBytes < this.#holderBytes || this.#tailBytes <= stayBytes) return undefined;
    if (this.holders === 0) this.#spilledSince = this.waitingSince;
    const { count, bytes } = fitting(this.#tail, this.#holderBytes);
    // Removed from the tail before anything is awaited, or it would be counted as waiting twice.
    const content = packTriggers(this.#tail.take(count));
    this.#tailBytes -= bytes;
    const spill = { number: this.#next++, content, bytes };
    this.#spilled += count;
    this.#unconfirmed.set(spill.number, spill);
    this.#leaving.add(spill.number);
    return spill;
  }

  /** Confirms that a holder has its content. */
  confirm(number: number): void {
    this.#unconfirmed.delete(number);
    this.#leaving.delete(number);
  }

  /** Offers content again, under the same number, since it is not known whether the holder has it. */
  spillFailed(number: number): void {
    this.#leaving.delete(number);
  }

  /**
   * The number of the holder that is to be read next; undefined when none can be.
   *
   * @param isBarred whether a holder is not to be read yet.
   */
  nextLoad(isBarred: (number: number) => boolean = () => false): number | undefined {
    const number = this.#first + this.#loaded.size;
    if (isBarred(number)) return undefined;
    if (number >= this.#next || this.#loaded.size >= LOADS_AHEAD || this.#unconfirmed.has(number)) return undefined;
    this.#loaded.set(number, undefined);
    return number;
  }

  /** Takes in the content of a holder that was read. */
  loaded(number: number, content: PersonTrigger[]): void {
    if (this.#loaded.has(number)) this.#loaded.set(number, content);
  }

  /** Forgets that a holder that could not be read was asked, and those after it: all are read again, to keep the order. */
  loadFailed(number: number): void {
    for (const holder of this.#loaded.keys()) if (holder >= number) this.#loaded.delete(holder);
  }

  /** Whether a person's triggers can be dropped here: only so many people are remembered until the holders have been read. */
  mayForget(user: string): boolean {
    return this.holders === 0 || this.#forgotten.has(user) || this.#forgotten.size < MOST_FORGOTTEN;
  }

  /** Drops a person's triggers: at once, or when they come back from holders. Until then, these count as waiting. */
  forget(user: string): void {
    if (this.holders > 0) this.#forgotten.set(user, this.#next);
    this.#tailBytes = 0;
    for (const waiting of this.#tail.take(this.#tail.length)) if (waiting.user !== user) this.push(waiting);
  }

  /** Takes the triggers of the oldest holder, once they have been read; it is then no longer needed. `dropped`: how many it had of forgotten people. */
  takeHolder():
    { readonly number: number; readonly triggers: readonly PersonTrigger[]; readonly dropped: number } | undefined {
    const triggers = this.#loaded.get(this.#first);
    if (triggers === undefined) return undefined;
    const number = this.#first++;
    const kept = triggers.filter(({ user }) => number >= this.#forgottenBefore(user));
    for (const [user, before] of this.#forgotten) if (before <= this.#first) this.#forgotten.delete(user);
    this.#loaded.delete(number);
    // How much a lost holder had is not known, so the count is corrected when no holder is left.
    this.#spilled = this.holders === 0 ? 0 : Math.max(0, this.#spilled - triggers.length);
    const last = triggers.at(-1);
    if (last !== undefined) this.#spilledSince = waitsSince(last.trigger);
    return { number, triggers: kept, dropped: triggers.length - kept.length };
  }

  /** The number of the holder whose triggers come next; undefined when there is none. */
  get firstHolder(): number | undefined {
    return this.holders === 0 ? undefined : this.#first;
  }

  /** Takes the oldest trigger of the tail out, once there is no holder before it. */
  takeFromTail(): PersonTrigger | undefined {
    if (this.holders > 0) return undefined;
    const waiting = this.#tail.shift();
    if (waiting !== undefined) this.#tailBytes -= queuedBytes(waiting.user, waiting.trigger);
    return waiting;
  }

  /** Drops everything; returns the numbers of the holders, which are then no longer needed. */
  discard(): number[] {
    const numbers = Array.from({ length: this.holders }, (_, index) => this.#first + index);
    this.#first = this.#next;
    this.#forgotten.clear();
    this.#spilled = 0;
    this.#tail.clear();
    this.#tailBytes = 0;
    this.#unconfirmed.clear();
    this.#leaving.clear();
    this.#loaded.clear();
    return numbers;
  }

  /** The holders that are assumed to exist, and may have triggers of a person to be sent; the ones in `notYet` may lack their content. */
  rangeOf(user: string): { readonly first: number; readonly next: number; readonly notYet: readonly number[] } {
    const first = Math.max(this.#first, this.#forgottenBefore(user));
    return { first, next: this.#next, notYet: [...this.#unconfirmed.keys()] };
  }

  /** The triggers here that are not, or may not be, in a holder: in order, with the holder that they go into, if that is decided. */
  *here(): Iterable<PersonTrigger & { readonly holder?: number }> {
    for (const { number, content } of this.#unconfirmed.values())
      for (const waiting of unpackTriggers(content))
        if (number >= this.#forgottenBefore(waiting.user)) yield { ...waiting, holder: number };
    yield* this.#tail;
  }

  #forgottenBefore(user: string): number {
    return this.#forgotten.get(user) ?? 0;
  }

  carry(): CarriedOverflow {
    return {
      first: this.#first,
      next: this.#next,
      spilled: this.#spilled,
      ...(this.holders === 0 || this.#spilledSince === undefined ? {} : { spilledSince: this.#spilledSince }),
      unconfirmed: [...this.#unconfirmed.values()].map(({ number, content }) => [number, content]),
      tail: packTriggers([...this.#tail]),
      ...(this.#forgotten.size === 0 ? {} : { forgotten: [...this.#forgotten] }),
    };
  }
}

/** How many of the oldest triggers one holder takes. */
function fitting(waiting: Iterable<PersonTrigger>, mostBytes: number): { count: number; bytes: number } {
  let count = 0;
  let bytes = 0;
  for (const { user, trigger } of waiting) {
    const more = queuedBytes(user, trigger);
    if (count > 0 && bytes + more > mostBytes) break;
    count++;
    bytes += more;
  }
  return { count, bytes };
}

function bytesOf(waiting: readonly PersonTrigger[]): number {
  return waiting.reduce((bytes, { user, trigger }) => bytes + queuedBytes(user, trigger), 0);
}

/** The array drops at least this many taken items at once, when they are most of it. */
const TIDY_FROM = 1024;

/** First in, first out. An array's own `shift` moves everything after it, which takes long with tens of thousands of items. */
export class Fifo<T> implements Iterable<T> {
  readonly #items: T[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  /** The oldest; undefined when there is none. */
  get first(): T | undefined {
    return this.#items[this.#first];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the oldest out. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first++];
    this.#tidy();
    return item;
  }

  /** Takes the oldest `count` out, or all that there are. */
  take(count: number): T[] {
    const taken = this.#items.slice(this.#first, this.#first + count);
    this.#first += taken.length;
    this.#tidy();
    return taken;
  }

  clear(): void {
    this.#items.length = 0;
    this.#first = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#first; i < this.#items.length; i++) yield this.#items[i] as T; // Below the length: it is there.
  }

  #tidy(): void {
    if (this.#first < TIDY_FROM || this.#first < this.#items.length / 2) return;
    this.#items.splice(0, this.#first);
    this.#first = 0;
  }
}

/** The oldest holder, which could not be read: the triggers behind it wait. Plain JSON. */
export interface UnreadableHolder {
  readonly number: number;
  /** Why, in words. */
  readonly reason: string;
  /** Epoch ms at which it could not be read for the first time. */
  readonly since: number;
  /** How often in a row. */
  readonly tries: number;
  /** Epoch ms before which it is not read again. */
  readonly retryAt: number;
}

/** A holder that could not be read is read again after this long, in ms, then at twice the interval each time, … */
const FIRST_AGAIN_MS = 5_000;
/** … up to this. */
const MOST_AGAIN_MS = 10 * 60_000;
/** From this many failures in a row on, people learn of it: until then the server may just have been unhealthy. */
const REPORTED_FROM_TRIES = 3;
const REASON_LENGTH = 200;
/** Most bytes of one as it is carried: its reason, whatever its characters, and the rest. */
export const UNREADABLE_BYTES = 3 * REASON_LENGTH + 150;

/**
 * Records that a holder could not be read. Holders are read ahead: only the oldest failed one counts, since the ones after it are read
 * again once it is.
 */
export function readingFailed(
  before: UnreadableHolder | undefined,
  number: number,
  reason: string,
  now: number,
): UnreadableHolder {
  if (before !== undefined && before.number < number) return before;
  const same = before?.number === number ? before : undefined;
  const tries = (same?.tries ?? 0) + 1;
  const retryAt = now + Math.min(MOST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** Math.min(tries - 1, 20));
  return { number, reason: reason.slice(0, REASON_LENGTH), since: same?.since ?? now, tries, retryAt };
}

/** Whether people should learn of it. */
export function isReportable(holder: UnreadableHolder | undefined): holder is UnreadableHolder {
  return holder !== undefined && holder.tries >= REPORTED_FROM_TRIES;
}
