import { definedOf } from './json.ts';
import type { JobDefinition, JobDefinitionInput, JobEdit } from '../contract/export-job.ts';
import type { Method } from '../contract/request-shape.ts';

/** How the command line says a field. */
interface FieldOption {
  /** `--retry-for <time>`. Absent: only a job file can say it. */
  readonly say?: string;
  /** `--no-retry-for`: takes the field back to its default, or to null. */
  readonly back?: string;
  /** `list`: the option may be repeated. `table`: repeated, each time with `key=value`. Words: it takes one of them. Default: as its input. */
  readonly takes?: 'list' | 'table' | readonly string[];
}

/** How a form asks for a field. */
export type FieldInput =
  | { readonly kind: 'line' }
  /** Several lines; blanks around them count. `empty`: a box for the empty text, where that is not the same as none. */
  | {
      readonly kind: 'text';
      readonly rows: number;
      readonly empty?: { readonly legend: string; readonly text: string };
    }
  | { readonly kind: 'number'; readonly isWhole?: true }
  /** A box to tick, which says `on`; unticked, it says the default. */
  | { readonly kind: 'flag'; readonly on: unknown }
  /** One of several. The first is the default, and has an empty key. */
  | { readonly kind: 'choice'; readonly choices: readonly Choice[] }
  /** As in a job file. */
  | { readonly kind: 'json'; readonly rows: number }
  /** A name and a value per line. */
  | { readonly kind: 'headers'; readonly rows: number }
  /** An object of numbers. The first is required. */
  | { readonly kind: 'numbers'; readonly parts: readonly NumberPart[] }
  /** The forms have an input of their own for it. */
  | { readonly kind: 'own' };

type Choice = readonly [key: string, text: string, value: unknown];

interface NumberPart {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly placeholder?: string;
}

/** A field as all interfaces know it. Its rules are in `contract/export-job.ts`, which no workflow and no browser loads. */
export interface FormField<Value = unknown> {
  /** Its value if nothing is said. Absent: it is required, or optional. */
  readonly default?: Value;
  readonly isOptional?: true;
  /** Only a start takes it; an edit does not. */
  readonly isForStart?: true;
  /** It may hold a secret: in a URL, or `misplaced`, in a value that is wrong. */
  readonly secret?: 'url' | 'misplaced';
  /** Its meaning, in Markdown whose links docs/jobs.md resolves. The docs, the command line, the API and the forms show it. */
  readonly what: string;
  /** The meaning of its default, or of null. */
  readonly without?: string;
  readonly option: FieldOption;
  readonly label: string;
  /** The part of "More" in which forms ask for it. Absent: they ask everybody. */
  readonly section?: keyof typeof FORM_SECTIONS;
  readonly input: FieldInput;
  /** A form shows it at the input instead of `what`. */
  readonly hint?: string;
  /** A value, as it is typed. */
  readonly example?: string;
  /** Its name in a status, if not its label. Null: it has no row of its own. */
  readonly row?: string | null;
}

/** The parts of "More", in their order. */
export const FORM_SECTIONS = {
  sent: 'Request',
  when: 'Timing',
  answers: 'Answers',
} as const;

const METHODS: readonly Method[] = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET'];

