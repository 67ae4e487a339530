import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { DeadLetterNotFound } from '../client/calls/errors.ts';
import type { DecisionExtent, JobClient } from '../client/job-client.ts';
import { definedOf } from '../domain/json.ts';
import type { Caller } from './callers.ts';
import { checkedBody, countParameter, flagParameter, pastTimeParameter, serve, textParameter } from './operation.ts';
import { reason } from './job-routes.ts';
import type { DecisionStatus } from '../contract/dead-letter.ts';
import { checkExtent, type Decisions, NONE } from './decisions.ts';
import { jobIdNeeded, keyLacksJob, Refused } from './refusal.ts';
import { Usable } from './usable.ts';

const letter = z.looseObject({ id: z.string(), jobId: z.string(), user: z.string(), failure: z.string() });
const decided = z.object({
  done: z.number().int(),
  failures: z.array(
    z.object({
      id: z.string(),
      reason: z.string(),
      isUnknown: z.literal(true).optional().describe('It may have been done. Asking again is safe.'),
    }),
  ),
  extent: z.looseObject({ letters: z.number().int() }).optional().describe('The dead letters that the filter selects.'),
});
const decision = z.looseObject({
  id: z.string(),
  action: z.string(),
  jobId: z.string().optional().describe('The only job that it is about; absent: it may be about any.'),
  at: z.string().describe('When it began.'),
  state: z.enum(['running', 'done', 'stopped', 'failed']),
  problem: z.string().optional(),
  letters: z.number().int().describe('The dead letters that the filter selected.'),
  done: z.number().int(),
  failures: z
    .array(z.object({ reason: z.string(), letters: z.number().int(), ids: z.array(z.string()) }))
    .describe('Those that were tried and keep waiting, by reason; the first 20 of each.'),
});
const text = z.string('This must be text.').optional();
const flag = z.boolean('This must be true or false.').optional();
const number = z.number('This must be a number.').optional();
const filter = z.object({
  jobId: text,
  user: text,
  audience: text,
  failure: text,
  olderThan: pastTimeParameter.describe('RFC 3339'),
  newerThan: pastTimeParameter.describe('RFC 3339'),
  all: flag.describe('Must be true when nothing else is said.'),
  expected: z
    .int('This must be a whole number.')
    .optional()
    .describe('Do it only if the filter selects exactly so many.'),
  dryRun: flag.describe('Only say what the filter selects.'),
  requestId: text.describe('With it, asking again begins nothing further.'),
});
const deed = z.object({ reason });
const force = deed.extend({ force: flag });
/** The body of each decision: for all that a filter selects, and for one dead letter. The client checks the values. */
const BODIES = {
  redeliver: { many: filter.extend({ ...force.shape, limit: number, perSecond: number }), one: force },
  discard: { many: filter.extend(deed.shape), one: deed },
} as const;

