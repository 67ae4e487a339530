import type { Client } from '@temporalio/client';
import type { FastifyInstance } from 'fastify';
import { temporalProblem } from '../client/temporal-problem.ts';
import type { ApiMetrics } from './api-metrics.ts';
import { OfAllJobs, problem } from './refusal.ts';

/** How long, in ms, an answer of Temporal is used again, from when it was asked. */
const KEPT_MS = 5_000;

/** What those ask who run the API: whether it lives, whether it can do its work, and what it counts. */
export function serviceRoutes(
  app: FastifyInstance,
  {
    client,
    metrics,
    configProblem = () => undefined,
  }: {
    readonly client: Client;
    readonly metrics: ApiMetrics;
    readonly configProblem?: (() => string | undefined) | undefined;
  },
): void {
  app.get('/healthz', { schema: { hide: true } }, async () => await Promise.resolve({ ok: true }));
  let asked: { readonly answer: ReturnType<typeof temporalProblem>; readonly atMs: number } | undefined;
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    // Anybody may ask, however often.
    if (asked === undefined || performance.now() - asked.atMs >= KEPT_MS)
      asked = { answer: temporalProblem(client), atMs: performance.now() };
    const inTheWay = await asked.answer;
    // It serves all the same, by the keys before: whoever took it out of service for that would make an outage of a typing mistake.
    if (inTheWay === undefined) return { ok: true, problem: configProblem() };
    const { code, message: detail } = inTheWay;
    const { status, headers, body } = problem({ status: 503, code, detail, retryAfterS: 2 });
    return reply.status(status).headers(headers).send(body);
  });
  app.get('/metrics', { config: { right: 'read' }, schema: { hide: true } }, async ({ caller }, reply) => {
    // They name other keys and ingests, and count what goes to other jobs.
    if (caller.jobs !== undefined) throw new OfAllJobs('metrics count');
    return await reply.type(metrics.contentType).send(await metrics.text());
  });
}
