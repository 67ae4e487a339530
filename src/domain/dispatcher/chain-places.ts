import type { QueuedTrigger } from './queued-trigger.ts';
import { type Chain, CHAIN_BYTES, newChain, type ParkedTriggers, parkedBytes, queuedBytes } from './chain.ts';
import { HeldChains } from './held-chains.ts';
import { ReadyChains } from './ready-chains.ts';

/** People's chains and the state of each: ready, held until a time, or in a slice; with their totals. */
export class ChainPlaces {
  protected readonly byUser = new Map<string, Chain>();
  readonly #ready = new ReadyChains();
  readonly #held = new HeldChains();
  /** Held chains that are due and are waiting for their parked triggers. */
  readonly #due = new Set<Chain>();
  #heldCount = 0;
  #heldBytes = 0;
  #triggers = 0;
  #parkedCount = 0;
  #parkedTriggers = 0;
  #bytes = 0;

  /** Triggers in chains, including running and parked ones. */
  get triggers(): number {
    return this.#triggers + this.#parkedTriggers;
  }

  /** How many of these holders keep. */
  get parkedTriggers(): number {
    return this.#parkedTriggers;
  }

  /** Bytes that the chains take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many of these are for held chains. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Ready chains with a live trigger. */
  get liveCount(): number {
    return this.#ready.liveCount;
  }

  /** Ready chains with only members. */
  get memberCount(): number {
    return this.#ready.memberCount;
  }

  get readyCount(): number {
    return this.liveCount + this.memberCount;
  }

  /** Ready chains with a live trigger whose oldest trigger has never failed. */
  get freshCount(): number {
    return this.#ready.freshCount;
  }

