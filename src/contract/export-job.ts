import { z } from 'zod';
import type { Remedy } from './remedy.ts';
import { answersSchema } from './answers.ts';
import { batch, endsAt, quietHours, quota, requestsPerSecond, retryFor } from './timing.ts';
import { unknownKeys } from './nearest-key.ts';
import {
  type ExportField,
  renamingProblems,
  requestShapeFields,
  shapeProblems,
  MISSING_URL,
  webhookUrl,
} from './request-shape.ts';

/** Most audiences that one job subscribes to. */
export const MAX_AUDIENCES = 100;
/** Most requests one job may have in flight. */
const MAX_PARALLEL_REQUESTS = 500;

const MISSING_AUTHORIZATION =
  'Name an authorization of the worker, or give null if the webhook endpoint does not require authorization.';

const BACKFILL_RATE = 'The backfill rate must be a number of members a second, above 0.';

const EVENTS = 'Events must be a list of "enter", "exit" or both, such as ["enter"].';

const NO_ENTERS =
  'Existing users are sent as enters, and "events" leaves those out. Add "enter" to it, or leave existing users out.';

const text = (what: string, max: number, error = `${what} must be text.`) =>
  z
    .string({ error })
    .trim()
    .min(1, `${what} must not be empty.`)
    .max(max, `${what} must have at most ${max} characters.`)
    .refine((value) => value.isWellFormed(), `${what} contains half of a character, which cannot be sent.`);

const flag = (what: string) => z.boolean({ error: `${what} must be true or false.` });

const parallel = (what: string) =>
  z
    .number({ error: `${what} must be a whole number.` })
    .refine(Number.isInteger, { error: `${what} must be a whole number.`, abort: true })
    .min(1, `${what} must be at least 1.`)
    .max(MAX_PARALLEL_REQUESTS, `${what} must be at most ${MAX_PARALLEL_REQUESTS}.`);

const renamedField = z.strictObject({
  field: text('An export field', 255),
  as: text('The name under which a field is sent', 255),
});

// By hand, since a union would only say that an almost right entry is wrong.
const exportField = z.custom<ExportField>().transform((value, context): ExportField => {
  const schema = typeof value === 'object' && value !== null ? renamedField : text('An export field', 255);
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  for (const { field, message } of checked.error.issues.flatMap(renamedProblems))
    context.addIssue({ code: 'custom', path: field === '' ? [] : [field], message });
  return z.NEVER;
});

function renamedProblems(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code !== 'unrecognized_keys') return [{ field: issue.path.join('.'), message: issue.message }];
  const unrecognized = Object.fromEntries(issue.keys.map((key) => [key, undefined]));
  return unknownKeys(unrecognized, Object.keys(renamedField.shape));
}

/**
 * The job form: the settings of one export job, under the same names in a job file, in the client and in the edit update. Unknown
 * keys are refused, since silently ignoring a misspelt option would be worse than an error.
 */
