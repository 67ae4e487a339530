import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type {
  BackfillRequest,
  DeedOptions,
  EditOptions,
  JobClient,
  JobDefinitionInput,
  JobEdit,
  JobSummary,
} from '../client/job-client.ts';
import { InvalidJob, JobAlreadyRunning, JobNotFound } from '../client/calls/errors.ts';
import { nameJob } from '../client/calls/options.ts';
import { EDITABLE_FIELDS, FORM_FIELDS } from '../domain/form.ts';
import { definedOf, isRecord } from '../domain/json.ts';
import { jobHasWords } from '../words/text.ts';
import type { JsonObject } from '../contract/trigger.ts';
import { twinText } from '../client/jobs/twins.ts';
import type { Caller } from './callers.ts';
import {
  checkedBody,
  countParameter,
  flagParameter,
  formOf,
  listOf,
  type Operation,
  serve,
  textParameter,
} from './operation.ts';
import { keyLacksJob, Refused } from './refusal.ts';
import { attemptsQuery } from './stream-routes.ts';
import { Usable } from './usable.ts';

export interface JobRoutesOptions {
  readonly jobs: JobClient;
  /** Called when a job was started, changed or stopped. */
  readonly onChange: () => void;
}

/** The values of `state`. */
const STATES = [
  'starting',
  'running',
  'paused',
  'stopping',
  'stopped',
  'failed',
  'canceled',
  'terminated',
  'timed out',
];
const status = z
  .looseObject({ jobId: z.string(), state: z.string() })
  .describe('The status, as `triggers status --json`.');
const trendPoint = z
  .object({ at: z.string(), delivered: z.number(), failed: z.number(), waiting: z.number() })
  .describe('When it began; triggers delivered, attempts that failed, triggers that waited at its end.');
export const reason = z.string().optional().describe('Why, for its history: 1 to 500 characters.');
const entry = z.looseObject({ n: z.number(), at: z.string(), action: z.string(), door: z.string() });
const started = z.looseObject({ jobId: z.string(), workflowId: z.string(), warnings: z.array(z.string()) });

