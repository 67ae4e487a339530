import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { RIGHTS } from '../config/api-keys.ts';
import type { AuditAction, LoggedDeed } from '../contract/audit.ts';
import { unknownKeys } from '../contract/nearest-key.ts';
import { definedOf, isRecord } from '../domain/json.ts';
import { release } from '../config/release.ts';
import {
  type ApiKeys,
  type Caller,
  type Callers,
  CONSOLE_HEADER,
  cookieWith,
  EVERYTHING,
  hashOf,
  LONGEST_MS,
  rejectForeignOrigin,
  type Session,
  type SessionOf,
  type Sessions,
  tokenIn,
} from './callers.ts';
import { bodyOf, type JsonBody, type LinesBody, rejectDoubledKeys } from './bodies.ts';
import { TokenBucket } from './limits.ts';
import { FAILURES, Refused } from './refusal.ts';

/** A key, or a link's token, is shorter. */
const MOST_BODY_BYTES = 4 * 1024;
const TOKEN_BYTES = 32;

export interface SessionRoutesOptions {
  readonly keys: ApiKeys;
  readonly sessions: Sessions;
  readonly callers: Callers;
  /** Epoch ms. */
  readonly now: () => number;
  /** Where the Temporal UI shows a workflow, without the workflow's id, which is appended. */
  readonly temporalWorkflowsUrl?: string | undefined;
  /** Called when somebody signs in, is refused, or signs out. */
  readonly onDeed?: ((deed: LoggedDeed) => void) | undefined;
}

/** A token that cannot be guessed: 256 random bits. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

const who = z
  .looseObject({
    isOpen: z.boolean().describe('Whether there are no keys, so that nobody has to sign in.'),
    name: z.string().optional().describe('The name of the key; absent: it is none.'),
    may: z.array(z.enum(RIGHTS)),
    jobs: z.array(z.string()).optional().describe('The only jobs, by id; absent: all.'),
    keys: z
      .array(z.object({ name: z.string(), expires: z.string().optional(), lastUsedAt: z.string().optional() }))
      .optional()
      .describe(
        'All keys, for one that may read all jobs. `lastUsedAt`: of requests to this process, since it started.',
      ),
    idleEndsAt: z.string().optional().describe('RFC 3339: when the session ends unless it is used.'),
    endsAt: z.string().optional().describe('RFC 3339: when it ends in any case.'),
    version: z.string(),
    temporalWorkflowsUrl: z.string().optional().describe('With a workflow id behind it, a page of the Temporal UI.'),
  })
  .describe('Who asks, and what they may do.');
const signIn = z.object({
  key: z.string().optional().describe('An API key; or `link`.'),
  link: z.string().optional().describe('The token of the link that `triggers up` prints, once.'),
});

/** This many sign-ins may fail one after another, and one more after each of these times, in ms. */
const FAILURES_AT_ONCE = 10;
const FAILURE_EVERY_MS = 6_000;

/** Signs people in to the console and out of it, and tells them who they are. */
export function sessionRoutes(app: FastifyInstance, options: SessionRoutesOptions): void {
  const { keys, sessions, callers, now } = options;
  // It slows guessing, of all callers together, and locks nobody out: a valid key does not ask it.
  const failed = new TokenBucket();
  const tell = (action: AuditAction, caller?: Caller): void => {
    const by = { ...definedOf({ who: caller?.name }), door: 'console' } as const;
    options.onDeed?.({ at: new Date(now()).toISOString(), kind: 'session', target: 'console', action, ...by });
  };
  const url = '/v1/session';
  const tags = ['Session'];

  app.route({
    method: 'GET',
    url,
    schema: {
      tags,
      summary: 'Who asks, and what they may do',
      description: 'By key, by the cookie of a session, or without keys by nothing.',
      response: { 200: who, ...FAILURES },
    },
    handler: async (request) => {
      const caller = callers.serving(request);
      if (caller === undefined) throw request.headers.authorization ? callers.refusalOf(request) : signedOut();
      return await Promise.resolve(shown(caller, callers.sessionOf(request), options));
    },
  });
  app.route({
    method: 'POST',
    url,
    config: { mostBodyBytes: MOST_BODY_BYTES },
    onRequest: refuseUnlessConsole,
    schema: {
      tags,
      security: [],
      summary: 'Sign in to the console: the answer sets a cookie',
      description: `Needs the header \`${CONSOLE_HEADER}: 1\`. Programs do not sign in: they send their key with each request.`,
      body: signIn,
      response: { 200: who, ...FAILURES },
    },
    handler: async (request, reply) => {
      const credential = credentialOf(bodyOf(request));
      if (keys.isOpen) return await Promise.resolve(shown(EVERYTHING, undefined, options));
      const holder =
        'link' in credential ? linkHolder(request, credential.link, options) : keyHolder(credential.key, keys);
      if (holder === undefined) {
        const refused = 'key' in credential ? keys.refusalOf(hashOf(credential.key)) : undefined;
        if (refused?.refusal.code === 'KeyExpired') throw refused;
        const retryAfterS = failed.add(now(), FAILURES_AT_ONCE, FAILURE_EVERY_MS);
        // Otherwise the log would be full of them.
        if (retryAfterS === undefined) tell('refuse-sign-in');
        throw signInRefused(retryAfterS, 'link' in credential);
      }
      if (!holder.caller.may('read'))
        throw new Refused(403, 'NotAllowed', 'The console shows nothing to this API key: it lacks the right "read".');
      holder.caller.usage?.addSignIn(now());
      endSession(request, sessions);
      const token = newToken();
      const session = sessions.begin(holder.of, token, now());
      tell('sign-in', holder.caller);
      reply.header('set-cookie', cookieWith(request, token, LONGEST_MS / 1000));
      return shown(holder.caller, session, options);
    },
  });
  app.route({
    method: 'DELETE',
    url,
    config: { mostBodyBytes: MOST_BODY_BYTES },
    onRequest: refuseUnlessConsole,
    schema: {
      tags,
      security: [],
      summary: 'Sign out',
      description: `Needs the header \`${CONSOLE_HEADER}: 1\`.`,
      response: { 204: z.undefined().describe('There is no session any more.'), ...FAILURES },
    },
    handler: async (request, reply): Promise<FastifyReply> => {
      if (callers.sessionOf(request) !== undefined) tell('sign-out', callers.of(request));
      endSession(request, sessions);
      return await reply
        .status(204)
        .header('set-cookie', cookieWith(request, undefined, 0))
        .send();
    },
  });
}

