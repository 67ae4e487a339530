import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { NamespaceNotFoundError } from '@temporalio/common';
import { z } from 'zod';
import type { FastifyInstance, FastifyReply } from 'fastify';
import * as errors from '../client/calls/errors.ts';
import type { JobClient } from '../client/job-client.ts';
import { withNearName } from '../client/near-names.ts';
import { noNamespace } from '../client/calls/temporal-problem.ts';
import type { Problem } from '../contract/export-job.ts';
import type { Remedy } from '../contract/remedy.ts';
import type { RemedyWords } from '../words/remedy.ts';
import { codeOf } from '../domain/errors.ts';
import type { ConsoleFiles } from './console-routes.ts';

const job = ({ job: id = '{job}' }: Remedy): string => `/v1/jobs/${id}`;

/** The request for each remedy; undefined where only a person at the command line can do it. */
const REQUESTS: RemedyWords = {
  listJobs: () => 'GET /v1/jobs',
  status: (remedy) => `GET ${job(remedy)}`,
  logged: ({ job: jobId = '{job}' }) => `GET /v1/deliveries?jobId=${encodeURIComponent(jobId)}`,
  start: () => 'POST /v1/jobs',
  edit: (remedy) => `PATCH ${job(remedy)}`,
  resume: (remedy) => `POST ${job(remedy)}/resume`,
  recover: (remedy) => `POST ${job(remedy)}/recover`,
  discard: (remedy) => `POST ${job(remedy)}/stop with {"waiting":"discard"}`,
  discardRecoverable: () => 'POST /v1/jobs?discardRecoverable=1',
  listWatches: () => 'GET /v1/watches',
  listDeadLetters: () => 'GET /v1/dead-letters',
  deadLetter: ({ id = '{id}' }) => `GET /v1/dead-letters/${id}`,
  force: () => 'add force=1',
  render: () => 'POST /v1/render',
  startWorker: () => undefined,
  startTemporal: () => undefined,
  findTest: () => undefined,
};

/** A remedy in the body of a failure. */
type AnsweredRemedy = Remedy & { readonly request?: string | undefined };

export function answered(remedy: Remedy): AnsweredRemedy {
  return { ...remedy, request: REQUESTS[remedy.action](remedy) };
}

/** For the documentation. */
const remediesSchema = z
  .array(
    z.object({
      action: z.string(),
      job: z.string().optional(),
      id: z.string().optional(),
      request: z.string().optional().describe('The request that does it; absent where only an operator can.'),
    }),
  )
  .optional()
  .describe('Possible fixes, best first.');

