import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import type { PackedSlice, SliceReport } from '../contract/slice.ts';
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

/** The times that a quick slice keeps to, in ms. */
const TIMES = {
  /**
   * How long a workflow task waits for its quick slice. Meanwhile the job learns of nothing; and at the hundredth signal in that time the server
   * ends the task, and has it done again.
   */
  waitMs: 100,
  /** From this long after the start of its task, a slice is not begun. A worker that asks a closed run replays it, and must send nothing. */
  lateMs: 3_000,
  /** From then on no request is open that no activity has asked for: the server gives a task to another worker 10 s after its start. */
  abortMs: 7_000,
};

/** A quick slice whose requests were open when its workflow task ended. */
interface OpenSlice {
  readonly slice: RunningSlice;
  /** A task that is done again may have others. */
  readonly triggers: PackedSlice['triggers'];
  readonly unasked: NodeJS.Timeout;
}

/** The quick slices of a worker. An activity of the same job goes on with each that takes long. */
export class QuickSlices {
  readonly #open = new Map<string, OpenSlice>();
  readonly #times: typeof TIMES;
  #waiting = 0;
  #isClosing = false;

  constructor(times: Partial<typeof TIMES> = {}) {
    this.#times = { ...TIMES, ...times };
  }

  /**
   * Returns the report of a slice, if it comes soon. `open`: an activity is to ask for the slice. `late`: nothing was begun.
   *
   * @param taskAt when the workflow task began, epoch ms.
   */
  async soon(
    key: string,
    { triggers }: Pick<PackedSlice, 'triggers'>,
    taskAt: number,
    begin: () => RunningSlice,
  ): Promise<SliceReport | 'open' | 'late'> {
    const open = this.#open.get(key);
    const isSame = open !== undefined && JSON.stringify(open.triggers) === JSON.stringify(triggers);
    if (!isSame) await this.end(key);
    if (!isSame && (this.#isClosing || Date.now() >= taskAt + this.#times.lateMs)) return 'late';
    this.#waiting++;
    const waiting = new AbortController();
    try {
      // A task that is done again on the same worker meets the slice of the first time.
      const slice = this.#taken(key) ?? begin();
      const wait = sleep(this.#times.waitMs, 'open' as const, { signal: waiting.signal });
      const end = await Promise.race([slice.ended, wait]);
      if (end === 'open') this.#keep(key, slice, triggers, taskAt);
      return end;
    } finally {
      waiting.abort();
      this.#waiting--;
    }
  }

  /** @throws ApplicationFailure when it is not here; then no worker has a request of it open any more. */
  async take(key: string): Promise<RunningSlice> {
    const slice = this.#taken(key);
    if (slice !== undefined) return slice;
    await sleep(this.#times.abortMs);
    throw ApplicationFailure.nonRetryable('another worker has sent this slice, and its report is lost', 'SliceNotHere');
  }

  has(key: string): boolean {
    return this.#open.has(key);
  }

  /** Ends a slice whose workflow task was done again with another one. */
  async end(key: string): Promise<void> {
    const slice = this.#taken(key);
    slice?.abort();
    await slice?.ended.catch(() => undefined);
  }

  /** Begins no more, and waits until none needs an activity. A worker that shuts down starts none. */
  async close(): Promise<void> {
    this.#isClosing = true;
    while (this.#waiting > 0 || this.#open.size > 0) await sleep(20);
  }

  #keep(key: string, slice: RunningSlice, triggers: PackedSlice['triggers'], taskAt: number): void {
    const abort = (): void => {
      this.#open.delete(key);
      slice.abort();
    };
    const unasked = setTimeout(abort, Math.max(0, taskAt + this.#times.abortMs - Date.now()));
    this.#open.set(key, { slice, triggers, unasked });
  }

  #taken(key: string): RunningSlice | undefined {
    const kept = this.#open.get(key);
    clearTimeout(kept?.unasked);
    this.#open.delete(key);
    return kept?.slice;
  }
}