interface Holder {
  readonly of: SessionOf;
  readonly caller: Caller;
}

function keyHolder(key: string, keys: ApiKeys): Holder | undefined {
  const keyHash = hashOf(key);
  const caller = keys.callerWith(keyHash);
  return caller && { of: { keyHash }, caller };
}

/** The link is from this machine, and for it. */
function linkHolder(
  request: FastifyRequest,
  link: string,
  { sessions, now }: SessionRoutesOptions,
): Holder | undefined {
  rejectForeignOrigin(request, 'A sign-in link works on this machine only, without a proxy. Sign in with an API key.');
  return sessions.takeLink(link, now()) ? { of: 'link', caller: EVERYTHING } : undefined;
}

function endSession(request: FastifyRequest, sessions: Sessions): void {
  const token = tokenIn(request);
  if (token !== undefined) sessions.end(token);
}

/** @throws Refused: a page of another site can send everything but a header of our own */
function refuseUnlessConsole({ headers }: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  if (headers[CONSOLE_HEADER] === undefined)
    throw new Refused(403, 'NotFromConsole', `This is for the console: it needs the header "${CONSOLE_HEADER}: 1".`);
  done();
}

/** @throws Refused when it has neither a key nor a link, or anything else */
function credentialOf(body: JsonBody | LinesBody | undefined): { readonly key: string } | { readonly link: string } {
  if (body === undefined) throw new Refused(400, 'NoBody', 'A JSON body is missing.');
  const input = 'text' in body ? rejectDoubledKeys(body) : undefined;
  const problems = isRecord(input) ? unknownKeys(input, signIn.keyof().options) : [];
  if (isRecord(input) && problems.length === 0) {
    const { key, link } = input;
    if (typeof key === 'string' && link === undefined) return { key: key.trim() };
    if (typeof link === 'string' && key === undefined) return { link };
  }
  throw new Refused(422, 'InvalidRequest', 'Sign in with a JSON object: {"key":"trg_…"}, or {"link":"…"}.', {
    problems,
  });
}

function signInRefused(retryAfterS: number | undefined, isLink: boolean): Refused {
  if (retryAfterS !== undefined)
    return new Refused(429, 'TooManySignIns', 'Too many sign-ins have failed. Try again later.', { retryAfterS });
  const detail = isLink
    ? 'This link has been used, is older than 10 minutes, or is not complete. Start "triggers up" again for a new one, or sign in with an API key.'
    : 'This API key is not known here.';
  return new Refused(401, 'NotAuthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

function signedOut(): Refused {
  return new Refused(401, 'NotAuthorized', 'You are not signed in, or your session has ended.', {
    headers: { 'www-authenticate': 'Bearer' },
  });
}

function shown(
  caller: Caller,
  session: Session | undefined,
  { keys, temporalWorkflowsUrl }: SessionRoutesOptions,
): z.infer<typeof who> {
  const { name, jobs } = caller;
  const at = (ms: number): string => new Date(ms).toISOString();
  return {
    isOpen: keys.isOpen,
    ...(name === undefined ? {} : { name }),
    may: RIGHTS.filter((right) => caller.may(right)),
    ...(jobs === undefined ? {} : { jobs: [...jobs] }),
    ...(session === undefined ? {} : { idleEndsAt: at(session.idleEndsAtMs), endsAt: at(session.endsAtMs) }),
    version: release(),
    // Both are about everything.
    ...(caller.may('read') && jobs === undefined
      ? definedOf({ temporalWorkflowsUrl, keys: keys.isOpen ? undefined : keys.list() })
      : {}),
  };
}