/** The content of a refusal: RFC 9457 problem details. It contains no secret, and nothing about people that the caller did not send. */
export interface Refusal {
  readonly status: number;
  /** Stable; the name of the client's error, where there is one. */
  readonly code: string;
  readonly detail: string;
  readonly problems?: readonly Problem[];
  readonly remedies?: readonly AnsweredRemedy[];
  /** Seconds after which the same request may succeed. */
  readonly retryAfterS?: number;
  /** Further headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that the API itself refuses. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(
    status: number,
    code: string,
    detail: string,
    more: Pick<Refusal, 'problems' | 'retryAfterS' | 'headers'> = {},
  ) {
    super(detail);
    this.refusal = { status, code, detail, ...more };
  }
}

/** Nothing is served at that path. */
export function noSuchPath({ method, url }: { readonly method: string; readonly url: string }): Refused {
  const path = (url.split('?')[0] ?? '').slice(0, 255);
  return new Refused(404, 'NoSuchPath', `There is no ${method} ${path}. See /docs for all routes.`);
}

/** The caller's key is not for this job. The answer does not say whether the job exists. */
export function keyLacksJob(jobId: string): Refused {
  return new Refused(403, 'NotAllowed', `This API key has no access to the job "${jobId}".`);
}

/**
 * The caller's key is for some jobs only, and the request would be about all of them.
 * @param as how one is named
 */
export function jobIdNeeded(as: string): Refused {
  return new Refused(403, 'NotAllowed', `This API key is for some jobs only: name one of them, as ${as}.`);
}

/**
 * The caller's key is for some jobs only, and the answer cannot be divided by jobs.
 * @param what the subject and verb, such as `metrics count`.
 */
export function ofAllJobs(what: string): Refused {
  return new Refused(403, 'NotAllowed', `This API key is for some jobs only, and ${what} all of them.`);
}

/** The API is shutting down. Everything accepted before stays accepted. */
export function shuttingDown(): Refused {
  return new Refused(503, 'Closing', 'The API is being ended. Send the rest again.', { retryAfterS: SOON_S });
}

/** The API is shutting down, and an earlier request was not done in time. */
export function notDoneInTime(): Refused {
  const detail =
    'The API is being ended, and this was not done in time. It may still be done: before you ask again, look.';
  return new Refused(503, 'Closing', detail, { retryAfterS: SOON_S });
}

const PROBLEM_TYPE = 'application/problem+json';

/** Seconds that a caller is asked to wait for conditions that are usually over soon. */
const SOON_S = 2;

/** The refusal for a failure, with the code and the words of the client and the command line. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof errors.PushInterrupted || error instanceof errors.PublishInterrupted)
    return refusalOf(error.cause);
  if (error instanceof errors.TriggersError) {
    const { status } = error.constructor as typeof errors.TriggersError; // It is a class of those.
    return {
      status,
      code: error.name,
      detail: cut(error instanceof errors.ProblemsError ? error.headline : error.message),
      ...(error instanceof errors.ProblemsError ? { problems: shownProblems(error.problems) } : {}),
      ...(error.remedies.length > 0 ? { remedies: error.remedies.map(answered) } : {}),
      ...(status === 429 || status === 503 ? { retryAfterS: SOON_S } : {}),
    };
  }
  // The SDK's own error, which the command line names, too.
  if (error instanceof NamespaceNotFoundError) {
    const { code, message } = noNamespace(error.namespace);
    return { status: 503, code, detail: message, retryAfterS: SOON_S };
  }
  const notLetIn = errors.NotLetIn.of(error);
  if (notLetIn !== undefined) return refusalOf(notLetIn);
  const trouble = errors.ServerUnreachable.of(error);
  if (trouble !== undefined) return refusalOf(trouble);
  return { status: 500, code: 'Unexpected', detail: 'Something unexpected went wrong. The log of the API says more.' };
}

/** Most problems that are listed for one request, and most characters of a text. Some texts repeat the caller's own input, which may be megabytes. */
const MOST_PROBLEMS = 100;
const MOST_TEXT = 4_000;

function shownProblems(problems: readonly Problem[]): readonly Problem[] {
  return problems
    .slice(0, MOST_PROBLEMS)
    .map(({ field, message }) => ({ field: field.slice(0, MOST_TEXT), message: cut(message) }));
}

function cut(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** The answer for a refusal: `application/problem+json`, with additional fields. */
export function problem(
  { retryAfterS, headers = {}, ...refusal }: Refusal,
  more: Readonly<Record<string, unknown>> = {},
): { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: unknown } {
  return {
    status: refusal.status,
    headers: {
      ...headers,
      'content-type': PROBLEM_TYPE,
      ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
    },
    body: { ...refusal, ...more },
  };
}

/** The body of every failure, for the documentation. */
const problemBody = z
  .looseObject({
    status: z.number().int(),
    code: z.string().describe('Stable: the name of the error, as in docs/errors.md.'),
    detail: z.string().describe('The message of the error.'),
    problems: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .describe('All that is wrong, by field.'),
    remedies: remediesSchema,
  })
  .describe('It was not done, or not all of it.');

const failure = {
  description: 'It was not done, or not all of it.',
  content: { [PROBLEM_TYPE]: { schema: problemBody } },
};

/** The failures of every operation, for the documentation. */
export const FAILURES = { '4xx': failure, '5xx': failure } as const;

/** The part of a caller's rights that says of which names they may hear. */
interface Reader {
  may(right: 'read'): boolean;
  mayJob(jobId: string): boolean;
}

/** Logs unexpected failures of requests. */
type FailureLog = { readonly error: (fields: object, message: string) => void };

/**
 * Answers all failures in one form, including those that reach no route.
 * @param page serves paths that are not of the API, but of the console.
 * @param jobs are looked through for a name that is not known. Only callers who may read hear of a similar one.
 * @param isLogged whether the delivery log knows a job.
 */
export function answerFailures(
  app: FastifyInstance,
  log: FailureLog,
  page: ConsoleFiles,
  jobs: Pick<JobClient, 'list' | 'deadLetters'>,
  isLogged: (jobId: string) => Promise<boolean>,
): void {
  app.setNotFoundHandler(async (request, reply) => {
    if (page.isFor(request)) {
      await page.answer(request, reply);
      return;
    }
    throw noSuchPath(request); // The console has no such file.
  });
  app.setErrorHandler(async (error, { caller }: { readonly caller?: Reader }, reply) => {
    const mayRead = caller?.may('read') === true;
    const told = mayRead ? await withNearName(error, jobs, (jobId) => caller.mayJob(jobId), isLogged) : error;
    const refusal = ownRefusal(told) ?? refusalOf(told);
    if (refusal.code === 'Unexpected') log.error({ err: error }, 'a request failed');
    await answer(reply, refusal);
  });
}

/** Answers a URL that Fastify cannot read; no hook sees it. */
export function answerUnreadable(error: Error, _request: unknown, reply: FastifyReply): void {
  void answer(reply.header('connection', 'close'), ownRefusal(error) ?? refusalOf(error));
}

/** Answers data that is not HTTP, or too much of it. There is no request to answer, only its connection. */
export function answerConnection(error: Error, socket: Socket): void {
  if (!socket.writable) return;
  const { status, body } = problem(CONNECTION_FAILURES[codeOf(error) ?? ''] ?? NOT_HTTP);
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
  socket.destroySoon();
}

const NOT_HTTP: Refusal = { status: 400, code: 'BadRequest', detail: 'This is not HTTP/1.1 as it should be.' };
const CONNECTION_FAILURES: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'BadRequest', detail: 'The headers have more than 16 KiB.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'BadRequest', detail: 'The headers did not come within 10 s.' },
};

/** The refusals of Fastify itself. */
function ownRefusal(error: unknown): Refusal | undefined {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return undefined;
  if (error.statusCode === 415)
    return {
      status: 415,
      code: 'WrongContentType',
      detail: 'Send application/json, or application/x-ndjson; a list to reconcile, also as text/csv.',
    };
  if (error.statusCode === 414)
    return { status: 414, code: 'BadRequest', detail: 'A part of the path has more than 500 characters.' };
  return error.statusCode < 500 ? { status: error.statusCode, code: 'BadRequest', detail: error.message } : undefined;
}

async function answer(reply: FastifyReply, refusal: Refusal): Promise<void> {
  const { status, headers, body } = problem(refusal);
  await reply.status(status).headers(headers).send(body);
}

/** The methods of each path that is added from now on, by path. */
export function methodsOf(app: FastifyInstance): ReadonlyMap<string, ReadonlySet<string>> {
  const served = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = served.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    served.set(url, methods);
  });
  return served;
}

/** Makes each path answer 405 to other methods. Call this when all routes are known. */
export function refuseOtherMethods(app: FastifyInstance, served: ReturnType<typeof methodsOf>): void {
  const paths = Array.from(served); // A copy: routes that are added here enter `served`, too.
  for (const [url, methods] of paths) {
    // The page is served at its path with and without a slash at the end; both are one path to the router.
    if (url.endsWith('/') && served.has(url.slice(0, -1))) continue;
    const allow = [...methods].sort().join(', ');
    const others = app.supportedMethods.filter((method) => !methods.has(method));
    const refuse = async (): Promise<never> => {
      const detail = `There is no such method here: use ${allow}.`;
      return await Promise.reject(new Refused(405, 'WrongMethod', detail, { headers: { allow } }));
    };
    // This runs before any body is read.
    app.route({ method: others, url, schema: { hide: true }, onRequest: refuse, handler: refuse });
  }
}
