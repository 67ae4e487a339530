import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { codeOf } from '../domain/errors.ts';
import type { ConsoleFiles } from './console-routes.ts';
import { NoSuchPath, problem, type Refusal, Refused, refusalOf } from './refusal.ts';

/** Says what a request failed with that failed unexpectedly. */
export type FailureLog = { readonly error: (fields: object, message: string) => void };

/**
 * Has all that fails answered in one form, also what no route is reached with.
 * @param page has what is no path of the API, but one of the console.
 */
export function answerFailures(app: FastifyInstance, log: FailureLog, page: ConsoleFiles): void {
  app.setNotFoundHandler(async (request, reply) => {
    if (page.isFor(request)) {
      await page.answer(request, reply);
      return;
    }
    throw new NoSuchPath(request); // A file of the console that is not there.
  });
  app.setErrorHandler(async (error, _request, reply) => {
    const refusal = ownRefusal(error) ?? refusalOf(error);
    if (refusal.code === 'Unexpected') log.error({ err: error }, 'a request failed');
    await answer(reply, refusal);
  });
}

/** A URL that Fastify cannot read; no hook hears of it. */
export function answerUnreadable(error: Error, _request: unknown, reply: FastifyReply): void {
  void answer(reply.header('connection', 'close'), ownRefusal(error) ?? refusalOf(error));
}

/** What is not HTTP, or too much of it: there is no request that could be answered, only its connection. */
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

/** What Fastify itself refuses. */
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

/** The methods of each path that is served from now on, by path. */
export function methodsOf(app: FastifyInstance): ReadonlyMap<string, ReadonlySet<string>> {
  const served = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = served.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    served.set(url, methods);
  });
  return served;
}

/** Has each path answer 405 to the methods that it does not take. To be called when all that is served is known. */
export function refuseOtherMethods(app: FastifyInstance, served: ReturnType<typeof methodsOf>): void {
  const paths = Array.from(served); // What is added here is heard of, too.
  for (const [url, methods] of paths) {
    // The page is served at its path with and without a slash at its end, which are one path to the router.
    if (url.endsWith('/') && served.has(url.slice(0, -1))) continue;
    const allow = [...methods].sort().join(', ');
    const others = app.supportedMethods.filter((method) => !methods.has(method));
    const refuse = async (): Promise<never> => {
      const detail = `There is no such method here: use ${allow}.`;
      return await Promise.reject(new Refused(405, 'WrongMethod', detail, { headers: { allow } }));
    };
    // Before any body is read.
    app.route({ method: others, url, schema: { hide: true }, onRequest: refuse, handler: refuse });
  }
}
