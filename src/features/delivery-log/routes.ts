import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { DeliveryNotFound, NoDeliveryLog } from '../../client/calls/errors.ts';
import type { JobClient } from '../../client/job-client.ts';
import type { DeliveryFilter, LogGap } from './delivery.ts';
import { newestFirst } from '../../words/audit.ts';
import { readCursor } from './delivery-query.ts';
import { CSV_HEAD, csvLine } from './delivery-csv.ts';
import type { DeliveryReader } from './delivery-reader.ts';
import { DeliveryLogError } from './log-error.ts';
import { LEAST_ID_DIGITS } from '../../domain/delivery-id.ts';
import { definedOf } from '../../domain/json.ts';
import { COUNT_WAIT_MS, gapsInWords } from './gaps-in-words.ts';
import { SEARCHED_VERDICTS } from './searched-verdicts.ts';
import type { Caller } from '../../api/callers.ts';
import {
  countParameter,
  pastTimeParameter,
  queryOf,
  serve,
  textParameter,
  timeParameter,
} from '../../api/operation.ts';
import { FAILURES, refusalOf, Refused } from '../../api/refusal.ts';
import { eventStream, runStream } from '../../api/stream-routes.ts';

export interface DeliveryRoutesOptions extends LogAsking {
  readonly jobs: Pick<JobClient, 'load' | 'endings'>;
  /** Aborted when the API shuts down. */
  readonly closing: AbortSignal;
  /** Whether its caller still has access to the job: a stream ends when they do not. */
  readonly mayStill: (request: FastifyRequest, jobId?: string) => boolean;
}

const filterParameters = {
  jobId: textParameter.describe('Only of this job.'),
  user: textParameter.describe('Only to this person.'),
  audience: textParameter.describe('Only about this audience: its slug.'),
  event: z.enum(['enter', 'exit'], 'This must be enter or exit.').optional(),
  id: textParameter.describe('Only with this webhook-id; its first digits are enough.'),
  verdict: z
    .enum(SEARCHED_VERDICTS, `This must be one of ${SEARCHED_VERDICTS.join(', ')}.`)
    .optional()
    .describe('Only with this verdict; `failed`: any but delivered, skipped, superseded and profile-missing.'),
  status: optionalCount(999).describe('Only with this HTTP status.'),
  code: textParameter.describe('Only with this code.'),
  slowerThan: optionalCount(3_600_000).describe('Only those that took longer than so many ms.'),
};
const pageParameters = {
  since: pastTimeParameter.describe('Not before then.'),
  until: timeParameter.optional().describe('Before then.'),
  limit: countParameter(1_000, 50),
  after: textParameter
    .refine((text) => text === undefined || readCursor(text) !== undefined, 'This must be the `next` of a page.')
    .describe('Where the last page ended: its `next`.'),
};
const listQuery = z.object({ ...filterParameters, ...pageParameters });
const followQuery = z.object(filterParameters);
const delivery = z.looseObject({ at: z.string(), jobId: z.string(), deliveryId: z.string(), verdict: z.string() });
const counts = z.looseObject({
  delivered: z.number(),
  failed: z.number(),
  failedBy: z.record(z.string(), z.number()).describe('The failed ones by status, or by code.'),
});
export const gaps = z
  .array(
    z.object({
      why: z.enum(['begins', 'dropped', 'behind', 'unheard']),
      worker: z.string().optional(),
      from: z.string(),
      until: z.string().optional(),
      dropped: z.number().optional(),
    }),
  )
  .describe(
    'Times for which rows may be missing, newest first. Without `until`: the worker has not been seen since. A key for some jobs gets no `worker` and no `dropped`.',
  );

