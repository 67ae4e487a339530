import TinyQueue from 'tinyqueue';
import { type Chain, isCounted, isOfMembers } from './chain.ts';

/** How many chains are searched for one whose oldest trigger has never failed, or failed least. */
const LOOKS = 1000;

/** The ready chains, in the order in which they go. */
export class ReadyChains {
  /** What a slice gave back unsent; sent before the others, since it has waited longest. */
  readonly #returned = new Set<Chain>();
  /** Those whose oldest trigger has failed before. */
  readonly #retries = new Set<Chain>();
  readonly #live = new Set<Chain>();
  /** Chains with only members that a backfill found: they are never sent before a live trigger. */
  readonly #members = new Set<Chain>();
  /** Those of them whose oldest was counted for a quota. */
  readonly #memberRetries = new Set<Chain>();

  /** Chains with a live trigger. */
  get liveCount(): number {
    return this.#returned.size + this.#retries.size + this.#live.size;
  }

  /** How many of these have an oldest trigger that has never failed. */
  get freshCount(): number {
    return this.#returned.size + this.#live.size;
  }

  get memberCount(): number {
    return this.#members.size + this.#memberRetries.size;
  }

  /** Chains with a live trigger whose oldest trigger has been tried before. */
  get retryCount(): number {
    return this.#retries.size;
  }

  /** The same for those with only members, as far as a quota counted them. */
  get memberRetryCount(): number {
    return this.#memberRetries.size;
  }

  add(chain: Chain, where: 'last' | 'returned'): void {
    this.delete(chain);
    if (isOfMembers(chain)) (chain.triggers[0]?.counted === true ? this.#memberRetries : this.#members).add(chain);
    else if (isCounted(chain, 0)) this.#retries.add(chain);
    else if (where === 'returned') this.#returned.add(chain);
    else this.#live.add(chain);
  }

  delete(chain: Chain): void {
    this.#returned.delete(chain);
    this.#retries.delete(chain);
    this.#live.delete(chain);
    this.#members.delete(chain);
    this.#memberRetries.delete(chain);
  }

  /** Whether it is among those with only members. */
  standsWithMembers(chain: Chain): boolean {
    return this.#members.has(chain) || this.#memberRetries.has(chain);
  }

  /** The chain with a live trigger that has waited longest. */
  firstLive(): Chain | undefined {
    return firstOf(this.#returned) ?? firstOf(this.#retries) ?? firstOf(this.#live);
  }

  /** Of those, one whose oldest trigger never failed. */
  firstFreshLive(): Chain | undefined {
    return firstOf(this.#returned) ?? firstOf(this.#live);
  }

  /** Of those, one whose oldest trigger has been tried before. */
  firstRetry(): Chain | undefined {
    return firstOf(this.#retries);
  }

  /** The chain of members that has waited longest. */
  firstMember(): Chain | undefined {
    return firstOf(this.#memberRetries) ?? firstOf(this.#members);
  }

  /** One of members whose oldest a quota has counted. */
  firstMemberRetry(): Chain | undefined {
    return firstOf(this.#memberRetries);
  }

  /** A chain whose oldest trigger never failed, if one is found soon. */
  firstFresh(): Chain | undefined {
    const live = this.firstFreshLive();
    if (live !== undefined) return live;
    let looks = LOOKS;
    for (const chain of this.#members) {
      if (chain.failures === 0 && chain.triggers[0]?.redelivery === undefined) return chain;
      if (--looks === 0) return undefined;
    }
    return undefined;
  }

  /** The one whose oldest trigger failed least often, of the first that go; one with a live trigger, if there is one. */
  leastFailed(mayBegin: boolean): Chain | undefined {
    const live = mayBegin ? this.live() : this.#retries;
    return (
      leastFailedOf(live) ?? leastFailedOf(this.#memberRetries) ?? (mayBegin ? leastFailedOf(this.#members) : undefined)
    );
  }

  /** The chains with a live trigger. */
  *live(): Iterable<Chain> {
    yield* this.#returned;
    yield* this.#retries;
    yield* this.#live;
  }

  *[Symbol.iterator](): Iterator<Chain> {
    yield* this.live();
    yield* this.#memberRetries;
    yield* this.#members;
  }
}

function leastFailedOf(chains: Iterable<Chain>): Chain | undefined {
  let least: Chain | undefined;
  let looks = LOOKS;
  for (const chain of chains) {
    if (least === undefined || chain.failures < least.failures) least = chain;
    if (least.failures === 0 || --looks === 0) break;
  }
  return least;
}

function firstOf(chains: ReadonlySet<Chain>): Chain | undefined {
  for (const chain of chains) return chain;
  return undefined;
}

interface HeldEntry {
  readonly chain: Chain;
  readonly notBefore: number;
}

/** The held chains, in the order in which they are due. */
export class HeldChains {
  /** May contain outdated entries: a chain that is no longer held is not removed here. */
  readonly #queue = new TinyQueue<HeldEntry>([], (a, b) => a.notBefore - b.notBefore);

  add(chain: Chain, notBefore: number): void {
    this.#queue.push({ chain, notBefore });
  }

  /** When the first is due, epoch ms; undefined when none is held. */
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

function isTrue({ chain, notBefore }: HeldEntry): boolean {
  return chain.place === 'held' && chain.notBefore === notBefore;
}
