import type { tracePerson } from '../client/history/logged.ts';
import type { sampleRequest, sendSample } from '../client/jobs/samples.ts';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Methods } from '../client/core.ts';
import type { JobClient } from '../client/job-client.ts';
import type { SampleOf } from '../client/jobs/samples.ts';
import type { SampleWish } from '../contract/sample.ts';
import type { AudienceList } from '../contract/audience.ts';
import type { AttemptLog } from '../contract/trace.ts';
import { FORM_FIELDS } from '../domain/form.ts';
import { definedOf, isRecord } from '../domain/json.ts';
import { findAudience } from '../domain/names.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { Json } from '../contract/trigger.ts';
import type { Caller } from './callers.ts';
import { askLog, gaps, gapsFor, type LogAsking } from './delivery-routes.ts';
import { flagParameter, formOf, listOf, serve, textParameter, pastTimeParameter } from './operation.ts';
import { jobIdNeeded, keyLacksJob, Refused } from './refusal.ts';
import { Usable } from './usable.ts';

const sampleBody = z.object({
  jobId: z.string().optional().describe('Id of the job to sample; or give `definition`.'),
  definition: formOf(FORM_FIELDS).optional(),
  user: z.string().optional(),
  audience: z.string().optional(),
  event: z.enum(['enter', 'exit']).optional(),
  userLegacyMessageFormat: z.boolean().optional(),
  onlyMembers: z.boolean().optional().describe('Refuse a `user` who is in none of these audiences.'),
});
const sample = z.looseObject({ user: z.string(), request: z.looseObject({ method: z.string(), url: z.string() }) });

/** How long histories are read for one answer, in ms. The answer contains everything read by then. */
const TRACE_MS = 30_000;

type Asking = JobClient & Methods<{ sample: typeof sampleRequest; test: typeof sendSample; trace: typeof tracePerson }>;

/** Questions to workers and jobs. */
export function questionRoutes(app: FastifyInstance, jobs: Asking, asking: LogAsking): void {
  const tag = 'Questions';
  serve(app, {
    method: 'GET',
    url: '/v1/audiences',
    right: 'read',
    tag,
    summary: 'The audiences of the source, with their sizes if it gives them',
    answers: { 200: z.looseObject({ audiences: z.array(z.looseObject({ id: z.string(), slug: z.string() })) }) },
    run: async ({ caller }) => {
      const list = await jobs.audiences();
      const usable = new Usable(caller, jobs);
      const audiences = await usable.among(list.audiences, (one) => usable.mayAudience(one));
      return { audiences, total: usable.isLimited ? audiences.length : list.total };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/audiences/:audience/fields',
    right: 'read',
    tag,
    summary: 'Which fields exportFields may name',
    answers: { 200: z.object({ fields: z.array(z.string()) }) },
    run: async ({ caller, params: { audience = '' } }) => {
      const usable = new Usable(caller, jobs);
      if (!(await usable.mayAudience(audience))) throw noSuchAudience(audience);
      const fields = await jobs.profileFields(audience);
      if (fields.length === 0) checkAudience(audience, await jobs.audiences(), !usable.isLimited);
      return { fields };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/authorizations',
    right: 'read',
    tag,
    summary: 'Which authorizations a job may name; no secret of them',
    answers: { 200: z.object({ authorizations: z.array(z.looseObject({ name: z.string() })) }) },
    run: async ({ caller }) => {
      const authorizations = await jobs.authorizations();
      const usable = new Usable(caller, jobs);
      return { authorizations: await usable.among(authorizations, ({ name }) => usable.mayAuthorization(name)) };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/trace',
    right: 'read',
    tag,
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
  serve(app, {
    method: 'POST',
    url: '/v1/render',
    right: 'read',
    tag,
    summary: 'The request that would be sent about a real person; nothing is sent',
    body: sampleBody,
    answers: { 200: sample },
    run: async ({ caller, body }) => {
      const { of, wish } = await sampleOf(jobs, caller, body);
      return await jobs.sample(of, wish);
    },
  });
  serve(app, {
    method: 'POST',
    url: '/v1/test',
    right: ['operate', 'read'],
    tag,
    summary: 'Send one message about a real person now, and say what the endpoint answered',
    longestMs: 170_000,
    body: sampleBody,
    answers: { 200: sample.extend({ answer: z.looseObject({ ok: z.boolean() }) }) },
    run: async ({ caller, body }) => {
      const { of, wish } = await sampleOf(jobs, caller, body);
      return await jobs.test(of, wish);
    },
  });
}

/** @throws Refused when the source has no such audience. If only a part of the audiences is listed, it may be among the rest. */
function checkAudience(name: string, { audiences, total }: AudienceList, mayHint: boolean): void {
  if (audiences.length < total || findAudience(audiences, name) !== undefined) return;
  const near = nearestKey(
    name,
    audiences.map(({ slug }) => slug),
  );
  throw noSuchAudience(name, near === undefined || !mayHint ? '' : ` Did you mean "${near}"?`);
}

function noSuchAudience(name: string, hint = ''): Refused {
  return new Refused(404, 'NoSuchAudience', `The source has no audience "${name}".${hint}`);
}

async function sampleOf(
  jobs: JobClient,
  caller: Caller,
  body: Json | undefined,
): Promise<{ of: SampleOf; wish: SampleWish }> {
  if (!isRecord(body))
    throw new Refused(422, 'InvalidRequest', 'The body must be a JSON object: {"jobId":"crm"}, or {"definition":{…}}.');
  const { jobId, definition, ...wish } = body;
  if (typeof jobId === 'string' && !caller.mayJob(jobId)) throw keyLacksJob(jobId);
  if (definition !== undefined && caller.jobs !== undefined) throw jobIdNeeded('"jobId"');
  if (typeof jobId === 'string')
    await new Usable(caller, jobs).checkJob(jobId, wish['audience'] === undefined ? undefined : [wish['audience']]);
  const of = definedOf({ jobId, definition });
  // The key has no access to profiles of people in other jobs' audiences.
  const limited = caller.jobs === undefined ? {} : { onlyMembers: true };
  return { of: of as SampleOf, wish: { ...wish, ...limited } }; // The client checks both, and refuses unknown values.
}
