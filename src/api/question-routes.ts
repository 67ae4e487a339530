import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ExportJobs, SampleOf, SampleWish } from '../client/export-jobs.ts';
import { jobDefinitionSchema } from '../contract/export-job.ts';
import { isRecord } from '../domain/json.ts';
import type { Json } from '../contract/trigger.ts';
import type { Caller } from './api-keys.ts';
import { listOf, serve, textParameter, timeParameter } from './operation.ts';
import { NotThisJob, Refused } from './refusal.ts';

const sampleBody = z.object({
  jobId: z.string().optional().describe('Of a job; or `definition`.'),
  definition: jobDefinitionSchema.optional(),
  user: z.string().optional(),
  audience: z.string().optional(),
  event: z.enum(['enter', 'exit']).optional(),
  userLegacyMessageFormat: z.boolean().optional(),
});
const sample = z.looseObject({ user: z.string(), request: z.looseObject({ method: z.string(), url: z.string() }) });

/** What workers and jobs are asked. */
export function questionRoutes(app: FastifyInstance, jobs: ExportJobs): void {
  const tag = 'Questions';
  serve(app, {
    method: 'GET',
    url: '/v1/audiences',
    right: 'read',
    tag,
    summary: 'The audiences of the source, with their sizes if it gives them',
    answers: { 200: z.looseObject({ audiences: z.array(z.looseObject({ id: z.string(), slug: z.string() })) }) },
    run: async () => await jobs.audiences(),
  });
  serve(app, {
    method: 'GET',
    url: '/v1/audiences/:audience/fields',
    right: 'read',
    tag,
    summary: 'Which fields exportFields may name',
    answers: { 200: z.object({ fields: z.array(z.string()) }) },
    run: async ({ params: { audience = '' } }) => ({ fields: await jobs.profileFields(audience) }),
  });
  serve(app, {
    method: 'GET',
    url: '/v1/authorizations',
    right: 'read',
    tag,
    summary: 'Which authorizations a job may name; no secret of them',
    answers: { 200: z.object({ authorizations: z.array(z.looseObject({ name: z.string() })) }) },
    run: async () => ({ authorizations: await jobs.authorizations() }),
  });
  serve(app, {
    method: 'GET',
    url: '/v1/people/:user/trace',
    right: 'read',
    tag,
    summary: 'Why a person was sent or was not',
    query: z.object({ jobId: textParameter, since: timeParameter }),
    answers: { 200: z.object({ events: z.array(z.looseObject({})) }) },
    run: async ({ caller, params: { user = '' }, query }) => {
      const { jobId, since } = query;
      if (jobId === undefined ? !mayAll(caller) : !caller.mayJob(jobId))
        throw jobId === undefined
          ? new Refused(403, 'NotAllowed', 'This API key is for some jobs only: name one of them, as ?jobId=…')
          : new NotThisJob(jobId);
      return {
        events: await listOf(
          jobs.trace(user, { ...(jobId === undefined ? {} : { jobId }), ...(since === undefined ? {} : { since }) }),
        ),
      };
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
      const { of, wish } = sampleOf(caller, body);
      return await jobs.sample(of, wish);
    },
  });
  serve(app, {
    method: 'POST',
    url: '/v1/test',
    right: 'operate',
    tag,
    summary: 'Send one message about a real person now, and say what the endpoint answered',
    longestMs: 170_000,
    body: sampleBody,
    answers: { 200: sample.extend({ answer: z.looseObject({ ok: z.boolean() }) }) },
    run: async ({ caller, body }) => {
      const { of, wish } = sampleOf(caller, body);
      return await jobs.test(of, wish);
    },
  });
}

/** A name that no key is for. */
function mayAll(caller: Caller): boolean {
  return caller.mayJob('');
}

function sampleOf(caller: Caller, body: Json | undefined): { of: SampleOf; wish: SampleWish } {
  if (!isRecord(body))
    throw new Refused(422, 'InvalidRequest', 'The body is a JSON object: {"jobId":"crm"}, or {"definition":{…}}.');
  const { jobId, definition, ...wish } = body;
  if (typeof jobId === 'string' && !caller.mayJob(jobId)) throw new NotThisJob(jobId);
  if (definition !== undefined && !mayAll(caller))
    throw new Refused(403, 'NotAllowed', 'This API key is for some jobs only: name one of them, as "jobId".');
  const of = { ...(jobId === undefined ? {} : { jobId }), ...(definition === undefined ? {} : { definition }) };
  return { of: of as SampleOf, wish }; // The client checks both, and refuses what it does not know.
}
