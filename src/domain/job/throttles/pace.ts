/** The limits of a backfill besides the endpoint; plain JSON. */
export interface CarriedPace {
  /** Paused by a person, or because the requested sample has been sent. */
  readonly paused?: 'operator' | 'sample';
  /** Members that may still be handed out before it pauses by itself. */
  readonly sampleLeft?: number;
  /** With a limit: members that may be handed out at once. */
  readonly granted: number;
  /** Epoch ms from which time counts towards the next ones. */
  readonly since: number;
}

/** Members of a limited backfill are handed out for this much time at once, in ms: a slice for each member would cost more than sending it. */
const QUANTUM_MS = 1000;
/** A wait that ended late is made up for by up to this many quanta: timers fire up to a second late. */
const SAVED_QUANTA = 2;

/** The pace of a backfill: it stops while paused and after its sample, and sends at most as many members a second as its limit. */
export class BackfillPace {
  #state: CarriedPace;

  constructor(carried: CarriedPace) {
    this.#state = carried;
  }

  get paused(): CarriedPace['paused'] {
    return this.#state.paused;
  }

  pause(): void {
    this.#state = { ...this.#state, paused: 'operator' };
  }

  /** Continues, beyond the sample if there was one. */
  resume(): void {
    const { paused: _, sampleLeft: __, ...rest } = this.#state;
    this.#state = rest;
  }

  /**
   * How many of `waiting` members may be handed out now.
   * @param perSecond undefined: as many as there are.
   */
  allowed(waiting: number, perSecond: number | undefined, now: number): number {
    const { paused, sampleLeft = Infinity } = this.#state;
    const most = Math.min(waiting, sampleLeft);
    if (paused !== undefined || most <= 0) return 0;
    return perSecond === undefined ? most : Math.min(most, this.#grantedAt(now, most, perSecond).granted);
  }

  /** When some may be handed out, epoch ms, if none may now and only time has to pass. */
  nextAt(waiting: number, perSecond: number | undefined, now: number): number | undefined {
    if (perSecond === undefined || this.#state.paused !== undefined) return undefined;
    const most = Math.min(waiting, this.#state.sampleLeft ?? Infinity);
    if (most <= 0 || this.allowed(waiting, perSecond, now) > 0) return undefined;
    return Math.ceil(this.#state.since + (quantum(most, perSecond) * 1000) / perSecond);
  }

  /** Hands out a member of `waiting`, which is allowed. */
  spend(waiting: number, perSecond: number | undefined, now: number): void {
    const { sampleLeft } = this.#state;
    const grant =
      perSecond === undefined ? {} : this.#grantedAt(now, Math.min(waiting, sampleLeft ?? Infinity), perSecond);
    const rest = { ...this.#state, ...grant };
    const granted = Math.max(0, rest.granted - 1);
    if (sampleLeft === undefined) this.#state = { ...rest, granted };
    else
      this.#state = { ...rest, granted, sampleLeft: sampleLeft - 1, ...(sampleLeft === 1 ? { paused: 'sample' } : {}) };
  }

  carry(): CarriedPace {
    return this.#state;
  }

  #grantedAt(now: number, most: number, perSecond: number): Pick<CarriedPace, 'granted' | 'since'> {
    const { granted, since } = this.#state;
    const atOnce = Math.max(1, Math.floor((perSecond * QUANTUM_MS * SAVED_QUANTA) / 1000));
    // Members already granted are handed out first; a limit that was lowered meanwhile applies to them, too.
    if (granted > 0) return { granted: Math.min(granted, atOnce), since };
    const earned = ((now - since) * perSecond) / 1000 + EPSILON;
    if (earned < quantum(most, perSecond)) return { granted: 0, since };
    if (earned >= atOnce) return { granted: atOnce, since: now };
    const whole = Math.floor(earned);
    return { granted: whole, since: since + (whole * 1000) / perSecond };
  }
}

/** Products of fractions may miss whole numbers by this little. */
const EPSILON = 1e-6;

/** How many are worth a slice: a second's worth, or all that are waiting; at least one. */
function quantum(most: number, perSecond: number): number {
  return Math.max(1, Math.min(most, Math.floor((perSecond * QUANTUM_MS) / 1000)));
}
