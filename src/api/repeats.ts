import { createHash } from 'node:crypto';
import type { PushClock } from '../client/push/push.ts';
import { instantAfter, parseInstant, withOffset } from '../domain/instant.ts';
import { Refused } from './refusal.ts';

/** Most requests with a key that are remembered, and for how long, in ms. */
const MOST = 10_000;
const REMEMBERED_MS = 24 * 3_600_000;

/** What a request with an `Idempotency-Key` was answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Whether a repeat has to be done again, although it is below 300. */
  readonly isProvisional?: boolean;
}

interface Remembered {
  readonly since: number;
  /** Of the body; undefined for a stream. */
  readonly fingerprint: string | undefined;
  readonly atOf: (index: number) => string;
  /** Resolves with what it was answered; undefined when it may be done again. */
  answer: Promise<Answer | undefined>;
}

/**
 * What requests with an `Idempotency-Key` were answered, in this process. A repeat gets the same answer; one that was not accepted, and a stream,
 * of which nobody knows beforehand whether it is the same, is done again, and its triggers have the same `at` as before, so that a job recognises
 * those that it has.
 */
export class Repeats {
  readonly #clock: PushClock;
  readonly #now: () => number;
  readonly #ofOther: 'refuse' | 'act';
  readonly #requests = new Map<string, Remembered>();

  /** @param ofOther what becomes of a key that was used for another body: it is refused, or is a new request, with which the one before is forgotten. */
  constructor(clock: PushClock, now: () => number = Date.now, ofOther: 'refuse' | 'act' = 'refuse') {
    this.#clock = clock;
    this.#now = now;
    this.#ofOther = ofOther;
  }

  /**
   * @param key what is repeated: the caller, the path and the `Idempotency-Key`; undefined when it is none that may be repeated.
   * @param body its text; undefined for a stream.
   * @param act does it. Only what it resolves with below 300 counts as an answer.
   * @throws Refused when the key was used for another body
   */
  async once(
    key: string | undefined,
    body: string | undefined,
    act: (atOf: (index: number) => string) => Promise<Answer>,
  ): Promise<Answer & { readonly isReplayed: boolean }> {
    if (key === undefined) return { ...(await act(this.#clock)), isReplayed: false };
    this.#forget();
    const fingerprint = body === undefined ? undefined : createHash('sha256').update(body).digest('base64');
    const found = this.#requests.get(key);
    if (found?.fingerprint !== fingerprint && this.#ofOther === 'act') this.#requests.delete(key);
    const before = this.#requests.get(key);
    if (before !== undefined) {
      if (before.fingerprint !== fingerprint)
        throw new Refused(
          422,
          'IdempotencyKeyReused',
          'This Idempotency-Key was used for another request. Use a new one.',
        );
      const answered = await before.answer;
      if (answered !== undefined) return { ...answered, isReplayed: true };
    }
    // Another repeat may have begun it again meanwhile.
    const latest = this.#requests.get(key);
    if (latest !== undefined && latest !== before) return await this.once(key, body, act);
    const request: Remembered = {
      since: before?.since ?? this.#now(),
      fingerprint,
      atOf: before?.atOf ?? clockFrom(this.#clock()),
      answer: Promise.resolve(undefined),
    };
    const acting = act(request.atOf);
    request.answer = acting.then(
      (answer) =>
        answer.status < 300 && fingerprint !== undefined && answer.isProvisional !== true ? answer : undefined,
      () => undefined,
    );
    this.#requests.delete(key);
    this.#requests.set(key, request);
    return { ...(await acting), isReplayed: false };
  }

  #forget(): void {
    for (const [key, { since }] of this.#requests) {
      if (this.#requests.size <= MOST && since > this.#now() - REMEMBERED_MS) return;
      this.#requests.delete(key);
    }
  }
}

/** The `at` of each trigger of a request, a nanosecond apart: the same ones each time it is asked. */
function clockFrom(at: string): (index: number) => string {
  const first = parseInstant(at) ?? at;
  return (index) => withOffset(instantAfter(first, index));
}
