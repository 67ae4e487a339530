import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { codeOf } from '../domain/error-code.ts';
import { parseRetryAfter } from '../domain/retry-after.ts';
import type { Expiring } from './deadlines.ts';

/** The outcome of one request. `ok` means a 2xx status and nothing else. */
export type Attempt =
  | { readonly ok: true; readonly status: number; readonly durationMs: number }
  | {
      readonly ok: false;
      readonly status?: number;
      readonly code?: string;
      readonly retryAfterMs?: number;
      readonly durationMs: number;
      readonly answer?: string;
    };

/** Most bytes of an answer's body that are read; beyond that the connection is closed. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Most characters of an answer that are kept, and only of a failed attempt. */
const ANSWER_LENGTH = 200;
/** Marks the end of an answer that was cut, possibly in the middle of a secret that it echoed (see `withoutSecrets`). */
export const CUT = '…';

/**
 * One request in flight: undici's handler, which turns it into an `Attempt`. The status line decides: a body that cannot be read, is too long
 * or never ends does not change the outcome. The attempt still lasts until the connection has finished with the request, because until then the
 * endpoint has it in flight.
 */
export class AttemptHandler implements Dispatcher.DispatchHandler, Expiring {
  readonly deadlineAtMs: number;
  readonly #startedAtMs: number;
  readonly #done: (handler: AttemptHandler, attempt: Attempt) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #status: number | undefined;
  #retryAfterMs: number | undefined;
  #bytes = 0;
  #answer: Buffer | undefined;
  #expired = false;
  #isDone = false;

  constructor(nowMs: number, timeoutMs: number, done: (handler: AttemptHandler, attempt: Attempt) => void) {
    this.#startedAtMs = nowMs;
    this.deadlineAtMs = nowMs + timeoutMs;
    this.#done = done;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isDone) controller.abort(new Error('The attempt is over.'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return; // 1xx: the final answer is still to come.
    this.#status = status;
    // A header that was sent twice is an array here, despite its type.
    const [retryAfter] = [headers['retry-after']].flat();
    if (retryAfter !== undefined) this.#retryAfterMs = parseRetryAfter(retryAfter, Date.now());
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    // Copied, because the chunk may be a view of a large buffer that would then be kept alive.
    if (this.#answer === undefined && !this.#isSuccess)
      this.#answer = Buffer.from(chunk.subarray(0, ANSWER_LENGTH * 4));
    if (this.#bytes > MAX_ANSWER_BYTES) controller.abort(new Error('The answer is too long to be read to its end.'));
  }

  onResponseEnd(): void {
    this.#settle();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#settle(error);
  }

  /** To be called when the deadline of the whole attempt has passed. */
  expire(): void {
    this.#expired = true;
    // Aborting leads to onResponseError. A request that is still waiting for its connection has nothing to abort yet.
    if (this.#controller === undefined) this.#settle();
    else this.#controller.abort(new Error('The request took too long.'));
  }

  get #isSuccess(): boolean {
    return this.#status !== undefined && this.#status >= 200 && this.#status < 300;
  }

  #settle(error?: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#done(this, this.#attempt(error));
  }

  #attempt(error: Error | undefined): Attempt {
    const durationMs = Math.round(performance.now() - this.#startedAtMs);
    if (this.#status !== undefined && this.#isSuccess) return { ok: true, status: this.#status, durationMs };
    const answer = this.#answer === undefined ? undefined : this.#shownAnswer(this.#answer, error !== undefined);
    return {
      ok: false,
      durationMs,
      ...(this.#status === undefined
        ? { code: this.#expired ? ATTEMPT_CODES.timeout : nameOf(error) }
        : { status: this.#status }),
      ...(this.#retryAfterMs === undefined ? {} : { retryAfterMs: this.#retryAfterMs }),
      ...(answer === undefined ? {} : { answer }),
    };
  }

  #shownAnswer(kept: Buffer, isHalf: boolean): string {
    // Control characters could control the terminal that shows it.
    const text = kept.toString('utf8').replaceAll(/\p{Cc}+/gu, ' ');
    if (!isHalf && this.#bytes <= kept.length && text.length <= ANSWER_LENGTH) return text.toWellFormed();
    // The cut may have split the last character.
    const cut = text
      .slice(0, ANSWER_LENGTH - CUT.length)
      .toWellFormed()
      .replace(/\uFFFD+$/, '');
    return `${cut}${CUT}`;
  }
}

/** The stable code of an error, or else its class name. When several addresses were tried, that of the first one's error. */
function nameOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return nameOf(error.errors[0]);
  return codeOf(error) ?? (error instanceof Error && error.name !== 'Error' ? error.name : 'UNKNOWN');
}
