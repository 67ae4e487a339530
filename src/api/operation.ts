import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Asker } from '../client/job-client.ts';
import { InvalidRequest } from '../client/calls/errors.ts';
import { unless } from '../client/calls/with-retries.ts';
import type { Right } from '../config/api-keys.ts';
import { jobDefinitionSchema } from '../contract/export-job.ts';
import { unknownKeys } from '../contract/nearest-key.ts';
import type { Json } from '../contract/trigger.ts';
import { type FORM_FIELDS } from '../domain/form.ts';
import { helpOf } from '../words/form.ts';
import { isRecord } from '../domain/json.ts';
import { askerOf, type Caller } from './callers.ts';
import { bodyOf, rejectDoubledKeys } from './bodies.ts';
import { FAILURES, Refused } from './refusal.ts';

type NoQuery = Readonly<Record<string, never>>;

/** One operation of the API. */
export interface Operation<Query extends z.ZodRawShape = NoQuery> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: string;
  /** The rights that a caller needs: all of them. */
  readonly right: Right | readonly Right[];
  readonly tag: string;
  readonly summary: string;
  /** Its query parameters; any other is refused. */
  readonly query?: z.ZodObject<Query>;
  /** The schema of the body, for the documentation; the code that reads the body checks it. Absent: no body. */
  readonly body?: z.ZodType;
  /** Whether the body may be left out. */
  readonly bodyIsOptional?: boolean;
  /** The status of its answer. Default: 200. */
  readonly status?: number | ((query: z.infer<z.ZodObject<Query>>) => number);
  /** The answers on success, by status. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Longest wait for it, in ms. Default: 90 s, since an edit may take 75. */
  readonly longestMs?: number;
  readonly run: (request: ParsedRequest<z.infer<z.ZodObject<Query>>>) => Promise<unknown>;
}

