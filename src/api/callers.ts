import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Usage } from './limits.ts';
import { Refused } from './refusal.ts';
import type { Asker } from '../client/job-client.ts';
import type { ConfiguredApiKeys, Right } from '../config/api-keys.ts';
import { definedOf } from '../domain/json.ts';
import { isOfOtherPage, originFault } from '../http/origin-check.ts';

/** A caller, and their rights. */
export interface Caller {
  /** The name of their key; undefined if no keys are configured. */
  readonly name?: string;
  /** The jobs that the key is for; undefined: all. */
  readonly jobs?: readonly string[] | undefined;
  /** The jobs that an ingest names: unless all of them run, nothing is accepted. */
  readonly needs?: readonly string[] | undefined;
  /** The audiences, and the authorizations, that a key for some jobs was given; undefined: those that its jobs have. */
  readonly audiences?: readonly string[] | undefined;
  readonly authorizations?: readonly string[] | undefined;
  /** The use that their key or ingest makes of the API. Undefined: it has no limits. */
  readonly usage?: Usage;
  may(right: Right): boolean;
  /** Whether they have access to this job. */
  mayJob(jobId: string): boolean;
  /** Whether they may send triggers about this audience, as they name it. */
  mayAudience(audience: string): boolean;
}

/** A caller who may do everything. It is one on this machine if no keys are configured, or one with the link that this process printed. */
export const EVERYTHING: Caller = { may: () => true, mayJob: () => true, mayAudience: () => true };

interface KnownKey {
  readonly hash: Buffer;
  readonly caller: Caller;
  /** Epoch ms. */
  readonly expiresAtMs: number;
}

/** The keys of the HTTP API. Only their hashes are known, and they can be replaced while requests come. */
export class ApiKeys {
  readonly #now: () => number;
  #keys: readonly KnownKey[] = [];
  #hadKeys = false;
  readonly #usages = new Map<string, Usage>();

  constructor(configured: ConfiguredApiKeys, now: () => number = Date.now) {
    this.#now = now;
    this.replace(configured);
  }

  /** Whether there never were any keys: then every caller on this machine may do everything. When all keys are removed, nobody may do anything. */
  get isOpen(): boolean {
    return !this.#hadKeys;
  }

  replace(configured: ConfiguredApiKeys): void {
    this.#hadKeys ||= Object.keys(configured).length > 0;
    this.#keys = Object.entries(configured).map(
      ([name, { hash, may, jobs, audiences, authorizations, expires, limits }]) => ({
        hash: Buffer.from(hash.slice('sha256:'.length), 'hex'),
        expiresAtMs: expires === undefined ? Infinity : Date.parse(expires),
        caller: {
          name,
          jobs,
          audiences,
          authorizations,
          usage: Usage.of(this.#usages, name, limits),
          may: (right) => may.includes(right),
          mayJob: (jobId) => jobs?.includes(jobId) ?? true,
          mayAudience: (audience) => audiences?.includes(audience) ?? true,
        },
      }),
    );
  }

  /** The caller whose key is in an `authorization` header; undefined if the key is unknown. Takes equally long for every key. */
  callerOf(authorization: string | undefined): Caller | undefined {
    if (this.isOpen) return EVERYTHING;
    return this.callerWith(hashIn(authorization));
  }

  /** The caller whose key has this hash; undefined if the key is unknown or has expired. Takes equally long for every key. */
  callerWith(keyHash: string): Caller | undefined {
    const key = this.#keyWith(keyHash);
    return key === undefined || this.#now() >= key.expiresAtMs ? undefined : key.caller;
  }

  /** All keys, with when each expires and when it was used last in this process. */
  list(): { name: string; expires?: string; lastUsedAt?: string }[] {
    const at = (ms = Infinity): string | undefined => (ms === Infinity ? undefined : new Date(ms).toISOString());
    return this.#keys.map(({ caller: { name = '', usage }, expiresAtMs }) => ({
      name,
      ...definedOf({ expires: at(expiresAtMs), lastUsedAt: at(usage?.lastAtMs) }),
    }));
  }

  /** Why a key has no caller. */
  refusalOf(keyHash: string): Refused {
    const headers = { 'www-authenticate': 'Bearer' };
    const { expiresAtMs } = this.#keyWith(keyHash) ?? {};
    if (expiresAtMs === undefined) return new Refused(401, 'NotAuthorized', UNKNOWN_KEY, { headers });
    const at = new Date(expiresAtMs).toISOString();
    return new Refused(401, 'KeyExpired', `This API key expired at ${at}. Ask an operator for another.`, { headers });
  }

  #keyWith(keyHash: string): KnownKey | undefined {
    const presented = Buffer.from(keyHash, 'hex');
    let found: KnownKey | undefined;
    for (const key of this.#keys) if (timingSafeEqual(key.hash, presented)) found = key;
    return found;
  }
}

