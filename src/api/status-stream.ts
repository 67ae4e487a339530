import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ExportJobs } from '../client/export-jobs.ts';
import { FAILURES, refusalOf } from './refusal.ts';

/** How often the job is asked, and how often something is said when nothing changes, in ms. */
const EVERY_MS = 1_000;
const ALIVE_MS = 15_000;

/**
 * A job's status as server-sent events: an event `status` whenever it has changed, at most once a second, until the job has ended; `error`, with
 * what other answers say, when it can no longer be asked. It ends when the key by which it was asked may no longer.
 */
export function statusStream(
  app: FastifyInstance,
  jobs: ExportJobs,
  closing: AbortSignal,
  mayStill: (request: FastifyRequest, jobId: string) => boolean,
): void {
  const stream = async (
    request: FastifyRequest<{ Params: { job: string } }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const { job } = request.params;
    // Before the answer begins, so that a job that is not there is a 404.
    let status = await jobs.status(job);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, closing]);
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const say = (event: string, data: object): boolean =>
      reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    let said = '';
    let saidAt = 0;
    try {
      for (;;) {
        const now = JSON.stringify(status);
        if (now !== said) say('status', status);
        else if (Date.now() - saidAt > ALIVE_MS) reply.raw.write(': still here\n\n');
        if (now !== said || Date.now() - saidAt > ALIVE_MS) saidAt = Date.now();
        said = now;
        if (status.state === 'stopped') break;
        await setTimeout(EVERY_MS, undefined, { signal });
        status = await jobs.status(job);
        if (!mayStill(request, job)) break;
      }
    } catch (error) {
      if (!signal.aborted) say('error', refusalOf(error));
    }
    reply.raw.end();
    return reply;
  };
  app.get<{ Params: { job: string } }>(
    '/v1/jobs/:job/status/stream',
    {
      config: { right: 'read' },
      schema: {
        tags: ['Jobs'],
        summary: 'The status as it changes: server-sent events',
        description: 'Needs the right `read`.',
        params: z.object({ job: z.string() }),
        response: {
          200: {
            description: 'Events `status` with what `GET /v1/jobs/{job}` answers, or `error`.',
            content: { 'text/event-stream': { schema: z.string() } },
          },
          ...FAILURES,
        },
      },
    },
    stream,
  );
}
