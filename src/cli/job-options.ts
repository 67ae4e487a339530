import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from '@commander-js/extra-typings';
import type { JobDefinitionInput } from '../contract/export-job.ts';
import { parseInstant } from '../domain/instant.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { readDuration } from './numbers.ts';
import { UsageError } from './usage-error.ts';

/** The form's fields as options give them; absent = not given. */
export interface JobOptions {
  readonly label?: string | undefined;
  readonly description?: string | undefined;
  readonly audience?: readonly string[] | undefined;
  readonly url?: string | undefined;
  /** `false`: the endpoint needs none. */
  readonly authorization?: string | boolean | undefined;
  readonly exportField?: readonly string[] | undefined;
  readonly existingUsers?: boolean | undefined;
  readonly legacyFormat?: boolean | undefined;
  readonly parallel?: number | undefined;
  /** `false`: no limit. */
  readonly backfillRate?: number | boolean | undefined;
  readonly backfillParallel?: number | boolean | undefined;
}

/** The fields that options name. */
export function fieldsFromOptions(options: JobOptions): Record<string, unknown> {
  const { authorization } = options;
  const fields = {
    label: options.label,
    description: options.description,
    audiences: options.audience,
    webhookUrl: options.url,
    authorization: authorization === false ? null : authorization === true ? undefined : authorization,
    exportFields: options.exportField,
    existingUsers: options.existingUsers,
    userLegacyMessageFormat: options.legacyFormat,
    parallelRequestCount: options.parallel,
    backfillPerSecond: limitOf(options.backfillRate),
    backfillParallelCount: limitOf(options.backfillParallel),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** A limit that an option sets or, negated, removes; undefined when the option was not given. */
function limitOf(option: number | boolean | undefined): number | null | undefined {
  if (option === false) return null;
  return option === true ? undefined : option;
}

/**
 * A job definition from a file, from options, or from a file with options that override it. Without a file, a job that names no
 * authorization has none.
 * @throws UsageError
 */
export function definitionFrom(file: string | undefined, options: JobOptions): JobDefinitionInput {
  // Not checked here: where the job is started, it is checked for every problem at once.
  return fieldsFrom(file, options) as JobDefinitionInput;
}

function fieldsFrom(file: string | undefined, options: JobOptions): object {
  const fields = fieldsFromOptions(options);
  if (file !== undefined) return { ...readJsonObject(file), ...fields };
  if (Object.keys(fields).length === 0) {
    throw new UsageError('Give a job file (triggers start job.json) or describe the job with options (--label …).');
  }
  return { authorization: null, ...fields };
}

/**
 * Reads a file that holds one JSON object.
 * @throws UsageError
 */
export function readJsonObject(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`The file ${file} cannot be read. Check its path.`, { cause: error });
  }
  const value = parse(text, file);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`The file ${file} must hold one JSON object with the fields of the job form.`);
  }
  return { ...value };
}

function parse(text: string, file: string): unknown {
  try {
    return parseJson(text);
  } catch {
    const { line, character } = jsonMistake(text);
    throw new UsageError(
      `The file ${file} is not JSON: something is wrong in line ${line}, at character ${character}.`,
    );
  }
}

/** For an option that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** For an option that is a time span, in ms. */
export function timeSpan(value: string): number {
  const ms = readDuration(value);
  if (ms === undefined)
    throw new InvalidArgumentError('It must be a duration of at most a year, such as 90s, 30m, 2h or 7d.');
  return ms;
}

/** For an option that is a time in the past: how long ago, or RFC 3339. */
export function pastTime(value: string): Date {
  const ms = readDuration(value);
  if (ms !== undefined) return new Date(Date.now() - ms);
  const instant = parseInstant(value);
  if (instant === undefined)
    throw new InvalidArgumentError('It must be how long ago (30m, 2h, 7d) or an RFC 3339 time.');
  return new Date(instant);
}

/** For an option that is a number above 0. */
export function positiveNumber(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number) || number <= 0)
    throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

/** For an option that is a whole number of at least 0. */
export function wholeNumber(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isInteger(number) || number < 0) {
    throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  }
  return number;
}

/** For an option that is a port; 0: a free one. */
export function portNumber(value: string): number {
  return within(value, 0, 65_535, 'It must be a port: a whole number from 0 to 65535.');
}

/** For an option that is the HTTP status of an answer. */
export function answerStatus(value: string): number {
  return within(value, 200, 599, 'It must be an HTTP status from 200 to 599.');
}

function within(value: string, least: number, most: number, advice: string): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isInteger(number) || number < least || number > most)
    throw new InvalidArgumentError(advice);
  return number;
}
