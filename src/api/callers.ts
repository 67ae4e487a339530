import type { FastifyRequest } from 'fastify';
import { type ApiKeys, type Caller, EVERYTHING } from './api-keys.ts';
import { Refused } from './refusal.ts';
import type { Session, Sessions } from './sessions.ts';

/** What the console sends with whatever a person does in it, and a page of another site cannot. Its value means nothing. */
export const CONSOLE_HEADER = 'x-triggers-console';

/** Who asks: by a key, which counts before all else, or by the cookie of a session. */
export class Callers {
  readonly #keys: ApiKeys;
  readonly #sessions: Sessions;
  readonly #now: () => number;

  constructor(keys: ApiKeys, sessions: Sessions, now: () => number) {
    this.#keys = keys;
    this.#sessions = sessions;
    this.#now = now;
  }

  /** Undefined: nobody who may ask. What they may is looked up anew each time. */
  of(request: FastifyRequest): Caller | undefined {
    const { authorization } = request.headers;
    if (this.#keys.isOpen || authorization !== undefined) return this.#keys.callerOf(authorization);
    return this.#holderOf(this.sessionOf(request));
  }

  /**
   * The same, of a request that is about to be served.
   * @throws Refused when it has only a cookie, and would change something without being the console's
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

/** Whether the browser speaks https to whatever passed the request on. Who says so without being a proxy cheats only themselves. */
function isHttps({ headers }: FastifyRequest): boolean {
  const [said = ''] = [headers['x-forwarded-proto']].flat();
  return /^\s*https\s*(?:,|$)/i.test(said) || /^[^,]*\bproto="?https\b/i.test(headers.forwarded ?? '');
}

/** By https, one that neither another host of the domain nor plain http can have set. */
function cookieName(request: FastifyRequest): string {
  return isHttps(request) ? '__Host-triggers-session' : 'triggers-session';
}

/** The token in a request's cookie; undefined also when there are two, of which nobody knows which is ours. */
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
