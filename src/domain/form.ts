import type { JobDefinition, JobDefinitionInput, JobEdit } from '../contract/export-job.ts';
import { definedOf } from './json.ts';

/** A field as the job itself knows it. Its rules are in `contract/export-job.ts`, and its words in `words/form.ts`: no workflow loads either. */
interface Field<Value> {
  /** Its value if nothing is said. Absent: it is required, or optional. */
  readonly default?: Value;
  readonly isOptional?: true;
  /** Only a start takes it; an edit does not. */
  readonly isForStart?: true;
  /** It may hold a secret: in a URL, or `misplaced`, in a value that is wrong. */
  readonly secret?: 'url' | 'misplaced';
  /** Its name in a status. Null: it has no row of its own. */
  readonly row: string | null;
}

/** The fields of the form, in its order. */
export const FIELDS: { readonly [Name in keyof JobDefinition]-?: Field<JobDefinition[Name]> } = {
  label: { row: null },
  description: { isOptional: true, row: null },
  audiences: { row: 'Audiences' },
  webhookUrl: { secret: 'url', row: 'Sends to' },
  authorization: { secret: 'misplaced', row: 'Authorization' },
  exportFields: { default: [], row: 'Format' },
  existingUsers: { default: false, isForStart: true, row: 'Existing Users' },
  userLegacyMessageFormat: { default: false, row: null },
  parallelRequestCount: { default: 5, row: null },
  events: { default: null, row: 'Events' },
  memberships: { default: false, row: null },
  method: { default: null, row: 'Request' },
  headers: { default: null, secret: 'misplaced', row: null },
  contentType: { default: null, row: null },
  body: { default: null, row: null },
  onEnter: { default: null, secret: 'url', row: null },
  onExit: { default: null, secret: 'url', row: null },
  envelope: { default: null, row: null },
  batch: { default: null, row: 'Batches' },
  requestsPerSecond: { default: null, row: 'Rate limit' },
  backfillPerSecond: { default: null, row: null },
  backfillParallelCount: { default: null, row: null },
  quietHours: { default: null, row: 'Quiet hours' },
  quota: { default: null, row: 'Quota' },
  stale: { default: 'send', row: null },
  endsAt: { default: null, row: 'Ends' },
  answers: { default: null, row: 'Answers' },
  retryFor: { default: null, row: 'Retries' },
};

/** Whether a start has to say the field. */
export function isRequired(field: keyof JobDefinition): boolean {
  const { default: byDefault, isOptional } = FIELDS[field];
  return byDefault === undefined && isOptional !== true;
}

/** The value of a field that nobody has said; null where it has no default. */
export function defaultOf(field: keyof JobDefinition): unknown {
  return FIELDS[field].default ?? null;
}

/** Fields that a job file may leave out and a checked job always has. */
type FieldWithDefault = {
  [Field in keyof JobDefinition]-?: undefined extends JobDefinitionInput[Field]
    ? undefined extends JobDefinition[Field]
      ? never
      : Field
    : never;
}[keyof JobDefinition];

type Defaults = { readonly [Field in FieldWithDefault]: Readonly<JobDefinition[Field]> };

/** The names of the form's fields, in its order. */
export const FORM_FIELDS = Object.keys(FIELDS) as readonly (keyof JobDefinition)[]; // They are all its keys.

/** The form's defaults, of the fields that have one. A test compares them with the schema, which workflows do not load. */
export const FORM_DEFAULTS = definedOf(
  Object.fromEntries(FORM_FIELDS.map((field) => [field, FIELDS[field].default])),
) as Defaults;

/** The fields that an edit may name, in the form's order: all but those that only a start takes. */
export const EDITABLE_FIELDS = FORM_FIELDS.filter((field): field is keyof JobEdit => FIELDS[field].isForStart !== true);

/** The fields that may hold a secret as part of a URL. */
export const FIELDS_WITH_URL = FORM_FIELDS.filter((field) => FIELDS[field].secret === 'url');

/** The editable fields, in the form's order, of anything that has fields of the form under their names; what is undefined is left out. */
export function editableOf<T extends object>(from: T): Pick<T, keyof JobEdit & keyof T> {
  const fields = EDITABLE_FIELDS.map((field): [string, unknown] => [field, Reflect.get(from, field)]);
  // These are the fields of that type.
  return definedOf(Object.fromEntries(fields)) as Pick<T, keyof JobEdit & keyof T>;
}
