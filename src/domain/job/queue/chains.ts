import TinyQueue from 'tinyqueue';
import {
  type AudienceTable,
  BATCH_MOST_BYTES,
  CHAIN_BYTES,
  type CarriedChain,
  type Chain,
  type QueuedTrigger,
  WaitingTimes,
  attemptsAt,
  carryChain,
  forgetFailures,
  hasNothingLive,
  newChain,
  queuedBytes,
  restoreTriggers,
  waitsSince,
  withSuperseded,
} from './chain.ts';

/** The chains of people, with totals: the triggers of each in order, and whether it is ready, delayed until a time, or in a slice. */
export class Chains {
  readonly #byUser = new Map<string, Chain>();
  /** Ready chains with a live trigger. */
  readonly live = new Lane();
  /** Ready chains with nothing live, only members that a backfill found and dead letters that came back: they are never sent before a live trigger. */
  readonly later = new Lane();
  readonly #delayed = new DelayedChains();
  #delayedCount = 0;
  #delayedBytes = 0;
  #triggers = 0;
  #bytes = 0;
  readonly #times = new WaitingTimes();

  /** Since when the longest-waiting trigger waits, epoch ms; undefined when nothing waits. */
  get waitingSince(): number | undefined {
    return this.#times.oldest;
  }

  /** Triggers in chains, including running ones. */
  get triggers(): number {
    return this.#triggers;
  }

  /** Bytes that the chains take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many of these are for delayed chains. */
  get delayedBytes(): number {
    return this.#delayedBytes;
  }

  get readyCount(): number {
    return this.live.size + this.later.size;
  }

  /** People with waiting triggers, whatever the state of their chain. */
  get count(): number {
    return this.#byUser.size;
  }

  get delayedCount(): number {
    return this.#delayedCount;
  }

  /** When the next delayed chain is due, epoch ms; undefined when none is delayed. */
  get nextDue(): number | undefined {
    return this.#delayed.nextDue;
  }

  get(user: string): Chain | undefined {
    return this.#byUser.get(user);
  }

  /** Triggers in ready chains with a live trigger, counted until there are `most`. */
  liveTriggers(most: number): number {
    let triggers = 0;
    for (const chain of this.live) {
      triggers += chain.triggers.length;
      if (triggers >= most) break;
    }
    return triggers;
  }

  /** How many ready chains are ahead of this one. */
  aheadOf(chain: Chain): number {
    let ahead = 0;
    for (const other of this.#ready()) {
      if (other === chain) break;
      ahead++;
    }
    return ahead;
  }

  /** All chains, in no order. */
  all(): Iterable<Chain> {
    return this.#byUser.values();
  }

