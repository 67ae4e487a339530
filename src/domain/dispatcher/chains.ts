import type { CarriedChain, QueuedTrigger } from './carried.ts';
import { carryChain, type Chain, isOfMembers, newChain, queuedBytes } from './chain.ts';
import { HeldChains } from './held-chains.ts';

/** All chains of a job: who is ready, who is held until when, who is in a slice. */
export class Chains {
  readonly #byUser = new Map<string, Chain>();
  /** What a slice gave back unsent; goes before the ready ones, since it has waited longest. */
  readonly #returned = new Set<Chain>();
  readonly #ready = new Set<Chain>();
  /** Ready chains of nothing but members that a backfill found: they never go before a live trigger. */
  readonly #members = new Set<Chain>();
  readonly #held = new HeldChains();
  #heldCount = 0;
  #triggers = 0;
  #bytes = 0;

  /** Triggers in chains, running ones included. */
  get triggers(): number {
    return this.#triggers;
  }

  /** Bytes that the chains take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Ready chains that a live trigger waits in. */
  get liveCount(): number {
    return this.#returned.size + this.#ready.size;
  }

  /** Ready chains of members alone. */
  get memberCount(): number {
    return this.#members.size;
  }

  get readyCount(): number {
    return this.liveCount + this.memberCount;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** When the next held chain is due, epoch ms; undefined when none is held. */
  get nextDue(): number | undefined {
    return this.#held.nextDue;
  }

  get(user: string): Chain | undefined {
    return this.#byUser.get(user);
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
    if (this.#members.has(chain)) this.#makeReady(chain, this.#ready);
  }

  /** Appends a member that a backfill found. */
  addFromBackfill(user: string, trigger: QueuedTrigger): Chain {
    const chain = this.#byUser.get(user) ?? this.#create(user);
    chain.triggers.push(trigger);
    this.#count(chain, trigger, 1);
    if (chain.triggers.length === 1) this.#makeReady(chain, this.#ready);
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

  /** Makes every held chain ready whose time has come. */
  release(now: number): void {
    for (let due = this.nextDue; due !== undefined && due <= now; due = this.nextDue) {
      const chain = this.#held.take();
      if (chain !== undefined) this.#makeReady(chain, this.#returned);
    }
  }

  /** Makes every held chain ready, as after an edit of the URL. */
  releaseAll(): void {
    this.release(Infinity);
  }

  /** The ready chain with a live trigger that has waited longest. */
  firstLive(): Chain | undefined {
    for (const chain of this.#returned) return chain;
    for (const chain of this.#ready) return chain;
    return undefined;
  }

  /** The ready chain that goes next, of whatever kind. */
  firstReady(): Chain | undefined {
    return this.firstLive() ?? this.firstMember();
  }

  /** The ready chain of members that has waited longest. */
  firstMember(): Chain | undefined {
    for (const chain of this.#members) return chain;
    return undefined;
  }

  /** A ready chain whose oldest trigger never failed, if one is found soon. */
  firstFresh(): Chain | undefined {
    let looks = FRESH_LOOKS;
    for (const chains of [this.#returned, this.#ready, this.#members]) {
      for (const chain of chains) {
        if (chain.failures === 0) return chain;
        if (--looks === 0) return undefined;
      }
    }
    return undefined;
  }

  /** Makes the held chain that is due first ready before its time, another than `except` if there is one; undefined when none is held. */
  releaseFirst(except: string | undefined): Chain | undefined {
    const chain = this.#held.take(except);
    if (chain !== undefined) this.#makeReady(chain, this.#returned);
    return chain;
  }

  /** Puts the oldest `count` triggers of a ready chain into a slice. */
  startRunning(chain: Chain, count: number): void {
    this.#unready(chain);
    chain.place = 'running';
    chain.running = count;
  }

  /** Takes the oldest trigger of a running chain out, for good. */
  settleHead(chain: Chain): QueuedTrigger | undefined {
    const trigger = chain.triggers.shift();
    if (trigger === undefined) return undefined;
    this.#count(chain, trigger, -1);
    chain.running--;
    chain.failures = 0;
    chain.profileTries = 0;
    return trigger;
  }

  /** A slice is done with this chain: it goes, or is ready again. */
  stopRunning(chain: Chain): void {
    chain.running = 0;
    if (chain.triggers.length === 0) this.#delete(chain);
    else this.#makeReady(chain, this.#returned);
  }

  /** A slice is done with this chain, and its oldest trigger waits. */
  hold(chain: Chain, notBefore: number): void {
    chain.running = 0;
    chain.place = 'held';
    chain.notBefore = notBefore;
    this.#heldCount++;
    this.#held.add(chain, notBefore);
  }

  /** Drops everything that is in no slice, and gives it back. */
  discard(): QueuedTrigger[] {
    return [...this.#byUser.values()].flatMap((chain) => this.#drop(chain, () => true));
  }

  /** How many chains wait at the end of the retry schedule. */
  countFailedAtLeast(failures: number): number {
    let count = 0;
    for (const chain of this.#byUser.values()) if (chain.failures >= failures) count++;
    return count;
  }

  /** The `at` of the trigger that stands longest, by the order of chains; undefined when nothing waits. */
  oldestAt(): string | undefined {
    for (const chain of this.#byUser.values()) return chain.triggers[0]?.at;
    return undefined;
  }

  carry(): CarriedChain[] {
    const inOrder = [...this.#returned, ...this.#ready, ...this.#members];
    for (const chain of this.#byUser.values()) if (chain.place !== 'ready') inOrder.push(chain);
    return inOrder.map(carryChain);
  }

  restore(carried: readonly CarriedChain[]): void {
    for (const { user, triggers, failures = 0, profileTries = 0, notBefore } of carried) {
      const chain = this.#create(user);
      for (const trigger of triggers) {
        chain.triggers.push(trigger);
        this.#count(chain, trigger, 1);
      }
      chain.failures = failures;
      chain.profileTries = profileTries;
      this.#makeReady(chain, this.#ready);
      if (notBefore === undefined) continue;
      this.#unready(chain);
      this.hold(chain, notBefore);
    }
  }

  #create(user: string): Chain {
    const chain = newChain(user);
    this.#byUser.set(user, chain);
    this.#ready.add(chain);
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
    if (kept.length === 0) this.#delete(chain);
    else if (kept[0] !== head) this.#newHead(chain);
    return dropped;
  }

  /** What a chain's oldest trigger went through says nothing about the one that now stands there. */
  #newHead(chain: Chain): void {
    chain.failures = 0;
    chain.profileTries = 0;
    if (chain.place !== 'ready') this.#makeReady(chain, this.#ready);
  }

  #makeReady(chain: Chain, into: Set<Chain>): void {
    if (chain.place === 'held') this.#heldCount--;
    this.#unready(chain);
    chain.place = 'ready';
    (isOfMembers(chain) ? this.#members : into).add(chain);
  }

  #unready(chain: Chain): void {
    this.#returned.delete(chain);
    this.#ready.delete(chain);
    this.#members.delete(chain);
  }

  #delete(chain: Chain): void {
    if (chain.place === 'held') this.#heldCount--;
    chain.place = 'ready'; // No longer held: its entry in the heap is no longer true.
    this.#byUser.delete(chain.user);
    this.#unready(chain);
  }

  #count(chain: Chain, trigger: QueuedTrigger, sign: 1 | -1): void {
    this.#triggers += sign;
    this.#bytes += sign * queuedBytes(chain.user, trigger);
    if (trigger.backfill !== undefined) chain.fromBackfill += sign;
  }
}

const FRESH_LOOKS = 1000;
