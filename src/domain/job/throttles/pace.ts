import { SLICE_MS, SLICE_TRIGGERS } from '../../limits.ts';

/**
 * How long one request is assumed to take before any was made, in ms. Too low an estimate costs nothing: a slice ends on time, and gives
 * the rest back.
 */
export const FIRST_REQUEST_MS = 1;
/** A slice smaller than this many ms of work is not worth its round trip, however evenly it would share the work. */
const LEAST_SLICE_MS = 50;
/** A slice for a slow endpoint may last as long, in ms, though others end before it. */
const LAST_SLICE_MS = 100;
/**
 * From this many ms a request, an endpoint is slow: its requests wait for the endpoint, so an idle permit costs throughput and another
 * slice costs next to nothing. With faster endpoints processors are scarce, and each slice costs some of their time.
 */
const SLOW_REQUEST_MS = 10;

export function isSlow(requestMs: number): boolean {
  return requestMs >= SLOW_REQUEST_MS;
}

/** How many permits a new slice takes: an even share of the free ones over the slices that can still be dispatched. */
export function slicePermits(free: number, slicesLeft: number): number {
  return Math.ceil(free / Math.max(1, slicesLeft));
}

/** The figures that decide the size of a new slice. */
interface SliceMeasure {
  readonly permits: number;
  readonly freePermits: number;
  /** The free permits, and those of the running slices. */
  readonly allPermits: number;
  /** People and members that could be sent now. */
  readonly ready: number;
  /** How long one request takes. */
  readonly requestMs: number;
  readonly running: number;
  /** Most slices that run at once. */
  readonly most: number;
}

/**
 * How many triggers a new slice takes: as many as its permits send in about a second, but no more than its share of the ready ones.
 * Otherwise permits would be idle while one slice holds all the work: the free ones now and, with a slow endpoint, those that another slice
 * soon gives back. A slice takes whole rounds of its permits, since all of them wait for the last request. If several slices are dispatched
 * together, each is longer than the one before: if they all ended together, the endpoint would be idle every second until the next ones.
 */
export function sliceSize({ permits, freePermits, allPermits, ready, requestMs, running, most }: SliceMeasure): number {
  const roundsIn = (ms: number): number => Math.floor(ms / Math.max(requestMs, 0.001));
  const lasting = roundsIn((SLICE_MS * (running + 1)) / most);
  const ofFree = Math.max(Math.ceil(ready / freePermits), roundsIn(LEAST_SLICE_MS));
  const ofAll = isSlow(requestMs) ? Math.max(Math.ceil(ready / allPermits), roundsIn(LAST_SLICE_MS)) : Infinity;
  return Math.max(permits, Math.min(SLICE_TRIGGERS, permits * Math.min(lasting, ofFree, ofAll)));
}

/** The running estimate of how long one request takes, after a slice that sent `sent` requests with `permits` in flight. */
export function updateRequestMs(before: number, permits: number, sent: number, sendingMs: number): number {
  if (sent === 0) return before;
  const measured = (Math.min(permits, sent) * Math.max(sendingMs, 0.01)) / sent;
  return (before + measured) / 2;
}

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