  /** All chains whose oldest trigger has failed, except those in slices; in no order. */
  *failed(): Iterable<Chain> {
    for (const chain of this.#byUser.values()) if (chain.place !== 'running' && chain.failures > 0) yield chain;
  }

  /** Puts the oldest `count` triggers of a ready chain into a slice. */
  startRunning(chain: Chain, count: number): void {
    leave(chain);
    chain.place = 'running';
    chain.running = count;
  }

  /** Takes a chain back from its slice: an empty one is removed, any other is ready again. */
  stopRunning(chain: Chain): void {
    chain.running = 0;
    if (chain.triggers.length === 0) this.#remove(chain);
    else this.#makeReady(chain, 'returned');
  }

  /** Delays a chain whose oldest trigger has to wait after its slice. */
  delay(chain: Chain, notBefore: number): void {
    leave(chain);
    chain.running = 0;
    chain.place = 'delayed';
    chain.notBefore = notBefore;
    this.#delayedCount++;
    this.#delayedBytes += chain.bytes;
    this.#delayed.add(chain, notBefore);
  }

  /** Makes every delayed chain ready that is due. */
  promoteDue(now: number): void {
    for (let due = this.nextDue; due !== undefined && due <= now; due = this.nextDue) {
      const chain = this.#delayed.take();
      if (chain === undefined) return;
      chain.notBefore = 0;
      this.#makeReady(chain, 'returned');
    }
  }

  /** Makes every delayed chain ready, as after an edit of the URL. */
  promoteAll(): void {
    this.promoteDue(Infinity);
  }

  /** Makes the delayed chain that is due first ready before its time, another than that of `except` if there is one. Undefined when none is delayed. */
  promoteFirst(except: string | undefined): Chain | undefined {
    const chain = this.#delayed.take(except);
    if (chain !== undefined) this.#makeReady(chain, 'returned');
    return chain;
  }

  /** Appends a live trigger at the end, but before backfill triggers that no slice has taken yet. */
  addLive(user: string, trigger: QueuedTrigger): void {
    const chain = this.#byUser.get(user) ?? this.#create(user);
    let place = chain.triggers.length;
    while (place > chain.running && chain.triggers[place - 1]?.backfill !== undefined) place--;
    chain.triggers.splice(place, 0, trigger);
    this.#recount(chain, trigger, 1);
    if (place === 0) this.#newHead(chain);
    // It may have contained nothing live until now.
    if (this.later.has(chain)) this.#makeReady(chain, 'last');
  }

  /** Appends a member that a backfill found. */
  addFromBackfill(user: string, trigger: QueuedTrigger): Chain {
    const chain = this.#byUser.get(user) ?? this.#create(user);
    chain.triggers.push(trigger);
    this.#recount(chain, trigger, 1);
    if (chain.triggers.length === 1) this.#makeReady(chain, 'last');
    return chain;
  }

  /** Removes the enters of backfills for this person and audience that are not in a slice, and returns them. */
  dropFromBackfill(user: string, audience: string): QueuedTrigger[] {
    const chain = this.#byUser.get(user);
    if (chain === undefined || chain.fromBackfill === 0) return [];
    return this.#drop(chain, (trigger) => trigger.backfill !== undefined && trigger.audience === audience);
  }

  /**
   * Puts live triggers first when a slice is done with this chain, and an enter of a backfill before them did not get through. They are
   * then sent at once, and enters of backfills for their audiences are dropped and returned. Undefined when that is not the case.
   */
  putLiveFirst(chain: Chain): QueuedTrigger[] | undefined {
    const live = chain.triggers.filter(({ backfill }) => backfill === undefined);
    if (live.length === 0 || chain.triggers[0]?.backfill === undefined) return undefined;
    chain.running = 0;
    const spokenOf = new Set(live.map(({ audience }) => audience));
    const dropped = this.#drop(chain, ({ backfill, audience }) => backfill !== undefined && spokenOf.has(audience));
    const rest = chain.triggers.filter(({ backfill }) => backfill !== undefined);
    const informed = live.map((trigger) => {
      const replaced = dropped.filter(({ audience }) => audience === trigger.audience);
      return withSuperseded(trigger, replaced);
    });
    chain.triggers.splice(0, chain.triggers.length, ...informed, ...rest);
    this.#newHead(chain);
    return dropped;
  }

  /** Removes the oldest trigger of a running chain for good. */
  settleHead(chain: Chain): QueuedTrigger | undefined {
    const trigger = chain.triggers.shift();
    if (trigger === undefined) return undefined;
    this.#recount(chain, trigger, -1);
    chain.running--;
    this.#forget(chain);
    return trigger;
  }

  /**
   * Counts a request for a trigger of a running chain, by its place there. Its few bytes are not counted: what is dispatched, and when, must not
   * depend on them, since runs of older builds are replayed.
   * @param isKnown whether its outcome is: then nobody needs to hear again what the trigger replaced.
   */
  countAttempt(chain: Chain, place: number, wasRequested: boolean, isKnown: boolean): void {
    const trigger = chain.triggers[place];
    if (trigger === undefined) return;
    const { superseded, ...rest } = trigger;
    const attempts = attemptsAt(chain, place) + (wasRequested ? 1 : 0);
    chain.triggers[place] = {
      ...rest,
      ...(attempts === 0 ? {} : { attempts }),
      ...(isKnown || superseded === undefined ? {} : { superseded }),
    };
  }

  /** Sends the oldest trigger of a chain in a batch of at most this many from now on. */
  limitBatch(chain: Chain, most: number): void {
    if (chain.batchMost === undefined) this.#addBytes(chain, BATCH_MOST_BYTES);
    chain.batchMost = most;
  }

  /** Removes the oldest trigger of a chain that is not in a slice for good; the rest is ready. */
  dropHead(chain: Chain): QueuedTrigger | undefined {
    const [head] = chain.triggers;
    this.#drop(chain, (trigger) => trigger === head);
    return head;
  }

  /** Drops a person's triggers that are not in a slice, and returns them. */
  dropOf(user: string): QueuedTrigger[] {
    const chain = this.#byUser.get(user);
    return chain === undefined ? [] : this.#drop(chain, () => true);
  }

  /** Drops everything that is not in a slice, and returns it. */
  discard(): QueuedTrigger[] {
    return [...this.#byUser.values()].flatMap((chain) => this.#drop(chain, () => true));
  }

  carry(table: AudienceTable): CarriedChain[] {
    return this.#inOrder().map((chain) => carryChain(chain, table));
  }

  restore(carried: readonly CarriedChain[], audiences: readonly string[]): void {
    for (const one of carried) {
      const [user, , { failures = 0, profileTries = 0, notBefore, batchMost, losses = 0 } = {}] = one;
      const chain = this.#create(user);
      for (const trigger of restoreTriggers(one, audiences)) {
        chain.triggers.push(trigger);
        this.#recount(chain, trigger, 1);
      }
      chain.failures = failures;
      chain.profileTries = profileTries;
      chain.losses = losses;
      if (batchMost !== undefined) this.limitBatch(chain, batchMost);
      if (notBefore === undefined) this.#makeReady(chain, 'last');
      else this.delay(chain, notBefore);
    }
  }

  /** Removes from a chain what matches and is not in a slice. */
  #drop(chain: Chain, matches: (trigger: QueuedTrigger) => boolean): QueuedTrigger[] {
    const head = chain.triggers[0];
    const dropped = chain.triggers.filter((trigger, index) => index >= chain.running && matches(trigger));
    if (dropped.length === 0) return dropped;
    const kept = chain.triggers.filter((trigger, index) => index < chain.running || !matches(trigger));
    chain.triggers.splice(0, chain.triggers.length, ...kept);
    for (const trigger of dropped) this.#recount(chain, trigger, -1);
    if (kept.length === 0) this.#remove(chain);
    else if (kept[0] !== head) this.#newHead(chain);
    return dropped;
  }

  /** Makes a chain with a new oldest trigger ready, without the failures of the previous one. */
  #newHead(chain: Chain): void {
    this.#forget(chain);
    this.#makeReady(chain, 'last');
  }

