import type { CarriedChain, QueuedTrigger } from './carried.ts';
import {
  carryChain,
  type Chain,
  forgetFailures,
  newChain,
  type ParkedTriggers,
  parkedBytes,
  queuedBytes,
  restoreTriggers,
} from './chain.ts';
import { HeldChains } from './held-chains.ts';
import type { AudienceTable } from './packed.ts';
import { ReadyChains } from './ready-chains.ts';

/** All chains of a job: who is ready, who is held until when, who is in a slice. */
export class Chains {
  readonly #byUser = new Map<string, Chain>();
  readonly #ready = new ReadyChains();
  readonly #held = new HeldChains();
  /** Held chains that are due and wait for their parked triggers. */
  readonly #due = new Set<Chain>();
  #heldCount = 0;
  #heldBytes = 0;
  #triggers = 0;
  #parkedCount = 0;
  #parkedTriggers = 0;
  #bytes = 0;

  /** Triggers in chains, running and parked ones included. */
  get triggers(): number {
    return this.#triggers + this.#parkedTriggers;
  }

  /** Of these, those that holders keep. */
  get parkedTriggers(): number {
    return this.#parkedTriggers;
  }

  /** Bytes that the chains take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of these, what held chains take. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Ready chains that a live trigger waits in. */
  get liveCount(): number {
    return this.#ready.liveCount;
  }

  /** Ready chains of members alone. */
  get memberCount(): number {
    return this.#ready.memberCount;
  }

  get readyCount(): number {
    return this.liveCount + this.memberCount;
  }