export const jobDefinitionSchema = z.strictObject({
  /** Identifies the job to people; 1..200 characters. */
  label: text('The label', 200).regex(/^\P{Cc}*$/u, 'The label must not contain control characters or line breaks.'),
  description: z
    .string({ error: 'The description must be text.' })
    .max(2000, 'The description must have at most 2000 characters.')
    .optional(),
  /** Slugs or ids of the audiences to export; 1..100. One that is named twice counts once. */
  audiences: z
    .array(text('An audience', 255), { error: 'Audiences must be a list of audience slugs or ids, such as ["vip"].' })
    .min(1, 'Choose at least one audience.')
    .max(MAX_AUDIENCES, `Choose at most ${MAX_AUDIENCES} audiences.`),
  /** Receives the requests; its path and query may be templates. */
  webhookUrl,
  /** Name of an authorization in the worker's configuration; null when the endpoint needs none. */
  authorization: text('The authorization', 100, MISSING_AUTHORIZATION).nullable(),
  /** Which profile fields are sent: names or dotted paths, and under which names. Empty: all. `segment_events` is always sent. */
  exportFields: z
    .array(exportField, {
      error: 'Export fields must be a list of field names, such as ["email", "first_name"].',
    })
    .max(1000, 'Choose at most 1000 export fields.')
    .superRefine((fields, context) => {
      for (const { index, message } of renamingProblems(fields))
        context.addIssue({ code: 'custom', path: [index, 'as'], message });
      for (const [index, field] of fields.entries())
        if (typeof field === 'string' && fields.indexOf(field) < index)
          context.addIssue({
            code: 'custom',
            path: [index],
            message: `"${field}" is named twice. Name each field once.`,
          });
    })
    .default([]),
  /** First send everybody who is already a member, as `enter`. */
  existingUsers: flag('Existing users').default(false),
  /** The old payload. */
  userLegacyMessageFormat: flag('User legacy message format').default(false),
  /** Most requests in flight for this job, over all workers; 1..500. */
  parallelRequestCount: parallel('The parallel request count').default(5),
  /** Which membership changes are sent; null: both. The others are counted as filtered. */
  events: z
    .array(
      z.enum(['enter', 'exit'], {
        error: ({ input }) => (typeof input === 'string' ? 'There are two events, "enter" and "exit".' : EVENTS),
      }),
      { error: EVENTS },
    )
    .min(1, 'Name at least one event: a job that sends neither enters nor exits sends nothing.')
    .refine((named) => new Set(named).size === named.length, 'Name each event once.')
    .readonly()
    .nullable()
    .default(null),
  /** Say in each message which audiences the person is in, by their slugs: `segments_all`. */
  memberships: flag('Memberships').default(false),
  ...requestShapeFields,
  batch,
  requestsPerSecond,
  /** Most members a second that a backfill sends; null: as many as the endpoint accepts. */
  backfillPerSecond: z
    .number({ error: BACKFILL_RATE })
    .positive(BACKFILL_RATE)
    .max(100_000, 'The backfill rate must be at most 100000 a second.')
    .nullable()
    .default(null),
  /** Most requests in flight for a backfill, so that live triggers find free ones; null: all of the job's. */
  backfillParallelCount: parallel('The parallel count of the backfill').nullable().default(null),
  quietHours,
  quota,
  /** Whether a trigger is sent or dropped whose `at` is older than the person's last change of that audience that the job accepted. */
  stale: z.enum(['send', 'drop'], { error: 'Write "send" or "drop".' }).default('send'),
  endsAt,
  /** Meanings of answers that differ from the default; null: none does. */
  answers: answersSchema.nullable().default(null),
  retryFor,
});

/** A job with every default filled in. */
export type JobDefinition = z.infer<typeof jobDefinitionSchema>;
/** A job as people write it. */
export type JobDefinitionInput = z.input<typeof jobDefinitionSchema>;
/** Argument of the update `edit`: any fields of the form except `existingUsers`, which can only be given when a job is started. */
export type JobEdit = Partial<Omit<JobDefinitionInput, 'existingUsers'>>;

/** Something wrong with a job, by field, in words. */
export interface Problem {
  /** The field as a person would find it: `webhookUrl`, `audiences[2]`; empty when it is the whole. */
  readonly field: string;
  readonly message: string;
  /** Remedies, where they are known. */
  readonly remedies?: readonly Remedy[];
}

export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

/** Checks a job definition against the form; reports every problem at once. */
export function checkJobDefinition(input: unknown): Checked<JobDefinition> {
  const parsed = jobDefinitionSchema.safeParse(input);
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => problemsOf(issue, input))),
    ...problemsTogether(input),
    ...unsayable(input),
    ...(parsed.success ? shapeProblems(parsed.data) : []),
  ];
  return parsed.success && problems.length === 0 ? { ok: true, value: parsed.data } : { ok: false, problems };
}

