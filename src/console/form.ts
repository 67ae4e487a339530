import type { JobDefinitionInput, JobEdit, Problem } from '../contract/export-job.ts';
import type { ExportField } from '../contract/request-shape.ts';
import { EDITABLE_FIELDS, FORM_DEFAULTS } from '../domain/job-form.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { printable } from '../domain/shown.ts';

/** What was typed, field by field. What has no value of its own yet is an empty text. */
export interface Draft {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly audiences: readonly string[];
  readonly webhookUrl: string;
  /** Undefined: nothing was chosen; null: the endpoint needs none. */
  readonly authorization: string | null | undefined;
  /** A field a line: `email`, or `email as mail`. */
  readonly exportFields: string;
  readonly existingUsers: boolean;
  readonly userLegacyMessageFormat: boolean;
  readonly memberships: boolean;
  readonly envelope: boolean;
  /** What is older than the last change of that person is dropped. */
  readonly stale: boolean;
  readonly events: 'both' | 'enter' | 'exit';
  readonly method: string;
  /** A header a line: `x-list: 7`. */
  readonly headers: string;
  readonly batchSize: string;
  readonly batchAfterMs: string;
  readonly parallelRequestCount: string;
  readonly backfillPerSecond: string;
  readonly backfillParallelCount: string;
  readonly requestsPerSecond: string;
  readonly contentType: string;
  readonly body: string;
  /** Nothing is sent but the request itself. */
  readonly hasNoBody: boolean;
  readonly retryFor: string;
  readonly endsAt: string;
  /** As a job file has them. */
  readonly onEnter: string;
  readonly onExit: string;
  readonly answers: string;
  readonly quietHours: string;
  readonly quota: string;
}

export const EMPTY_DRAFT: Draft = {
  id: '',
  label: '',
  description: '',
  audiences: [],
  webhookUrl: '',
  authorization: undefined,
  exportFields: '',
  existingUsers: false,
  userLegacyMessageFormat: false,
  memberships: false,
  envelope: false,
  stale: false,
  events: 'both',
  method: '',
  headers: '',
  batchSize: '',
  batchAfterMs: '',
  parallelRequestCount: String(FORM_DEFAULTS.parallelRequestCount),
  backfillPerSecond: '',
  backfillParallelCount: '',
  requestsPerSecond: '',
  contentType: '',
  body: '',
  hasNoBody: false,
  retryFor: '',
  endsAt: '',
  onEnter: '',
  onExit: '',
  answers: '',
  quietHours: '',
  quota: '',
};

const NO_AUTHORIZATION = 'Choose one, or say that the endpoint does not require authorization.';
const NO_NUMBER = 'Enter a number.';

const NUMBERS = ['parallelRequestCount', 'backfillPerSecond', 'backfillParallelCount', 'requestsPerSecond'] as const;
const WORDS = ['contentType', 'retryFor', 'endsAt', 'method'] as const;
const OBJECTS = ['onEnter', 'onExit', 'answers', 'quietHours', 'quota'] as const;

/** The job file that the draft says; what cannot be read as what it should be is a problem of its field, and left out. */
export function definitionOf(draft: Draft): { readonly definition: JobDefinitionInput; readonly problems: Problem[] } {
  const problems: Problem[] = [];
  const said: Record<string, unknown> = {
    label: draft.label.trim(),
    ...(draft.description.trim() === '' ? {} : { description: draft.description }),
    audiences: draft.audiences,
    webhookUrl: draft.webhookUrl.trim(),
    ...(draft.authorization === undefined ? {} : { authorization: draft.authorization }),
    exportFields: fieldsOf(draft.exportFields),
  };
  if (draft.authorization === undefined) problems.push({ field: 'authorization', message: NO_AUTHORIZATION });
  for (const field of ['existingUsers', 'userLegacyMessageFormat', 'memberships'] as const)
    if (draft[field]) said[field] = true;
  if (draft.events !== 'both') said['events'] = [draft.events];
  if (draft.envelope) said['envelope'] = 'cloudevents';
  if (draft.stale) said['stale'] = 'drop';
  for (const field of NUMBERS) {
    if (draft[field].trim() === '') continue;
    const number = numberOf(draft[field]);
    if (number === undefined) problems.push({ field, message: NO_NUMBER });
    else said[field] = number;
  }
  for (const field of WORDS) if (draft[field].trim() !== '') said[field] = draft[field].trim();
  if (draft.hasNoBody) said['body'] = '';
  else if (draft.body.trim() !== '') said['body'] = draft.body;
  if (draft.headers.trim() !== '') said['headers'] = headersOf(draft.headers, problems);
  if (draft.batchSize.trim() !== '') {
    const size = numberOf(draft.batchSize);
    const hasTime = draft.batchAfterMs.trim() !== '';
    const afterMs = hasTime ? numberOf(draft.batchAfterMs) : 0;
    if (size === undefined || afterMs === undefined) problems.push({ field: 'batch', message: NO_NUMBER });
    else said['batch'] = { size, ...(hasTime ? { afterMs } : {}) };
  } else if (draft.batchAfterMs.trim() !== '') {
    problems.push({ field: 'batch', message: 'Say how many triggers a batch has, too.' });
  }
  for (const field of OBJECTS) {
    if (draft[field].trim() === '') continue;
    try {
      said[field] = JSON.parse(draft[field]);
    } catch {
      problems.push({ field, message: 'Write it as in a job file: an object, {"name": "value"}.' });
      continue;
    }
    const doubled = doubledKey(draft[field]);
    if (doubled !== undefined)
      problems.push({ field, message: `"${printable(doubled)}" is there twice. Leave one of them.` });
  }
  // The API checks what it is.
  return { definition: said as unknown as JobDefinitionInput, problems };
}

