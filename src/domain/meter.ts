const MINUTE_MS = 60_000;

/** What a meter carries; plain JSON. */
export interface CarriedMeter {
  /** Epoch ms of the first count; 0 before. */
  readonly since: number;
  /** Epoch ms that the sums are of. */
  readonly at: number;
  /** Recent counts, each fading with its age, for one minute and for five. */
  readonly one: number;
  readonly five: number;
}

/** How many a second, recently. */
interface Rates {
  readonly oneMinute: number;
  readonly fiveMinutes: number;
}

/** The same, and what it takes to say what they are later, if nothing else has been counted until then. */
interface DatedRates extends Rates {
  /** Epoch ms: when they were so. */
  readonly atMs?: number;
  /** Epoch ms: when the first was counted. */
  readonly sinceMs?: number;
}

/**
 * Rates that fade: of what happened a minute ago, 37 % still counts in the rate over one minute. Costs two numbers, however much happens.
 * Only shown to people: no decision depends on it.
 */
export class Meter {
  #state: CarriedMeter;

  constructor(carried: CarriedMeter = { since: 0, at: 0, one: 0, five: 0 }) {
    this.#state = carried;
  }

  count(events: number, now: number): void {
    if (events === 0) return;
    const faded = this.#fadedTo(now);
    const since = faded.since === 0 ? now : faded.since;
    this.#state = { ...faded, since, one: faded.one + events, five: faded.five + events };
  }

  rates(now: number): Rates {
    const { one, five, since } = this.#fadedTo(now);
    return {
      oneMinute: perSecond(one, MINUTE_MS, now - since),
      fiveMinutes: perSecond(five, 5 * MINUTE_MS, now - since),
    };
  }

  /** Those rates, for whoever looks later. */
  dated(now: number): DatedRates {
    const { since } = this.#state;
    return { ...this.rates(now), ...(since === 0 ? {} : { atMs: now, sinceMs: since }) };
  }

  carry(): CarriedMeter {
    return this.#state;
  }

  #fadedTo(now: number): CarriedMeter {
    const { at, one, five, since } = this.#state;
    const ms = Math.max(0, now - at);
    return { since, at: at + ms, one: one * Math.exp(-ms / MINUTE_MS), five: five * Math.exp(-ms / (5 * MINUTE_MS)) };
  }
}

/** Rates as they are by now. What a job answers ends with the last thing that happened to it: a workflow knows no later time. */
export function ratesBy({ oneMinute, fiveMinutes, atMs, sinceMs }: DatedRates, now: number): Rates {
  if (atMs === undefined || sinceMs === undefined || now <= atMs) return { oneMinute, fiveMinutes };
  const faded = (rate: number, windowMs: number): number => {
    const sum = (rate * weightMs(windowMs, atMs - sinceMs)) / 1000;
    return perSecond(sum * Math.exp((atMs - now) / windowMs), windowMs, now - sinceMs);
  };
  return { oneMinute: faded(oneMinute, MINUTE_MS), fiveMinutes: faded(fiveMinutes, 5 * MINUTE_MS) };
}

/** The rate that a sum of fading counts means, given its window, or how long it has run if that is shorter. Rounded for people. */
function perSecond(sum: number, windowMs: number, ranMs: number): number {
  const rate = (sum * 1000) / weightMs(windowMs, ranMs);
  return rate >= 10 ? Math.round(rate) : Math.round(rate * 100) / 100;
}

/** How long, in ms, a steady rate would have to be counted for, without fading, to come to the same sum. */
function weightMs(windowMs: number, ranMs: number): number {
  return windowMs * (1 - Math.exp(-Math.max(ranMs, 1000) / windowMs));
}