/** The names of the form's fields. */
export const JOB_FIELDS = Object.keys(jobDefinitionSchema.shape);

const { existingUsers, events } = jobDefinitionSchema.shape;
const backfilled = z.object({ existingUsers, events });

/** Returns fields that are valid by themselves, but contradict each other or have no effect; whatever else is wrong. */
function problemsTogether(input: unknown): Problem[] {
  const { data } = backfilled.safeParse(input);
  const isNobodySent = data?.existingUsers === true && data.events?.includes('enter') === false;
  return [...(isNobodySent ? [{ field: 'existingUsers', message: NO_ENTERS }] : []), ...neverSent(input)];
}

/** Returns the settings of one event that have no effect. */
function neverSent(input: unknown): Problem[] {
  const { data } = z.object({ events }).safeParse(input);
  return OF_EVENTS.flatMap(([field, event]): Problem[] => {
    const settings: unknown = typeof input === 'object' && input !== null ? Reflect.get(input, field) : undefined;
    if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) return [];
    if (Object.values(settings).every((one) => one == null)) return [{ field, message: NOTHING_DIFFERENT }];
    if (data?.events?.includes(event) !== false) return [];
    return [{ field, message: `The job sends no ${event}s ("events"). Leave this out, or add "${event}" there.` }];
  });
}

const OF_EVENTS = [
  ['onEnter', 'enter'],
  ['onExit', 'exit'],
] as const;
const NOTHING_DIFFERENT = 'This says of nothing that it is different. Leave it out, or give null.';

/** How deep the objects of a form are nested: `onEnter`, its `headers`. */
const LEVELS = 2;

/** Returns names that a check would drop without a message. */
function unsayable(input: unknown, levels = LEVELS, place = ''): Problem[] {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return [];
  return Object.entries(input).flatMap(([key, value]) => {
    const field = place === '' ? key : `${place}.${key}`;
    if (key === '__proto__' && place !== '') return [{ field, message: 'Nothing can have this name.' }];
    return levels === 0 ? [] : unsayable(value, levels - 1, field);
  });
}

function problemsOf(issue: z.core.$ZodIssue, input: unknown): Problem[] {
  const field = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : String(part))).join('.');
  const name = field.replaceAll('.[', '[');
  if (issue.code === 'unrecognized_keys') {
    const unrecognized = Object.fromEntries(issue.keys.map((key) => [key, undefined]));
    const place = name === '' ? '' : `${name}.`;
    return unknownKeys(unrecognized, keysAt(issue.path)).map((one) => ({ ...one, field: place + one.field }));
  }
  if (issue.path.length === 0) {
    return [{ field: '', message: `A job is one JSON object, {…}, with the fields ${JOB_FIELDS.join(', ')}.` }];
  }
  if (issue.path.length === 1 && isMissing(input, name))
    return [{ field: name, message: MISSING[name] ?? 'This field is required.' }];
  return [{ field: name, message: issue.message }];
}

/** Returns the keys that an object of the form may have at a place. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = jobDefinitionSchema;
  for (const part of path) {
    schema = plain(schema);
    if (schema instanceof z.ZodObject) schema = schema.shape[String(part)];
    else if (schema instanceof z.ZodArray) schema = schema.element;
  }
  schema = plain(schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Returns a schema without the wrappers that let its value be left out. */
function plain(schema: unknown): unknown {
  const isOptional =
    schema instanceof z.ZodDefault || schema instanceof z.ZodNullable || schema instanceof z.ZodOptional;
  return isOptional ? plain(schema.unwrap()) : schema;
}

const MISSING: Readonly<Record<string, string>> = {
  label: 'Give the job a label, so that people can tell it from others.',
  audiences: 'Choose at least one audience.',
  webhookUrl: MISSING_URL,
  authorization: MISSING_AUTHORIZATION,
};

function isMissing(input: unknown, field: string): boolean {
  return typeof input === 'object' && input !== null && (!(field in input) || Reflect.get(input, field) === undefined);
}