  #forget(chain: Chain): void {
    if (chain.batchMost !== undefined) this.#addBytes(chain, -BATCH_MOST_BYTES);
    forgetFailures(chain);
  }

  #create(user: string): Chain {
    const chain = newChain(user);
    this.#byUser.set(user, chain);
    this.#addBytes(chain, CHAIN_BYTES);
    this.live.add(chain, 'last');
    return chain;
  }

  #makeReady(chain: Chain, where: 'last' | 'returned'): void {
    this.#undelay(chain);
    chain.place = 'ready';
    (hasNothingLive(chain) ? this.later : this.live).add(chain, where);
  }

  #remove(chain: Chain): void {
    if (this.#byUser.get(chain.user) !== chain) return; // It is gone already.
    this.#undelay(chain);
    chain.place = 'ready'; // No longer delayed: its entry in the heap is outdated.
    this.#forget(chain);
    this.#addBytes(chain, -CHAIN_BYTES);
    this.#byUser.delete(chain.user);
    leave(chain);
  }

  #recount(chain: Chain, trigger: QueuedTrigger, sign: 1 | -1): void {
    this.#triggers += sign;
    if (sign === 1) this.#times.add(waitsSince(trigger));
    else this.#times.remove(waitsSince(trigger));
    this.#addBytes(chain, sign * queuedBytes(chain.user, trigger));
    if (trigger.backfill !== undefined) chain.fromBackfill += sign;
    else if (trigger.redelivery !== undefined) chain.redelivered += sign;
  }

  /** The ready chains, in the order in which they go. */
  *#ready(): Iterable<Chain> {
    yield* this.live;
    yield* this.later;
  }

  /** All chains, the ready ones first and in the order in which they go. */
  #inOrder(): Chain[] {
    const inOrder = [...this.#ready()];
    for (const chain of this.#byUser.values()) if (chain.place !== 'ready') inOrder.push(chain);
    return inOrder;
  }

  #undelay(chain: Chain): void {
    if (chain.place !== 'delayed') return;
    this.#delayedCount--;
    this.#delayedBytes -= chain.bytes;
  }

  #addBytes(chain: Chain, bytes: number): void {
    this.#bytes += bytes;
    chain.bytes += bytes;
    if (chain.place === 'delayed') this.#delayedBytes += bytes;
  }
}

