import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Caller } from '../../api/callers.ts';
import { formOf, serve } from '../../api/operation.ts';
import { jobIdNeeded, keyLacksJob, Refused } from '../../api/refusal.ts';
import { Usable } from '../../api/usable.ts';
import type { Methods } from '../../client/core.ts';
import type { JobClient } from '../../client/job-client.ts';
import type { Json } from '../../contract/trigger.ts';
import { FORM_FIELDS } from '../../domain/form.ts';
import { definedOf, isRecord } from '../../domain/json.ts';
import type { SampleOf, sampleRequest, sendSample } from './asking.ts';
import type { SampleWish } from './sample.ts';

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

type Sampling = JobClient & Methods<{ sample: typeof sampleRequest; test: typeof sendSample }>;

/** The routes that show or send a message about a real person. */
export function previewRoutes(app: FastifyInstance, jobs: Sampling): void {
  const tag = 'Questions';
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