/** A request, read. */
export interface ParsedRequest<Query> {
  readonly caller: Caller;
  /** Who asks, as jobs tell it. */
  readonly by: Asker;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** The JSON body; undefined when there is none. */
  readonly body: Json | undefined;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

const LONGEST_MS = 90_000;
/** A job's form has some thousands at most. Each value is looked at several times before it is refused. */
const MOST_VALUES = 10_000;

/** Adds the route of an operation. */
export function serve<Query extends z.ZodRawShape>(app: FastifyInstance, operation: Operation<Query>): void {
  const {
    method,
    url,
    right,
    tag,
    summary,
    query,
    body,
    answers,
    run,
    bodyIsOptional = false,
    status = 200,
    longestMs = LONGEST_MS,
  } = operation;
  const params = [...url.matchAll(/:(\w+)/g)].map(([, name = '']) => [name, z.string()] as const);
  app.route({
    method,
    url,
    config: { right, bodyIsOptional, mostBodyValues: MOST_VALUES },
    schema: {
      tags: [tag],
      summary,
      description: `Needs the right ${[right]
        .flat()
        .map((one) => `\`${one}\``)
        .join(' and ')}.`,
      ...(query === undefined ? {} : { querystring: query }),
      ...(params.length === 0 ? {} : { params: z.object(Object.fromEntries(params)) }),
      ...(body === undefined ? {} : { body }),
      response: { ...withDescriptions(answers), ...FAILURES },
    },
    handler: async (request, reply) => {
      const pathParams = request.params as Record<string, string>; // Its names are those of the URL.
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const parsed = {
        caller: request.caller,
        by: askerOf(request),
        params: pathParams,
        query: queryOf(query, request),
        body: jsonOf(request, body !== undefined, bodyIsOptional),
        signal: gone.signal,
      };
      const doing = run(parsed).catch((error: unknown) => {
        throw withFieldsOf(body, parsed.body, error);
      });
      const answer = await inTime(longestMs, unless(app.over, doing));
      return await reply.status(typeof status === 'number' ? status : status(parsed.query)).send(answer);
    },
  });
}

/** An answer without a description says that the request was done. */
function withDescriptions(answers: Operation['answers']): Operation['answers'] {
  const entries = Object.entries(answers).map(([status, answer]) => [
    status,
    answer.description === undefined ? answer.describe('It was done.') : answer,
  ]);
  return Object.fromEntries(entries) as Operation['answers']; // It has the same statuses.
}

/** The query of a request. @throws Refused which names every parameter that is unknown, or invalid */
export function queryOf<Query extends z.ZodRawShape>(
  schema: z.ZodObject<Query> | undefined,
  { query }: Pick<FastifyRequest, 'query'>,
): z.infer<z.ZodObject<Query>> {
  const parameters = query as Record<string, unknown>; // Fastify parses a query into this.
  // Without a schema, the query is an empty one.
  return checked(schema ?? (z.object({}) as z.ZodObject<Query>), parameters, 'query of the URL');
}

/** The body of a request. @throws Refused which names every field that is unknown, or invalid */
export function checkedBody<Body extends z.ZodRawShape>(
  schema: z.ZodObject<Body>,
  body: Json | undefined,
): z.infer<z.ZodObject<Body>> {
  if (isRecord(body)) return checked(schema, body, 'request');
  const fields = Object.keys(schema.shape).join(', ');
  throw new Refused(422, 'InvalidRequest', `The body must be a JSON object. It may have: ${fields}.`);
}

function checked<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  values: Readonly<Record<string, unknown>>,
  what: string,
): z.infer<z.ZodObject<Shape>> {
  const { data, error } = schema.safeParse(values);
  const problems = [
    ...unknownKeys(values, Object.keys(schema.shape)),
    ...(error?.issues ?? []).map(({ path, message }) => ({ field: path.join('.'), message })),
  ];
  if (data !== undefined && problems.length === 0) return data;
  throw new Refused(422, 'InvalidRequest', `The ${what} was not accepted.`, { problems });
}

function jsonOf(request: FastifyRequest, isTaken: boolean, isOptional: boolean): Json | undefined {
  const body = bodyOf(request);
  if (body === undefined) {
    if (!isTaken || isOptional) return undefined;
    throw new Refused(400, 'NoBody', 'A JSON body is missing.');
  }
  if (!('text' in body)) throw new Refused(415, 'WrongContentType', 'Send application/json.');
  if (!isTaken) throw new Refused(400, 'BodyNotTaken', 'This takes no body.');
  return rejectDoubledKeys(body);
}

/**
 * The client's messages about unknown keys name the options of its own method. A request body may have other fields, and then the message names
 * those.
 */
function withFieldsOf(schema: z.ZodType | undefined, body: Json | undefined, error: unknown): unknown {
  if (!(error instanceof InvalidRequest)) return error;
  if (!(schema instanceof z.ZodObject) || !isRecord(body)) return error;
  const unknown = new Map(unknownKeys(body, Object.keys(schema.shape)).map((one) => [one.field, one]));
  const problems = error.problems.map((one) => unknown.get(one.field) ?? one);
  const Kind = error.constructor as typeof InvalidRequest; // Its subclasses are made of problems, too.
  return new Kind(problems);
}

/** These fields of the form, with their descriptions. */
export function formOf(fields: typeof FORM_FIELDS) {
  const described = fields.map((field) => [field, jobDefinitionSchema.shape[field].describe(helpOf(field))] as const);
  return z.strictObject(Object.fromEntries(described));
}

/** All items, as a list. */
export async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** A query parameter that is 1, or 0 like one that is left out. */
export const flagParameter = z
  .enum(['0', '1'], { error: 'This must be 1 or 0, given once.' })
  .optional()
  .transform((text) => text === '1');

/** A query parameter that is a whole number. */
export const countParameter = (most: number, otherwise: number) =>
  z
    .string('This must be given once.')
    .regex(/^\d{1,9}$/, 'This must be a whole number.')
    .optional()
    .transform((text) => (text === undefined ? otherwise : Number(text)))
    .refine((count) => count >= 1 && count <= most, `This must be between 1 and ${most}.`);

const LAST_MS = Date.UTC(10_000, 0);

/** A query parameter that is an RFC 3339 time. */
export const timeParameter = z.iso
  .datetime({ offset: true, error: 'This must be an RFC 3339 time, such as 2026-11-25T08:30:00Z.' })
  .transform((text) => new Date(text))
  // A database refuses others, and that would count as a failure of the log.
  .refine((time) => time.getTime() >= 0 && time.getTime() < LAST_MS, 'This must be a time from 1970 to 9999.');

/** The same, in the past. */
export const pastTimeParameter = timeParameter
  .refine((time) => time.getTime() <= Date.now() + CLOCKS_DIFFER_MS, 'This must be in the past.')
  .optional();

/** A caller who says "now" may have a clock that is ahead of ours. */
const CLOCKS_DIFFER_MS = 60_000;

export const textParameter = z.string('This must be given once.').min(1, 'This must not be empty.').optional();

/**
 * Settles like `doing`, or rejects after this time. It does not cancel `doing`: a call that could hang must end itself.
 * @throws Refused when it takes longer: Temporal does not answer, and the request may still be carried out.
 */
export async function inTime<T>(ms: number, doing: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    // There is no signal and no race: this runs for each single trigger. An aborted signal costs more than reading the trigger.
    const timer = setTimeout(() => {
      reject(
        new Refused(
          503,
          'ServerUnreachable',
          `No answer within ${Math.round(ms / 1000)} s. Temporal is probably not answering. The request may still be carried out: check before you send it again.`,
          { retryAfterS: 5 },
        ),
      );
    }, ms);
    doing.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