  /** People with waiting triggers, whatever the state of their chain. */
  get count(): number {
    return this.byUser.size;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** How many of these have their oldest triggers in a holder. */
  get parkedCount(): number {
    return this.#parkedCount;
  }

  /** When the next held chain is due, epoch ms; undefined when none is held. */
  get nextDue(): number | undefined {
    return this.#held.nextDue;
  }

  get(user: string): Chain | undefined {
    return this.byUser.get(user);
  }

  /** How many ready chains are ahead of this one. */
  aheadOf(chain: Chain): number {
    let ahead = 0;
    for (const other of this.#ready) {
      if (other === chain) break;
      ahead++;
    }
    return ahead;
  }

  /** All held chains, in no order. */
  *held(): Iterable<Chain> {
    for (const chain of this.byUser.values()) if (chain.place === 'held') yield chain;
  }

  /** All chains whose oldest trigger is here and has failed, except those in slices; in no order. */
  *failed(): Iterable<Chain> {
    for (const chain of this.byUser.values())
      if (chain.place !== 'running' && chain.failures > 0 && chain.parked === undefined) yield chain;
  }

  /** Due chains that are waiting for their parked triggers. */
  get due(): Iterable<Chain> {
    return this.#due;
  }

  get dueCount(): number {
    return this.#due.size;
  }

  /** The ready chain with a live trigger that has waited longest. */
  firstLive(): Chain | undefined {
    return this.#ready.firstLive();
  }

  /** The same among those whose oldest trigger has never failed. */
  firstFreshLive(): Chain | undefined {
    return this.#ready.firstFreshLive();
  }

  /** The ready chain that goes next, of whatever kind. */
  firstReady(): Chain | undefined {
    return this.firstLive() ?? this.firstMember();
  }

  /** The ready chain of members that has waited longest. */
  firstMember(): Chain | undefined {
    return this.#ready.firstMember();
  }

  /** A ready chain whose oldest trigger never failed, if one is found soon. */
  firstFresh(): Chain | undefined {
    return this.#ready.firstFresh();
  }

  /** Puts the oldest `count` triggers of a ready chain into a slice. */
  startRunning(chain: Chain, count: number): void {
    this.#ready.delete(chain);
    chain.place = 'running';
    chain.running = count;
  }

  /** A slice is done with this chain: it is removed when it is empty, and otherwise ready again. */
  stopRunning(chain: Chain): void {
    chain.running = 0;
    if (chain.triggers.length === 0) this.remove(chain);
    else this.makeReady(chain, 'returned');
  }

  /** Holds a chain whose oldest trigger has to wait after the slice that it was in. */
  hold(chain: Chain, notBefore: number): void {
    this.#ready.delete(chain);
    chain.running = 0;
    chain.place = 'held';
    chain.notBefore = notBefore;
    this.#heldCount++;
    this.#heldBytes += chain.bytes;
    this.#held.add(chain, notBefore);
  }

  /** Makes every held chain ready whose time has come. One with parked triggers becomes due, and stays held until they are back. */
  release(now: number): void {
    for (let due = this.nextDue; due !== undefined && due <= now; due = this.nextDue) {
      const chain = this.#held.take();
      if (chain === undefined) return;
      chain.notBefore = 0;
      if (chain.parked !== undefined) this.#due.add(chain);
      else this.makeReady(chain, 'returned');
    }
  }

  /** Makes every held chain ready, as after an edit of the URL. */
  releaseAll(): void {
    this.release(Infinity);
  }

  /**
   * Makes the held chain that is due first ready before its time; one other than `except`, if there is one. Undefined when there is none
   * whose oldest trigger is here.
   */
  releaseFirst(except: string | undefined): Chain | undefined {
    const chain = this.#held.takeWhole(except);
    if (chain !== undefined) this.makeReady(chain, 'returned');
    return chain;
  }

  /** All held chains are parked: makes the one that is due first wait for its parked triggers already. */
  callFirst(): void {
    const chain = this.#held.take();
    if (chain !== undefined) this.#due.add(chain);
  }

  protected create(user: string): Chain {
    const chain = newChain(user);
    this.byUser.set(user, chain);
    this.#addBytes(chain, CHAIN_BYTES);
    this.#ready.add(chain, 'last');
    return chain;
  }

  protected makeReady(chain: Chain, where: 'last' | 'returned'): void {
    this.#unhold(chain);
    chain.place = 'ready';
    this.#ready.add(chain, where);
  }

  protected remove(chain: Chain): void {
    if (this.byUser.get(chain.user) !== chain) return; // It is gone already.
    this.#unhold(chain);
    chain.place = 'ready'; // No longer held: its entry in the heap is no longer true.
    this.#addBytes(chain, -CHAIN_BYTES);
    this.byUser.delete(chain.user);
    this.#ready.delete(chain);
  }

  protected setParked(chain: Chain, parked: ParkedTriggers | undefined): void {
    const more = Number(parked !== undefined) - Number(chain.parked !== undefined);
    this.#parkedCount += more;
    this.#parkedTriggers += (parked?.count ?? 0) - (chain.parked?.count ?? 0);
    this.#addBytes(chain, parkedBytes(chain.user) * more);
    chain.parked = parked;
  }

  protected recount(chain: Chain, trigger: QueuedTrigger, sign: 1 | -1): void {
    this.#triggers += sign;
    this.#addBytes(chain, sign * queuedBytes(chain.user, trigger));
    if (trigger.backfill !== undefined) chain.fromBackfill += sign;
  }

  protected standsWithMembers(chain: Chain): boolean {
    return this.#ready.standsWithMembers(chain);
  }

  /** All chains, the ready ones first and in the order in which they go. */
  protected inOrder(): Chain[] {
    const inOrder = [...this.#ready];
    for (const chain of this.byUser.values()) if (chain.place !== 'ready') inOrder.push(chain);
    return inOrder;
  }

  #unhold(chain: Chain): void {
    if (chain.place !== 'held') return;
    this.#heldCount--;
    this.#heldBytes -= chain.bytes;
    this.#due.delete(chain);
  }

  #addBytes(chain: Chain, bytes: number): void {
    this.#bytes += bytes;
    chain.bytes += bytes;
    if (chain.place === 'held') this.#heldBytes += bytes;
  }
}
