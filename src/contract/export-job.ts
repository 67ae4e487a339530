import { z } from 'zod';
import { unknownKeys } from './nearest-key.ts';

/** Most audiences one job listens to. */
export const MAX_AUDIENCES = 100;
/** Most requests one job may have in flight. */
export const MAX_PARALLEL_REQUESTS = 500;
/** Requests that a job may have in flight unless it says otherwise. */
export const DEFAULT_PARALLEL_REQUESTS = 5;

const MISSING_URL = 'Give the webhook URL that receives the messages, such as https://example.com/hook.';
const MISSING_AUTHORIZATION =
  'Name an authorization of the worker, or give null (without quotes) if the webhook endpoint does not require authorization.';
const WHOLE_NUMBER = 'The parallel request count must be a whole number (without quotes).';

const BACKFILL_RATE = 'The backfill rate must be a number of members a second, above 0 (without quotes).';

const EVENTS = 'Events must be a list of "enter", "exit" or both, such as ["enter"]; null (without quotes) means both.';

const NO_ENTERS =
  'Existing users are sent as enters, and "events" leaves those out. Add "enter" to it, or leave existing users out.';

const text = (what: string, max: number, error = `${what} must be text.`) =>
  z
    .string({ error })
    .trim()
    .min(1, `${what} must not be empty.`)
    .max(max, `${what} must have at most ${max} characters.`)
    .refine((value) => value.isWellFormed(), `${what} contains half of a character, which cannot be sent.`);

const flag = (what: string) => z.boolean({ error: `${what} must be true or false (without quotes).` });

