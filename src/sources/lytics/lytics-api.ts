import type { Json } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import type { JsonService } from '../json-service.ts';
import { ANSWER_CODES } from '../source-unavailable.ts';

/** The envelope of an answer of Lytics, in either version of its API. */
export interface LyticsAnswer {
  readonly status: number;
  /** `null` for an empty list, too. */
  readonly data: Json;
  readonly message: string;
  /** Where a scan continues; empty at its end. */
  readonly next: string;
  /** How many rows a scan has in all, as far as it says so. */
  readonly total: number | undefined;
}

/** Sent with HTTP 200 when Lytics could not find out in time, so that it is not known whether what was asked for exists. */
const TIMED_OUT = /^timed out\b/i;
/** What Lytics calls an error: `UNAUTHORIZED-017`. Its messages are not repeated. */
const ERROR_CODE = /^[A-Z]+(?:-[A-Z]+)*-\d{1,5}$/;

/**
 * Asks Lytics, and distinguishes answers from what only looks like one: `/api` answers `{data, status, message}`, `/v2` answers `{data,
 * status, request_id}` or `{errors, …}` (a refused token in the form of `/api`), and the status may be a text.
 */
export class LyticsApi {
  readonly #service: JsonService;

  constructor(service: JsonService) {
    this.#service = service;
  }

  /**
   * @param what is asked for, to follow "it did not give …".
   * @param tolerated statuses besides 2xx that mean something to the caller, if Lytics itself sends them.
   * @throws SourceUnavailable
   */
  async get(what: string, path: string, tolerated: readonly number[] = []): Promise<LyticsAnswer> {
    const { status: httpStatus, body } = await this.#service.ask({ what, path });
    if (!isRecord(body)) {
      // A status without an envelope comes from something else, a proxy, say.
      throw this.#service.unavailable(
        what,
        isGood(httpStatus) ? { code: ANSWER_CODES.notJson } : { status: httpStatus },
      );
    }
    const { status: said, message, data, _next: next, total, errors } = body as Partial<Record<string, Json>>; // Whatever it holds.
    const status = isGood(httpStatus) && !isNaN(Number(said ?? NaN)) ? Number(said) : httpStatus;
    const text = typeof message === 'string' ? message : '';
    if (TIMED_OUT.test(text))
      throw this.#service.unavailable(what, { reason: 'Lytics itself did not get the answer in time' });
    const [first] = Array.isArray(errors) ? (errors as readonly Json[]) : [];
    if (tolerated.includes(status) || (isGood(status) && first === undefined))
      return { status, data: data ?? null, message: text, next: textOf(next), total: countOf(total) };
    const code = isRecord(first) ? first['code'] : undefined;
    const words = typeof code === 'string' && ERROR_CODE.test(code) ? `HTTP ${status}, ${code}` : `HTTP ${status}`;
    throw this.#service.unavailable(what, { status, reason: words });
  }

  /** The error for a wrong content of an answer. */
  unexpected(what: string, reason: string): Error {
    return this.#service.unavailable(what, { code: ANSWER_CODES.unexpected, reason });
  }
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The parameter's documented type is a number, its values elsewhere are texts. */
function textOf(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : '';
}

function countOf(value: Json | undefined): number | undefined {
  const count = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}