/** How many chains are searched for one that matches, or that failed least. */
const LOOKS = 1000;

/** Ready chains of one kind, in the order in which they go. */
class Lane {
  /** Chains that a slice gave back unsent; sent before new ones, since they have waited longer. */
  readonly #returned = new Set<Chain>();
  /** Chains whose oldest trigger has failed before. */
  readonly #retries = new Set<Chain>();
  readonly #new = new Set<Chain>();

  get size(): number {
    return this.#returned.size + this.#retries.size + this.#new.size;
  }

  get retryCount(): number {
    return this.#retries.size;
  }

  /** How many have an oldest trigger that has never failed. */
  get freshCount(): number {
    return this.#returned.size + this.#new.size;
  }

  add(chain: Chain, where: 'last' | 'returned'): void {
    leave(chain);
    const queue = chain.failures > 0 ? this.#retries : where === 'returned' ? this.#returned : this.#new;
    queue.add(chain);
    chain.queue = queue;
  }

  has({ queue }: Chain): boolean {
    return queue === this.#returned || queue === this.#retries || queue === this.#new;
  }

  /** The chain that goes next. @param mayBeFresh whether it may be one whose oldest trigger has never failed. */
  first(mayBeFresh = true): Chain | undefined {
    const retry = firstOf(this.#retries);
    return mayBeFresh ? (firstOf(this.#returned) ?? retry ?? firstOf(this.#new)) : retry;
  }

  /** The first chain that matches and whose oldest trigger has never failed, if it is found soon. */
  firstFresh(matches: (chain: Chain) => boolean = () => true): Chain | undefined {
    let looks = LOOKS;
    for (const queue of [this.#returned, this.#new]) {
      for (const chain of queue) {
        if (matches(chain)) return chain;
        if (--looks === 0) return undefined;
      }
    }
    return undefined;
  }

  /** The chain whose oldest trigger failed least often, among the first ones. @param mayBeFresh as in `first`. */
  leastFailed(mayBeFresh: boolean): Chain | undefined {
    let least: Chain | undefined;
    let looks = LOOKS;
    for (const chain of mayBeFresh ? this : this.#retries) {
      if (least === undefined || chain.failures < least.failures) least = chain;
      if (least.failures === 0 || --looks === 0) break;
    }
    return least;
  }

  *[Symbol.iterator](): Iterator<Chain> {
    yield* this.#returned;
    yield* this.#retries;
    yield* this.#new;
  }
}

/** Removes a chain from its lane. */
function leave(chain: Chain): void {
  chain.queue?.delete(chain);
  chain.queue = undefined;
}

function firstOf(chains: ReadonlySet<Chain>): Chain | undefined {
  for (const chain of chains) return chain;
  return undefined;
}

interface DelayedEntry {
  readonly chain: Chain;
  readonly notBefore: number;
}

/** The delayed chains, in the order in which they are due. */
class DelayedChains {
  /** May contain outdated entries: a chain that is no longer delayed is not removed here. */
  readonly #queue = new TinyQueue<DelayedEntry>([], (a, b) => a.notBefore - b.notBefore);

  add(chain: Chain, notBefore: number): void {
    this.#queue.push({ chain, notBefore });
  }

  /** When the first is due, epoch ms; undefined when none is delayed. */
  get nextDue(): number | undefined {
    for (let entry = this.#queue.peek(); entry !== undefined; entry = this.#queue.peek()) {
      if (isTrue(entry)) return entry.notBefore;
      this.#queue.pop();
    }
    return undefined;
  }

  /** Takes out the chain that is due first, another than that of `except` if there is one. */
  take(except?: string): Chain | undefined {
    if (this.nextDue === undefined) return undefined;
    const first = this.#queue.pop();
    if (first?.chain.user !== except || this.nextDue === undefined) return first?.chain;
    const second = this.#queue.pop();
    if (first !== undefined) this.#queue.push(first);
    return second?.chain;
  }
}

function isTrue({ chain, notBefore }: DelayedEntry): boolean {
  return chain.place === 'delayed' && chain.notBefore === notBefore;
}
