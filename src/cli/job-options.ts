import { readFileSync } from 'node:fs';
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import type { SampleOf } from '../client/export-jobs.ts';
import type { JobDefinitionInput } from '../contract/export-job.ts';
import { METHODS } from '../contract/request-shape.ts';
import { FORM_FIELDS } from '../domain/job-form.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { UsageError } from './exit-code.ts';
import { backfillRate, collect, parallelCount, requestRate } from './options.ts';

type Field = keyof JobDefinitionInput;
/** The options that stood on a command line, with their values. */
type Said = Readonly<Record<string, unknown>>;

/** Options that say a field of the form, each with what the field then is, or makes of its value, where that is not the option's own value. */
type FieldOptions = readonly (Option | readonly [option: Option, means: unknown])[];

/** How each field is said on a command line. Whatever a job file says of one can be overridden. */
const FIELD_OPTIONS: Readonly<Record<Field, FieldOptions>> = {
  label: [new Option('--label <text>', 'identifies the job to people')],
  description: [new Option('--description <text>', 'further context')],
  audiences: [new Option('--audience <slug>', 'audience to listen to; repeat it to name them all').argParser(collect)],
  webhookUrl: [new Option('--url <url>', 'webhook URL that receives the messages')],
  authorization: [
    new Option('--authorization <name>', "an authorization of the worker's configuration"),
    [new Option('--no-authorization', 'the endpoint does not require authorization'), null],
  ],
  exportFields: [
    new Option('--export-field <field>', 'field to send; repeat it to name them all').argParser(collect),
    [new Option('--all-fields', 'send all fields'), []],
  ],
  existingUsers: [
    new Option('--existing-users', 'first send everybody who is already a member'),
    new Option('--no-existing-users', 'do not send them'),
  ],
  userLegacyMessageFormat: [
    new Option('--legacy-format', 'use the old payload format'),
    new Option('--no-legacy-format', 'use the new payload format'),
  ],
  memberships: [
    new Option('--memberships', 'say which audiences the person is in (segments_all)'),
    new Option('--no-memberships', 'do not say that'),
  ],
  parallelRequestCount: [
    new Option('--parallel <count>', 'most requests in flight, 1 to 500').argParser(parallelCount),
  ],
  backfillPerSecond: [
    new Option('--backfill-rate <n>', 'most members per second that a backfill sends').argParser(backfillRate),
    [new Option('--no-backfill-rate', 'no limit'), null],
  ],
  backfillParallelCount: [
    new Option('--backfill-parallel <n>', 'most requests in flight for a backfill').argParser(parallelCount),
    [new Option('--no-backfill-parallel', 'no limit of its own'), null],
  ],
  events: [
    new Option('--event <event>', 'event to send, enter or exit; repeat it for both').argParser(collect),
    [new Option('--all-events', 'send enters and exits'), null],
  ],
  method: [
    new Option('--method <method>', 'how requests are sent; default: POST').choices(METHODS),
    [new Option('--no-method', 'by POST'), null],
  ],
  contentType: [
    new Option('--content-type <type>', 'what the body is; default: application/json'),
    [new Option('--no-content-type', 'application/json'), null],
  ],
  envelope: [
    new Option('--envelope <name>', 'what is put around the body').choices(['cloudevents'] as const),
    [new Option('--no-envelope', 'nothing is put around the body'), null],
  ],
  // What needs more than a word is said in a job file; here it can be taken back.
  body: [[new Option('--default-body', 'send the default body'), null]],
  headers: [[new Option('--no-headers', 'no further headers'), null]],
  onEnter: [[new Option('--no-on-enter', 'enters are sent like everything else'), null]],
  onExit: [[new Option('--no-on-exit', 'exits are sent like everything else'), null]],
  requestsPerSecond: [
    new Option('--requests-per-second <n>', 'most requests per second of the whole job').argParser(requestRate),
    [new Option('--no-requests-per-second', 'no limit'), null],
  ],
  answers: [
    [
      new Option(
        '--answer <status=meaning>',
        'what an answer means: 404=delivered, 5xx=retry, 400=dead-letter, 423=pause; repeat it for more',
      ).argParser(collect),
      tableOf,
    ],
    [new Option('--usual-answers', 'answers mean what they mean by default'), null],
  ],
  endsAt: [
    new Option('--ends-at <time>', 'when the job stops by itself, in RFC 3339: 2030-01-01T00:00:00+01:00'),
    [new Option('--no-ends-at', 'it runs until somebody stops it'), null],
  ],
  retryFor: [
    new Option('--retry-for <time>', 'how long a trigger is tried, 1m to 7d, such as 30m or 2d; default: 28 h'),
    [new Option('--no-retry-for', 'for the usual 28 h'), null],
  ],
  batch: [[new Option('--no-batch', 'a request for each trigger'), null]],
  quietHours: [[new Option('--no-quiet-hours', 'send at any hour'), null]],
  quota: [[new Option('--no-quota', 'send to any number of people'), null]],
  stale: [
    new Option('--stale <what>', 'send or drop what is older than the last of that person').choices(['send', 'drop']),
  ],
};

