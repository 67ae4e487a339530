import { Pool } from 'pg';
import type { DeliveryFilter, DeliveryPage } from '../contract/delivery.ts';
import { codeOf } from '../domain/errors.ts';
import { parseJson } from '../domain/json.ts';
import { connectionOf, readPostgresUrl } from '../sources/postgres/pool.ts';
import { DeliveryLogError } from './delivery-log-error.ts';
import { cursorOf, type DeliveryCursor, type DeliveryQuery, deliveryQuery, deliveryRowOf } from './delivery-query.ts';

export interface PostgresReaderOptions {
  readonly url: string;
  readonly password?: string | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

const CONNECTIONS = 4;
const SILENCE_MARGIN_MS = 1_000;
/** SQLSTATE of a table that is not there: no worker has written yet. */
const NO_TABLE = '42P01';
const AS_TEXT = { getTypeParser: () => (text: string | null) => text };

/** Reads the deliveries that workers have written. */
export class PostgresDeliveryReader {
  readonly #pool: Pool;
  readonly #where: string;

  /** Does not connect yet. */
  constructor({ url, statementTimeoutMs, ...options }: PostgresReaderOptions) {
    const reading = readPostgresUrl(url);
    if (!reading.ok) throw new TypeError(reading.problem); // The configuration has been checked.
    this.#where = reading.address.shown;
    this.#pool = new Pool({
      ...connectionOf(reading.address, options),
      max: CONNECTIONS,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + SILENCE_MARGIN_MS,
      options: '-c default_transaction_read_only=on',
    });
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