/** As people write one; `Infinity` is none, nor is what only a program would read as one. */
function numberOf(typed: string): number | undefined {
  const text = typed.trim();
  const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** A name as it stands, or in quotes as JSON has them: that is how one is said that has ` as ` in it. */
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

/** The same with this field, or without it. */
export function withField(lines: string, field: string, isWanted: boolean): string {
  const others = linesOf(lines).filter((line) => fieldsOf(line)[0] !== field);
  return [...others, ...(isWanted ? [quoted(field)] : [])].join('\n');
}

export function hasField(lines: string, field: string): boolean {
  return fieldsOf(lines).includes(field);
}

function headersOf(text: string, problems: Problem[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (const line of linesOf(text)) {
    const colon = line.indexOf(':');
    const name = colon === -1 ? '' : line.slice(0, colon).trim();
    const isTwice = [...headers.keys()].some((one) => one.toLowerCase() === name.toLowerCase());
    if (name === '') problems.push({ field: 'headers', message: 'Write one header a line: name: value' });
    else if (isTwice) problems.push({ field: 'headers', message: `The header ${name} is there twice.` });
    else headers.set(name, line.slice(colon + 1).trim());
  }
  return Object.fromEntries(headers);
}

/** What was typed for a definition that there is. */
export function draftOf(definition: JobDefinitionInput): Draft {
  const text = (value: string | number | null | undefined): string => String(value ?? '');
  const json = (value: unknown): string =>
    value === undefined || value === null ? '' : JSON.stringify(value, null, 2);
  const { events, headers, batch, exportFields = [], authorization } = definition;
  const [only] = events?.length === 1 ? events : [];
  return {
    ...EMPTY_DRAFT,
    label: definition.label,
    description: definition.description ?? '',
    audiences: definition.audiences,
    webhookUrl: definition.webhookUrl,
    authorization,
    exportFields: exportFields.map(lineOf).join('\n'),
    userLegacyMessageFormat: definition.userLegacyMessageFormat ?? false,
    memberships: definition.memberships ?? false,
    envelope: definition.envelope === 'cloudevents',
    stale: definition.stale === 'drop',
    hasNoBody: definition.body === '',
    events: only ?? 'both',
    headers: Object.entries(headers ?? {})
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n'),
    batchSize: text(batch?.size),
    batchAfterMs: text(batch?.afterMs),
    ...pick([...NUMBERS, ...WORDS, 'body'], (field) => text(definition[field])),
    parallelRequestCount: text(definition.parallelRequestCount ?? FORM_DEFAULTS.parallelRequestCount),
    method: definition.method === 'POST' ? '' : text(definition.method),
    ...pick(OBJECTS, (field) => json(definition[field])),
  };
}

function pick<K extends string>(fields: readonly K[], valueOf: (field: K) => string): Record<K, string> {
  return Object.fromEntries(fields.map((field) => [field, valueOf(field)])) as Record<K, string>; // Just these.
}

/**
 * The job file of a job that there is, as somebody changed it: a field that says what it said stays as it is in the job, to the letter, also
 * where the form has not the means to say that.
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

/** What an edit would change, field by field in the form's order. */
export function changesOf(before: JobDefinitionInput, after: JobDefinitionInput): FieldChange[] {
  const valueIn = (definition: JobDefinitionInput, field: keyof JobEdit): unknown =>
    definition[field] ?? Reflect.get(FORM_DEFAULTS, field) ?? null;
  return EDITABLE_FIELDS.flatMap((field) => {
    const [from, to] = [valueIn(before, field), valueIn(after, field)];
    return sameJson(from, to) ? [] : [{ field, from, to }];
  });
}

/** What the API is asked to change; null takes an optional field away. */
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

/** The field of the form that a problem is about: `onEnter.headers.x` is one of `onEnter`. */
export function fieldOf({ field }: Problem): string {
  return /^\w*/.exec(field)?.[0] ?? '';
}
