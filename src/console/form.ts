import type { JobDefinitionInput, JobEdit, Problem } from '../contract/export-job.ts';
import type { ExportField } from '../contract/request-shape.ts';
import { defaultOf, isRequired, EDITABLE_FIELDS, FORM_FIELDS } from '../domain/form.ts';
import { FORM } from '../words/form.ts';
import { isRecord } from '../domain/json.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { capital } from '../words/text.ts';
import { printable } from '../domain/text.ts';

export type Field = keyof JobDefinitionInput;

type Typed = string | boolean | readonly string[] | null | undefined;

/** The typed values, by input. An input without a value is an empty text. */
export interface Draft {
  readonly id: string;
  readonly audiences: readonly string[];
  readonly webhookUrl: string;
  /** Undefined: nothing was chosen; null: the endpoint needs none. */
  readonly authorization: string | null | undefined;
  /** A field a line: `email`, or `email as mail`. */
  readonly exportFields: string;
  /** The other inputs: see `draftOfField`. */
  readonly [input: string]: Typed;
}

export function textIn(draft: Draft, input: string): string {
  const typed = draft[input];
  return typeof typed === 'string' ? typed : '';
}

export function isTicked(draft: Draft, input: string): boolean {
  return draft[input] === true;
}

/** The inputs of a field of several numbers: `batchSize`. */
export function partInput(field: Field, part: string): string {
  return field + capital(part);
}

/** The box for a text that is empty, and not absent. */
export function emptyInput(field: Field): string {
  return `${field}IsEmpty`;
}

/** The inputs of a field, filled with this value. */
function draftOfField(field: Field, value: unknown): Readonly<Record<string, Typed>> {
  const { input } = FORM[field];
  switch (input.kind) {
    case 'flag':
      return { [field]: value === input.on };
    case 'choice':
      return { [field]: input.choices.find(([, , one]) => sameJson(one, value))?.[0] ?? '' };
    case 'json':
      return { [field]: value === null ? '' : JSON.stringify(value, null, 2) };
    case 'headers':
      return { [field]: linesOfHeaders(value) };
    case 'numbers': {
      const numbers = isRecord(value) ? value : {};
      return Object.fromEntries(input.parts.map(({ name }) => [partInput(field, name), shownText(numbers[name])]));
    }
    case 'text':
      return { [field]: shownText(value), ...(input.empty === undefined ? {} : { [emptyInput(field)]: value === '' }) };
    case 'line':
    case 'number':
      return { [field]: shownText(value) };
    case 'own':
      return {};
  }
}

function shownText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** The draft of the fields that have no input of their own kind. */
function plainDraft(definition: Partial<JobDefinitionInput>): Readonly<Record<string, Typed>> {
  const drafts = FORM_FIELDS.map((field) => draftOfField(field, definition[field] ?? defaultOf(field)));
  return Object.assign({}, ...drafts) as Record<string, Typed>; // These fields only.
}

export const EMPTY_DRAFT: Draft = {
  id: '',
  audiences: [],
  webhookUrl: '',
  authorization: undefined,
  exportFields: '',
  ...plainDraft({}),
};

const NO_AUTHORIZATION = 'Choose one, or say that the endpoint does not require authorization.';
const NO_NUMBER = 'Enter a number.';

/** The job file that the draft describes. An unreadable value is a problem of its field, and is left out. */
export function definitionOf(draft: Draft): { readonly definition: JobDefinitionInput; readonly problems: Problem[] } {
  const problems: Problem[] = [];
  const wrong = (field: Field) => (message: string) => {
    problems.push({ field, message });
    return undefined;
  };
  const values = FORM_FIELDS.map((field): [string, unknown] => [field, valueIn(draft, field, wrong(field))]);
  const definition = Object.fromEntries(values.filter(([, value]) => value !== undefined));
  // The API checks its type.
  return { definition: definition as unknown as JobDefinitionInput, problems };
}

/** The value in the inputs of a field; undefined: none, or none that is readable. */
function valueIn(draft: Draft, field: Field, wrong: (message: string) => undefined): unknown {
  const { input } = FORM[field];
  const typed = textIn(draft, field);
  const isBlank = typed.trim() === '';
  switch (input.kind) {
    case 'own':
      return ownValueIn(draft, field, wrong);
    case 'flag':
      return isTicked(draft, field) ? input.on : undefined;
    case 'choice':
      return typed === '' ? undefined : input.choices.find(([key]) => key === typed)?.[2];
    case 'numbers':
      return numbersIn(draft, field, input.parts, wrong);
    case 'text':
      if (isTicked(draft, emptyInput(field))) return '';
      return isBlank ? undefined : typed;
    case 'line':
      return isBlank && !isRequired(field) ? undefined : typed.trim();
    case 'number':
      return isBlank ? undefined : (numberOf(typed) ?? wrong(NO_NUMBER));
    case 'headers':
      return isBlank ? undefined : headersOf(typed, wrong);
    case 'json':
      return isBlank ? undefined : jsonOf(typed, wrong);
  }
}

function ownValueIn(draft: Draft, field: Field, wrong: (message: string) => undefined): unknown {
  if (field === 'exportFields') return fieldsOf(draft.exportFields);
  if (field === 'authorization' && draft.authorization === undefined) return wrong(NO_AUTHORIZATION);
  return draft[field];
}

