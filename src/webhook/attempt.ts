import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { codeOf } from '../domain/errors.ts';
import { isRecord } from '../domain/json.ts';
import { parseRetryAfter } from '../domain/retry.ts';
import { printable } from '../domain/text.ts';
import { shownUrl } from '../domain/mask-url.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { ClientIdentity, RequestAuthorization } from './authorization.ts';
import { answerText } from './answer-text.ts';
import type { WebhookRequest } from './request.ts';

/** Sends the requests of all jobs of a worker, over connections that are kept open between requests. */
export interface Poster {
  /**
   * Makes one request, and only one attempt, whatever happens. The request goes to its own URL if it has one. `mostMs` can shorten its timeout but
   * never extend it. Calls `done` once, possibly before returning; `done` must not throw. It is a callback, since promises cost much more
   * (`SliceSending`).
   */
  post(url: URL, request: WebhookRequest, mostMs: number, done: AttemptDone): void;
  /** Closes idle connections and waits for requests in flight. */
  close(): Promise<void>;
}

/** The answer of an endpoint, unmasked. */
export interface HttpAnswer {
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** At most 1 KiB, with … at the end when it was cut. */
  readonly body: string;
}

/** @param answer undefined: it did not answer, or its answer is not kept. */
export type AttemptDone = (attempt: HttpAttempt, answer?: HttpAnswer) => void;

/** The connections of a worker, kept open between requests. They decide where a request may go. */
export interface Agents {
  /** The agent whose connections present this identity; without an identity, the one whose connections present none. */
  of(identity?: ClientIdentity): Pick<Dispatcher, 'dispatch'>;
  /** Closes idle connections and waits for requests in flight. */
  close(): Promise<void>;
}

export interface PosterOptions {
  /** Closed with the poster. */
  readonly agents: Agents;
  /** Longest time, in ms, of a whole attempt: connecting, TLS, headers and body together. */
  readonly timeoutMs: number;
  /** Which answers are kept for the delivery log, besides what an attempt says of a failure. Default: none. */
  readonly keeps?: 'failed' | 'all' | undefined;
}

export function createPoster({ agents, timeoutMs, keeps }: PosterOptions): Poster {
  const deadlines = new Deadlines();
  return {
    post: (usual, { headers, query, identity, body, method = 'POST', url = usual }, mostMs, done) => {
      const ended: HandlerDone = (settled, attempt, answer) => {
        deadlines.delete(settled);
        done(attempt, answer);
      };
      const handler = new AttemptHandler(performance.now(), Math.min(timeoutMs, mostMs), ended, keeps);
      deadlines.add(handler);
      const path = url.pathname + joined(url.search, query);
      // Redirects are not followed: undici does that only with an interceptor, and none is installed.
      agents.of(identity).dispatch({ origin: url.origin, path, method, headers, body }, handler);
    },
    close: async () => {
      await agents.close();
      deadlines.close();
    },
  };
}

const UNAUTHORIZED = 401;

/**
 * The authorization for a second request, sent at once after the first one had this outcome. Only after a 401, which rejects our credentials, may
 * there be another one to try. For any other outcome this returns undefined without a promise, since every delivery asks.
 */
export function authorizationAfter(
  attempt: HttpAttempt,
  authorization: RequestAuthorization,
): Promise<RequestAuthorization | undefined> | undefined {
  return !attempt.ok && attempt.status === UNAUTHORIZED ? authorization.instead() : undefined;
}

export interface AuthorizedPost {
  readonly url: URL;
  /** For each of the two requests. */
  readonly timeoutMs: number;
  readonly authorization: RequestAuthorization;
  readonly make: (authorization: RequestAuthorization) => WebhookRequest;
}

/** The outcome of a post: that of the request that was sent last. */
export interface Posted {
  readonly attempt: HttpAttempt;
  readonly request: WebhookRequest;
  readonly authorization: RequestAuthorization;
  /** True: it is the second request, since the first was answered 401. */
  readonly isSecond: boolean;
}

/** Sends a request, and after a 401 a second one if there is another authorization to try. */
export async function postAuthorized(poster: Poster, request: AuthorizedPost): Promise<Posted> {
  const first = await post(poster, request, request.authorization);
  const other = await authorizationAfter(first.attempt, request.authorization);
  const last = other === undefined ? first : await post(poster, request, other);
  if (last.attempt.ok) last.authorization.taken();
  return { ...last, isSecond: last !== first };
}

async function post(
  poster: Poster,
  { url, timeoutMs, make }: AuthorizedPost,
  authorization: RequestAuthorization,
): Promise<Omit<Posted, 'isSecond'>> {
  const request = make(authorization);
  const attempt = await new Promise<HttpAttempt>((resolve) => poster.post(url, request, timeoutMs, resolve));
  return { attempt, request, authorization };
}

/** The outcome of one request. `ok` means a 2xx status and nothing else. */
export type HttpAttempt =
  | { readonly ok: true; readonly status: number; readonly durationMs: number }
  | {
      readonly ok: false;
      readonly status?: number;
      readonly code?: string;
      readonly retryAfterMs?: number;
      readonly durationMs: number;
      readonly answer?: string;
    };

