import type { Logger } from '@temporalio/common';
import type { DeliveryBatch, DeliveryStore, StoredDeed, StoredRow } from './delivery-store.ts';
import { DeliveryLogError } from './log-error.ts';

export interface LogWriterOptions {
  readonly store: DeliveryStore;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  /** Called with the rows of each batch that was kept, and with those that were dropped. */
  readonly counted?: ((outcome: 'written' | 'dropped', rows: number) => void) | undefined;
  /** Called with why rows are not written, and with undefined once they are again. */
  readonly noticed?: ((problem: string | undefined) => void) | undefined;
  /** Most rows that wait, and most deeds. Default 20,000. */
  readonly mostRows?: number;
  /** How often it writes although there is nothing to write. Default 10 s, or 1 s to a store where no reader can ask for it. */
  readonly livesEveryMs?: number;
}

/** The longest, in ms, that a row waits before it is written. */
const EVERY_MS = 250;
const LIVES_EVERY_MS = 10_000;
const UNASKED_EVERY_MS = 1_000;
const MOST_ROWS = 20_000;
/** Most characters of waiting requests and answers; beyond that, rows come without them. */
const MOST_EXCHANGES = 32 * 1024 * 1024;
/** Most rows of one batch. */
const BATCH_ROWS = 5_000;
/** After a failure. Readers wait some seconds for a store that is back. */
const RETRY_MS = 1_000;
/** How long, in ms, the end of a worker waits for its last rows. */
const CLOSE_MS = 5_000;

/**
 * Writes rows in batches, behind the requests that they are about. Nothing waits for it: while the store is away, rows wait in a bounded buffer, and
 * those that find it full are dropped and counted. After its first, it writes empty batches while there are none: a writer that falls silent was killed.
 * Each batch says up to when the log has all rows of the writer: they come in the order of their times.
 */
export class LogWriter {
  readonly #options: LogWriterOptions;
  #waiting: StoredRow[] = [];
  #deeds: StoredDeed[] = [];
  #dropped = 0;
  #exchanges = 0;
  /** The batch that is being written, or failed and is written again: as it was, since it may have been kept. */
  #batch: DeliveryBatch | undefined;
  #number = 0;
  #areRowsNext = true;
  #polled: DeliveryBatch['polled'];
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #living: NodeJS.Timeout;
  #writing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: LogWriterOptions) {
    const { store, livesEveryMs = store.onAsked === undefined ? UNASKED_EVERY_MS : LIVES_EVERY_MS } = options;
    this.#options = options;
    store.onAsked?.(() => this.#writeNow());
    this.#living = setInterval(() => this.#number > 0 && this.#writeNow(), livesEveryMs).unref();
  }

