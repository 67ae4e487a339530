import { codeOf } from '../domain/errors.ts';
import { postgresWords } from '../sources/postgres/pool.ts';

/** The database of the delivery log did not do what it was asked. The error's text holds nothing of a row, and no password. */
export class DeliveryLogError extends Error {
  override readonly name = 'DeliveryLogError';
  /** SQLSTATE, or the code of the network or of TLS; empty when there is none. */
  readonly code: string;

  constructor(what: 'read' | 'written', where: string, error: unknown) {
    super(`The delivery log (PostgreSQL, ${where}) cannot be ${what}: ${postgresWords(error)}.`);
    this.code = codeOf(error) ?? '';
  }
}