/** The endpoint's answer is not HTTP. */
class AnswerMalformed extends Error {
  override readonly name = 'AnswerMalformed';
  readonly code = ATTEMPT_CODES.answerMalformed;
}

const SWITCHING_PROTOCOLS = 101;
/** Most bytes of an answer's body that are read; beyond that the connection is closed. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Most characters of an answer that an attempt has, and only a failed one. */
const ANSWER_LENGTH = 200;
/** Most bytes of an answer for the delivery log. */
const KEPT_BYTES = 1024;
/** Most characters of a `Location` that are looked at. */
const MOST_LOCATION = 2000;
/** Marks the end of an answer that was cut, possibly in the middle of a secret that it echoed (see `withoutSecrets`). */
export const CUT = '…';

type HandlerDone = (handler: AttemptHandler, attempt: HttpAttempt, answer?: HttpAnswer) => void;

const NOTHING = Buffer.alloc(0);

/**
 * One request in flight: undici's handler, which turns it into an `HttpAttempt`. The status line decides: a body that cannot be read, is too long
 * or never ends does not change the outcome. The attempt still lasts until the connection has finished with the request, because until then the
 * endpoint has it in flight.
 */
export class AttemptHandler implements Dispatcher.DispatchHandler, Expiring {
  readonly deadlineAtMs: number;
  readonly #startedAtMs: number;
  readonly #done: HandlerDone;
  readonly #keeps: PosterOptions['keeps'];
  #controller: Dispatcher.DispatchController | undefined;
  #status: number | undefined;
  #retryAfterMs: number | undefined;
  #bytes = 0;
  #answer: Buffer | undefined;
  #headers: IncomingHttpHeaders = {};
  /** Where a redirect leads, which is never followed. */
  #location: string | undefined;
  #expired = false;
  #isDone = false;

