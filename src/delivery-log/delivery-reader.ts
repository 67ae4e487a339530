import { setTimeout } from 'node:timers/promises';
import type {
  DeliveryDetails,
  DeliveryFilter,
  DeliveryPage,
  DeliveryRow,
  DeliveryStats,
  Exchange,
  StatsQuery,
} from '../contract/delivery.ts';
import { attemptsQuery, batchQuery, cursorAfter, deliveryQuery, deliveryRowOf, readCursor } from './delivery-query.ts';
import type { LogSql, SqlRow } from './log-sql.ts';
import type { Sealing } from './sealing.ts';
import { statsOf, statsQuery, windowOf } from './stats.ts';

const FOLLOW_MS = 1_000;
const FOLLOW_ROWS = 1_000;
/** How much later, in ms, a row may be written than its time says: it waits in its worker, and clocks differ. */
const LATE_MS = 5_000;

/** Reads the deliveries that workers have written. */
export class DeliveryReader {
  readonly #sql: LogSql;
  readonly #sealing: Sealing;

  constructor(sql: LogSql, sealing: Sealing) {
    this.#sql = sql;
    this.#sealing = sealing;
  }

  /**
   * Returns a page of deliveries, newest first.
   * @param after where the page before ended (`next`); anything else counts as the beginning.
   * @throws DeliveryLogError
   */
  async find(filter: DeliveryFilter, limit: number, after?: string): Promise<DeliveryPage> {
    const cursor = after === undefined ? undefined : readCursor(after);
    const found = await this.#sql.query(deliveryQuery(this.#sql, filter, limit + 1, cursor));
    const rows = found.slice(0, limit).map(deliveryRowOf);
    const last = rows.at(-1);
    return found.length > limit && last !== undefined ? { rows, next: cursorAfter(last) } : { rows };
  }

  /**
   * Returns all attempts with this `webhook-id`, or one that begins so, oldest first.
   * @throws DeliveryLogError
   */
  async attempts(deliveryId: string): Promise<DeliveryDetails[]> {
    const found = (await this.#sql.query(attemptsQuery(this.#sql, deliveryId))).map((row) => this.#detailsOf(row));
    const details: DeliveryDetails[] = [];
    for (const row of found)
      details.push(row.batchId === undefined || hasExchange(row) ? row : await this.#ofBatch(row));
    return details;
  }

  /** Yields deliveries as they are written, from about now on, until the signal aborts. */
  async *follow(filter: DeliveryFilter, signal: AbortSignal): AsyncGenerator<DeliveryRow> {
    let since = Date.now() - LATE_MS;
    let told = new Set<string>();
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const rows = await this.#allSince({ ...filter, since: new Date(since).toISOString() });
      const isNew = (row: DeliveryRow): boolean => !told.has(cursorAfter(row));
      if (!isFirst) yield* rows.filter(isNew);
      told = new Set(rows.map(cursorAfter));
      since = Date.now() - LATE_MS;
      await setTimeout(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * Counts attempts, without reading them one by one.
   * @throws DeliveryLogError
   */
  async stats(asked: StatsQuery): Promise<DeliveryStats> {
    const window = windowOf(asked);
    const now = Date.now();
    const [byStep, byJob] = await Promise.all(
      (['step', 'job'] as const).map((by) => this.#sql.query(statsQuery(asked, window, by, now))),
    );
    return statsOf(asked, window, byStep ?? [], byJob ?? []);
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }

  /** Oldest first. */
  async #allSince(filter: DeliveryFilter): Promise<DeliveryRow[]> {
    const all: DeliveryRow[] = [];
    let next: string | undefined;
    do {
      const page = await this.find(filter, FOLLOW_ROWS, next);
      all.push(...page.rows);
      ({ next } = page);
    } while (next !== undefined);
    return all.reverse();
  }

  /** The first row of a batch's request has what was sent and answered. */
  async #ofBatch(row: DeliveryDetails): Promise<DeliveryDetails> {
    const found = await this.#sql.query(batchQuery(this.#sql, row.batchId ?? ''));
    const atMs = Date.parse(row.at);
    const distance = ({ at }: DeliveryRow): number => Math.abs(Date.parse(at) - atMs);
    const [first] = found.map((one) => this.#detailsOf(one)).sort((a, b) => distance(a) - distance(b));
    if (first === undefined) return row;
    const { request, response } = first;
    return { ...row, ...(request && { request }), ...(response && { response }) };
  }

  #detailsOf(found: SqlRow): DeliveryDetails {
    const row = deliveryRowOf(found);
    const { exchange } = found;
    if (typeof exchange !== 'string') return row;
    const text = this.#sealing.open(exchange);
    if (text === undefined) return row;
    const { request, response } = JSON.parse(text) as Exchange; // A worker wrote it.
    const answer = row.answer ?? response?.body;
    return {
      ...row,
      ...(answer === undefined ? {} : { answer }),
      ...(request && { request }),
      ...(response && { response }),
    };
  }
}

function hasExchange({ request, response }: Exchange): boolean {
  return request !== undefined || response !== undefined;
}
