import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { DeadLetterNotFound } from '../client/errors.ts';
import type { DecisionExtent, ExportJobs, WhichDeadLetters } from '../client/export-jobs.ts';
import type { Problem } from '../contract/export-job.ts';
import { unknownKeys } from '../contract/nearest-key.ts';
import { isRecord } from '../domain/json.ts';
import type { Json } from '../contract/trigger.ts';
import type { Caller } from './callers.ts';
import { countParameter, pastTimeParameter, serve, textParameter } from './operation.ts';
import { NameAJob, NotThisJob, Refused } from './refusal.ts';

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
const filter = z.object({
  jobId: z.string().optional(),
  user: z.string().optional(),
  audience: z.string().optional(),
  failure: z.string().optional(),
  olderThan: z.string().optional().describe('RFC 3339'),
  newerThan: z.string().optional().describe('RFC 3339'),
  all: z.boolean().optional().describe('Must be true when nothing else is said.'),
  expected: z.number().int().optional().describe('Do it only if the filter selects exactly so many.'),
  dryRun: z.boolean().optional().describe('Only say what the filter selects.'),
});

/** Dead letters: list them, and decide about them. */
export function deadLetterRoutes(app: FastifyInstance, { deadLetters }: ExportJobs): void {
  const tag = 'Dead letters';
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
    const force = name === 'redeliver' ? { force: z.boolean().optional() } : {};
    const many =
      name === 'redeliver' ? { ...force, limit: z.number().optional(), perSecond: z.number().optional() } : {};
    serve(app, {
      method: 'POST',
      url: `/v1/dead-letters/${name}`,
      right: 'operate',
      tag,
      summary:
        name === 'redeliver' ? 'Send again all that a filter selects' : 'Drop for good all that a filter selects',
      body: filter.extend(many),
      answers: { 200: decided },
      run: async ({ caller, body, signal }) => {
        const {
          expected,
          dryRun,
          force: isForced,
          limit,
          perSecond,
          ...which
        } = wishOf(body, filter.extend(many).keyof().options);
        checkJob(caller, which.jobId);
        let extent: DecisionExtent | undefined;
        const confirm = async (selected: DecisionExtent): Promise<boolean> => {
          extent = selected;
          checkExtent(selected, expected);
          return await Promise.resolve(dryRun !== true);
        };
        const wishes = Object.entries({ force: isForced, limit, perSecond }).filter(([, wish]) => wish !== undefined);
        const result = await deadLetters[name](which, { confirm, signal, ...Object.fromEntries(wishes) });
        return { ...result, ...(extent === undefined ? {} : { extent }) };
      },
    });
    serve(app, {
      method: 'POST',
      url: `/v1/dead-letters/:id/${name}`,
      right: 'operate',
      tag,
      summary: name === 'redeliver' ? 'Send one again' : 'Drop one for good',
      ...(name === 'redeliver' ? { body: z.object(force), bodyIsOptional: true } : {}),
      answers: { 200: decided },
      run: async ({ caller, params: { id = '' }, body }) => {
        const { force: isForced } = optionsOf(body, force);
        const confirm = async ({ jobs }: DecisionExtent): Promise<boolean> => {
          if (!jobs.every(({ jobId }) => caller.mayJob(jobId))) throw new DeadLetterNotFound(id);
          return await Promise.resolve(true);
        };
        return await deadLetters[name](id, { ...(isForced === undefined ? {} : { force: isForced }), confirm });
      },
    });
  }
}

type DeadLetterRequest = Exclude<WhichDeadLetters, string> & {
  readonly expected?: number;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly limit?: number;
  readonly perSecond?: number;
};

/** The options of a decision about one. @throws Refused which names all problems */
function optionsOf(body: Json | undefined, known: object): { readonly force?: boolean } {
  if (body === undefined) return {};
  if (!isRecord(body)) throw new Refused(422, 'InvalidRequest', 'The body is a JSON object: {"force":true}.');
  const { force } = body;
  const problems = [
    ...unknownKeys(body, Object.keys(known)),
    ...(force === undefined || typeof force === 'boolean'
      ? []
      : [{ field: 'force', message: 'This must be true or false.' }]),
  ];
  refuseFor(problems);
  return typeof force === 'boolean' ? { force } : {};
}

/** @throws Refused when there are any */
function refuseFor(problems: readonly Problem[]): void {
  if (problems.length > 0)
    throw new Refused(422, 'InvalidRequest', 'The request was not accepted: "problems" says why.', { problems });
}

/** The request, with its times parsed. The client checks the rest. */
function wishOf(body: Json | undefined, known: readonly string[]): DeadLetterRequest {
  if (!isRecord(body))
    throw new Refused(422, 'InvalidRequest', 'The body is a JSON object with a filter: {"jobId":"crm"}.');
  const { expected, dryRun, ...which } = body;
  const problems = [
    ...unknownKeys(body, known),
    ...(expected === undefined || Number.isSafeInteger(expected)
      ? []
      : [{ field: 'expected', message: 'This must be a whole number.' }]),
    ...(dryRun === undefined || typeof dryRun === 'boolean'
      ? []
      : [{ field: 'dryRun', message: 'This must be true or false.' }]),
    ...['olderThan', 'newerThan'].flatMap((field) => {
      const { error } = pastTimeParameter.safeParse(which[field]);
      return (error?.issues ?? []).map(({ message }) => ({ field, message }));
    }),
  ];
  refuseFor(problems);
  const at = (field: 'olderThan' | 'newerThan') => {
    const text = which[field];
    return typeof text === 'string' ? { [field]: new Date(text) } : {};
  };
  return { ...body, ...at('olderThan'), ...at('newerThan') };
}

/** @throws Refused when the key is not for that job. If the key is for some jobs and the filter names none, its matches would reveal others. */
function checkJob(caller: Caller, jobId: string | undefined): void {
  if (jobId === undefined && caller.jobs !== undefined) throw new NameAJob('"jobId"');
  if (jobId !== undefined && !caller.mayJob(jobId)) throw new NotThisJob(jobId);
}

function checkExtent({ letters }: DecisionExtent, expected: number | undefined): void {
  if (expected !== undefined && letters !== expected)
    throw new Refused(409, 'NotAsExpected', `The filter selects ${letters}, not ${expected}. Nothing was done.`);
}
