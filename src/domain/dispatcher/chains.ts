import type { CarriedChain } from './chain.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import { ChainPlaces } from './chain-places.ts';
import { carryChain, type Chain, forgetFailures, queuedBytes, restoreTriggers } from './chain.ts';
import type { AudienceTable } from './packed.ts';

/** All chains of a job: which triggers are in them, and in what order. */
export class Chains extends ChainPlaces {
  /** Appends a live trigger at the end, but before backfill triggers that no slice has taken yet. */
  addLive(user: string, trigger: QueuedTrigger): void {
    const chain = this.byUser.get(user) ?? this.create(user);
    let place = chain.triggers.length;
    while (place > chain.running && chain.triggers[place - 1]?.backfill !== undefined) place--;
    chain.triggers.splice(place, 0, trigger);
    this.recount(chain, trigger, 1);
    if (place === 0) this.#newHead(chain);
    // It may have contained only members until now.
    if (this.standsWithMembers(chain)) this.makeReady(chain, 'last');
  }

  /** Appends a member that a backfill found. */
  addFromBackfill(user: string, trigger: QueuedTrigger): Chain {
    const chain = this.byUser.get(user) ?? this.create(user);
    chain.triggers.push(trigger);
    this.recount(chain, trigger, 1);
    if (chain.triggers.length === 1 && chain.parked === undefined) this.makeReady(chain, 'last');
    return chain;
  }

  /** Removes the enters of backfills for this person and audience that are not in a slice, and returns them. */
  dropFromBackfill(user: string, audience: string): QueuedTrigger[] {
    const chain = this.byUser.get(user);
    if (chain === undefined || chain.fromBackfill === 0) return [];
    return this.#drop(chain, (trigger) => trigger.backfill !== undefined && trigger.audience === audience);
  }

  /**
   * A slice is done with this chain, and what did not get through is an enter of a backfill with live triggers after it. These are then
   * sent first, at once, and enters for audiences that they are about are dropped and returned. Undefined when that is not the case.
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

  /** The oldest `count` triggers of a held chain are in a holder now. */
  park(chain: Chain, number: number, count: number): void {
    let bytes = 0;
    for (const trigger of chain.triggers.splice(0, count)) {
      this.recount(chain, trigger, -1);
      bytes += queuedBytes(chain.user, trigger);
    }
    this.setParked(chain, { number, count, bytes });
  }

  /**
   * Puts parked triggers back before those that came meanwhile, and makes their chain ready.
   *
   * @returns how many of the later ones were dropped because, according to `isRepeat`, they repeat what was parked.
   */
  unpark(
    chain: Chain,
    triggers: readonly QueuedTrigger[],
    isRepeat: (trigger: QueuedTrigger) => boolean = () => false,
  ): number {
    const dropped = this.#drop(chain, isRepeat).length;
    this.setParked(chain, undefined);
    chain.triggers.unshift(...triggers);
    for (const trigger of triggers) this.recount(chain, trigger, 1);
    if (triggers.length === 0) forgetFailures(chain); // They were of what is lost.
    if (chain.triggers.length === 0) this.remove(chain);
    else this.makeReady(chain, 'returned');
    return dropped;
  }

  /** Removes the oldest trigger of a running chain for good. */
  settleHead(chain: Chain): QueuedTrigger | undefined {
    const trigger = chain.triggers.shift();
    if (trigger === undefined) return undefined;
    this.recount(chain, trigger, -1);
    chain.running--;
    forgetFailures(chain);
    return trigger;
  }

  /** Removes the oldest trigger of a chain that is not in a slice for good; what comes after it is ready. */
  dropHead(chain: Chain): QueuedTrigger | undefined {
    const [head] = chain.triggers;
    this.#drop(chain, (trigger) => trigger === head);
    return head;
  }

  /** Drops everything that is not in a slice. Returns it, except what is parked: for that, the numbers of the holders. */
  discard(): { readonly dropped: QueuedTrigger[]; readonly holders: number[] } {
    const chains = [...this.byUser.values()];
    const holders = chains.flatMap(({ parked }) => (parked === undefined ? [] : [parked.number]));
    for (const chain of chains) this.setParked(chain, undefined);
    const dropped = chains.flatMap((chain) => this.#drop(chain, () => true));
    for (const chain of chains) if (chain.triggers.length === 0) this.remove(chain);
    return { dropped, holders };
  }

  /** The `at` of the trigger that has waited longest, by the order of chains; undefined when nothing is waiting. */
  oldestAt(): string | undefined {
    for (const chain of this.byUser.values()) return chain.triggers[0]?.at;
    return undefined;
  }

  carry(table: AudienceTable): CarriedChain[] {
    return this.inOrder().map((chain) => carryChain(chain, table));
  }

  restore(carried: readonly CarriedChain[], audiences: readonly string[]): void {
    for (const one of carried) {
      const [user, , { failures = 0, profileTries = 0, notBefore, parked } = {}] = one;
      const chain = this.create(user);
      for (const trigger of restoreTriggers(one, audiences)) {
        chain.triggers.push(trigger);
        this.recount(chain, trigger, 1);
      }
      chain.failures = failures;
      chain.profileTries = profileTries;
      this.setParked(chain, parked);
      // Parked triggers are read back before anything of their chain is sent.
      if (notBefore === undefined && parked === undefined) this.makeReady(chain, 'last');
      else this.hold(chain, notBefore ?? 0);
    }
  }

  /** Removes from a chain what matches and is not in a slice. */
  #drop(chain: Chain, matches: (trigger: QueuedTrigger) => boolean): QueuedTrigger[] {
    const head = chain.triggers[0];
    const dropped = chain.triggers.filter((trigger, index) => index >= chain.running && matches(trigger));
    if (dropped.length === 0) return dropped;
    const kept = chain.triggers.filter((trigger, index) => index < chain.running || !matches(trigger));
    chain.triggers.splice(0, chain.triggers.length, ...kept);
    for (const trigger of dropped) this.recount(chain, trigger, -1);
    if (kept.length === 0 && chain.parked === undefined) this.remove(chain);
    else if (kept[0] !== head) this.#newHead(chain);
    return dropped;
  }

  /** What happened to a chain's previous oldest trigger does not concern the one that is now the oldest. */
  #newHead(chain: Chain): void {
    if (chain.parked !== undefined) return; // The oldest is another: it is away.
    forgetFailures(chain);
    this.makeReady(chain, 'last');
  }
}