/** The hash of the key in an `authorization` header. */
function hashIn(authorization: string | undefined): string {
  return hashOf(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '');
}

const UNKNOWN_KEY =
  'The API key is missing or wrong: "authorization: Bearer <key>". In the console, the session has ended.';

/** SHA-256 of a key or a token, in hex. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** A session ends when it was unused for this long, in ms; and this long after it began. */
export const IDLE_MS = 30 * 60_000;
export const LONGEST_MS = 12 * 3_600_000;
/** Most sessions of a key at a time; another one ends that key's session that was unused for longest. */
const MOST_SESSIONS = 100;
/** How long a link can sign somebody in, in ms. */
export const LINK_MS = 10 * 60_000;

/** The holder of a session: the owner of the key with this hash, or `link`. The latter is the person who started this process and opened its link. */
export type SessionOf = { readonly keyHash: string } | 'link';

function holderOf(of: SessionOf): string {
  return of === 'link' ? of : of.keyHash;
}

interface Begun {
  readonly of: SessionOf;
  readonly endsAtMs: number;
  /** Never later than the other. */
  idleEndsAtMs: number;
}

export type Session = Readonly<Begun>;

/**
 * The sessions of people who have signed in, in the memory of this process. Tokens are kept as hashes only. Times, in epoch ms, and tokens are passed
 * in.
 */
export class Sessions {
  /** By the hash of its token, longest unused first. */
  readonly #sessions = new Map<string, Begun>();
  #link: { readonly hash: string; readonly endsAtMs: number } | undefined;

