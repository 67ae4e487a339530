import { DifferenceDoubtful } from './errors.ts';
import type { compare, forget } from './compare.ts';
import type { reconcile } from './reconcile.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { OutcomeUnknown } from '../../client/calls/errors.ts';
import { unless } from '../../client/calls/with-retries.ts';
import type { Methods } from '../../client/core.ts';
import type { JobClient, JobStatus } from '../../client/job-client.ts';
import type { Difference } from './difference.ts';
import { readTheirList } from './their-list.ts';
import { askerOf } from '../../api/callers.ts';
import { bodyOf, readRows } from '../../api/bodies.ts';
import { reason } from '../../api/job-routes.ts';
import { flagParameter, inTime, queryOf, textParameter } from '../../api/operation.ts';
import { FAILURES, problem, Refused, refusalOf } from '../../api/refusal.ts';
import { Usable } from '../../api/usable.ts';

/** Longest time, in ms, for a list to arrive and to be compared. */
const LONGEST_MS = 60 * 60_000;

const HOW_TO_SEND = 'Send the list as application/x-ndjson, or as text/csv.';

const reconcileQuery = z.object({
  audience: textParameter.describe(
    "Which of the job's audiences the list is about: slug or id. Default: the only one.",
  ),
  column: textParameter.describe('The column, or the JSON key, with the ids. Default: user or id.'),
  dryRun: flagParameter.describe('1: only show what would be sent.'),
  force: flagParameter.describe('1: send it even if the list looks wrong.'),
  reason,
});

type Reconciling = JobClient & Methods<{ compare: typeof compare; reconcile: typeof reconcile; forget: typeof forget }>;

const reconciled = z.looseObject({
  difference: z.looseObject({
    theirs: z.number().int().describe('People on the list.'),
    members: z.number().int().describe('Members, according to the source.'),
    both: z.number().int().describe('People on the list who are members.'),
    enters: z.number().int().describe('Members who are missing from the list.'),
    exits: z.number().int().describe('People on the list who are not members.'),
  }),
  status: z.looseObject({}).optional().describe('The status of the job, once the difference is being sent.'),
});

interface ReconcileRoute {
  Params: { job: string };
}

/** Sends a job's endpoint the changes that it has missed, by its own list of members. */
export function reconcileRoutes(app: FastifyInstance, jobs: Reconciling, closing: AbortSignal): void {
  // A separate scope, since no other route takes a CSV.
  void app.register(async (own) => {
    readRows(own);
    own.post<ReconcileRoute>(
      '/v1/jobs/:job/reconcile',
      {
        config: { right: 'operate' },
        schema: {
          tags: ['Jobs'],
          summary: "Send the difference between the endpoint's own list of members and the members now",
          description:
            'Needs the right `operate`. The body is the list, of any length: NDJSON (`application/x-ndjson`) with one id, or one object with an id, per line; or CSV (`text/csv`) with a header row.',
          params: z.object({ job: z.string() }),
          querystring: reconcileQuery,
          consumes: ['application/x-ndjson', 'text/csv'],
          body: z.string(),
          response: { 200: reconciled, ...FAILURES },
        },
      },
      async (request, reply) => {
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        // The connection is silent while the members are read.
        request.raw.socket.setTimeout(LONGEST_MS);
        const answer = reconcileList(jobs, request, AbortSignal.any([gone.signal, closing]));
        const { status, headers, body } = await inTime(LONGEST_MS, unless(app.over, answer));
        return await reply.status(status).headers(headers).send(body);
      },
    );
    await Promise.resolve();
  });
}

type Answer = ReturnType<typeof problem>;

async function reconcileList(
  jobs: Reconciling,
  request: FastifyRequest<ReconcileRoute>,
  signal: AbortSignal,
): Promise<Answer> {
  const { job } = request.params;
  const { audience, column, dryRun, force, reason: why } = queryOf(reconcileQuery, request);
  const body = bodyOf(request);
  if (body === undefined) throw new Refused(400, 'NoBody', `The list is missing. ${HOW_TO_SEND}`);
  if ('text' in body) throw new Refused(415, 'WrongContentType', HOW_TO_SEND);
  const format = isRows(request) ? 'csv' : 'ndjson';
  await new Usable(request.caller, jobs).checkJob(job, audience && [audience]);
  const difference = await jobs.compare(job, readTheirList(body.chunks, { format, column }), {
    audience,
    signal,
  });
  const shown = shownTo(request, difference);
  const isNothing = difference.enters + difference.exits === 0;
  const isSent = { isAsked: false };
  try {
    if (dryRun || isNothing) return done({ difference: shown });
    isSent.isAsked = true;
    return done({
      difference: shown,
      status: await jobs.reconcile(job, difference, { force, by: askerOf(request), reason: why }),
    });
  } catch (error) {
    isSent.isAsked = error instanceof OutcomeUnknown;
    if (error instanceof DifferenceDoubtful) return problem(refusalOf(error), { difference: shown });
    throw error;
  } finally {
    if (!isSent.isAsked) await jobs.forget(job, difference).catch(() => undefined);
  }
}

function isRows({ headers }: FastifyRequest): boolean {
  return /^text\/csv\b/i.test(headers['content-type'] ?? '');
}

/** A difference, without people if its caller may not read. */
function shownTo({ caller }: FastifyRequest, difference: Difference): Difference {
  return caller.may('read') ? difference : { ...difference, first: { enters: [], exits: [] } };
}

function done(body: { readonly difference: Difference; readonly status?: JobStatus }): Answer {
  return { status: 200, headers: {}, body };
}
