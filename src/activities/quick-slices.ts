import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import type { SliceReport } from '../contract/slice.ts';
import type { SettledTriggers } from './send-budget.ts';

/** A slice that this worker sends. */
export interface RunningSlice {
  readonly settled: SettledTriggers;
  readonly ended: Promise<SliceReport>;
  /** Starts no further request. */
  readonly cancel: () => void;
  /** Ends open requests, too. */
  readonly abort: () => void;
}

/**
 * How long a workflow task waits for its quick slice, in ms. Meanwhile the job learns of nothing; and at the hundredth signal in that time the
 * server ends the task, and has it done again.
 */
const QUICK_MS = 100;
/**
 * How long after that an activity may take to ask for the slice, in ms. If none does, the task was not completed, and the server gives it to
 * another worker, 10 s after its start. By then no request of this one may be open.
 */
const ASKED_WITHIN_MS = 2_000;

/** The quick slices of a worker whose requests were open when their workflow task ended. An activity of the same job goes on with each. */
export class QuickSlices {
  readonly #open = new Map<string, { readonly slice: RunningSlice; readonly unasked: NodeJS.Timeout }>();
  readonly #askedWithinMs: number;

  constructor(askedWithinMs = ASKED_WITHIN_MS) {
    this.#askedWithinMs = askedWithinMs;
  }

  /** Returns the report of a slice, if it comes soon; undefined: an activity is to ask for the slice. */
  async soon(key: string, begin: () => RunningSlice): Promise<SliceReport | undefined> {
    // A task that is done again on the same worker meets the slice of the first time.
    const slice = this.#taken(key) ?? begin();
    const waiting = new AbortController();
    try {
      const report = await Promise.race([slice.ended, sleep(QUICK_MS, undefined, { signal: waiting.signal })]);
      if (report === undefined) this.#keep(key, slice);
      return report;
    } finally {
      waiting.abort();
    }
  }

  /** @throws ApplicationFailure when it is not here; then no worker has a request of it open any more. */
  async take(key: string): Promise<RunningSlice> {
    const slice = this.#taken(key);
    if (slice !== undefined) return slice;
    await sleep(this.#askedWithinMs);
    throw ApplicationFailure.nonRetryable('another worker has sent this slice, and its report is lost', 'SliceNotHere');
  }

  #keep(key: string, slice: RunningSlice): void {
    const unasked = setTimeout(() => {
      this.#open.delete(key);
      slice.abort();
    }, this.#askedWithinMs);
    this.#open.set(key, { slice, unasked });
  }

  #taken(key: string): RunningSlice | undefined {
    const kept = this.#open.get(key);
    clearTimeout(kept?.unasked);
    this.#open.delete(key);
    return kept?.slice;
  }
}
