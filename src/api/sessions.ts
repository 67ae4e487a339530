import { createHash, timingSafeEqual } from 'node:crypto';

/** A session that nobody uses for so long, in ms, has ended; and so has one that began so long ago. */
export const IDLE_MS = 30 * 60_000;
export const LONGEST_MS = 12 * 3_600_000;
/** Most sessions at a time; another one ends the one that was not used for longest. */
const MOST_SESSIONS = 1_000;
/** How long a link signs somebody in, in ms. */
export const LINK_MS = 10 * 60_000;
/** So many sign-ins may fail one after another, and one more after each of these, in ms. */
const FAILURES_AT_ONCE = 10;
const FAILURE_EVERY_MS = 6_000;

/** Whom a session acts for: whoever has the key with this hash, or whoever started this process and opened its link. */
export type SessionOf = { readonly keyHash: string } | 'link';

interface Begun {
  readonly of: SessionOf;
  readonly endsAtMs: number;
  /** Never later than the other. */
  idleEndsAtMs: number;
}

export type Session = Readonly<Begun>;

/** Who has signed in, in the memory of this process. Tokens are kept as hashes only; times, in epoch ms, and tokens are given. */
export class Sessions {
  /** By the hash of its token, the one that was not used for longest first. */
  readonly #sessions = new Map<string, Begun>();
  #link: { readonly hash: string; readonly endsAtMs: number } | undefined;

  /** @param token random, and never one that was offered by whoever signs in. */
  begin(of: SessionOf, token: string, nowMs: number): Session {
    this.#forget(nowMs);
    const session = { of, endsAtMs: nowMs + LONGEST_MS, idleEndsAtMs: nowMs + IDLE_MS };
    this.#sessions.set(hashOf(token), session);
    const [idlest] = this.#sessions.keys();
    if (this.#sessions.size > MOST_SESSIONS && idlest !== undefined) this.#sessions.delete(idlest);
    return session;
  }

  /** The session of a token, if it has not ended. */
  find(token: string, nowMs: number): Session | undefined {
    const session = this.#sessions.get(hashOf(token));
    return session !== undefined && isOver(session, nowMs) ? undefined : session;
  }

  /** The same, and its idle time begins anew. */
  use(token: string, nowMs: number): Session | undefined {
    const hash = hashOf(token);
    const session = this.#sessions.get(hash);
    if (session === undefined || isOver(session, nowMs)) return undefined;
    session.idleEndsAtMs = Math.min(nowMs + IDLE_MS, session.endsAtMs);
    this.#sessions.delete(hash);
    this.#sessions.set(hash, session);
    return session;
  }

  end(token: string): void {
    this.#sessions.delete(hashOf(token));
  }

  /** Makes this token the link's, and that of no link before. */
  offerLink(token: string, nowMs: number): void {
    this.#link = { hash: hashOf(token), endsAtMs: nowMs + LINK_MS };
  }

  /** Whether this is the link's token, in time and for the first time. */
  takeLink(token: string, nowMs: number): boolean {
    const link = this.#link;
    if (link === undefined || !timingSafeEqual(Buffer.from(link.hash), Buffer.from(hashOf(token)))) return false;
    this.#link = undefined;
    return nowMs < link.endsAtMs;
  }

  #forget(nowMs: number): void {
    for (const [hash, session] of this.#sessions) if (isOver(session, nowMs)) this.#sessions.delete(hash);
  }
}

function isOver({ idleEndsAtMs }: Session, nowMs: number): boolean {
  return nowMs >= idleEndsAtMs;
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/**
 * How many sign-ins may fail, whoever tries: a bucket that fills again. It slows those who guess and locks nobody out, since who has a key is let in
 * without asking it.
 */
export class FailedSignIns {
  #left = FAILURES_AT_ONCE;
  #sinceMs = 0;

  /** Hears of one that failed. Undefined, or after how many seconds the next one may. */
  add(nowMs: number): number | undefined {
    this.#left = Math.min(FAILURES_AT_ONCE, this.#left + Math.max(0, nowMs - this.#sinceMs) / FAILURE_EVERY_MS);
    this.#sinceMs = nowMs;
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * FAILURE_EVERY_MS) / 1000);
    this.#left -= 1;
    return undefined;
  }
}
