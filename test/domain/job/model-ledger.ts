import type { DeadTrigger } from '../../../src/domain/job/queue/pending-dead-letters.ts';

export interface Delivery {
  readonly user: string;
  readonly audience: string;
  readonly event: string;
  readonly at: string;
}

const MINUTE_MS = 60_000;

/** What a broken rule looks like. */
class BrokenPromise extends Error {}

export function must(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new BrokenPromise(promise);
}

export function keyOf({ user, audience, event, at }: Delivery): string {
  return `${user} ${audience} ${event} ${at}`;
}

/** Where the triggers of one person wait, each part in its order. */
export interface Waiting {
  /** At the front: in the chain. */
  readonly inChain: readonly string[];
  /** Behind it: in holders and in the tail. What is signalled twice may stand here twice. */
  readonly inOverflow: readonly string[];
  /** Dead, and not kept yet. */
  readonly pending: readonly string[];
}

/** What the world around a job knows itself: what was accepted, what arrived, what is dead. */
export class ModelLedger {
  readonly delivered: Delivery[] = [];
  /** Live triggers in the order in which they were accepted, by person. One that comes back from the dead is last again. */
  readonly #accepted = new Map<string, string[]>();
  readonly #times = new Map<string, number>();
  readonly #dead = new Map<string, DeadTrigger>();
  readonly #lastWords = new Map<string, string>();
  readonly #revived = new Set<string>();
  /** Who had a dead letter: what they were told last may be untrue. */
  readonly #hadDead = new Set<string>();
  readonly #repeated = new Set<string>();
  /** Deliveries that a lost slice may have made without our knowing. */
  readonly #explained = new Set<string>();
  /** Those of them that have not been made once more. */
  readonly #unknown = new Set<string>();
  /** When each was accepted last, epoch ms. */
  readonly #acceptedAt = new Map<string, number>();
  readonly #remembered: number;

  /** @param remembered how many deliveries the job remembers. */
  constructor(remembered: number) {
    this.#remembered = remembered;
  }

  accept(delivery: Delivery, now: number): void {
    const { user } = delivery;
    this.#acceptedAt.set(keyOf(delivery), now);
    this.#accepted.set(user, [...(this.#accepted.get(user) ?? []), keyOf(delivery)]);
  }

