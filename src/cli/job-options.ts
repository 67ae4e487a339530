import { readFileSync } from 'node:fs';
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import type { JobDefinitionInput } from '../contract/export-job.ts';
import type { Json } from '../contract/trigger.ts';
import { defaultOf, FORM_FIELDS } from '../domain/form.ts';
import { FORM, plain } from '../words/form.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { UsageError } from './exit-code.ts';
import { collect, positiveNumber, wholeNumber } from './options.ts';

type Field = keyof JobDefinitionInput;
/** The options given on a command line, with their values. */
type OptionValues = Readonly<Record<string, unknown>>;

/** The options that set each field, or set it back whatever a job file says. */
function optionsOf(field: Field): readonly Option[] {
  const { what, without = '', option } = FORM[field];
  const more = option.takes === 'list' || option.takes === 'table' ? '; repeat it for more' : '';
  return [
    ...(option.say === undefined ? [] : [reading(field, new Option(option.say, plain(what) + more))]),
    ...(option.back === undefined ? [] : [new Option(option.back, plain(without))]),
  ];
}

/** The option with a parser for its value. The form's check, which finds everything at once, handles a number out of range. */
function reading(field: Field, option: Option): Option {
  const { takes } = FORM[field].option;
  const { input } = FORM[field];
  if (takes === 'list' || takes === 'table') return option.argParser(collect);
  if (takes !== undefined) return option.choices(takes);
  if (input.kind !== 'number') return option;
  return option.argParser(input.isWhole === true ? wholeNumber : positiveNumber);
}

/** The field's value, according to an option given on the command line. */
function valueBy({ long }: Option, field: Field, value: unknown): unknown {
  const { option } = FORM[field];
  if (long === option.back) return defaultOf(field);
  return option.takes === 'table' && Array.isArray(value) ? tableOf(long, value.map(String)) : value;
}

/** Adds the options of these fields to a command. */
export function withFields<It extends CommandUnknownOpts>(command: It, fields: readonly Field[]): It {
  for (const option of fields.flatMap(optionsOf)) command.addOption(option);
  return command;
}

/**
 * The fields that options name.
 * @throws UsageError when two options that are not each other's negation set the same field.
 */
export function fieldsFromOptions(givenOptions: OptionValues): Record<string, unknown> {
  const fields = FORM_FIELDS.flatMap((field): [string, unknown][] => {
    const [first, second] = optionsOf(field).filter((option) => isGiven(option, givenOptions));
    if (first === undefined) return [];
    if (second !== undefined) throw new UsageError(`Use either ${first.long} or ${second.long}, not both.`);
    return [[field, valueBy(first, field, givenOptions[first.attributeName()])]];
  });
  return Object.fromEntries(fields);
}

/** The table of `404=delivered` and others. @throws UsageError */
function tableOf(long: string | undefined, values: readonly string[]): Record<string, string> {
  const entries = values.map((one): [string, string] => {
    const [status = '', meaning, ...more] = one.split('=');
    if (meaning === undefined || more.length > 0)
      throw new UsageError(`${long} takes a status and what it means, such as 404=delivered, and not "${one}".`);
    return [status, meaning];
  });
  const twice = entries.find(([status], index) => entries.findIndex(([other]) => other === status) < index);
  if (twice !== undefined) throw new UsageError(`${long} gives ${twice[0]} two meanings. Give one.`);
  return Object.fromEntries(entries);
}

/** An option and its negation share one name: the value is false if it is negated. */
function isGiven(option: Option, givenOptions: OptionValues): boolean {
  const value = givenOptions[option.attributeName()];
  return value !== undefined && (value === false) === option.negate;
}

/**
 * A job definition from a file that was read, from options, or from a file with options that override it. Without a file, the default
 * authorization is none.
 * @throws UsageError
 */
export function definitionFrom(file: JobFile | undefined, givenOptions: OptionValues): JobDefinitionInput {
  // It is not checked here: the start checks it for all problems at once.
  return fieldsFrom(file, givenOptions) as JobDefinitionInput;
}

function fieldsFrom(file: JobFile | undefined, givenOptions: OptionValues): object {
  const fields = fieldsFromOptions(givenOptions);
  if (file !== undefined) return { ...file.fields, ...fields };
  if (Object.keys(fields).length === 0) {
    throw new UsageError('Give a job file (triggers start job.json) or describe the job with options (--label …).');
  }
  return { authorization: null, ...fields };
}

interface JobFile {
  readonly id: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Reads a job file: the fields of the form, and the id of the job, if the file has one. A pipe can be read only once.
 * @throws UsageError
 */
export function readJobFile(file: string): JobFile {
  const { id, ...fields } = readJsonObject(file);
  if (id !== undefined && typeof id !== 'string')
    throw new UsageError(
      `The file ${file} has an "id" that is not text. It is the id of the job, such as "vip-to-crm".`,
    );
  return { id, fields };
}

/**
 * Reads a file that contains one JSON object.
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
  const value = jsonIn(text, `The file ${file}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`The file ${file} must hold one JSON object with the fields of the job form.`);
  }
  return { ...value };
}

/**
 * The JSON of a text. The error never quotes it: it may be about somebody, or hold a secret.
 * @param what names the text, as the start of a sentence
 * @throws UsageError, also when a key is given twice
 */
export function jsonIn(text: string, what: string): Json {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    const { line, character } = jsonMistake(text);
    throw new UsageError(`${what} is not JSON: something is wrong in line ${line}, at character ${character}.`);
  }
  const doubled = doubledKey(text);
  if (doubled !== undefined) throw new UsageError(`${what} has the key "${doubled}" twice. Leave one of them.`);
  return value;
}
