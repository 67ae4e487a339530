import type {
  FailedAttempt,
  PermitsReturned,
  SliceInput,
  HalvedBatches,
  SliceProgress,
  SlicePace,
  SpacingEnd,
} from '../contract/slice.ts';
import type { Profile } from '../domain/message.ts';
import { type FailureRow, isDecidedVerdict, judge, ROW_LIMITS, VERDICTS } from '../domain/verdict.ts';
import type { AttemptVerdict } from '../contract/verdict.ts';
import type { HttpAttempt, Poster } from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorization.ts';
import type { Shapes } from '../webhook/shape.ts';
import type { SliceTelemetry } from './slice-telemetry.ts';
import { intervalMs, RequestSpacing } from '../domain/job/throttles/request-rate.ts';

/** After the budget is over, requests may stay open for this long before the permits of idle slots go back. */
const TAIL_MS = 250;
/** The same for a slice that spaces its requests, from its last start on. No other slice starts any before, so a slow endpoint is noticed sooner. */
const PACED_TAIL_MS = 50;

/** The inputs and tools for sending a slice. */
export interface SliceSendingOptions {
  readonly slice: SliceInput;
  readonly settled: SettledTriggers;
  readonly telemetry: SliceTelemetry;
  readonly url: URL;
  readonly poster: Poster;
  readonly shapes: Shapes;
  readonly userAgent: string;
  readonly authorization: RequestAuthorization;
  /** Undefined: the source did not answer. */
  readonly profiles: ReadonlyMap<string, Profile> | undefined;
  /** Profiles that triggers name and do not carry, by their places; undefined: the profile is lost; absent: it could not be read. */
  readonly spilled: ReadonlyMap<number, string | undefined>;
  /** The audiences that people are in, by their slugs; absent: the job does not send them. */
  readonly memberships?: ReadonlyMap<string, readonly string[]>;
  /** Why the source did not answer, as far as people may read that. */
  readonly sourceTrouble?: string;
  /** How their starts are spaced; undefined: not at all. */
  readonly starts: PacedStarts | undefined;
  /** Aborted when the slice is no longer wanted, for example because its job was paused or terminated. */
  readonly cancelled: AbortSignal;
  readonly returnPermits: (returned: Omit<PermitsReturned, 'sliceId'>) => Promise<void>;
}

/**
 * The progress of a slice, however its requests are made. It runs the slots, one for each permit in use, and decides whether another request may
 * start.
 */
export class SendBudget {
  readonly #options: SliceSendingOptions;
  readonly #inRow: Record<FailureRow, number> = { failed: 0, refused: 0 };
  #isUnhealthy = false;
  /** When its budget is over, as `performance.now()`. */
  readonly endsAtMs: number;
  readonly #endsAtWall: number;
  #openSlots = 0;
  #lastStarted: NodeJS.Timeout | undefined;

  constructor(options: SliceSendingOptions) {
    const { budgetMs, notAfterMs = Infinity } = options.slice;
    this.#options = options;
    this.endsAtMs = performance.now() + budgetMs;
    this.#endsAtWall = Math.min(Date.now() + budgetMs, notAfterMs);
  }

