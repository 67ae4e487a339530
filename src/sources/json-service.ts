import { setTimeout as sleep } from 'node:timers/promises';
import type { Json } from '../contract/trigger.ts';
import { isRecord, parseJson } from '../domain/json.ts';
import { parseRetryAfter } from '../domain/retry.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import { GuardedAgents, wholeBody } from '../network/guarded-agents.ts';
import { OriginPolicy } from '../network/network-policy.ts';
import { SourceUnavailable } from './source.ts';

/** The value at a path, which is names with dots between them; without a path, the value itself. Undefined when there is none. */
export function valueAt(value: Json | undefined, path: string | undefined): Json | undefined {
  let found = value;
  for (const name of path?.split('.') ?? []) {
    if (!isRecord(found) || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  return found;
}

/** How the worker connects to the outside, as far as a source needs it. */
export interface SourceNetwork {
  readonly proxy?: string | undefined;
  readonly certificateAuthorities?: readonly string[];
}

export interface JsonServiceOptions {
  /** The only origin that is asked, with any path. */
  readonly url: string;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Longest time, in ms, for one question: connecting, waiting, retrying and reading together. */
  readonly timeoutMs: number;
  readonly network: SourceNetwork;
  /** Most bytes of an answer. Default 32 MiB. */
  readonly maxAnswerBytes?: number;
}

export interface ServiceQuestion {
  /** A name for the answer, to follow "it did not give …" in errors. */
  readonly what: string;
  /** With its query. */
  readonly path: string;
  /** JSON to POST; without it, the request is a GET. */
  readonly body?: string;
}

export interface ServiceAnswer {
  readonly status: number;
  /** Undefined when it is not JSON. Integers have all their digits. */
  readonly body: Json | undefined;
  /** The header `link`. */
  readonly link: string | undefined;
}

const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** Room for chunks and headers around the longest answer. */
const WIRE_FACTOR = 2;
/** The wait before a question is asked once more, in ms. */
const AGAIN_AFTER_MS = 250;
/** The same when the service asks for fewer requests, but not for how long. */
const FEWER_AFTER_MS = 1_000;
const TOO_MANY_REQUESTS = 429;
/** Failures that a second request is unlikely to have: a kept connection that was closed meanwhile, a restart. */
const PASSING = /^(ECONNRESET|EPIPE|ECONNREFUSED|EAI_AGAIN|UND_ERR_SOCKET)$/;

/**
 * Asks one service for JSON, over guarded connections to its origin alone. Follows no redirects and decompresses nothing. After a passing
 * failure a question is asked once more within its time, so it must be safe to ask twice.
 */
export class JsonService {
  readonly origin: string;
  readonly #options: JsonServiceOptions;
  readonly #agents: GuardedAgents;
  readonly #maxBytes: number;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: JsonServiceOptions) {
    const { url, timeoutMs, network, maxAnswerBytes = MAX_ANSWER_BYTES } = options;
    this.#options = options;
    this.origin = new URL(url).origin;
    this.#maxBytes = maxAnswerBytes;
    this.#headers = Object.fromEntries(
      Object.entries(options.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const policy = new OriginPolicy(this.origin, network);
    this.#agents = new GuardedAgents({ timeoutMs, policy, maxAnswerBytes: maxAnswerBytes * WIRE_FACTOR });
  }

  /**
   * Returns any answer, with any status.
   * @throws SourceUnavailable when there is none in time, or one that is too long.
   */
  async ask(question: ServiceQuestion): Promise<ServiceAnswer> {
    const endsAtMs = performance.now() + this.#options.timeoutMs;
    const first = await this.#once(question, endsAtMs);
    const waitMs = waitBeforeAgain(first);
    if (waitMs === undefined || performance.now() + waitMs >= endsAtMs) return answerOf(first);
    await sleep(waitMs);
    return answerOf(await this.#once(question, endsAtMs));
  }

  /** The error for an answer that the caller found to be wrong. */
  unavailable(what: string, reason: { status?: number; code?: string; reason?: string }): SourceUnavailable {
    return new SourceUnavailable({ origin: this.origin, what, ...reason });
  }

  async close(): Promise<void> {
    await this.#agents.close();
  }

  async #once({ what, path, body }: ServiceQuestion, endsAtMs: number): Promise<Outcome> {
    const signal = AbortSignal.timeout(Math.max(1, Math.ceil(endsAtMs - performance.now())));
    const headers = {
      accept: 'application/json',
      ...this.#headers,
      'accept-encoding': 'identity',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    try {
      const answer = await this.#agents.request({
        origin: this.origin,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers,
        body: body ?? null,
        signal,
      });
      const { statusCode: status } = answer;
      const retryAfter = [answer.headers['retry-after']].flat()[0];
      const link = [answer.headers['link']].flat().join(', ') || undefined;
      const read = jsonOf(await this.#read(answer.body as AsyncIterable<Buffer>, what));
      return { answer: { status, body: read, link }, retryAfter };
    } catch (error) {
      if (error instanceof SourceUnavailable) return { error };
      return { error: this.unavailable(what, { code: signal.aborted ? ATTEMPT_CODES.timeout : codeOf(error) }) };
    }
  }

  async #read(body: AsyncIterable<Buffer>, what: string): Promise<Buffer> {
    const bytes = await wholeBody(body, this.#maxBytes);
    if (bytes !== undefined) return bytes;
    const reason = `the answer has more than ${this.#maxBytes / 1024} KiB`;
    throw this.unavailable(what, { code: ATTEMPT_CODES.answerTooLong, reason });
  }
}

type Outcome =
  { readonly answer: ServiceAnswer; readonly retryAfter: string | undefined } | { readonly error: SourceUnavailable };

function answerOf(outcome: Outcome): ServiceAnswer {
  if ('error' in outcome) throw outcome.error;
  return outcome.answer;
}

/** Undefined when a second request would not help. */
function waitBeforeAgain(outcome: Outcome): number | undefined {
  if ('error' in outcome) return PASSING.test(outcome.error.code ?? '') ? AGAIN_AFTER_MS : undefined;
  const { status } = outcome.answer;
  if (status !== TOO_MANY_REQUESTS && status < 500) return undefined;
  const waitMs = outcome.retryAfter === undefined ? undefined : parseRetryAfter(outcome.retryAfter, Date.now());
  if (waitMs !== undefined) return Math.max(waitMs, AGAIN_AFTER_MS);
  return status === TOO_MANY_REQUESTS ? FEWER_AFTER_MS : AGAIN_AFTER_MS;
}

function jsonOf(bytes: Buffer): Json | undefined {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined; // The parser's message quotes the text.
  }
}

function codeOf(error: unknown): string {
  const { cause, code, name } = error as { cause?: unknown; code?: unknown; name?: unknown }; // Whatever was thrown.
  if (typeof code === 'string') return code;
  return cause instanceof Error ? codeOf(cause) : String(name);
}

/** Options of every source that is a service. */
export interface ServiceSourceOptions {
  readonly network?: SourceNetwork;
  /** Called, once each, with what is left out or repeated. Default: nothing. */
  readonly onProblem?: (text: string) => void;
  /** How long, in ms, a page of members may make requests. Default 20 s: the activity has a minute. */
  readonly pageBudgetMs?: number;
  /** How long, in ms, profiles may be requested. Default: as long as a slice waits for them. */
  readonly lookUpBudgetMs?: number;
}

export const PAGE_BUDGET_MS = 20_000;

/** The service behind a source, reached through the worker's proxy only where its configuration asks for that. */
export function openService(
  {
    url,
    timeoutMs,
    throughProxy,
  }: { readonly url: string; readonly timeoutMs: number; readonly throughProxy: boolean },
  headers: Readonly<Record<string, string>>,
  network: SourceNetwork = {},
): JsonService {
  return new JsonService({
    url,
    headers,
    timeoutMs,
    network: throughProxy ? network : { ...network, proxy: undefined },
  });
}

export interface LookUpOptions<T> {
  /** People, or groups of them. */
  readonly items: readonly T[];
  /** Most look-ups at once. */
  readonly atOnce: number;
  /** How long, in ms, look-ups may begin. */
  readonly budgetMs: number;
  /** Looks one up and stores what it finds. */
  readonly lookUp: (item: T) => Promise<void>;
  /** Makes the error for when there was not enough time. */
  readonly tooSlow: (reason: string) => Error;
}

/**
 * Looks people up one by one, several at a time. None is begun after one has failed or the time is over. It then rejects, since a map
 * without those who were not asked about would mean that they are not known.
 */
export async function lookUpEach<T>({ items, atOnce, budgetMs, lookUp, tooSlow }: LookUpOptions<T>): Promise<void> {
  const endsAtMs = performance.now() + budgetMs;
  let next = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (!hasFailed && performance.now() < endsAtMs) {
      const item = items[next];
      if (item === undefined) return;
      next++;
      try {
        await lookUp(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  if (next < items.length) throw tooSlow(`only ${next} of ${items.length} in ${budgetMs / 1000} s`);
}
