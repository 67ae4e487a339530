import { Pool } from 'pg';
import type { DeliveryFilter, DeliveryPage } from '../contract/delivery.ts';
import { codeOf } from '../domain/errors.ts';
import { parseJson } from '../domain/json.ts';
import { cursorOf, type DeliveryCursor, type DeliveryQuery, deliveryQuery, deliveryRowOf } from './delivery-query.ts';
import { DeliveryLogError, type LogDatabase, logConnection } from './log-database.ts';

const CONNECTIONS = 4;
/** SQLSTATE of a table that is not there: no worker has written yet. */
const NO_TABLE = '42P01';
const AS_TEXT = { getTypeParser: () => (text: string | null) => text };

/** Reads the deliveries that workers have written. */
export class PostgresDeliveryReader {
  readonly #pool: Pool;
  readonly #where: string;

  /** Does not connect yet. */
  constructor(database: LogDatabase) {
    const { settings, shown } = logConnection(database);
    this.#where = shown;
    this.#pool = new Pool({ ...settings, max: CONNECTIONS, options: '-c default_transaction_read_only=on' });
    // A connection that ends while unused does not matter, but without a listener it would end the process.
    this.#pool.on('error', () => undefined);
  }

  /**
   * Returns a page of deliveries, newest first.
   * @param after where the page before ended (`next`).
   * @throws DeliveryLogError
   */
  async find(filter: DeliveryFilter, limit: number, after?: string): Promise<DeliveryPage> {
    const cursor = after === undefined ? undefined : (parseJson(after) as unknown as DeliveryCursor); // As `next` was.
    const found = await this.#rows(deliveryQuery(filter, limit + 1, cursor));
    const rows = found.slice(0, limit).map(deliveryRowOf);
    const last = rows.at(-1);
    return found.length > limit && last !== undefined ? { rows, next: JSON.stringify(cursorOf(last)) } : { rows };
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #rows({ text, values }: DeliveryQuery): Promise<Readonly<Record<string, string | null>>[]> {
    try {
      return (await this.#pool.query({ text, values: [...values], types: AS_TEXT })).rows;
    } catch (error) {
      if (codeOf(error) === NO_TABLE) return [];
      throw new DeliveryLogError('read', this.#where, error);
    }
  }
}