  /** Has the next batch note when workers were last seen. The first is written now: the log then knows the writer, also without a row. */
  notePolled(polled: ReadonlyMap<string, number>): void {
    this.#polled = polled;
    if (this.#number === 0) this.#writeNow();
  }

  add(row: StoredRow): void {
    if (!this.#hasRoom(this.#waiting)) return;
    const { exchange = '' } = row;
    const isKept = this.#exchanges + exchange.length <= MOST_EXCHANGES;
    if (isKept) this.#exchanges += exchange.length;
    this.#waiting.push(isKept ? row : { ...row, exchange: undefined });
    if (this.#waiting.length >= BATCH_ROWS && this.#failures === 0) this.#writeNow();
    else this.#writeIn(EVERY_MS);
  }

  /** Adds what somebody did. Deeds have room of their own, which a flood of deliveries does not take. */
  addDeed(deed: StoredDeed): void {
    if (!this.#hasRoom(this.#deeds)) return;
    this.#deeds.push(deed);
    this.#writeIn(EVERY_MS);
  }

  /** Otherwise counts it as dropped. */
  #hasRoom({ length }: readonly unknown[]): boolean {
    const { mostRows = MOST_ROWS, counted } = this.#options;
    if (!this.#isClosed && length < mostRows) return true;
    this.#dropped++;
    counted?.('dropped', 1);
    return false;
  }

  /** Writes what waits, for at most 5 s, and closes the store. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#living);
    const endsAtMs = performance.now() + CLOSE_MS;
    const { store, log } = this.#options;
    let late: NodeJS.Timeout | undefined;
    const isLate = new Promise<void>((resolve) => (late = setTimeout(resolve, CLOSE_MS)));
    await Promise.race([this.#drain(endsAtMs), isLate]);
    clearTimeout(late);
    const lost = this.#waiting.length + this.#deeds.length + (this.#batch === undefined ? 0 : sizeOf(this.#batch));
    if (lost > 0) log.warn('the delivery log could not be written to its end', { rows: lost });
    await store.close(lost);
  }

  async #drain(endsAtMs: number): Promise<void> {
    await this.#writing;
    const isLeft = (): boolean =>
      this.#batch !== undefined || this.#waiting.length + this.#deeds.length > 0 || this.#dropped > 0;
    while (isLeft() && performance.now() < endsAtMs) {
      await this.#write();
      if (this.#failures > 0) return;
    }
  }

  #writeIn(ms: number): void {
    if (this.#writing !== undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#writeNow(), ms).unref();
  }

  #writeNow(): void {
    if (this.#writing !== undefined || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#isClosed) return;
      if (this.#failures > 0) this.#writeIn(RETRY_MS);
      else if (this.#waiting.length >= BATCH_ROWS) this.#writeNow();
      else if (this.#waiting.length + this.#deeds.length > 0) this.#writeIn(EVERY_MS);
    });
  }

  /** Takes the next batch out of the buffer. */
  #next(): DeliveryBatch {
    // Deeds go by themselves: neither are lost with rows that the database refuses, nor the other way round. Rows go first: a decision about a dead letter
    // comes after the attempts of its trigger.
    const deeds = this.#waiting.length > 0 && this.#areRowsNext ? [] : this.#deeds.splice(0, BATCH_ROWS);
    const rows = this.#waiting.splice(0, deeds.length > 0 ? 0 : BATCH_ROWS);
    this.#areRowsNext = deeds.length > 0 || this.#deeds.length === 0;
    for (const row of rows) this.#exchanges -= lengthOf(row);
    const batch = { number: ++this.#number, rows, deeds, dropped: this.#dropped };
    this.#dropped = 0;
    return batch;
  }

  async #write(): Promise<void> {
    const { store, log, counted, noticed } = this.#options;
    const batch = (this.#batch ??= this.#next());
    const [polled, wholeAt] = [this.#polled, this.#waiting[0]?.at ?? new Date().toISOString()];
    let refused = 0;
    try {
      refused = await store.write({ ...batch, wholeAt, polled });
      if (this.#polled === polled) this.#polled = undefined;
    } catch (error) {
      if (error instanceof DeliveryLogError && error.isOfRows) {
        // They would be refused forever, and nothing after them would be written.
        this.#batch = undefined;
        this.#dropped += batch.dropped;
        this.#drop(sizeOf(batch), error);
        return;
      }
      if (this.#failures++ === 0) log.warn('the delivery log cannot be written; rows wait', { error });
      noticed?.(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#failures > 0) {
      log.info('the delivery log is written again', { dropped: batch.dropped });
      noticed?.(undefined);
    }
    this.#batch = undefined;
    this.#failures = 0;
    if (refused > 0) this.#drop(refused);
    counted?.('written', Math.max(0, batch.rows.length - refused));
  }

  /** Counts what the store refuses for good. */
  #drop(refused: number, error?: DeliveryLogError): void {
    const { log, counted } = this.#options;
    log.warn('the delivery log refuses rows; they are dropped', { error, rows: refused });
    this.#dropped += refused;
    counted?.('dropped', refused);
  }
}

function sizeOf({ rows, deeds = [] }: DeliveryBatch): number {
  return rows.length + deeds.length;
}

function lengthOf({ exchange = '' }: StoredRow): number {
  return exchange.length;
}
