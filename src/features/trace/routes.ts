import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { flagParameter, listOf, pastTimeParameter, serve, textParameter } from '../../api/operation.ts';
import type { Methods } from '../../client/core.ts';
import { definedOf } from '../../domain/json.ts';
import { askLog, gaps, gapsFor, type LogAsking } from '../delivery-log/routes.ts';
import type { AttemptLog } from './events.ts';
import type { tracePerson } from './logged.ts';

/** How long histories are read for one answer, in ms. The answer contains everything read by then. */
const TRACE_MS = 30_000;

/** The route that says why a person was sent or was not. */
export function traceRoutes(
  app: FastifyInstance,
  jobs: Methods<{ trace: typeof tracePerson }>,
  asking: LogAsking,
): void {
  serve(app, {
    method: 'GET',
    url: '/v1/trace',
    right: 'read',
    tag: 'Questions',
    summary: 'Why a person was sent or was not, by one job or all',
    query: z.object({
      user: z
        .string('Name one person: "?user=…", once.')
        .min(1, 'This must not be empty.')
        .max(255, 'This must have at most 255 characters.'),
      jobId: textParameter,
      since: pastTimeParameter,
      histories: flagParameter.describe(
        "Read Temporal's histories in place of the delivery log: also what was signalled, and why something was never tried.",
      ),
    }),
    answers: {
      200: z.object({
        from: z.enum(['log', 'histories']).describe('Where attempts were read. Without a delivery log: histories.'),
        events: z
          .array(z.looseObject({ kind: z.string(), jobId: z.string() }))
          .describe('Job by job, in order of time.'),
        isPartial: z
          .boolean()
          .describe('Whether something could not be read, or not in time: the events `left-out` say what, and why.'),
        gaps: gaps.optional(),
      }),
    },
    run: async ({ caller, query: { user, jobId, since, histories }, signal }) => {
      const trace = async (log?: AttemptLog) =>
        await listOf(
          jobs.trace(user, {
            signal: AbortSignal.any([signal, AbortSignal.timeout(TRACE_MS)]),
            ...definedOf({ jobId, onlyJobs: caller.jobs, since, log }),
          }),
        );
      const isLogged = asking.deliveries !== undefined && !histories;
      const events = isLogged ? await askLog(asking, trace) : await trace();
      const isPartial = events.some(({ kind }) => kind === 'left-out');
      if (!isLogged) return { from: 'histories', events, isPartial };
      const missing = await askLog(asking, (reader) => reader.gaps({ since: since?.toISOString() }));
      return { from: 'log', events, isPartial, gaps: gapsFor(caller, missing) };
    },
  });
}
