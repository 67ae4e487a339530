import type { Json } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import type { JsonService } from '../json-service.ts';
import { ANSWER_CODES } from '../source-unavailable.ts';

/** What stands in the envelope of an answer of Lytics, of either version of its API. */
export interface LyticsAnswer {
  readonly status: number;
  /** `null` for an empty list, too. */
  readonly data: Json;
  readonly message: string;
  /** Where a scan goes on; empty at its end. */
  readonly next: string;
  /** How many rows a scan has in all, as far as it says so. */
  readonly total: number | undefined;
}

/** Said with HTTP 200 when Lytics could not find out in time: it knows nothing of what was asked, neither that it is there nor that it is not. */
const TIMED_OUT = /^timed out\b/i;
/** What Lytics calls an error: `UNAUTHORIZED-017`. Its messages are not repeated. */
const ERROR_CODE = /^[A-Z]+(?:-[A-Z]+)*-\d{1,5}$/;

/**
 * Asks Lytics, and tells what is an answer from what only looks like one: `/api` answers `{data, status, message}`, `/v2` answers
 * `{data, status, request_id}` or `{errors, …}` (a refused token in the form of `/api`), and the status may be a text.
 */
export class LyticsApi {
  readonly #service: JsonService;

  constructor(service: JsonService) {
    this.#service = service;
  }

  /**
   * @param what is asked for, as the end of "it did not give …".
   * @param tolerated statuses beside 2xx that mean something to the caller, if Lytics itself says them.
   * @throws SourceUnavailable
   */
  async get(what: string, path: string, tolerated: readonly number[] = []): Promise<LyticsAnswer> {
    const { status: httpStatus, body } = await this.#service.ask({ what, path });
    if (!isRecord(body)) {
      // A status without an envelope is somebody else's, a proxy's say.
      throw this.#service.unavailable(
        what,
        isGood(httpStatus) ? { code: ANSWER_CODES.notJson } : { status: httpStatus },
      );
    }
    const { status: said, message, data, _next: next, total, errors } = body as Partial<Record<string, Json>>; // Whatever it holds.
    const status = isGood(httpStatus) && !isNaN(Number(said ?? NaN)) ? Number(said) : httpStatus;
    const text = typeof message === 'string' ? message : '';
    if (TIMED_OUT.test(text))
      throw this.#service.unavailable(what, { reason: 'Lytics itself did not find out in time' });
    const [first] = Array.isArray(errors) ? (errors as readonly Json[]) : [];
    if (tolerated.includes(status) || (isGood(status) && first === undefined))
      return { status, data: data ?? null, message: text, next: textOf(next), total: countOf(total) };
    const code = isRecord(first) ? first['code'] : undefined;
    const words = typeof code === 'string' && ERROR_CODE.test(code) ? `HTTP ${status}, ${code}` : `HTTP ${status}`;
    throw this.#service.unavailable(what, { status, reason: words });
  }

  /** What is wrong with what stands in an answer. */
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
