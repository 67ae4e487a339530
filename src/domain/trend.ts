import type { CarriedMeter, JobTrend, TrendPoint } from '../contract/job-status.ts';
import { instantOf } from './instant.ts';

/** The counts of one span: its number since 1970, triggers delivered, attempts that failed, and triggers that waited at its end. */
type CarriedSpan = readonly [number: number, delivered: number, failed: number, waiting: number];

/** A trend as a run carries it: spans in which something happened, oldest first; plain JSON, at most some 5 KB. */
export interface CarriedTrend {
  readonly minutes: readonly CarriedSpan[];
  readonly quarters: readonly CarriedSpan[];
}

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
const HOUR_MINUTES = 60;
const DAY_QUARTERS = 96;

/**
 * The work of a job in the last hour, by minute, and in the last day, by quarter of an hour. Only shown to people: decisions depend on
 * nothing of it but its bytes in the carried state.
 */
export class Trend {
  readonly #minutes: Spans;
  readonly #quarters: Spans;

  constructor(carried: CarriedTrend = { minutes: [], quarters: [] }) {
    this.#minutes = new Spans(MINUTE_MS, HOUR_MINUTES, carried.minutes);
    this.#quarters = new Spans(QUARTER_MS, DAY_QUARTERS, carried.quarters);
  }

  /** Counts deliveries and failures since the last count, and how many wait now. */
  count(delivered: number, failed: number, waiting: number, now: number): void {
    this.#minutes.count(delivered, failed, waiting, now);
    this.#quarters.count(delivered, failed, waiting, now);
  }

  describe(now: number): JobTrend {
    return { v: 1, hour: this.#minutes.describe(now), day: this.#quarters.describe(now) };
  }

  /** Undefined while nothing has happened. */
  carry(): CarriedTrend | undefined {
    return this.bytes === 0 ? undefined : { minutes: this.#minutes.carry(), quarters: this.#quarters.carry() };
  }

  /** About as many as it is carried with. */
  get bytes(): number {
    return SPAN_BYTES * (this.#minutes.length + this.#quarters.length);
  }
}

/** Extends a trend up to now. A job's own answer ends with its last event: a workflow knows no later time. */
export function trendUntil({ v, hour, day }: JobTrend, now: number): JobTrend {
  return {
    v,
    hour: pointsUntil(hour, MINUTE_MS, HOUR_MINUTES, now),
    day: pointsUntil(day, QUARTER_MS, DAY_QUARTERS, now),
  };
}

function pointsUntil(points: readonly TrendPoint[], spanMs: number, most: number, now: number): readonly TrendPoint[] {
  const last = points.at(-1);
  if (last === undefined) return points;
  const current = Math.floor(now / spanMs);
  const missing = Math.min(most, Math.max(0, current - Math.floor(Date.parse(last.at) / spanMs)));
  const quiet = Array.from({ length: missing }, (_, i) => ({
    at: instantOf((current - missing + 1 + i) * spanMs),
    delivered: 0,
    failed: 0,
    waiting: last.waiting,
  }));
  return [...points, ...quiet].slice(-most);
}

// "[29406789,123456,123,123456],", and what the lists are in.
const SPAN_BYTES = 32;

/** The last spans of one length. */
class Spans {
  readonly #spanMs: number;
  readonly #most: number;
  #spans: CarriedSpan[];

  constructor(spanMs: number, most: number, carried: readonly CarriedSpan[]) {
    this.#spanMs = spanMs;
    this.#most = most;
    this.#spans = [...carried];
  }

  count(delivered: number, failed: number, waiting: number, now: number): void {
    const last = this.#spans.at(-1);
    // A server's clock may go back; such counts belong to the last span all the same.
    const number = Math.max(this.#numberOf(now), last?.[0] ?? 0);
    if (last?.[0] === number) {
      this.#spans[this.#spans.length - 1] = [number, last[1] + delivered, last[2] + failed, waiting];
      return;
    }
    // Where nothing happens, as many wait as before.
    if (delivered === 0 && failed === 0 && waiting === (last?.[3] ?? 0)) return;
    this.#spans.push([number, delivered, failed, waiting]);
    // One older span is kept: it says how many waited when the first began.
    while ((this.#spans[1]?.[0] ?? Infinity) <= number - this.#most) this.#spans.shift();
  }

  describe(now: number): TrendPoint[] {
    const last = Math.max(this.#numberOf(now), this.#spans.at(-1)?.[0] ?? 0);
    const first = Math.max(last - this.#most + 1, this.#spans[0]?.[0] ?? last);
    let waiting = this.#spans.findLast(([number]) => number < first)?.[3] ?? 0;
    const known = new Map(this.#spans.map((span) => [span[0], span]));
    return Array.from({ length: last - first + 1 }, (_, i) => {
      const [, delivered, failed, atEnd] = known.get(first + i) ?? [0, 0, 0, waiting];
      waiting = atEnd;
      return { at: instantOf((first + i) * this.#spanMs), delivered, failed, waiting };
    });
  }

  carry(): readonly CarriedSpan[] {
    return [...this.#spans];
  }

  get length(): number {
    return this.#spans.length;
  }

  #numberOf(now: number): number {
    return Math.floor(now / this.#spanMs);
  }
}

/** How many a second, recently. */
interface Rates {
  readonly oneMinute: number;
  readonly fiveMinutes: number;
}

/**
 * Rates that fade: 37 % of the events of a minute ago still count in the rate over one minute. Costs two numbers, however many events there
 * are. Only shown to people: no decision depends on it.
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

  carry(): CarriedMeter {
    return this.#state;
  }

  #fadedTo(now: number): CarriedMeter {
    const { at, one, five, since } = this.#state;
    const ms = Math.max(0, now - at);
    return { since, at: at + ms, one: one * Math.exp(-ms / MINUTE_MS), five: five * Math.exp(-ms / (5 * MINUTE_MS)) };
  }
}

/** The rate that a sum of fading counts means, given its window, or how long it has run if that is shorter. Rounded for people. */
function perSecond(sum: number, windowMs: number, ranMs: number): number {
  // How long a steady rate would have to be counted without fading to reach the same sum.
  const weightMs = windowMs * (1 - Math.exp(-Math.max(ranMs, 1000) / windowMs));
  const rate = (sum * 1000) / weightMs;
  return rate >= 10 ? Math.round(rate) : Math.round(rate * 100) / 100;
}
