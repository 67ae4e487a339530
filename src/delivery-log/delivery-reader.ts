import type {
  DeliveryDetails,
  DeliveryFilter,
  DeliveryPage,
  DeliveryStats,
  Exchange,
  StatsQuery,
} from '../contract/delivery.ts';
import { attemptsQuery, cursorAfter, deliveryQuery, deliveryRowOf, readCursor } from './delivery-query.ts';
import type { LogSql, SqlRow } from './log-sql.ts';
import type { Sealing } from './sealing.ts';
import { statsOf, statsQuery, windowOf } from './stats.ts';

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
    const found = await this.#sql.query(attemptsQuery(this.#sql, deliveryId));
    return found.map((row) => this.#detailsOf(row));
  }

  /**
   * Counts attempts, without reading them one by one.
   * @throws DeliveryLogError
   */
  async stats(asked: StatsQuery): Promise<DeliveryStats> {
    const window = windowOf(asked);
    const now = Date.now();
    const [byStep, byJob] = await Promise.all(
      (['step', 'job'] as const).map((by) => this.#sql.query(statsQuery(asked.jobId, window, by, now))),
    );
    return statsOf(asked, window, byStep ?? [], byJob ?? []);
  }

  async close(): Promise<void> {
    await this.#sql.close();
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