  constructor(nowMs: number, timeoutMs: number, done: HandlerDone, keeps?: PosterOptions['keeps']) {
    this.#startedAtMs = nowMs;
    this.deadlineAtMs = nowMs + timeoutMs;
    this.#done = done;
    this.#keeps = keeps;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isDone) controller.abort(new Error('The attempt is over.'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // A 101 answers a request that was never made, and anything but HTTP could follow it. The check of undici only refuses one that names a protocol.
    if (status < 100 || status === SWITCHING_PROTOCOLS)
      return controller.abort(new AnswerMalformed('This is not an HTTP answer.'));
    if (status < 200) return; // 1xx: the final answer is still to come.
    this.#status = status;
    // A header that was sent twice is an array here, despite its type.
    const [retryAfter] = [headers['retry-after']].flat();
    const [location] = [headers.location].flat();
    if (status >= 300 && status < 400 && location !== undefined) this.#location = location.slice(0, MOST_LOCATION);
    if (retryAfter !== undefined) this.#retryAfterMs = parseRetryAfter(retryAfter, Date.now());
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    const room = KEPT_BYTES - (this.#answer?.length ?? 0);
    // Copied, because the chunk may be a view of a large buffer that would then be kept alive.
    if (room > 0 && (!this.#isSuccess || this.#isKept))
      this.#answer = Buffer.concat([this.#answer ?? NOTHING, chunk.subarray(0, room)]);
    if (this.#bytes > MAX_ANSWER_BYTES) controller.abort(new Error('The answer is too long to be read to its end.'));
  }

  onResponseEnd(): void {
    this.#settle();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#settle(error);
  }

  /** Call this when the deadline of the whole attempt has passed. */
  expire(): void {
    this.#expired = true;
    // Aborting leads to onResponseError. A request that is still waiting for its connection has nothing to abort yet.
    if (this.#controller === undefined) this.#settle();
    else this.#controller.abort(new Error('The request took too long.'));
  }

  get #isSuccess(): boolean {
    return this.#status !== undefined && this.#status >= 200 && this.#status < 300;
  }

  get #isKept(): boolean {
    return this.#keeps === 'all' || (this.#keeps === 'failed' && !this.#isSuccess);
  }

  #settle(error?: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const attempt = this.#attempt(error);
    const isAnswered = this.#status !== undefined;
    const answer = isAnswered && this.#isKept ? this.#keptAnswer(error !== undefined) : undefined;
    // After an error the next request waits until undici has finished with this one. The error comes while undici updates its own state, and a
    // request made from there would upset it.
    if (error === undefined) this.#done(this, attempt, answer);
    else setImmediate(() => this.#done(this, attempt, answer));
  }

  #keptAnswer(isHalf: boolean): HttpAnswer {
    const pairs = Object.entries(this.#headers).flatMap(([name, value = []]) =>
      [value].flat().map((one) => [name, one] as const),
    );
    // A body often repeats where a redirect leads.
    const body =
      this.#location === undefined
        ? this.#shownAnswer(this.#answer ?? NOTHING, isHalf, KEPT_BYTES)
        : shownLocation(this.#location);
    return { headers: pairs, body };
  }

  #attempt(error: Error | undefined): HttpAttempt {
    const durationMs = Math.round(performance.now() - this.#startedAtMs);
    if (this.#status !== undefined && this.#isSuccess) return { ok: true, status: this.#status, durationMs };
    const body =
      this.#answer === undefined ? undefined : this.#shownAnswer(this.#answer, error !== undefined, ANSWER_LENGTH);
    const answer = this.#location === undefined ? body : shownLocation(this.#location);
    return {
      ok: false,
      durationMs,
      ...(this.#status === undefined ? this.#failure(error) : { status: this.#status }),
      ...(this.#retryAfterMs === undefined ? {} : { retryAfterMs: this.#retryAfterMs }),
      ...(answer === undefined ? {} : { answer }),
    };
  }

  #failure(error: Error | undefined): { readonly code: string; readonly answer?: string } {
    if (this.#expired) return { code: ATTEMPT_CODES.timeout };
    if (!isFault(error)) return { code: nameOf(error) };
    const code = this.#controller === undefined ? ATTEMPT_CODES.requestNotMade : ATTEMPT_CODES.workerFault;
    return { code, answer: shownFault(error) };
  }

  #shownAnswer(kept: Buffer, isHalf: boolean, most: number): string {
    // Control characters could control the terminal that shows it.
    const text = answerText(kept, this.#headers).replaceAll(/\p{Cc}+/gu, ' ');
    if (!isHalf && this.#bytes <= kept.length && text.length <= most) return text.toWellFormed();
    // The cut may have split the last character.
    const cut = text
      .slice(0, most - CUT.length)
      .toWellFormed()
      .replace(/\uFFFD+$/, '');
    return `${cut}${CUT}`;
  }
}

/** Masked like every URL: a redirect often repeats the URL that was requested. */
function shownLocation(location: string): string {
  const shown = /^https?:/i.test(location) ? printable(shownUrl(location)) : 'a path of the same host';
  return `Location: ${shown}`.slice(0, ANSWER_LENGTH).toWellFormed();
}

/** undici's words for an answer whose lengths contradict each other. */
const LENGTH_MISMATCH = 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';

/**
 * The name of an outcome without a status: the stable code of its error, or else its class name. If several addresses were tried, the first one's
 * error counts.
 */
function nameOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return nameOf(error.errors[0]);
  const code = codeOf(error);
  const name = classOf(error);
  if (name === 'HTTPParserError' || code === LENGTH_MISMATCH) return ATTEMPT_CODES.answerMalformed;
  return code ?? (name === '' || name === 'Error' ? 'UNKNOWN' : name);
}

/** Classes of errors that nothing outside can cause: something in this process used another part of it wrongly. */
const FAULTS = /^(AssertionError|EvalError|RangeError|ReferenceError|SyntaxError|TypeError|URIError)$/;
/** The same for undici, including the codes of requests that are made after it was closed. */
const FAULT_CODES =
  /^UND_ERR_(INVALID_ARG|INVALID_RETURN_VALUE|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH|DESTROYED|CLOSED)$/;

/** Whether an error is a fault of this worker. The endpoint is not to blame for it. */
function isFault(error: unknown): boolean {
  return FAULTS.test(classOf(error)) || FAULT_CODES.test(codeOf(error) ?? '');
}

/** A fault of this worker, for its developers: its code or class, and the line. Not the message, which may quote a header. */
export function shownFault(error: unknown): string {
  const stack = isRecord(error) && typeof error['stack'] === 'string' ? error['stack'].slice(0, 2_000) : '';
  const place = /^ +at (?!.*node:).*?([\w.-]+:\d+):\d+\)?$/m.exec(stack)?.[1];
  return `${codeOf(error) ?? classOf(error)}${place === undefined ? '' : ` at ${place}`}`;
}

/** By name, because with several realms there are several classes of each name. */
function classOf(error: unknown): string {
  return isRecord(error) && typeof error['name'] === 'string' ? error['name'] : '';
}

const TICK_MS = 50;

/** Something that must end by a deadline. */
interface Expiring {
  readonly deadlineAtMs: number;
  expire(): void;
}

/**
 * Enforces the deadlines of many requests with one interval timer. On a fast endpoint, a timer for each would cost more than the request itself.
 * Times are those of `performance.now()`.
 */
class Deadlines {
  readonly #open = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;

  add(item: Expiring): void {
    this.#open.add(item);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  delete(item: Expiring): void {
    this.#open.delete(item);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = performance.now();
    for (const item of this.#open) {
      if (item.deadlineAtMs > now) continue;
      this.#open.delete(item);
      item.expire();
    }
    if (this.#open.size === 0) this.close();
  }
}

/** A query with more parameters appended. The URL's own part stays exactly as it was written. */
export function joined(search: string, more = ''): string {
  if (more === '') return search;
  return search === '' ? `?${more}` : `${search}&${more}`;
}
