import { codeOf } from '../../domain/errors.ts';

/** The class of SQLSTATEs for values that no column takes, and a collector's answers to records that it never takes. */
const OF_ROWS = /^22|^HTTP 4(?:00|13)$/;

/** The database of the delivery log did not do what it was asked. The error's text holds nothing of a row, and no password. */
export class DeliveryLogError extends Error {
  override readonly name = 'DeliveryLogError';
  /** SQLSTATE, `HTTP 503` of a collector, or the code of the network, of TLS or of SQLite; empty when there is none. */
  readonly code: string;

  /** @param where kind and place of the database. @param reason in words. */
  constructor(what: 'read' | 'written', where: string, reason: string, error: unknown) {
    super(`The delivery log (${where}) cannot be ${what}: ${reason}.`);
    this.code = codeOf(error) ?? '';
  }

  /** Whether the database refuses the rows themselves, so that writing them again is of no use. */
  get isOfRows(): boolean {
    return OF_ROWS.test(this.code);
  }
}