const NO_WEB_ADDRESS = 'The webhook URL is not a web address. It should look like https://example.com/hook.';
// URL parsers also find a host where this shape is not kept (`https:///me:secret@host`), and with it a password that nobody looked for.
const WEB_ADDRESS = /^https?:\/\/[^/?#\\]/i;

const NO_HOST =
  'The webhook URL has a host name that cannot exist: its parts, between dots, have 1 to 63 characters each, and all of it at most 253.';
// What DNS can hold (RFC 1035, section 2.3.4), with or without the root's dot; or an IPv6 address in brackets.
const HOST = /^(?:\[.*\]|(?=.{1,253}\.?$)[^.]{1,63}(?:\.[^.]{1,63})*\.?)$/;

// Whether the worker may send there is checked by the worker (in prepareJob, and again at every request); this is the form's part. No
// message repeats a URL, because whoever knows it may be able to send to it.
const webhookUrl = z
  .string({ error: 'The webhook URL must be text.' })
  .trim()
  .min(1, MISSING_URL)
  .max(2048, 'The webhook URL must have at most 2048 characters.')
  .pipe(z.url({ protocol: /^https?$/, error: NO_WEB_ADDRESS, abort: true }).regex(WEB_ADDRESS, NO_WEB_ADDRESS))
  .pipe(z.url({ hostname: HOST, error: NO_HOST }))
  .refine((url) => !/^[^/]*\/\/[^/?#]*@/.test(url), {
    error:
      'The webhook URL must not contain a user name or password. Put them into an authorization in the worker\'s configuration, and name that in "authorization".',
  })
  .refine((url) => !url.includes('#'), {
    error:
      'The webhook URL must not contain a #: what follows it is never sent to a server. Leave it out, or write %23 if it belongs to a value.',
  });

/**
 * The job form: what a person says about one export job, under the same names in a job file, in the client and in the edit update. Unknown
 * keys are refused, since silently ignoring a misspelt option would be worse than an error.
 */
export const jobDefinitionSchema = z.strictObject({
  /** Identifies the job to people; 1..200 characters. */
  label: text('The label', 200),
  description: z
    .string({ error: 'The description must be text.' })
    .max(2000, 'The description must have at most 2000 characters.')
    .optional(),
  /** Slugs or ids of the audiences to export; 1..100. One that is named twice counts once. */
  audiences: z
    .array(text('An audience', 255), { error: 'Audiences must be a list of audience slugs or ids, such as ["vip"].' })
    .min(1, 'Choose at least one audience.')
    .max(MAX_AUDIENCES, `Choose at most ${MAX_AUDIENCES} audiences.`),
  /** Receives POST `application/json`. */
  webhookUrl,
  /** Name of an authorization in the worker's configuration; null when the endpoint needs none. */
  authorization: text('The authorization', 100, MISSING_AUTHORIZATION).nullable(),
  /** Which profile fields are sent: names or dotted paths. Empty: all. `segment_events` is always sent. */
  exportFields: z
    .array(text('An export field', 255), {
      error: 'Export fields must be a list of field names, such as ["email", "first_name"].',
    })
    .max(1000, 'Choose at most 1000 export fields.')
    .default([]),
  /** First send everybody who is already a member, as `enter`. */
  existingUsers: flag('Existing users').default(false),
  /** The old payload. */
  userLegacyMessageFormat: flag('User legacy message format').default(false),
  /** Most requests in flight for this job, over all workers; 1..500. */
  parallelRequestCount: z
    .number({ error: WHOLE_NUMBER })
    .refine(Number.isInteger, { error: WHOLE_NUMBER, abort: true })
    .min(1, 'The parallel request count must be at least 1.')
    .max(MAX_PARALLEL_REQUESTS, `The parallel request count must be at most ${MAX_PARALLEL_REQUESTS}.`)
    .default(DEFAULT_PARALLEL_REQUESTS),
  /** Most members a second that a backfill sends; null: as many as the endpoint accepts. */
  backfillPerSecond: z
    .number({ error: BACKFILL_RATE })
    .positive(BACKFILL_RATE)
    .max(100_000, 'The backfill rate must be at most 100000 a second.')
    .nullable()
    .default(null),
  /** Most requests in flight for a backfill, so that live triggers find free ones; null: all of the job's. */
  backfillParallelCount: z
    .number({ error: WHOLE_NUMBER })
    .refine(Number.isInteger, { error: WHOLE_NUMBER, abort: true })
    .min(1, 'The parallel count of the backfill must be at least 1.')
    .max(MAX_PARALLEL_REQUESTS, `The parallel count of the backfill must be at most ${MAX_PARALLEL_REQUESTS}.`)
    .nullable()
    .default(null),
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
});

/** A job with every default filled in. */
export type JobDefinition = z.infer<typeof jobDefinitionSchema>;
/** A job as people write it. */
export type JobDefinitionInput = z.input<typeof jobDefinitionSchema>;
/** What the `edit` update takes: any fields of the form except `existingUsers`, which can only be given when a job is started. */
export type JobEdit = Partial<Omit<JobDefinitionInput, 'existingUsers'>>;

/** Something wrong with a job, by field, in words. */
export interface Problem {
  /** The field as a person would find it: `webhookUrl`, `audiences[2]`; empty when it is the whole. */
  readonly field: string;
  readonly message: string;
}

export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

/** Checks a job definition against the form; every problem at once. */
export function checkJobDefinition(input: unknown): Checked<JobDefinition> {
  const parsed = jobDefinitionSchema.safeParse(input);
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => problemsOf(issue, input))),
    ...problemsTogether(input),
  ];
  return parsed.success && problems.length === 0 ? { ok: true, value: parsed.data } : { ok: false, problems };
}

/** The names of the form's fields. */
export const JOB_FIELDS = Object.keys(jobDefinitionSchema.shape);

const { existingUsers, events } = jobDefinitionSchema.shape;
const backfilled = z.object({ existingUsers, events });

/** What cannot stand together, each of it being right by itself; told whatever else is wrong. */
function problemsTogether(input: unknown): Problem[] {
  const { data } = backfilled.safeParse(input);
  if (data?.existingUsers !== true || data.events?.includes('enter') !== false) return [];
  return [{ field: 'existingUsers', message: NO_ENTERS }];
}

function problemsOf(issue: z.core.$ZodIssue, input: unknown): Problem[] {
  if (issue.code === 'unrecognized_keys')
    return unknownKeys(Object.fromEntries(issue.keys.map((key) => [key, undefined])), JOB_FIELDS);
  const field = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : String(part))).join('.');
  const name = field.replaceAll('.[', '[');
  if (issue.path.length === 0) {
    return [{ field: '', message: `A job is one JSON object, {…}, with the fields ${JOB_FIELDS.join(', ')}.` }];
  }
  if (issue.path.length === 1 && isMissing(input, name))
    return [{ field: name, message: MISSING[name] ?? 'This field is required.' }];
  return [{ field: name, message: issue.message }];
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
