import { addDeeds } from './deeds.ts';
import type { StoredDeed } from './delivery-store.ts';
import { type LogSql, type Sql, sql } from './log-sql.ts';

/** How much of a person a delivery log has. */
export interface LoggedPerson {
  /** Attempts for this person. */
  readonly rows: number;
  /** Rows of others whose request or answer was for a batch with this person in it. */
  readonly shared: number;
}

const ownOf = (user: string): Sql => sql`person = ${user}`;
/** The request of a batch is kept with one of its rows, and any of them may have the answer. */
const sharedWith = (user: string): Sql => sql`person <> ${user} AND (exchange IS NOT NULL OR answer IS NOT NULL)
  AND batch_id IN (SELECT batch_id FROM deliveries WHERE ${ownOf(user)})`;

/** Removes a person from a delivery log. Each method throws DeliveryLogError. */
export class PersonRemoval {
  readonly #sql: LogSql;

  /** @param sql a database that may be written. */
  constructor(sql: LogSql) {
    this.#sql = sql;
  }

  async count(user: string): Promise<LoggedPerson> {
    return { rows: await this.#count(ownOf(user)), shared: await this.#count(sharedWith(user)) };
  }

  /** Deletes the person's rows. Rows of others who shared a batch with the person lose what was sent and answered. */
  async remove(user: string): Promise<LoggedPerson> {
    // In this order: the person's own rows name the batches. If the second statement fails, both can be done again.
    const shared = await this.#sql.query(
      sql`UPDATE deliveries SET exchange = NULL, answer = NULL WHERE ${sharedWith(user)} RETURNING attempt`,
    );
    const rows = await this.#sql.query(sql`DELETE FROM deliveries WHERE ${ownOf(user)} RETURNING attempt`);
    return { rows: rows.length, shared: shared.length };
  }

  /** Keeps that a person is removed, or with the same id how much was. False: there is no log yet. */
  async record(deed: StoredDeed): Promise<boolean> {
    return (await this.#sql.query(addDeeds(this.#sql, [deed]))).length > 0;
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }

  async #count(which: Sql): Promise<number> {
    const [found] = await this.#sql.query(sql`SELECT count(*) AS n FROM deliveries WHERE ${which}`);
    return Number(found?.['n'] ?? 0);
  }
}
