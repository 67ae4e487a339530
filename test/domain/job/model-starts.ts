import type { SliceInput, SpacingEnd } from '../../../src/contract/slice.ts';
import { intervalMs, RequestSpacing } from '../../../src/domain/job/throttles/request-rate.ts';
import { must } from './model-ledger.ts';

/** When requests start in the model: a slice with a pace starts as many as time allows, and the starts of all slices are judged together. */
export class ModelStarts {
  /** Since the rate was changed last, oldest first; epoch ms. */
  #times: number[] = [];
  #perSecond: number | undefined;
  readonly #dispatchedAt = new Map<number, number>();
  /** Slices that start nothing more, with how many requests they started at most. */
  readonly #over = new Map<number, number>();

  dispatched({ sliceId }: SliceInput, now: number): void {
    this.#dispatchedAt.set(sliceId, now);
    this.#over.delete(sliceId);
  }

  /** How many requests a slice can have started by now. */
  mostOf(slice: SliceInput, now: number): number {
    return this.#over.get(slice.sliceId) ?? this.#startsOf(slice, Infinity, now)?.times.length ?? Infinity;
  }

  /** A slice has started so many, and starts no more: where its spacing ended; undefined: it has none, or said so before. */
  end(slice: SliceInput, started: number, now: number): SpacingEnd | undefined {
    if (this.#over.has(slice.sliceId)) return undefined;
    const starts = this.#startsOf(slice, started, now);
    if (slice.pace === undefined || starts === undefined) return undefined;
    // Another rate, also when it let none start, is held to what it begins with.
    if (slice.pace.perSecond !== this.#perSecond) this.#times = [];
    this.#perSecond = slice.pace.perSecond;
    for (const at of starts.times) this.#judge(at, slice.pace.perSecond);
    this.#over.set(slice.sliceId, started);
    const nextAtMs = Math.max(0, starts.from);
    return { nextAtMs, inMs: nextAtMs - now };
  }

  #startsOf({ sliceId, pace, budgetMs, triggers }: SliceInput, most: number, now: number) {
    if (pace === undefined) return undefined;
    const dispatchedAt = this.#dispatchedAt.get(sliceId) ?? now;
    const { perSecond, nextAtMs = -Infinity } = pace;
    const spacing = new RequestSpacing(perSecond, Math.min(nextAtMs, dispatchedAt + intervalMs(perSecond)));
    const times: number[] = [];
    const next = () => Math.max(dispatchedAt, spacing.from);
    const end = Math.min(now, dispatchedAt + budgetMs);
    for (let at = next(); at <= end && times.length < Math.min(most, triggers.length); at = next()) {
      spacing.start(at);
      times.push(at);
    }
    return { times, from: spacing.from };
  }

  /** Within any time, no more than the rate allows and a burst of half a second's worth. */
  #judge(at: number, perSecond: number): void {
    this.#times.push(at);
    const burst = Math.max(1, perSecond / 2);
    for (const [index, first] of this.#times.entries())
      must(
        this.#times.length - index <= ((at - first) * perSecond) / 1000 + burst + 1e-6,
        'never more requests than the rate allows',
      );
  }
}