  /** One that was accepted and is not dead, to be signalled once more. */
  repeat(user: string, which: number): string | undefined {
    const alive = (this.#accepted.get(user) ?? []).filter((key) => !this.#dead.has(key) && !this.#hadDead.has(key));
    const key = alive[which % Math.max(1, alive.length)];
    if (key !== undefined) this.#repeated.add(key);
    return key;
  }

  deliver(delivery: Delivery): void {
    const key = keyOf(delivery);
    const before = this.delivered.findLastIndex((one) => keyOf(one) === key);
    // So long ago that the job may have forgotten it, unless it never knew.
    const isKnown = !this.#unknown.delete(key);
    const isForgotten = isKnown && before >= 0 && this.delivered.length - before >= this.#remembered;
    if (isForgotten) this.#explained.add(key);
    // Old news then, and no word on how things stand.
    else this.#lastWords.set(`${delivery.user} ${delivery.audience}`, delivery.event);
    this.delivered.push(delivery);
    this.#times.set(key, (this.#times.get(key) ?? 0) + 1);
  }

  explain(delivery: Delivery): void {
    this.#explained.add(keyOf(delivery));
    this.#unknown.add(keyOf(delivery));
  }

  isDelivered(key: string): boolean {
    return this.#times.has(key);
  }

  /** A dead letter's workflow runs; started twice, it is one. */
  die(dead: DeadTrigger): void {
    const key = keyOf({ user: dead.user, ...dead.trigger });
    must(dead.trigger.backfill === undefined, 'a dead letter belongs to no backfill');
    this.#hadDead.add(key);
    // The same activity tried again finds what it began, though it may be closed by now.
    if (!this.#revived.has(`${key} ${dead.trigger.redelivery ?? 0}`)) this.#dead.set(key, dead);
  }

  /** One of the dead letters, if there are any. */
  someDead(which: number): DeadTrigger | undefined {
    return [...this.#dead.values()][which % Math.max(1, this.#dead.size)];
  }

  /** Takes a dead letter back. */
  revive(dead: DeadTrigger, now: number): void {
    const [key] = [...this.#dead].find(([, one]) => one === dead) ?? [];
    if (key === undefined) return;
    this.#dead.delete(key);
    this.#acceptedAt.set(key, now);
    this.#revived.add(`${key} ${dead.trigger.redelivery ?? 0}`);
    const { user } = dead;
    const others = (this.#accepted.get(user) ?? []).filter((one) => one !== key);
    this.#accepted.set(user, [...others, key]);
  }

  get people(): Iterable<string> {
    return this.#accepted.keys();
  }

  /** Every accepted trigger is delivered, dead or waiting, in one place, and what waits stands in order. */
  check(user: string, where: Waiting): void {
    const { pending } = where;
    // Of one that died, another copy may have been signalled before that, and come to its turn later: then it is tried once more.
    // One that was delivered so long ago that the job has forgotten it, too.
    const isOne = (key: string) =>
      !this.#repeated.has(key) || (!this.#hadDead.has(key) && !pending.includes(key) && !this.#times.has(key));
    const inChain = where.inChain.filter(isOne);
    const inOverflow = where.inOverflow.filter(isOne);
    const accepted = (this.#accepted.get(user) ?? []).filter(isOne);
    must(new Set(inChain).size === inChain.length, `nothing of ${user} waits twice`);
    const isNews = (key: string, index: number) =>
      inOverflow.indexOf(key) === index && !inChain.includes(key) && !this.#isSettled(key, pending);
    const waiting = [...inChain, ...inOverflow.filter(isNews)];
    const gone = accepted.filter((key) => !waiting.includes(key) && this.#isSettled(key, pending));
    must(gone.length + waiting.length === accepted.length, `every accepted trigger of ${user} is somewhere, once`);
    must(
      waiting.join() === accepted.filter((key) => waiting.includes(key)).join(),
      `what waits for ${user} stands in the order of arrival`,
    );
  }

  /**
   * Something that waits is always known to, and since when, to a minute, whatever its `at` says.
   *
   * @param isExact whether nothing but live triggers waits, and all of it in sight of the job.
   */
  checkOldest(told: string | undefined, whereOf: (user: string) => Waiting, isExact: boolean): void {
    const waiting = [...this.people].flatMap((user) => {
      const { inChain, inOverflow } = whereOf(user);
      return [...inChain, ...inOverflow];
    });
    // Of what was signalled twice, one may be gone while the other waits: since when is another matter.
    const times = waiting.filter((key) => !this.#repeated.has(key)).map((key) => this.#acceptedAt.get(key) ?? 0);
    const oldest = Math.min(...times);
    const since = told === undefined ? Infinity : Date.parse(told);
    must(since <= oldest + MINUTE_MS, `what waits since ${oldest} is known to, and not only since ${since}`);
    if (isExact && times.length === waiting.length)
      must(since >= oldest - MINUTE_MS, `what waits since ${oldest} is not said to wait since ${since}`);
  }

  checkEnd(): void {
    for (const [user, accepted] of this.#accepted) {
      const live = new Set(accepted);
      const firsts = [...new Set(this.delivered.filter((one) => one.user === user).map(keyOf))];
      const arrived = firsts.filter((key) => live.has(key) && !this.#dead.has(key) && !this.#hadDead.has(key));
      const due = accepted.filter((key) => !this.#dead.has(key) && !this.#hadDead.has(key));
      must(arrived.join() === due.join(), `${user}: everything arrived, in the order of signalling`);
      for (const key of accepted)
        must(this.#dead.has(key) || this.#times.has(key), `${key} is neither delivered nor a dead letter`);
    }
    for (const [key, times] of this.#times)
      must(
        times === 1 || this.#explained.has(key) || this.#hadDead.has(key),
        `${key} arrived ${times} times for no reason`,
      );
  }

  /** What an endpoint was told last about a person and an audience, where nothing died. */
  lastWords(): Map<string, string> {
    const last = new Map(this.#lastWords);
    for (const key of this.#hadDead) last.delete(key.split(' ').slice(0, 2).join(' '));
    return last;
  }

  #isSettled(key: string, pending: readonly string[]): boolean {
    return this.#times.has(key) || this.#dead.has(key) || pending.includes(key);
  }
}