/** An object of the typed numbers, the first of which is required. */
function numbersIn(
  draft: Draft,
  field: Field,
  parts: readonly { name: string }[],
  wrong: (message: string) => undefined,
) {
  const typed = parts.flatMap(({ name }): [string, string][] => {
    const text = textIn(draft, partInput(field, name));
    return text.trim() === '' ? [] : [[name, text]];
  });
  if (typed.length === 0) return undefined;
  if (typed[0]?.[0] !== parts[0]?.name) return wrong(`Also give "${parts[0]?.name}".`);
  const numbers = typed.map(([name, text]) => [name, numberOf(text)] as const);
  return numbers.some(([, number]) => number === undefined) ? wrong(NO_NUMBER) : Object.fromEntries(numbers);
}

function jsonOf(typed: string, wrong: (message: string) => undefined): unknown {
  try {
    const value: unknown = JSON.parse(typed);
    const doubled = doubledKey(typed);
    if (doubled !== undefined) wrong(`"${printable(doubled)}" appears twice. Remove one.`);
    return value;
  } catch {
    return wrong('Write it as in a job file: an object, {"name": "value"}.');
  }
}

/** A number as people write it, without `Infinity` and other forms that only programs read as numbers. */
function numberOf(typed: string): number | undefined {
  const text = typed.trim();
  const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** A name as it is, or in quotes as in JSON. Quotes allow a name that contains ` as `. */
const NAME = String.raw`"(?:[^"\\]|\\.)*"|.+?`;
const EXPORT_FIELD = new RegExp(String.raw`^(${NAME})(?:\s+as\s+(${NAME}))?$`);

function fieldsOf(lines: string): ExportField[] {
  return linesOf(lines).map((line) => {
    const [, field = line, as] = EXPORT_FIELD.exec(line) ?? [];
    return as === undefined ? nameIn(field) : { field: nameIn(field), as: nameIn(as) };
  });
}

function nameIn(text: string): string {
  if (!/^".*"$/.test(text)) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

function lineOf(one: ExportField): string {
  return typeof one === 'string' ? quoted(one) : `${quoted(one.field)} as ${quoted(one.as)}`;
}

function quoted(name: string): string {
  const isPlain = name === name.trim() && !/^"|[\r\n]|\sas\s/.test(name);
  return isPlain ? name : JSON.stringify(name);
}

function linesOf(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
}

/** The same lines with this field, or without it. */
export function withField(lines: string, field: string, isWanted: boolean): string {
  const others = linesOf(lines).filter((line) => fieldsOf(line)[0] !== field);
  return [...others, ...(isWanted ? [quoted(field)] : [])].join('\n');
}

export function hasField(lines: string, field: string): boolean {
  return fieldsOf(lines).includes(field);
}

function headersOf(text: string, wrong: (message: string) => undefined): Record<string, string> {
  const headers = new Map<string, string>();
  for (const line of linesOf(text)) {
    const colon = line.indexOf(':');
    const name = colon === -1 ? '' : line.slice(0, colon).trim();
    const isTwice = [...headers.keys()].some((one) => one.toLowerCase() === name.toLowerCase());
    if (name === '') wrong('Write one header per line, as name: value');
    else if (isTwice) wrong(`The header ${name} appears twice.`);
    else headers.set(name, line.slice(colon + 1).trim());
  }
  return Object.fromEntries(headers);
}

function linesOfHeaders(headers: unknown): string {
  return Object.entries(isRecord(headers) ? headers : {})
    .map(([name, value]) => `${name}: ${shownText(value)}`)
    .join('\n');
}

/** The draft for an existing definition. Only a start asks about existing users. */
export function draftOf(definition: JobDefinitionInput): Draft {
  const { audiences, authorization, exportFields = [], webhookUrl, ...rest } = definition;
  return {
    ...EMPTY_DRAFT,
    ...plainDraft({ ...rest, webhookUrl, existingUsers: false }),
    audiences,
    authorization,
    exportFields: exportFields.map(lineOf).join('\n'),
  };
}

/**
 * The edited job file: an unchanged field keeps the job's own value, even one that the form cannot show.
 */
export function editedOf(before: JobDefinitionInput, draft: Draft): ReturnType<typeof definitionOf> {
  const { definition: was } = definitionOf(draftOf(before));
  const { definition, problems } = definitionOf(draft);
  const isSame = (field: keyof JobEdit): boolean => sameJson(was[field], definition[field]);
  const kept = EDITABLE_FIELDS.filter((field) => isSame(field) && before[field] !== undefined);
  return {
    definition: { ...definition, ...Object.fromEntries(kept.map((field) => [field, before[field]])) },
    problems,
  };
}

export interface FieldChange {
  readonly field: keyof JobEdit;
  readonly from: unknown;
  readonly to: unknown;
}

/** The changes of an edit, field by field in the form's order. */
export function changesOf(before: JobDefinitionInput, after: JobDefinitionInput): FieldChange[] {
  const valueIn = (definition: JobDefinitionInput, field: keyof JobEdit): unknown =>
    definition[field] ?? defaultOf(field);
  return EDITABLE_FIELDS.flatMap((field) => {
    const [from, to] = [valueIn(before, field), valueIn(after, field)];
    return sameJson(from, to) ? [] : [{ field, from, to }];
  });
}

/** The request body for an edit; null removes an optional field. */
export function editOf(changes: readonly FieldChange[]): Record<string, unknown> {
  return Object.fromEntries(changes.map(({ field, to }) => [field, to]));
}

function sameJson(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

/** The form's field of a problem: `onEnter.headers.x` belongs to `onEnter`. */
export function fieldOf({ field }: Problem): string {
  return /^\w*/.exec(field)?.[0] ?? '';
}