/** The fields of the form, in its order. */
export const FORM: { readonly [Field in keyof JobDefinition]-?: FormField<JobDefinition[Field]> } = {
  label: {
    what: 'name for people, 1 to 200 characters, without control characters and line breaks',
    option: { say: '--label <text>' },
    label: 'Label',
    input: { kind: 'line' },
    hint: 'A name people will recognise.',
    row: null,
  },
  description: {
    isOptional: true,
    what: 'further context',
    option: { say: '--description <text>' },
    label: 'Description',
    input: { kind: 'text', rows: 2 },
    row: null,
  },
  audiences: {
    what: 'slugs or ids of the audiences to subscribe to, 1 to 100',
    option: { say: '--audience <slug>', takes: 'list' },
    label: 'Audiences',
    input: { kind: 'own' },
  },
  webhookUrl: {
    secret: 'url',
    what: 'where requests go; path and query may be [templates](requests.md#templates); no user name, password, blank, backslash, `#`, or `..` in the path',
    option: { say: '--url <url>' },
    label: 'Webhook URL',
    input: { kind: 'line' },
    example: 'https://hooks.example.com/audiences',
    row: 'Sends to',
  },
  authorization: {
    secret: 'misplaced',
    what: 'name of an authorization configured on the worker',
    without: 'the endpoint needs none',
    option: { say: '--authorization <name>', back: '--no-authorization' },
    label: 'Authorization',
    input: { kind: 'own' },
  },
  exportFields: {
    default: [],
    what: 'names or dotted paths of profile fields, or `{"field": …, "as": …}` to [send one under another name](requests.md#other-names-for-fields); `segment_events` is always sent',
    without: 'all fields',
    option: { say: '--export-field <field>', takes: 'list', back: '--all-fields' },
    label: 'Export Fields',
    input: { kind: 'own' },
    row: 'Format',
  },
  existingUsers: {
    default: false,
    isForStart: true,
    what: 'first send all current members, as enters',
    without: 'do not send them',
    option: { say: '--existing-users', back: '--no-existing-users' },
    label: 'Existing Users',
    input: { kind: 'flag', on: true },
  },
  userLegacyMessageFormat: {
    default: false,
    what: 'use the old payload format',
    without: 'use the new one',
    option: { say: '--legacy-format', back: '--no-legacy-format' },
    label: 'User Legacy Message Format',
    input: { kind: 'flag', on: true },
    row: null,
  },
  parallelRequestCount: {
    default: 5,
    what: 'most requests in flight for this job, across all workers, 1 to 500',
    option: { say: '--parallel <count>' },
    label: 'Parallel Request Count',
    input: { kind: 'number', isWhole: true },
    hint: 'How many requests the endpoint can take at a time: never more are in flight.',
    row: null,
  },
  events: {
    default: null,
    what: 'send only these changes: `enter`, `exit`',
    without: 'both',
    option: { say: '--event <event>', takes: 'list', back: '--all-events' },
    label: 'Events',
    section: 'sent',
    input: {
      kind: 'choice',
      choices: [
        ['', 'Enters and exits', null],
        ['enter', 'Enters only', ['enter']],
        ['exit', 'Exits only', ['exit']],
      ],
    },
  },
  memberships: {
    default: false,
    what: 'say in each message [which audiences the person is in](requests.md#all-audiences-of-a-person)',
    without: 'leave them out',
    option: { say: '--memberships', back: '--no-memberships' },
    label: 'Memberships',
    section: 'sent',
    input: { kind: 'flag', on: true },
    row: null,
  },
  method: {
    default: null,
    what: METHODS.join(', '),
    without: 'POST',
    option: { say: '--method <method>', takes: METHODS, back: '--no-method' },
    label: 'Method',
    section: 'sent',
    input: {
      kind: 'choice',
      choices: METHODS.map((one) => (one === 'POST' ? ['', 'POST, as usual', null] : [one, one, one])),
    },
    row: 'Request',
  },
  headers: {
    default: null,
    secret: 'misplaced',
    what: 'further headers, by name, not secret; each value a template',
    without: 'no further headers',
    option: { back: '--no-headers' },
    label: 'Headers',
    section: 'sent',
    input: { kind: 'headers', rows: 2 },
    hint: 'One a line. No secrets: those belong to an authorization.',
    example: '{"x-list": "7"}',
    row: null,
  },
  contentType: {
    default: null,
    what: 'type of the body',
    without: '`application/json`',
    option: { say: '--content-type <type>', back: '--no-content-type' },
    label: 'Content type',
    section: 'sent',
    input: { kind: 'line' },
    example: 'text/plain',
    row: null,
  },
  body: {
    default: null,
    what: 'a template of the body, in Liquid; empty: none',
    without: 'the default body',
    option: { back: '--default-body' },
    label: 'Body',
    section: 'sent',
    input: { kind: 'text', rows: 5, empty: { legend: 'No body', text: 'Send no body at all' } },
    hint: 'A template in Liquid; empty: the default body.',
    example: '{"email": {{ data.email | json }}}',
    row: null,
  },
  onEnter: {
    default: null,
    secret: 'url',
    what: 'other values for enters: any of the four above, `webhookUrl`, `answers`',
    without: 'enters are sent like everything else',
    option: { back: '--no-on-enter' },
    label: 'For enters',
    section: 'sent',
    input: { kind: 'json', rows: 3 },
    hint: 'Fields that differ for enters, as in a job file.',
    example: '{"method": "PUT"}',
    row: null,
  },
  onExit: {
    default: null,
    secret: 'url',
    what: 'other values for exits: any of the same',
    without: 'exits are sent like everything else',
    option: { back: '--no-on-exit' },
    label: 'For exits',
    section: 'sent',
    input: { kind: 'json', rows: 3 },
    hint: 'Fields that differ for exits, as in a job file.',
    example: '{"method": "DELETE", "body": ""}',
    row: null,
  },
  envelope: {
    default: null,
    what: 'put each body into a CloudEvent',
    without: 'nothing is put around the body',
    option: { say: '--envelope <name>', takes: ['cloudevents'], back: '--no-envelope' },
    label: 'CloudEvents',
    section: 'sent',
    input: { kind: 'flag', on: 'cloudevents' },
    row: null,
  },
  batch: {
    default: null,
    what: '`{"size": 100, "afterMs": 5000}`: at most so many triggers [in one request](requests.md#batches)',
    without: 'one trigger in each',
    option: { back: '--no-batch' },
    label: 'Batch',
    section: 'sent',
    example: '{"size": 100, "afterMs": 5000}',
    input: {
      kind: 'numbers',
      parts: [
        { name: 'size', label: 'Batch', hint: 'Most triggers in one request; empty: one, and not in a list.' },
        { name: 'afterMs', label: 'A batch that is not full goes after (ms)', placeholder: '0' },
      ],
    },
    row: 'Batches',
  },
  requestsPerSecond: {
    default: null,
    what: 'most requests per second [of the whole job](#how-fast), 0.01 to 1000',
    without: 'no limit',
    option: { say: '--requests-per-second <n>', back: '--no-requests-per-second' },
    label: 'Requests a second',
    section: 'when',
    input: { kind: 'number' },
    row: 'Rate limit',
  },
  backfillPerSecond: {
    default: null,
    what: 'most members per second of a backfill',
    without: 'no limit',
    option: { say: '--backfill-rate <n>', back: '--no-backfill-rate' },
    label: 'Existing users a second',
    section: 'when',
    input: { kind: 'number' },
    row: null,
  },
  backfillParallelCount: {
    default: null,
    what: 'most requests in flight for a backfill',
    without: 'no limit of its own',
    option: { say: '--backfill-parallel <n>', back: '--no-backfill-parallel' },
    label: 'Requests in flight for existing users',
    section: 'when',
    input: { kind: 'number', isWhole: true },
    row: null,
  },
  quietHours: {
    default: null,
    what: 'hours in which [nothing is sent](#quiet-hours)',
    without: 'no quiet hours',
    option: { back: '--no-quiet-hours' },
    label: 'Quiet hours',
    section: 'when',
    input: { kind: 'json', rows: 2 },
    example: '{"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}',
  },
  quota: {
    default: null,
    what: 'most people [per hour, day or week](#a-quota)',
    without: 'any number of people',
    option: { back: '--no-quota' },
    label: 'Quota',
    section: 'when',
    input: { kind: 'json', rows: 2 },
    example: '{"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}',
  },
  stale: {
    default: 'send',
    what: 'drop a change that is [older than the last one](#late-changes) of that person',
    without: 'send it',
    option: { say: '--stale <what>', takes: ['send', 'drop'] },
    label: 'Late changes',
    section: 'when',
    input: { kind: 'flag', on: 'drop' },
    row: null,
  },
  endsAt: {
    default: null,
    what: 'when the job [stops by itself](#an-end): an RFC 3339 time with its zone',
    without: 'never',
    option: { say: '--ends-at <time>', back: '--no-ends-at' },
    label: 'Ends',
    section: 'when',
    input: { kind: 'line' },
    example: '2030-01-01T00:00:00+01:00',
  },
  answers: {
    default: null,
    what: 'meaning of answers, by status or class: `delivered`, `retry`, `dead-letter` or `pause`',
    without: 'the default meanings',
    option: { say: '--answer <status=meaning>', takes: 'table', back: '--usual-answers' },
    label: 'Answers',
    section: 'answers',
    input: { kind: 'json', rows: 2 },
    example: '{"404": "delivered", "5xx": "retry"}',
  },
  retryFor: {
    default: null,
    what: 'how long to [retry](#how-long-it-is-retried), `1m` to `7d`',
    without: 'about 28 hours',
    option: { say: '--retry-for <time>', back: '--no-retry-for' },
    label: 'Retries for',
    row: 'Retries',
    section: 'answers',
    input: { kind: 'line' },
    example: '28h',
  },
};