/** Gives a command the options of these fields. */
export function withFields<It extends CommandUnknownOpts>(command: It, fields: readonly Field[]): It {
  for (const { option } of fields.flatMap(optionsOf)) command.addOption(option);
  return command;
}

/**
 * The fields that options name.
 * @throws UsageError when two options that are no negation of each other are about one field.
 */
export function fieldsFromOptions(said: Said): Record<string, unknown> {
  const fields = FORM_FIELDS.flatMap((field): [string, unknown][] => {
    const [first, second] = optionsOf(field).filter(({ option }) => isSaid(option, said));
    if (first === undefined) return [];
    if (second !== undefined)
      throw new UsageError(`Use either ${first.option.long} or ${second.option.long}, not both.`);
    return [[field, first.means(said[first.option.attributeName()])]];
  });
  return Object.fromEntries(fields);
}

function optionsOf(field: Field): readonly { readonly option: Option; readonly means: (value: unknown) => unknown }[] {
  return FIELD_OPTIONS[field].map((one) => {
    if (one instanceof Option) return { option: one, means: (value) => value };
    const [option, means] = one;
    return { option, means: typeof means === 'function' ? (value) => means(value) : () => means };
  });
}

/** The table of `404=delivered` and others. @throws UsageError */
function tableOf(said: readonly string[]): Record<string, string> {
  const entries = said.map((one): [string, string] => {
    const [status = '', meaning, ...more] = one.split('=');
    if (meaning === undefined || more.length > 0)
      throw new UsageError(`--answer takes a status and what it means, such as 404=delivered, and not "${one}".`);
    return [status, meaning];
  });
  const twice = entries.find(([status], index) => entries.findIndex(([other]) => other === status) < index);
  if (twice !== undefined) throw new UsageError(`--answer says twice what ${twice[0]} means. Say it once.`);
  return Object.fromEntries(entries);
}

/** An option and its negation have one name: of a negated one, the value is false. */
function isSaid(option: Option, said: Said): boolean {
  const value = said[option.attributeName()];
  return value !== undefined && (value === false) === option.negate;
}

/**
 * A job definition from a file, from options, or from a file with options that override it. Without a file, a job that names no
 * authorization has none.
 * @throws UsageError
 */
export function definitionFrom(file: string | undefined, said: Said): JobDefinitionInput {
  // Not checked here: where the job is started, it is checked for every problem at once.
  return fieldsFrom(file, said) as JobDefinitionInput;
}

function fieldsFrom(file: string | undefined, said: Said): object {
  const fields = fieldsFromOptions(said);
  if (file !== undefined) return { ...readJobFile(file).fields, ...fields };
  if (Object.keys(fields).length === 0) {
    throw new UsageError('Give a job file (triggers start job.json) or describe the job with options (--label …).');
  }
  return { authorization: null, ...fields };
}

/**
 * What an argument JOB|FILE means: a file when it ends in `.json` or has a slash, else a job's id.
 * @throws UsageError for a file that cannot be read.
 */
export function sampleOf(argument: string): SampleOf {
  const isFile = /\.json$|[/\\]/i.test(argument);
  return isFile ? { definition: definitionFrom(argument, {}) } : { jobId: argument };
}

/**
 * Reads a job file: the fields of the form, and the id of the job, where the file says it.
 * @throws UsageError
 */
export function readJobFile(file: string): {
  readonly id: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
} {
  const { id, ...fields } = readJsonObject(file);
  if (id !== undefined && typeof id !== 'string')
    throw new UsageError(
      `The file ${file} has an "id" that is not text. It is the id of the job, such as "vip-to-crm".`,
    );
  return { id, fields };
}

/**
 * Reads a file that holds one JSON object.
 * @throws UsageError
 */
export function readJsonObject(file: string): Record<string, unknown> {
  let text: string;
  try {
    // Editors and some shells put a byte order mark first.
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new UsageError(`The file ${file} cannot be read. Check its path.`, { cause: error });
  }
  if (text.trim() === '') throw new UsageError(`The file ${file} is empty.`);
  const value = parse(text, file);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`The file ${file} must hold one JSON object with the fields of the job form.`);
  }
  return { ...value };
}

function parse(text: string, file: string): unknown {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    const { line, character } = jsonMistake(text);
    throw new UsageError(
      `The file ${file} is not JSON: something is wrong in line ${line}, at character ${character}.`,
    );
  }
  const doubled = doubledKey(text);
  if (doubled !== undefined)
    throw new UsageError(`The file ${file} has the key "${doubled}" twice. Leave one of them.`);
  return value;
}