  /** People who wait, whatever their chain does. */
  get count(): number {
    return this.#byUser.size;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** Of these, those whose oldest triggers a holder keeps. */
  get parkedCount(): number {
    return this.#parkedCount;
  }

  /** When the next held chain is due, epoch ms; undefined when none is held. */
  get nextDue(): number | undefined {
    return this.#held.nextDue;
  }

  get(user: string): Chain | undefined {
    return this.#byUser.get(user);
  }

  /** All held chains, in no order. */
  *held(): Iterable<Chain> {
    for (const chain of this.#byUser.values()) if (chain.place === 'held') yield chain;
  }

  /** Appends a live trigger: last, but before what a backfill put there and no slice has taken yet. */
  addLive(user: string, trigger: QueuedTrigger): void {
    const chain = this.#byUser.get(user) ?? this.#create(user);
    let place = chain.triggers.length;
    while (place > chain.running && chain.triggers[place - 1]?.backfill !== undefined) place--;
    chain.triggers.splice(place, 0, trigger);
    this.#count(chain, trigger, 1);
    if (place === 0) this.#newHead(chain);
    // It may have been one of members alone.
    if (this.#ready.standsWithMembers(chain)) this.#makeReady(chain, 'last');
  }

  /** Appends a member that a backfill found. */
  addFromBackfill(user: string, trigger: QueuedTrigger): Chain {
    const chain = this.#byUser.get(user) ?? this.#create(user);
    chain.triggers.push(trigger);
    this.#count(chain, trigger, 1);
    if (chain.triggers.length === 1 && chain.parked === undefined) this.#makeReady(chain, 'last');
    return chain;
  }

  /** Removes the enters of backfills for this person and audience that are in no slice, and gives them back. */
  dropFromBackfill(user: string, audience: string): QueuedTrigger[] {
    const chain = this.#byUser.get(user);
    if (chain === undefined || chain.fromBackfill === 0) return [];
    return this.#drop(chain, (trigger) => trigger.backfill !== undefined && trigger.audience === audience);
  }

  /**
   * A slice is done with this chain, and what did not get through is an enter of a backfill with live triggers behind it: these go
   * first, at once, and enters of an audience that they speak of are dropped and given back. Undefined when it is not so.
   */
  putLiveFirst(chain: Chain): QueuedTrigger[] | undefined {
    const live = chain.triggers.filter(({ backfill }) => backfill === undefined);
    if (live.length === 0 || chain.triggers[0]?.backfill === undefined) return undefined;
    chain.running = 0;
    const spokenOf = new Set(live.map(({ audience }) => audience));
    const dropped = this.#drop(chain, ({ backfill, audience }) => backfill !== undefined && spokenOf.has(audience));
    const rest = chain.triggers.filter(({ backfill }) => backfill !== undefined);
    chain.triggers.splice(0, chain.triggers.length, ...live, ...rest);
    this.#newHead(chain);
    return dropped;
  }

  /** Makes every held chain ready whose time has come; one with parked triggers is due, and stays held until they are back. */
  release(now: number): void {
    for (let due = this.nextDue; due !== undefined && due <= now; due = this.nextDue) {
      const chain = this.#held.take();
      if (chain === undefined) return;
      chain.notBefore = 0;
      if (chain.parked !== undefined) this.#due.add(chain);
      else this.#makeReady(chain, 'returned');
    }
  }

  /** All held chains are parked: the one that is due first waits for its parked triggers before its time. */
  callFirst(): void {
    const chain = this.#held.take();
    if (chain !== undefined) this.#due.add(chain);
  }

  /** Makes every held chain ready, as after an edit of the URL. */
  releaseAll(): void {
    this.release(Infinity);
  }

  /** The oldest `count` triggers of a held chain are in a holder now. */
  park(chain: Chain, number: number, count: number): void {
    let bytes = 0;
    for (const trigger of chain.triggers.splice(0, count)) {
      this.#count(chain, trigger, -1);
      bytes += queuedBytes(chain.user, trigger);
    }
    this.#setParked(chain, { number, count, bytes });
  }

  /** Due chains that wait for their parked triggers. */
  get due(): Iterable<Chain> {
    return this.#due;
  }

  get dueCount(): number {
    return this.#due.size;
  }

  /**
   * Parked triggers are back, before those that came meanwhile: their chain is ready.
   *
   * @returns how many of the later ones were dropped, since `isRepeat` says that they repeat what was parked.
   */
  unpark(
    chain: Chain,
    triggers: readonly QueuedTrigger[],
    isRepeat: (trigger: QueuedTrigger) => boolean = () => false,
  ): number {
    const dropped = this.#drop(chain, isRepeat).length;
    this.#setParked(chain, undefined);
    chain.triggers.unshift(...triggers);
    for (const trigger of triggers) this.#count(chain, trigger, 1);
    if (triggers.length === 0) forgetFailures(chain); // They were of what is lost.
    if (chain.triggers.length === 0) this.#delete(chain);
    else this.#makeReady(chain, 'returned');
    return dropped;
  }

  /** The ready chain with a live trigger that has waited longest. */
  firstLive(): Chain | undefined {
    return this.#ready.firstLive();
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

  /** Makes the held chain that is due first ready before its time, another than `except` if there is one; undefined when there is none whose oldest trigger is here. */
  releaseFirst(except: string | undefined): Chain | undefined {
    const chain = this.#held.takeWhole(except);
    if (chain !== undefined) this.#makeReady(chain, 'returned');
    return chain;
  }

  /** Puts the oldest `count` triggers of a ready chain into a slice. */
  startRunning(chain: Chain, count: number): void {
    this.#ready.delete(chain);
    chain.place = 'running';
    chain.running = count;
  }

  /** Takes the oldest trigger of a running chain out, for good. */
  settleHead(chain: Chain): QueuedTrigger | undefined {
    const trigger = chain.triggers.shift();
    if (trigger === undefined) return undefined;
    this.#count(chain, trigger, -1);
    chain.running--;
    forgetFailures(chain);
    return trigger;
  }

  /** Takes the oldest trigger of a held chain out, for good: what is behind it is ready. */
  dropHead(chain: Chain): QueuedTrigger | undefined {
    const [head] = chain.triggers;
    this.#drop(chain, (trigger) => trigger === head);
    return head;
  }

  /** A slice is done with this chain: it goes, or is ready again. */
  stopRunning(chain: Chain): void {
    chain.running = 0;
    if (chain.triggers.length === 0) this.#delete(chain);
    else this.#makeReady(chain, 'returned');
  }

  /** A slice is done with this chain, and its oldest trigger waits. */
  hold(chain: Chain, notBefore: number): void {
    chain.running = 0;
    chain.place = 'held';
    chain.notBefore = notBefore;
    this.#heldCount++;
    this.#heldBytes += chain.bytes;
    this.#held.add(chain, notBefore);
  }

  /** Drops everything that is in no slice. Gives it back, but for what is parked: of that, the numbers of the holders. */
  discard(): { readonly dropped: QueuedTrigger[]; readonly holders: number[] } {
    const chains = [...this.#byUser.values()];
    const holders = chains.flatMap(({ parked }) => (parked === undefined ? [] : [parked.number]));
    for (const chain of chains) this.#setParked(chain, undefined);
    const dropped = chains.flatMap((chain) => this.#drop(chain, () => true));
    for (const chain of chains) if (chain.triggers.length === 0) this.#delete(chain);
    return { dropped, holders };
  }

  /** The `at` of the trigger that stands longest, by the order of chains; undefined when nothing waits. */
  oldestAt(): string | undefined {
    for (const chain of this.#byUser.values()) return chain.triggers[0]?.at;
    return undefined;
  }

  carry(table: AudienceTable): CarriedChain[] {
    const inOrder = [...this.#ready];
    for (const chain of this.#byUser.values()) if (chain.place !== 'ready') inOrder.push(chain);
    return inOrder.map((chain) => carryChain(chain, table));
  }

  restore(carried: readonly CarriedChain[], audiences: readonly string[]): void {
    for (const one of carried) {
      const [user, , { failures = 0, profileTries = 0, notBefore, parked } = {}] = one;
      const chain = this.#create(user);
      for (const trigger of restoreTriggers(one, audiences)) {
        chain.triggers.push(trigger);
        this.#count(chain, trigger, 1);
      }
      chain.failures = failures;
      chain.profileTries = profileTries;
      this.#setParked(chain, parked);
      this.#makeReady(chain, 'last');
      if (notBefore === undefined) continue;
      this.#ready.delete(chain);
      this.hold(chain, notBefore);
    }
  }

  #create(user: string): Chain {
    const chain = newChain(user);
    this.#byUser.set(user, chain);
    this.#ready.add(chain, 'last');
    return chain;
  }

  /** Takes out of a chain what is in no slice and matches. */
  #drop(chain: Chain, matches: (trigger: QueuedTrigger) => boolean): QueuedTrigger[] {
    const head = chain.triggers[0];
    const dropped = chain.triggers.filter((trigger, index) => index >= chain.running && matches(trigger));
    if (dropped.length === 0) return dropped;
    const kept = chain.triggers.filter((trigger, index) => index < chain.running || !matches(trigger));
    chain.triggers.splice(0, chain.triggers.length, ...kept);
    for (const trigger of dropped) this.#count(chain, trigger, -1);
    if (kept.length === 0 && chain.parked === undefined) this.#delete(chain);
    else if (kept[0] !== head) this.#newHead(chain);
    return dropped;
  }

  /** What a chain's oldest trigger went through says nothing about the one that now stands there. */
  #newHead(chain: Chain): void {
    if (chain.parked !== undefined) return; // The oldest is another: it is away.
    forgetFailures(chain);
    if (chain.place !== 'ready') this.#makeReady(chain, 'last');
  }

  #makeReady(chain: Chain, where: 'last' | 'returned'): void {
    this.#unhold(chain);
    chain.place = 'ready';
    this.#ready.add(chain, where);
  }

  #delete(chain: Chain): void {
    this.#unhold(chain);
    chain.place = 'ready'; // No longer held: its entry in the heap is no longer true.
    this.#byUser.delete(chain.user);
    this.#ready.delete(chain);
  }

  #unhold(chain: Chain): void {
    if (chain.place !== 'held') return;
    this.#heldCount--;
    this.#heldBytes -= chain.bytes;
    this.#due.delete(chain);
  }

  #setParked(chain: Chain, parked: ParkedTriggers | undefined): void {
    const more = Number(parked !== undefined) - Number(chain.parked !== undefined);
    this.#parkedCount += more;
    this.#parkedTriggers += (parked?.count ?? 0) - (chain.parked?.count ?? 0);
    this.#addBytes(chain, parkedBytes(chain.user) * more);
    chain.parked = parked;
  }

  #count(chain: Chain, trigger: QueuedTrigger, sign: 1 | -1): void {
    this.#triggers += sign;
    this.#addBytes(chain, sign * queuedBytes(chain.user, trigger));
    if (trigger.backfill !== undefined) chain.fromBackfill += sign;
  }

  #addBytes(chain: Chain, bytes: number): void {
    this.#bytes += bytes;
    chain.bytes += bytes;
    if (chain.place === 'held') this.#heldBytes += bytes;
  }
}
