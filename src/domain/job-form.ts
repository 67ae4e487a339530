import type { JobDefinition, JobDefinitionInput, JobEdit } from '../contract/export-job.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { FORM } from './form-fields.ts';

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
export const FORM_FIELDS = Object.keys(FORM) as readonly (keyof JobDefinition)[]; // They are all its keys.

/** The form's defaults, of the fields that have one. A test compares them with the schema, which workflows do not load. */
export const FORM_DEFAULTS = definedOf(
  Object.fromEntries(FORM_FIELDS.map((field) => [field, FORM[field].default])),
) as Defaults;

/** What an edit may name, in the form's order: all of the form but what can only be said when a job is started. */
export const EDITABLE_FIELDS = FORM_FIELDS.filter((field): field is keyof JobEdit => FORM[field].isForStart !== true);

/** The fields that may hold a secret as part of a URL. */
export const FIELDS_WITH_URL = FORM_FIELDS.filter((field) => FORM[field].secret === 'url');

/** The editable fields, in the form's order, of anything that has fields of the form under their names; what is undefined is left out. */
export function editableOf<T extends object>(from: T): Pick<T, keyof JobEdit & keyof T> {
  const fields = EDITABLE_FIELDS.map((field): [string, unknown] => [field, Reflect.get(from, field)]);
  // These are the fields of that type.
  return definedOf(Object.fromEntries(fields)) as Pick<T, keyof JobEdit & keyof T>;
}

/** Whether a job sends membership changes of this kind. */
export function wantsEvent({ events }: Pick<JobDefinition, 'events'>, event: TriggerEvent): boolean {
  return events === null || events.includes(event);
}

/** An object without what is undefined in it. */
function definedOf<T extends object>(of: T): T {
  // What is optional may be absent, too.
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as T;
}