/** Dead letters: list them, and decide about them. */
export function deadLetterRoutes(app: FastifyInstance, jobs: JobClient, decisions: Decisions): void {
  const { deadLetters } = jobs;
  const tag = 'Dead letters';
  const isShownTo = (caller: Caller, { jobId }: DecisionStatus): boolean =>
    caller.jobs === undefined || (jobId !== undefined && caller.mayJob(jobId));
  serve(app, {
    method: 'GET',
    url: '/v1/dead-letters',
    right: 'read',
    tag,
    summary: 'Dead letters waiting for a decision, newest first',
    query: z.object({
      jobId: textParameter,
      user: textParameter,
      audience: textParameter,
      failure: textParameter.describe('`HTTP 422`, a code, or its words.'),
      olderThan: pastTimeParameter,
      newerThan: pastTimeParameter,
      limit: countParameter(1000, 100),
    }),
    answers: { 200: z.object({ deadLetters: z.array(letter), hasMore: z.boolean() }) },
    run: async ({ caller, query: { limit, ...which } }) => {
      await checkAudience(new Usable(caller, jobs), which.audience);
      const found = [];
      for await (const one of deadLetters.list(which)) {
        if (!caller.mayJob(one.jobId)) continue;
        if (found.length === limit) return { deadLetters: found, hasMore: true };
        found.push(one);
      }
      return { deadLetters: found, hasMore: false };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/decisions',
    right: 'read',
    tag,
    summary: 'Decisions about many: those that this process carries out, and those of the last hour, newest first',
    answers: { 200: z.object({ decisions: z.array(decision) }) },
    run: async ({ caller }) => {
      return await Promise.resolve({ decisions: decisions.list().filter((one) => isShownTo(caller, one)) });
    },
  });
  serve(app, {
    method: 'DELETE',
    url: '/v1/decisions/:id',
    right: 'operate',
    tag,
    summary: 'Stop such a decision: no further dead letter is begun. One that has ended is no longer listed',
    answers: { 200: z.object({}) },
    run: async ({ caller, params: { id = '' } }) => {
      const found = decisions.list().find((one) => one.id === id && isShownTo(caller, one));
      if (found === undefined)
        throw new Refused(404, 'DecisionNotFound', 'This process of the API has no such decision.');
      decisions.remove(id);
      return await Promise.resolve({});
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/dead-letters/:id',
    right: 'read',
    tag,
    summary: 'All about one',
    answers: { 200: letter },
    run: async ({ caller, params: { id = '' } }) => {
      const shown = await deadLetters.show(id);
      // The answer is the same as for none, since it would reveal whose it is.
      if (!caller.mayJob(shown.jobId)) throw new DeadLetterNotFound(id);
      return shown;
    },
  });
  for (const name of ['redeliver', 'discard'] as const) {
    const { many, one } = BODIES[name];
    serve(app, {
      method: 'POST',
      url: `/v1/dead-letters/${name}`,
      right: 'operate',
      tag,
      summary:
        name === 'redeliver' ? 'Send again all that a filter selects' : 'Drop for good all that a filter selects',
      body: many,
      query: z.object({ background: flagParameter.describe('Answer when it has begun; it then goes on by itself.') }),
      status: ({ background }) => (background ? 202 : 200),
      answers: { 200: decided, 202: decision.describe('With `background`: it has begun.') },
      run: async ({ caller, by, body, query: { background } }) => {
        const asked: z.infer<typeof BODIES.redeliver.many> = checkedBody(many, body);
        const { expected, dryRun, requestId, force: isForced, reason: why, limit, perSecond, ...which } = asked;
        checkJob(caller, which.jobId);
        await checkAudience(new Usable(caller, jobs), which.audience);
        const options = definedOf({ force: isForced, limit, perSecond, reason: why });
        if (dryRun !== true) {
          const begun = decisions.begin({ action: name, which, by, options, expected, requestId });
          if (!background) return await begun.ended;
          await begun.counted;
          return begun.decision;
        }
        let extent = NONE;
        const confirm = async (selected: DecisionExtent): Promise<boolean> => {
          extent = selected;
          return await Promise.resolve(false);
        };
        const result = await deadLetters[name](which, { ...options, by, confirm });
        checkExtent(extent, expected);
        return { ...result, extent };
      },
    });
    serve(app, {
      method: 'POST',
      url: `/v1/dead-letters/:id/${name}`,
      right: 'operate',
      tag,
      summary: name === 'redeliver' ? 'Send one again' : 'Drop one for good',
      body: one,
      bodyIsOptional: true,
      answers: { 200: decided },
      run: async ({ caller, by, params: { id = '' }, body }) => {
        const { force: isForced, reason: why }: z.infer<typeof force> = checkedBody(one, body ?? {});
        const confirm = async ({ jobs }: DecisionExtent): Promise<boolean> => {
          if (!jobs.every(({ jobId }) => caller.mayJob(jobId))) throw new DeadLetterNotFound(id);
          return await Promise.resolve(true);
        };
        return await deadLetters[name](id, { ...definedOf({ force: isForced, reason: why }), by, confirm });
      },
    });
  }
}

/** @throws Refused when the key is not for that job. If the key is for some jobs and the filter names none, its matches would reveal others. */
function checkJob(caller: Caller, jobId: string | undefined): void {
  if (jobId === undefined && caller.jobs !== undefined) throw jobIdNeeded('"jobId"');
  if (jobId !== undefined && !caller.mayJob(jobId)) throw keyLacksJob(jobId);
}

/** @throws Refused for an audience of others: an empty list would tell that there is one, since an unknown name is an error */
async function checkAudience(usable: Usable, audience: string | undefined): Promise<void> {
  if (audience === undefined || !usable.isLimited || (await usable.mayAudience(audience))) return;
  throw new Refused(403, 'NotAllowed', `This API key may not use the audience "${audience}".`);
}