  /** Runs this many slots at once to their ends, and returns the permits of those that end long before the others. */
  async run(count: number, slot: () => Promise<void>): Promise<void> {
    const { slice, starts, cancelled } = this.#options;
    this.#openSlots = count;
    const tailMs = starts === undefined ? TAIL_MS : PACED_TAIL_MS;
    const tail = setTimeout(() => this.#returnIdlePermits(), slice.budgetMs + tailMs);
    // A paused job waits until nothing more is started, not for answers.
    cancelled.addEventListener('abort', () => this.allStarted(), { once: true });
    const ends = await Promise.allSettled(Array.from({ length: count }, slot));
    clearTimeout(tail);
    clearTimeout(this.#lastStarted);
    // This check comes last: the triggers of a failed activity are soon sent again.
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** A slot has nothing more to start. */
  slotEnded(): void {
    this.#openSlots--;
  }

  /** Whether the budget is left by both clocks: one stops while the machine sleeps, the other may be set back. */
  get mayStart(): boolean {
    const { cancelled, starts } = this.#options;
    if (this.#isUnhealthy || cancelled.aborted || starts?.isOver === true) return false;
    return performance.now() < this.endsAtMs && Date.now() < this.#endsAtWall;
  }

  /** Starts nothing more. */
  end(): void {
    this.#isUnhealthy = true;
  }

  /** With a pace, the next slice need not wait for the answers once all requests are started. */
  allStarted(): void {
    clearTimeout(this.#lastStarted);
    this.#lastStarted = setTimeout(() => this.#returnIdlePermits(), PACED_TAIL_MS);
  }

  /** Decides by a request's verdict whether another one may follow. */
  learn(verdict: AttemptVerdict): void {
    if (verdict === 'delivered') {
      this.#inRow.failed = 0;
      this.#inRow.refused = 0;
      return;
    }
    const { row, asksTo } = VERDICTS[verdict];
    if (asksTo !== null || (row !== null && ++this.#inRow[row] >= ROW_LIMITS[row])) this.#isUnhealthy = true;
  }

  /** Records the outcome of a trigger. @param like its request's first trigger, if that was another. */
  record(index: number, attempt: HttpAttempt, verdict: AttemptVerdict, like?: number): void {
    const { settled } = this.#options;
    if (verdict === 'delivered') {
      settled.deliver(index);
      return;
    }
    if (like !== undefined) {
      settled.failed.set(index, { index, like, durationMs: attempt.durationMs });
      return;
    }
    const { ok: _, ...failure } = attempt;
    // Workers before 0.2.0 read only this, and people read it as the doing of the job's answers.
    const as = isDecidedVerdict(verdict) && verdict !== judge(failure) ? { as: verdict } : {};
    settled.failed.set(index, { index, ...failure, verdict, ...as });
  }

  #returnIdlePermits(): void {
    const { slice, starts, returnPermits, cancelled } = this.#options;
    const left = this.#openSlots;
    if (left === 0) return;
    if (!cancelled.aborted && (starts === undefined ? left >= slice.permits : starts.isOver || starts.isAwaited))
      return;
    // Best effort: the permits come back with the report anyway.
    const returned = starts === undefined ? { left } : { left, spacing: starts.handOver() };
    void returnPermits(returned).catch(() => undefined);
  }
}

/** The settled triggers of a slice, which heartbeats report. */
export class SettledTriggers {
  readonly #delivered: Uint8Array;
  #deliveredCount = 0;
  readonly failed = new Map<number, FailedAttempt>();
  /** Triggers that go in smaller batches, since a larger one was refused. */
  halved: HalvedBatches = [];

  constructor(size: number) {
    this.#delivered = new Uint8Array(size);
  }

  /** How many are settled, delivered or failed. */
  get count(): number {
    return this.#deliveredCount + this.failed.size;
  }

  deliver(index: number): void {
    if (this.#delivered[index] === 0) this.#deliveredCount++;
    this.#delivered[index] = 1;
  }

  isDelivered(index: number): boolean {
    return this.#delivered[index] === 1;
  }

  /** Places that are neither delivered nor failed. */
  unsent(): number[] {
    const unsent: number[] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1 && !this.failed.has(index)) unsent.push(index);
    }
    return unsent;
  }

  /** The halved batches that are not delivered; empty if there are none. */
  openHalved(): { readonly halved?: HalvedBatches } {
    const halved = this.halved.filter(([place]) => !this.isDelivered(place));
    return halved.length === 0 ? {} : { halved };
  }

  progress(): SliceProgress {
    const ranges: [number, number][] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === index - 1) last[1] = index;
      else ranges.push([index, index]);
    }
    return { delivered: ranges, failed: [...this.failed.values()], ...this.openHalved() };
  }
}

/**
 * Spaces the starts of a slice's requests according to its pace. Within the slice, time is monotonic. The next slice gets an instant by the worker's
 * clock, which makes up for the time that the report takes.
 */
export class PacedStarts {
  readonly #spacing: RequestSpacing;
  readonly #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor({ perSecond, nextAtMs = -Infinity }: SlicePace) {
    const now = performance.now();
    // It is never later: a worker whose clock is behind would otherwise wait for as long as the clocks differ.
    const latest = now + intervalMs(perSecond);
    this.#spacing = new RequestSpacing(perSecond, Math.min(now + (nextAtMs - Date.now()), latest));
  }

  /** When the next request may start, as `performance.now()`; in the past when it may start now. */
  get from(): number {
    return this.#spacing.from;
  }

  /** Whether another slice continues from here: this one then starts nothing more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether a slot waits to start a request. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Records the start of a request, which must be allowed. */
  start(): void {
    this.#spacing.start(performance.now());
  }

  /** Calls `goOn` once the next request may start, after those that have waited longer. It may find that others were first. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
    this.#arm();
  }

  /** Ends the spacing of this slice, and returns where the next one continues. */
  handOver(): SpacingEnd {
    this.#isOver = true;
    const inMs = Number.isFinite(this.from) ? this.from - performance.now() : -Date.now();
    return { nextAtMs: Math.ceil(Date.now() + inMs), inMs: Math.ceil(inMs) };
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#waiting.length === 0) return;
    // A timer may fire a little early, and then has to wait once more.
    this.#timer = setTimeout(() => this.#goOn(), Math.max(0, Math.ceil(this.from - performance.now())));
  }

  #goOn(): void {
    this.#timer = undefined;
    // A waiter that starts a request moves the time of the next one. A waiter that starts none, because the slice is over, does not.
    for (let left = this.#waiting.length; left > 0 && this.from <= performance.now(); left--) this.#waiting.shift()?.();
    this.#arm();
  }
}
