import { hasStopped } from '../domain/job-state.ts';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AttemptsOptions, JobClient } from '../client/job-client.ts';
import { unless } from '../client/calls/with-retries.ts';
import { countParameter, flagParameter, queryOf } from './operation.ts';
import { FAILURES, refusalOf } from './refusal.ts';

/** How often the job is queried, in ms. */
const EVERY_MS = 1_000;

type JobRequest = FastifyRequest<{ Params: { job: string } }>;

export interface StreamRoutesOptions {
  readonly jobs: JobClient;
  /** Aborted when the API shuts down. */
  readonly closing: AbortSignal;
  /** Whether its caller still has access to the job: a stream ends when they do not. */
  readonly mayStill: (request: FastifyRequest, jobId: string) => boolean;
}

/**
 * The events of a job, as server-sent events. When the job can no longer be queried, a stream ends with `error`, and the content of other failures.
 */
export function streamRoutes(app: FastifyInstance, { jobs, closing, mayStill }: StreamRoutesOptions): void {
  const statusOf = askedOnce((jobId) => jobs.status(jobId));
  const open = (request: JobRequest, reply: FastifyReply): EventStream =>
    eventStream(reply, closing, () => mayStill(request, request.params.job));

  const status = async (request: JobRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { job } = request.params;
    // This comes before the answer begins: a job that does not exist is a 404.
    let now = await unless(app.over, statusOf(job));
    return await runStream(open(request, reply), reply, async ({ signal, say }) => {
      for (let sent = ''; ;) {
        const text = JSON.stringify(now);
        if (text !== sent) await say('status', now);
        sent = text;
        if (hasStopped(now.state)) return;
        await setTimeout(EVERY_MS, undefined, { signal });
        now = await statusOf(job);
      }
    });
  };
  const attempts = async (request: JobRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { job } = request.params;
    const wish: AttemptsOptions = queryOf(attemptsQuery, request);
    await unless(app.over, jobs.isRunning(job));
    return await runStream(open(request, reply), reply, async ({ signal, say }) => {
      for await (const attempt of jobs.attempts(job, { ...wish, follow: signal })) await say('attempt', attempt);
      if (!signal.aborted) await say('end', {});
    });
  };

  const params = z.object({ job: z.string() });
  app.get<{ Params: { job: string } }>(
    '/v1/jobs/:job/status/stream',
    {
      config: { right: 'read' },
      schema: {
        ...described('The status as it changes', 'Events `status` with what `GET /v1/jobs/{job}` answers, or `error`.'),
        params,
      },
    },
    status,
  );
  app.get<{ Params: { job: string } }>(
    '/v1/jobs/:job/attempts/stream',
    {
      config: { right: 'read' },
      schema: {
        ...described(
          'The last attempts, then new ones as they come',
          'Events `attempt` with what `GET /v1/jobs/{job}/attempts` lists, oldest first; `end` when the job has ended, or `error`.',
        ),
        params,
        querystring: attemptsQuery,
      },
    },
    attempts,
  );
}

export const attemptsQuery = z.object({
  last: countParameter(1000, 50),
  failed: flagParameter.describe('Only those that failed.'),
});

function described(summary: string, events: string): object {
  return {
    tags: ['Jobs'],
    summary: `${summary}: server-sent events`,
    description: 'Needs the right `read`.',
    response: {
      200: { description: events, content: { 'text/event-stream': { schema: z.string() } } },
      ...FAILURES,
    },
  };
}

/** Asks about a job once a second at most, for all who want to know. */
function askedOnce<T>(ask: (jobId: string) => Promise<T>): (jobId: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>();
  return async (jobId) => {
    const known = answers.get(jobId);
    if (known !== undefined) return await known;
    const asked = ask(jobId);
    answers.set(jobId, asked);
    const forget = (): unknown => globalThis.setTimeout(() => answers.delete(jobId), EVERY_MS).unref();
    void asked.then(forget, forget);
    return await asked;
  };
}

export async function runStream(
  stream: EventStream,
  reply: FastifyReply,
  tell: (stream: EventStream) => Promise<void>,
): Promise<FastifyReply> {
  try {
    await unless(stream.signal, tell(stream));
  } catch (error) {
    if (!stream.signal.aborted) await stream.say('error', refusalOf(error));
  }
  stream.end();
  return reply;
}

/** How often a silent stream sends something, in ms: proxies cut off silent connections. */
const ALIVE_MS = 15_000;
/** How often the caller's access is checked, in ms. */
const ASK_MS = 1_000;

/** An answer of server-sent events, from beginning to end. */
interface EventStream {
  /** Aborted when the caller has gone or lost access, or the API shuts down. */
  readonly signal: AbortSignal;
  /** Resolves once there is room for more. */
  readonly say: (event: string, data: unknown) => Promise<void>;
  readonly end: () => void;
}

/** Begins such an answer: from here on, no other answer is possible. @throws Refused when the caller has too many streams */
export function eventStream(reply: FastifyReply, closing: AbortSignal, mayStill: () => boolean): EventStream {
  const { raw } = reply;
  const leave = reply.request.caller.usage?.openStream();
  reply.request.leave?.();
  const gone = new AbortController();
  raw.once('close', () => {
    leave?.();
    gone.abort();
  });
  const signal = AbortSignal.any([gone.signal, closing]);
  reply.hijack();
  // A connection that outlives its stream would hold up the end of the API.
  const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', connection: 'close' };
  raw.writeHead(200, { ...headers, 'x-content-type-options': 'nosniff' });
  raw.flushHeaders();
  let sentAtMs = Date.now();
  const timer = setInterval(() => {
    if (!mayStill()) gone.abort();
    else if (Date.now() - sentAtMs > ALIVE_MS) {
      raw.write(': still here\n\n');
      sentAtMs = Date.now();
    }
  }, ASK_MS);
  return {
    signal,
    say: async (event, data) => {
      if (signal.aborted) return;
      sentAtMs = Date.now();
      const hasRoom = raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!hasRoom && !signal.aborted) await once(raw, 'drain', { signal }).catch(() => undefined);
    },
    end: () => {
      clearInterval(timer);
      raw.end();
    },
  };
}