/** Jobs: everything that the client and the command line can do about them. */
export function jobRoutes(app: FastifyInstance, { jobs, onChange }: JobRoutesOptions): void {
  const tag = 'Jobs';
  const changing = async <T>(change: Promise<T>): Promise<T> => await change.finally(onChange);

  serve(app, {
    method: 'GET',
    url: '/v1/jobs',
    right: 'read',
    tag,
    summary: 'List jobs, running ones first',
    query: z.object({
      state: z
        .enum(STATES, `This must be one of ${STATES.join(', ')}.`)
        .optional()
        .describe('Only those in this state.'),
      audience: textParameter.describe('Only those of this audience: slug or id.'),
      label: textParameter.describe('Only those whose label or id contains this.'),
      search: textParameter.describe('Only those whose id, label and audiences have all these words.'),
      limit: countParameter(500, 100),
      after: textParameter.describe('Where the last page ended: its `next`.'),
    }),
    answers: {
      200: z.object({
        jobs: z.array(z.looseObject({ jobId: z.string() })),
        states: z
          .record(z.string(), z.number())
          .describe('How many jobs are in each state: on all pages, and whatever `state` asks for.'),
        next: z.string().optional(),
      }),
    },
    run: async ({ caller, query }) => pageOf(await jobs.list(), caller, query),
  });
  serve(app, {
    method: 'POST',
    url: '/v1/jobs',
    right: 'operate',
    tag,
    summary: 'Start a job',
    query: z.object({
      id: textParameter.describe('Its id; by default made from the label.'),
      validateOnly: flagParameter.describe('Only say what is wrong with it, or that nothing is.'),
      discardRecoverable: flagParameter.describe('Give up what the last job of this id had not delivered.'),
    }),
    body: formOf(FORM_FIELDS).describe('The form: docs/jobs.md.'),
    status: ({ validateOnly }) => (validateOnly ? 200 : 201),
    answers: { 201: started, 200: z.looseObject({ ok: z.literal(true) }).describe('With `validateOnly`.') },
    run: async ({ caller, by, body, query: { id, validateOnly, discardRecoverable } }) => {
      checkAllowed(caller, nameJob(body, id).jobId, body);
      const usable = new Usable(caller, jobs);
      if (validateOnly) return await usable.hiding(validated(jobs, body, nameJob(body, id), usable));
      const definition = body as unknown as JobDefinitionInput; // The worker checks its type.
      const options = { ...(id === undefined ? {} : { jobId: id }), discardRecoverable, by, allows: usable.check };
      const made = await changing(usable.hiding(jobs.start(definition, options)));
      // A key for some jobs must not learn the ids of others.
      const twins = made.twins.filter((jobId) => caller.mayJob(jobId));
      return { ...made, twins, warnings: [...made.warnings, ...twins.map(twinText)] };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/jobs/:job',
    right: 'read',
    tag,
    summary: 'How a job is doing, with its whole form',
    answers: { 200: status },
    run: async ({ params: { job = '' } }) => await jobs.status(job),
  });
  serve(app, {
    method: 'GET',
    url: '/v1/jobs/:job/definition',
    // A person with the whole URL may be able to send to it.
    right: 'operate',
    tag,
    summary: 'The definition of a job, as it can be started again, with the whole webhook URL',
    answers: { 200: z.looseObject({ label: z.string(), webhookUrl: z.string() }).describe('The form: docs/jobs.md.') },
    run: async ({ params: { job = '' } }) => await jobs.definition(job),
  });
  serve(app, {
    method: 'PATCH',
    url: '/v1/jobs/:job',
    right: 'operate',
    tag,
    summary: 'Change fields of a running job',
    query: z.object({
      validateOnly: flagParameter.describe('Only say what is wrong with it, or what is to be known about it.'),
    }),
    body: formOf(EDITABLE_FIELDS)
      .partial()
      .extend({
        reason,
        toRevision: z.number().int().optional().describe('Instead of fields: take it back to how it was then.'),
      })
      .describe('The fields to change; null takes an optional one away.'),
    answers: {
      200: z
        .looseObject({
          status: status.optional(),
          changes: z.array(z.looseObject({ field: z.string() })).optional(),
          warnings: z.array(z.string()),
        })
        .describe('With `validateOnly`: `warnings`, and the `audiences` that the job would subscribe to.'),
    },
    run: async ({ caller, by, params: { job = '' }, body, query: { validateOnly } }) => {
      checkAllowed(caller, job, body);
      const { reason, toRevision, ...edit } = body as EditBody; // The client and the job check its type.
      const usable = new Usable(caller, jobs);
      const options = { ...definedOf({ toRevision }), allows: usable.check };
      if (validateOnly) return await usable.hiding(jobs.checkEdit(job, edit, options));
      return await changing(usable.hiding(jobs.edit(job, edit, { ...options, ...definedOf({ reason }), by })));
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/jobs/:job/trend',
    right: 'read',
    tag,
    summary: 'Deliveries and failures: the last hour by minute, the last day by quarter of an hour',
    answers: { 200: z.object({ v: z.literal(1), hour: z.array(trendPoint), day: z.array(trendPoint) }) },
    run: async ({ params: { job = '' } }) => await jobs.trend(job),
  });
  serve(app, {
    method: 'GET',
    url: '/v1/jobs/:job/history',
    right: 'read',
    tag,
    summary: 'What was done to a job, newest first: who, by which door, why, and what changed',
    answers: { 200: z.object({ entries: z.array(entry) }) },
    run: async ({ params: { job = '' } }) => ({ entries: await jobs.history(job) }),
  });
  for (const operation of commands(jobs)) {
    const { run } = operation;
    serve(app, { ...operation, run: async (request) => await changing(run(request)) });
  }
  serve(app, {
    method: 'GET',
    url: '/v1/jobs/:job/attempts',
    right: 'read',
    tag,
    summary: 'The last attempts of a job, newest last',
    query: attemptsQuery,
    answers: { 200: z.object({ attempts: z.array(z.looseObject({})) }) },
    run: async ({ params: { job = '' }, query }) => ({ attempts: await listOf(jobs.attempts(job, query)) }),
  });
}

function schemaWith(more: z.ZodObject = z.object({})): z.ZodObject {
  return more.extend({ reason });
}

/**
 * Returns a command to a job, which answers with the job's status.
 * @param more what its body has beside the reason
 */
export function jobCommand(
  jobs: JobClient,
  name: string,
  summary: string,
  run: (job: string, deed: DeedOptions, request: never, usable: Usable) => Promise<unknown>,
  more?: z.ZodObject,
): Operation {
  return {
    method: 'POST',
    url: `/v1/jobs/:job/${name}`,
    right: 'operate',
    tag: 'Jobs',
    summary,
    body: schemaWith(more),
    bodyIsOptional: true,
    answers: { 200: status },
    run: async ({ caller, by, params: { job = '' }, body = {} }) => {
      // The client checks the reason, and the request of a command that has one.
      const { reason, ...request } = more !== undefined && isRecord(body) ? body : checkedBody(schemaWith(more), body);
      const deed = { by, reason: reason as string | undefined };
      return await run(job, deed, request as never, new Usable(caller, jobs));
    },
  };
}

/** Commands to a running job. */
function commands(jobs: JobClient): Operation[] {
  return [
    jobCommand(jobs, 'pause', 'Send nothing further until it is resumed; triggers wait', (job, deed) =>
      jobs.pause(job, deed),
    ),
    jobCommand(jobs, 'resume', 'Send again, also a stopped job with what it kept', (job, deed) =>
      jobs.resume(job, deed),
    ),
    jobCommand(jobs, 'retry', 'Retry now what waits for its next attempt', (job, deed) => jobs.retry(job, deed)),
    jobCommand(
      jobs,
      'backfill',
      'Send an enter for everybody who is a member now, or pause, resume or cancel that',
      async (job, deed, request: BackfillRequest, usable) => {
        if ((request.action ?? 'start') === 'start') await usable.checkJob(job, request.audiences);
        return await jobs.backfill(job, request, deed);
      },
      z.object({
        requestId: z.string().optional().describe('With it, asking again starts nothing further.'),
        audiences: z.array(z.string()).optional(),
        sample: z.number().int().optional().describe('Only so many people, then pause.'),
        action: z.enum(['start', 'pause', 'resume', 'cancel']).optional(),
        at: z.string().optional(),
      }),
    ),
    jobCommand(
      jobs,
      'stop',
      'End a job',
      (job, deed, request) => jobs.stop(job, request, deed),
      z.object({
        waiting: z
          .enum(['deliver', 'keep', 'discard'])
          .optional()
          .describe('What to do with waiting triggers; default: deliver.'),
        deadlineMs: z.number().optional(),
      }),
    ),
  ];
}

type EditBody = JobEdit & Pick<EditOptions, 'reason' | 'toRevision'>;

/** @throws InvalidJob, JobAlreadyRunning */
async function validated(
  jobs: JobClient,
  body: JsonObject,
  named: ReturnType<typeof nameJob>,
  usable: Usable,
): Promise<unknown> {
  await usable.check(body);
  const prepared = await jobs.check(body, named.jobId);
  const problems = [...named.problems, ...(prepared.ok ? [] : prepared.problems)];
  if (!prepared.ok || problems.length > 0) throw new InvalidJob(problems);
  await usable.check({ ...prepared.definition, audiences: prepared.audiences });
  if (await isRunning(jobs, named.jobId)) throw new JobAlreadyRunning(named.jobId);
  return prepared;
}

async function isRunning(jobs: JobClient, jobId: string): Promise<boolean> {
  return await jobs.isRunning(jobId).catch((error: unknown) => {
    if (error instanceof JobNotFound) return false;
    throw error;
  });
}

/** @throws Refused when it is not an object, or the key is not for that job */
function checkAllowed(caller: Caller, jobId: string, body: unknown): asserts body is JsonObject {
  if (!caller.mayJob(jobId)) throw keyLacksJob(jobId);
  if (!isRecord(body))
    throw new Refused(422, 'InvalidRequest', 'The body must be a JSON object with fields of the form.');
}

interface JobFilter {
  readonly state?: string | undefined;
  readonly audience?: string | undefined;
  readonly label?: string | undefined;
  readonly search?: string | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

function pageOf(all: readonly JobSummary[], caller: Caller, filter: JobFilter) {
  const { state, audience, label, search, limit, after } = filter;
  const isMeant = (job: JobSummary): boolean =>
    caller.mayJob(job.jobId) &&
    (audience === undefined || (job.audiences ?? []).some(({ id, slug }) => id === audience || slug === audience)) &&
    (label === undefined || `${job.jobId}\n${job.label ?? ''}`.toLowerCase().includes(label.toLowerCase())) &&
    (search === undefined || jobHasWords(job, search));
  const ofAnyState = all.filter(isMeant);
  const meant = ofAnyState.filter((job) => state === undefined || job.state === state);
  const last = after === undefined ? -1 : meant.findIndex(({ jobId }) => jobId === after);
  if (after !== undefined && last === -1)
    throw new Refused(422, 'InvalidRequest', `No job of this list is called "${after}": begin again, without "after".`);
  const begin = last + 1;
  const page = meant.slice(begin, begin + limit);
  const next = begin + limit < meant.length ? page.at(-1)?.jobId : undefined;
  return { jobs: page, states: countsOf(ofAnyState), ...(next === undefined ? {} : { next }) };
}

/** The number of jobs in each state, in the order of the list. */
function countsOf(jobs: readonly JobSummary[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}