/** Deliveries: what was sent, and what came back. */
export function deliveryRoutes(app: FastifyInstance, options: DeliveryRoutesOptions): void {
  const { deliveries, jobs, closing, mayStill } = options;
  const tag = 'Deliveries';
  const reading: Reading = async (read) => await askLog(options, read);
  listRoute(app, reading);
  serve(app, {
    method: 'GET',
    url: '/v1/deliveries/:id',
    right: 'read',
    tag,
    summary: 'All attempts with this webhook-id, oldest first, with what was sent and what came back',
    answers: { 200: z.object({ attempts: z.array(delivery) }) },
    run: async ({ caller, params: { id = '' } }) => {
      if (id.length < LEAST_ID_DIGITS)
        throw new Refused(422, 'InvalidRequest', `Give at least ${LEAST_ID_DIGITS} digits of the webhook-id.`);
      const attempts = await reading((reader) => reader.attempts(id, caller.jobs));
      if (attempts.length === 0) throw new DeliveryNotFound(id);
      return { attempts };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/stats',
    right: 'read',
    tag,
    summary: 'How many attempts were delivered or failed, and how long they took: by step, and by job',
    query: z.object({
      jobId: filterParameters.jobId,
      since: pastTimeParameter.describe('Default: a day ago.'),
      until: timeParameter.optional().describe('Default: now.'),
      step: optionalCount(400 * 86_400)
        .refine(
          (seconds) => seconds === undefined || (seconds > 0 && seconds % 60 === 0),
          'This must be whole minutes, in seconds.',
        )
        .describe(`Seconds. At most ${MOST_STEPS} steps. Default: such that there are at most 120.`),
    }),
    answers: {
      200: z.looseObject({
        total: counts,
        points: z.array(counts),
        jobs: z.array(counts.extend({ jobId: z.string() })),
        gaps,
        now: z
          .object({ inFlight: z.number(), waiting: z.number() })
          .optional()
          .describe('With `jobId`: its requests in flight and its waiting triggers, if it answers.'),
      }),
    },
    run: async ({ caller, query: { jobId, since, until, step } }) => {
      const to = until ?? new Date();
      const from = since ?? new Date(to.getTime() - DAY_MS);
      if (from >= to) throw endsBefore();
      if (step !== undefined && to.getTime() - from.getTime() > step * 1000 * MOST_STEPS) throw tooManySteps();
      const asked = { jobId, since: from.toISOString(), until: to.toISOString(), stepSeconds: step };
      const [stats, now] = await Promise.all([
        reading((reader) => reader.stats({ ...asked, onlyJobs: caller.jobs })),
        jobId === undefined ? undefined : jobs.load(jobId),
      ]);
      return { ...stats, gaps: gapsFor(caller, stats.gaps), ...definedOf({ now }) };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/history',
    right: 'read',
    tag: 'Jobs',
    summary: 'What people did to jobs, watches and dead letters, and their sign-ins to the console, newest first',
    query: z.object({
      jobId: filterParameters.jobId,
      who: textParameter.describe('Only by this key, or person.'),
      ...pageParameters,
    }),
    answers: {
      200: z.object({
        entries: z.array(z.looseObject({ at: z.string(), kind: z.string(), target: z.string(), action: z.string() })),
        next: z.string().optional(),
      }),
    },
    run: async ({ caller, query: { since, until, limit, after, ...which } }) => {
      const filter = { ...which, onlyJobs: caller.jobs, ...timesOf({ since, until }) };
      const page = await reading((reader) => reader.deeds(filter, limit, after));
      if (which.who !== undefined) return page;
      // Temporal has others of the same time.
      const before = after === undefined ? filter.until : readCursor(after)?.[0];
      const from = page.next === undefined ? filter.since : page.entries.at(-1)?.at;
      const ended = await jobs.endings({
        ...which,
        onlyJobs: caller.jobs,
        ...definedOf({ since: from, until: before }),
      });
      return { ...page, entries: newestFirst([...ended, ...page.entries]) };
    },
  });
  app.get(
    '/v1/deliveries/stream',
    {
      config: { right: 'read' },
      schema: {
        tags: [tag],
        summary: 'New deliveries as they come: server-sent events',
        description: 'Needs the right `read`.',
        querystring: followQuery,
        response: {
          200: {
            description:
              'Events `delivery` with what `GET /v1/deliveries` lists, oldest first; `notice` when the log cannot be read any more, and, without content, once it can; or `error`.',
            content: { 'text/event-stream': { schema: z.string() } },
          },
          ...FAILURES,
        },
      },
    },
    async (request, reply) => {
      const filter = filterOf(request.caller, queryOf(followQuery, request));
      if (deliveries === undefined) throw new NoDeliveryLog();
      const stream = eventStream(reply, closing, () => mayStill(request, filter.jobId));
      return await runStream(stream, reply, async ({ signal, say }) => {
        // The key may have lost a job since.
        try {
          const noticed = (problem: unknown) =>
            say('notice', problem === undefined ? {} : refusalOf(refusedBy(options, problem)));
          for await (const row of deliveries.follow(filter, signal, noticed))
            if (mayStill(request, row.jobId)) await say('delivery', row);
        } catch (error) {
          throw refusedBy(options, error);
        }
      });
    },
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** A day by minutes, or two months by hours. The API reads some rows for each, and stands still while it adds them up. */
const MOST_STEPS = 1_500;

/** The delivery log, and where its failures are told. */
export interface LogAsking {
  /** Undefined: there is no delivery log. */
  readonly deliveries: DeliveryReader | undefined;
  readonly log: { readonly warn: (fields: object, message: string) => void };
}

/** @throws NoDeliveryLog; Refused, which does not say where the database is */
export async function askLog<T>(asking: LogAsking, read: (reader: DeliveryReader) => Promise<T>): Promise<T> {
  const { deliveries } = asking;
  if (deliveries === undefined) throw new NoDeliveryLog();
  return await read(deliveries).catch((error: unknown) => {
    throw refusedBy(asking, error);
  });
}

function refusedBy({ log }: LogAsking, error: unknown): unknown {
  if (!(error instanceof DeliveryLogError)) return error;
  log.warn({ err: error }, 'the delivery log cannot be read');
  return new Refused(503, error.name, 'The delivery log cannot be read now.', { retryAfterS: RETRY_S });
}

type Reading = <T>(read: (reader: DeliveryReader) => Promise<T>) => Promise<T>;

/** It answers with JSON or, if asked to, CSV, so that it is no `Operation`. */
function listRoute(app: FastifyInstance, reading: Reading): void {
  app.get(
    '/v1/deliveries',
    {
      config: { right: 'read' },
      schema: {
        tags: ['Deliveries'],
        summary: 'List deliveries, newest first',
        description:
          'Needs the right `read`. With `accept: text/csv` it answers CSV; the header `link` then has the next page.',
        querystring: listQuery,
        response: {
          200: {
            description: 'A page of them.',
            content: {
              'application/json': {
                schema: z.object({ deliveries: z.array(delivery), gaps, next: z.string().optional() }),
              },
              'text/csv': { schema: z.string() },
            },
          },
          ...FAILURES,
        },
      },
    },
    async (request, reply: FastifyReply) => {
      const { since, until, limit, after, ...filters } = queryOf(listQuery, request);
      const times = timesOf({ since, until });
      const filter = { ...filterOf(request.caller, filters), ...times };
      const isCsv = request.headers.accept?.includes('text/csv') === true;
      const exported =
        isCsv && after === undefined ? await reading((reader) => reader.gaps(times, { waitMs: COUNT_WAIT_MS })) : [];
      const { rows, next } = await reading((reader) => reader.find(filter, limit, after));
      if (!isCsv) {
        const searched = next === undefined ? times : { ...times, since: readCursor(next)?.[0] };
        const found = await reading((reader) => reader.gaps(searched));
        return await reply.send({ deliveries: rows, gaps: gapsFor(request.caller, found), ...definedOf({ next }) });
      }
      const words = gapsInWords(gapsFor(request.caller, exported));
      // RFC 7234: a warning of no code.
      if (words !== undefined) void reply.header('warning', `199 - ${JSON.stringify(words)}`);
      if (next !== undefined) void reply.header('link', `<${pageAfter(request.url, next)}>; rel="next"`);
      const lines = [CSV_HEAD, ...rows.map(csvLine), ''];
      return await reply.type('text/csv; charset=utf-8').send(lines.join('\r\n'));
    },
  );
}

function pageAfter(url: string, next: string): string {
  const [path = '', query] = url.split('?');
  const parameters = new URLSearchParams(query);
  parameters.set('after', next);
  return `${path}?${parameters.toString()}`;
}

/** Only callers who may see all jobs get the workers, and how much these dropped. */
export function gapsFor({ jobs }: Caller, gaps: readonly LogGap[]): readonly LogGap[] {
  return jobs === undefined ? gaps : gaps.map(({ why, from, until }) => ({ why, from, ...definedOf({ until }) }));
}

/** @throws Refused */
function timesOf({ since, until }: { readonly since: Date | undefined; readonly until: Date | undefined }) {
  if (since !== undefined && until !== undefined && since >= until) throw endsBefore();
  return { since: since?.toISOString(), until: until?.toISOString() };
}

function endsBefore(): Refused {
  return new Refused(422, 'InvalidRequest', 'The time asked for ends before it begins.');
}

function tooManySteps(): Refused {
  const text = `There would be more than ${MOST_STEPS} steps: ask for longer ones, or for less time.`;
  return new Refused(422, 'InvalidRequest', text);
}

type FilterParameters = z.infer<typeof followQuery>;

function filterOf(caller: Caller, { id, verdict, slowerThan, ...same }: FilterParameters): DeliveryFilter {
  return {
    ...same,
    onlyJobs: caller.jobs,
    deliveryId: id,
    verdict: verdict as DeliveryFilter['verdict'], // One of the names.
    slowerThanMs: slowerThan,
  };
}

const RETRY_S = 5;

function optionalCount(most: number) {
  return z
    .string('This must be given once.')
    .regex(/^\d{1,9}$/, 'This must be a whole number.')
    .transform(Number)
    .refine((count) => count <= most, `This must be at most ${most}.`)
    .optional();
}
