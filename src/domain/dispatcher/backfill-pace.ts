/** What holds a backfill back besides the endpoint; plain JSON. */
export interface CarriedPace {
  /** A person paused it, or the sample that was asked for is out. */
  readonly paused?: 'operator' | 'sample';
  /** Members that may still be handed out before it pauses by itself. */
  readonly sampleLeft?: number;
  /** With a limit: members that may be handed out at `at` (epoch ms), in fractions. */
  readonly tokens: number;
  readonly at: number;
}

/** Members of a limited backfill are handed out for so much time at once, in ms: a slice for each would cost more than the sending. */
const QUANTUM_MS = 1000;
/** A wait that ended late is made up for, up to so many quanta: timers ring up to a second late. */
const SAVED_QUANTA = 2;

/** How fast a backfill may go: nothing while it is paused, no more than its sample, and no more a second than its limit. */
export class BackfillPace {
  #now: CarriedPace;

  constructor(carried: CarriedPace) {
    this.#now = carried;
  }

  get paused(): CarriedPace['paused'] {
    return this.#now.paused;
  }

  pause(): void {
    this.#now = { ...this.#now, paused: 'operator' };
  }

  /** Goes on; a sample that is out was a sample. */
  resume(): void {
    const { paused: _, sampleLeft: __, ...rest } = this.#now;
    this.#now = rest;
  }

  /**
   * How many of `waiting` members may be handed out now.
   * @param perSecond undefined: as many as there are.
   */
  allowed(waiting: number, perSecond: number | undefined, now: number): number {
    const { paused, sampleLeft = Infinity } = this.#now;
    const most = Math.min(waiting, sampleLeft);
    if (paused !== undefined || most <= 0) return 0;
    if (perSecond === undefined) return most;
    const tokens = this.#tokensAt(now, perSecond);
    return tokens + EPSILON >= quantum(most, perSecond) ? Math.min(most, Math.floor(tokens + EPSILON)) : 0;
  }

  /** When some may be handed out, epoch ms, if none may now and time alone will tell. */
  nextAt(waiting: number, perSecond: number | undefined, now: number): number | undefined {
    const { paused, sampleLeft = Infinity } = this.#now;
    const most = Math.min(waiting, sampleLeft);
    if (paused !== undefined || most <= 0 || perSecond === undefined) return undefined;
    const missing = quantum(most, perSecond) - this.#tokensAt(now, perSecond);
    return missing <= EPSILON ? undefined : now + Math.ceil((missing * 1000) / perSecond);
  }

  /** A member was handed out. */
  spend(perSecond: number | undefined, now: number): void {
    const { sampleLeft } = this.#now;
    const left = sampleLeft === undefined ? {} : { sampleLeft: sampleLeft - 1 };
    const isOut = left.sampleLeft === 0 ? ({ paused: 'sample' } as const) : {};
    const tokens = perSecond === undefined ? this.#now.tokens : this.#tokensAt(now, perSecond) - 1;
    this.#now = { ...this.#now, ...left, ...isOut, tokens, at: now };
  }

  carry(): CarriedPace {
    return this.#now;
  }

  #tokensAt(now: number, perSecond: number): number {
    const { tokens, at } = this.#now;
    const most = Math.max(1, (perSecond * QUANTUM_MS * SAVED_QUANTA) / 1000);
    return Math.min(most, tokens + (Math.max(0, now - at) * perSecond) / 1000);
  }
}

/** Sums of fractions miss whole numbers by so little. */
const EPSILON = 1e-6;

/** So many are worth a slice: a second's worth, or all that wait; at least one. */
function quantum(most: number, perSecond: number): number {
  return Math.max(1, Math.min(most, Math.floor((perSecond * QUANTUM_MS) / 1000)));
}