  /** @param token random, and never one that was offered by the person who signs in. */
  begin(of: SessionOf, token: string, nowMs: number): Session {
    this.#forget(nowMs);
    const session = { of, endsAtMs: nowMs + LONGEST_MS, idleEndsAtMs: nowMs + IDLE_MS };
    this.#sessions.set(hashOf(token), session);
    const holder = holderOf(of);
    const same = [...this.#sessions].flatMap(([hash, one]) => (holderOf(one.of) === holder ? [hash] : []));
    if (same.length > MOST_SESSIONS) this.#sessions.delete(same[0] ?? '');
    return session;
  }

  /** The session of a token, if it has not ended. */
  find(token: string, nowMs: number): Session | undefined {
    const session = this.#sessions.get(hashOf(token));
    return session !== undefined && isOver(session, nowMs) ? undefined : session;
  }

  /** The same, and restarts its idle time. */
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

  /** Makes this token the link's. The token of the previous link no longer works. */
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

/** The console sends this header with each action of a person; a page of another site cannot. Its value means nothing. */
export const CONSOLE_HEADER = 'x-triggers-console';

/** Who asks, as jobs tell it. The console sends its header, whether it has a session or needs none. */
export function askerOf({ caller, headers }: FastifyRequest): Asker {
  const isConsole = headers.authorization === undefined && headers[CONSOLE_HEADER] !== undefined;
  return { ...(caller.name === undefined ? {} : { who: caller.name }), door: isConsole ? 'console' : 'api' };
}

/** Finds the caller of a request: by a key, which takes precedence, or by the cookie of a session. */
export class Callers {
  readonly #keys: ApiKeys;
  readonly #sessions: Sessions;
  readonly #now: () => number;

  constructor(keys: ApiKeys, sessions: Sessions, now: () => number) {
    this.#keys = keys;
    this.#sessions = sessions;
    this.#now = now;
  }

  /** The caller of a request; undefined: not one who may ask. Their rights are looked up anew each time. */
  of(request: FastifyRequest): Caller | undefined {
    const { authorization } = request.headers;
    if (this.#keys.isOpen || authorization !== undefined) return this.#keys.callerOf(authorization);
    return this.#holderOf(this.sessionOf(request));
  }

  /**
   * The same, for a request that is about to be served.
   * @throws Refused when it has only a cookie, and would change something without coming from the console
   */
  serving(request: FastifyRequest): Caller | undefined {
    const { headers, method } = request;
    if (this.#keys.isOpen || headers.authorization !== undefined) return this.of(request);
    if (headers[CONSOLE_HEADER] === undefined) {
      const caller = this.of(request);
      if (caller !== undefined && method !== 'GET' && method !== 'HEAD')
        throw new Refused(
          403,
          'NotFromConsole',
          `With the cookie of the console, what changes something needs the header "${CONSOLE_HEADER}: 1". Programs use a key.`,
        );
      return caller;
    }
    const token = tokenIn(request);
    return this.#holderOf(token === undefined ? undefined : this.#sessions.use(token, this.#now()));
  }

  /** Why a request has no caller. */
  refusalOf({ headers }: FastifyRequest): Refused {
    return this.#keys.refusalOf(hashIn(headers.authorization));
  }

  /** The session by whose cookie a request is made, if its holder may still ask. */
  sessionOf(request: FastifyRequest): Session | undefined {
    const token = request.headers.authorization === undefined ? tokenIn(request) : undefined;
    const session = token === undefined ? undefined : this.#sessions.find(token, this.#now());
    return this.#holderOf(session) === undefined ? undefined : session;
  }

  #holderOf(session: Session | undefined): Caller | undefined {
    if (session === undefined) return undefined;
    return session.of === 'link' ? EVERYTHING : this.#keys.callerWith(session.of.keyHash);
  }
}

/** Whether the browser uses https to the proxy that passed the request on. A caller who claims this without being a proxy only cheats themselves. */
function isHttps({ headers }: FastifyRequest): boolean {
  const [protocols = ''] = [headers['x-forwarded-proto']].flat();
  return /^\s*https\s*(?:,|$)/i.test(protocols) || /^[^,]*\bproto="?https\b/i.test(headers.forwarded ?? '');
}

/** With https, a name that neither another host of the domain nor plain http can have set. */
function cookieName(request: FastifyRequest): string {
  return isHttps(request) ? '__Host-triggers-session' : 'triggers-session';
}

/** The token in a request's cookie; undefined also when there are two, since ours cannot be told from the other. */
export function tokenIn(request: FastifyRequest): string | undefined {
  const begin = `${cookieName(request)}=`;
  const cookies = (request.headers.cookie ?? '').split(';').map((cookie) => cookie.trim());
  const [own, ...others] = cookies.filter((cookie) => cookie.startsWith(begin));
  return others.length > 0 ? undefined : own?.slice(begin.length);
}

/** @param token undefined: takes the cookie away. */
export function cookieWith(request: FastifyRequest, token: string | undefined, seconds: number): string {
  const parts = [`${cookieName(request)}=${token ?? ''}`, 'Path=/', 'HttpOnly', 'SameSite=Strict'];
  return [...parts, `Max-Age=${token === undefined ? 0 : seconds}`, ...(isHttps(request) ? ['Secure'] : [])].join('; ');
}

const NO_KEYS =
  'The API has no keys, so it is for this machine only, and for nothing that a proxy passes on. Make a key with: triggers secrets new --api-key';
const OTHER_PAGE = 'Pages of other sites may not ask.';

/**
 * Refuses requests of pages that are open in a browser on this machine: without keys, they must not be able to ask. Such a request comes from
 * elsewhere, or uses another name.
 * @param passedOn the message for a request that a proxy passed on.
 */
export function rejectForeignOrigin(request: FastifyRequest, passedOn = NO_KEYS): void {
  const wrongHost = 'The API is not asked by that name. Use 127.0.0.1 or localhost.';
  const words = { PassedOn: passedOn, WrongHost: wrongHost, WrongOrigin: OTHER_PAGE } as const;
  const fault = originFault(request.raw, isForAll(request));
  if (fault !== undefined) throw new Refused(403, fault, words[fault]);
}

/**
 * Refuses requests that a page of another site makes. Following a link from there to a page of ours is allowed, since the other site sees nothing of
 * it.
 * @throws Refused
 */
export function rejectCrossSite(request: FastifyRequest): void {
  if (isOfOtherPage(request.raw, isForAll(request))) throw new Refused(403, 'WrongOrigin', OTHER_PAGE);
}

function isForAll({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.right === undefined;
}