/** Whether a start has to say the field. */
export function isRequired(field: keyof JobDefinition): boolean {
  const { default: byDefault, isOptional } = FORM[field];
  return byDefault === undefined && isOptional !== true;
}

/** The value of a field that nobody has said; null where it has no default. */
export function defaultOf(field: keyof JobDefinition): unknown {
  return FORM[field].default ?? null;
}

/** Returns the meaning of a field and of leaving it out, in a line. */
export function helpOf(field: keyof JobDefinition): string {
  const { what, without } = FORM[field];
  return plain(without === undefined ? what : `${what}; ${JSON.stringify(defaultOf(field))}: ${without}`);
}

/** Text of a field without its Markdown. */
export function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
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
export const FORM_FIELDS = Object.keys(FORM) as readonly (keyof JobDefinition)[]; // They are all its keys.

/** The form's defaults, of the fields that have one. A test compares them with the schema, which workflows do not load. */
export const FORM_DEFAULTS = definedOf(
  Object.fromEntries(FORM_FIELDS.map((field) => [field, FORM[field].default])),
) as Defaults;

/** The fields that an edit may name, in the form's order: all but those that only a start takes. */
export const EDITABLE_FIELDS = FORM_FIELDS.filter((field): field is keyof JobEdit => FORM[field].isForStart !== true);

/** The fields that may hold a secret as part of a URL. */
export const FIELDS_WITH_URL = FORM_FIELDS.filter((field) => FORM[field].secret === 'url');

/** The editable fields, in the form's order, of anything that has fields of the form under their names; what is undefined is left out. */
export function editableOf<T extends object>(from: T): Pick<T, keyof JobEdit & keyof T> {
  const fields = EDITABLE_FIELDS.map((field): [string, unknown] => [field, Reflect.get(from, field)]);
  // These are the fields of that type.
  return definedOf(Object.fromEntries(fields)) as Pick<T, keyof JobEdit & keyof T>;
}
