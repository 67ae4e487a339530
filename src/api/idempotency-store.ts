import { createHash } from 'node:crypto';
import type { PushClock } from '../client/push/push.ts';
import { instantAfter, parseInstant, withOffset } from '../domain/instant.ts';
import { isRecord, stringifyJson } from '../domain/json.ts';
import { Refused } from './refusal.ts';

/** Limits of remembered requests with a key: how many, about how many bytes together, and for how long, in ms. */
const MOST = 10_000;
const MOST_BYTES = 32 * 1024 * 1024;
/** Bytes that a request takes besides the characters of its answer. */
const REQUEST_BYTES = 1_000;
/** Most reasons of an answer that are kept for its repeats. */
const MOST_REASONS = 10;
const REMEMBERED_MS = 24 * 3_600_000;

/** The answer to a request with an `Idempotency-Key`. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Whether a repeat is done again, although the status is below 300. */
  readonly isProvisional?: boolean;
}

/** A repeat has the same: who asks, and the request by its path and `Idempotency-Key`. */
export interface RepeatKey {
  readonly caller: string;
  readonly request: string;
}

interface Remembered {
  readonly caller: string;
  readonly since: number;
  /** A digest of the body; undefined for a stream. */
  readonly fingerprint: string | undefined;
  readonly atOf: (index: number) => string;
  /** Resolves with the answer, its body as JSON; undefined when the request may be done again. */
  answer: Promise<(Omit<Answer, 'body'> & { readonly json: string }) | undefined>;
  bytes: number;
}

/**
 * The answers to requests with an `Idempotency-Key`, in this process. A repeat gets the same answer. A request that was not accepted is done again,
 * and so is a stream, which cannot be compared beforehand. Its triggers then have the same `at` as before, by which a job recognises those that it
 * has.
 */
export class IdempotencyStore {
  readonly #clock: PushClock;
  readonly #now: () => number;
  readonly #ofOther: 'refuse' | 'act';
  /** By a digest of their key: a sender's key may be as long as a body. */
  readonly #requests = new Map<string, Remembered>();
  #bytes = 0;
  /** By caller. */
  readonly #bytesOf = new Map<string, number>();

  /** @param ofOther for a key that was used for another body: refuse the request, or treat it as new and forget the previous one. */
  constructor(clock: PushClock, now: () => number = Date.now, ofOther: 'refuse' | 'act' = 'refuse') {
    this.#clock = clock;
    this.#now = now;
    this.#ofOther = ofOther;
  }

  /**
   * @param named undefined when the request may not be repeated.
   * @param body its text; undefined for a stream.
   * @param act does the request. Only a result below 300 counts as an answer; a repeat gets it with the first ten reasons.
   * @throws Refused when the key was used for another body
   */
  async once(
    named: RepeatKey | undefined,
    body: string | undefined,
    act: (atOf: (index: number) => string) => Promise<Answer>,
  ): Promise<Answer & { readonly isReplayed: boolean }> {
    if (named === undefined) return { ...(await act(this.#clock)), isReplayed: false };
    this.#forget();
    const key = digestOf(JSON.stringify([named.caller, named.request]));
    const fingerprint = body === undefined ? undefined : digestOf(body);
    const found = this.#requests.get(key);
    if (found?.fingerprint !== fingerprint && this.#ofOther === 'act') this.#drop(key);
    const before = this.#requests.get(key);
    if (before !== undefined) {
      if (before.fingerprint !== fingerprint)
        throw new Refused(
          422,
          'IdempotencyKeyReused',
          'This Idempotency-Key was used for another request. Use a new one.',
        );
      const answered = await before.answer;
      if (answered !== undefined) {
        const { json, ...rest } = answered;
        return { ...rest, body: JSON.parse(json) as unknown, isReplayed: true };
      }
    }
    // Another repeat may have begun it again by now.
    const latest = this.#requests.get(key);
    if (latest !== undefined && latest !== before) return await this.once(named, body, act);
    const request: Remembered = {
      caller: named.caller,
      since: before?.since ?? this.#now(),
      fingerprint,
      atOf: before?.atOf ?? clockFrom(this.#clock()),
      answer: Promise.resolve(undefined),
      bytes: REQUEST_BYTES,
    };
    const acting = act(request.atOf);
    request.answer = acting.then(
      ({ body: answered, isProvisional, ...answer }) => {
        if (answer.status >= 300 || fingerprint === undefined || isProvisional === true) return undefined;
        const json = shortened(answered);
        if (this.#requests.get(key) === request) this.#count(request.caller, json.length);
        request.bytes += json.length;
        return { ...answer, json };
      },
      () => undefined,
    );
    this.#drop(key);
    this.#requests.set(key, request);
    this.#count(request.caller, request.bytes);
    return { ...(await acting), isReplayed: false };
  }

  #forget(): void {
    for (const [key, { since }] of this.#requests) {
      if (since > this.#now() - REMEMBERED_MS) break;
      this.#drop(key);
    }
    while (this.#requests.size > MOST || this.#bytes > MOST_BYTES) this.#drop(this.#oldestOfGreatest());
  }

  /** Returns the oldest request of the caller whose answers take most: no caller makes the API forget those of others. */
  #oldestOfGreatest(): string {
    const most = Math.max(...this.#bytesOf.values());
    for (const [key, { caller }] of this.#requests) if (this.#bytesOf.get(caller) === most) return key;
    return '';
  }

  #drop(key: string): void {
    const { caller, bytes } = this.#requests.get(key) ?? { caller: '', bytes: 0 };
    this.#requests.delete(key);
    this.#count(caller, -bytes);
  }

  #count(caller: string, bytes: number): void {
    this.#bytes += bytes;
    const own = (this.#bytesOf.get(caller) ?? 0) + bytes;
    if (own === 0) this.#bytesOf.delete(caller);
    else this.#bytesOf.set(caller, own);
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

/** An answer as JSON, with its first few reasons. A hundred of them would take a hundred times as much as the rest. */
function shortened(body: unknown): string {
  const refused =
    isRecord(body) && Array.isArray(body['refused']) ? { refused: body['refused'].slice(0, MOST_REASONS) } : {};
  return stringifyJson(isRecord(body) ? { ...body, ...refused } : {});
}

/** The `at` of each trigger of a request, a nanosecond apart: the same ones on each call. */
function clockFrom(at: string): (index: number) => string {
  const first = parseInstant(at) ?? at;
  return (index) => withOffset(instantAfter(first, index));
}
