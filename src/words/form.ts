import type { JobDefinition } from '../contract/export-job.ts';
import type { Method } from '../contract/request-shape.ts';
import { defaultOf } from '../domain/form.ts';

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

/** A field as people read of it. */
export interface FormField {
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
}

/** The parts of "More", in their order. */
export const FORM_SECTIONS = {
  sent: 'Request',
  when: 'Timing',
  answers: 'Answers',
} as const;

const METHODS: readonly Method[] = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET'];

/** The fields of the form. */
export const FORM: { readonly [Field in keyof JobDefinition]-?: FormField } = {
  label: {
    what: 'name for people, 1 to 200 characters, without control characters and line breaks',
    option: { say: '--label <text>' },
    label: 'Label',
    input: { kind: 'line' },
    hint: 'A name people will recognise.',
  },
  description: {
    what: 'further context',
    option: { say: '--description <text>' },
    label: 'Description',
    input: { kind: 'text', rows: 2 },
  },
  audiences: {
    what: 'slugs or ids of the audiences to subscribe to, 1 to 100',
    option: { say: '--audience <slug>', takes: 'list' },
    label: 'Audiences',
    input: { kind: 'own' },
  },
  webhookUrl: {
    what: 'where requests go; path and query may be [templates](requests.md#templates); no user name, password, blank, backslash, `#`, or `..` in the path',
    option: { say: '--url <url>' },
    label: 'Webhook URL',
    input: { kind: 'line' },
    example: 'https://hooks.example.com/audiences',
  },
  authorization: {
    what: 'name of an authorization configured on the worker',
    without: 'the endpoint needs none',
    option: { say: '--authorization <name>', back: '--no-authorization' },
    label: 'Authorization',
    input: { kind: 'own' },
  },
  exportFields: {
    what: 'names or dotted paths of profile fields, or `{"field": …, "as": …}` to [send one under another name](requests.md#other-names-for-fields); `segment_events` is always sent',
    without: 'all fields',
    option: { say: '--export-field <field>', takes: 'list', back: '--all-fields' },
    label: 'Export Fields',
    input: { kind: 'own' },
  },
  existingUsers: {
    what: 'first send all current members, as enters',
    without: 'do not send them',
    option: { say: '--existing-users', back: '--no-existing-users' },
    label: 'Existing Users',
    input: { kind: 'flag', on: true },
  },
  userLegacyMessageFormat: {
    what: 'use the old payload format',
    without: 'use the new one',
    option: { say: '--legacy-format', back: '--no-legacy-format' },
    label: 'User Legacy Message Format',
    input: { kind: 'flag', on: true },
  },
  parallelRequestCount: {
    what: 'most requests in flight for this job, across all workers, 1 to 500',
    option: { say: '--parallel <count>' },
    label: 'Parallel Request Count',
    input: { kind: 'number', isWhole: true },
    hint: 'How many requests the endpoint can take at a time: never more are in flight.',
  },
  events: {
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
    what: 'say in each message [which audiences the person is in](requests.md#all-audiences-of-a-person)',
    without: 'leave them out',
    option: { say: '--memberships', back: '--no-memberships' },
    label: 'Memberships',
    section: 'sent',
    input: { kind: 'flag', on: true },
  },
  method: {
    what: METHODS.join(', '),
    without: 'POST',
    option: { say: '--method <method>', takes: METHODS, back: '--no-method' },
    label: 'Method',
    section: 'sent',
    input: {
      kind: 'choice',
      choices: METHODS.map((one) => (one === 'POST' ? ['', 'POST, as usual', null] : [one, one, one])),
    },
  },
  headers: {
    what: 'further headers, by name, not secret; each value a template',
    without: 'no further headers',
    option: { back: '--no-headers' },
    label: 'Headers',
    section: 'sent',
    input: { kind: 'headers', rows: 2 },
    hint: 'One a line. No secrets: those belong to an authorization.',
    example: '{"x-list": "7"}',
  },
  contentType: {
    what: 'type of the body',
    without: '`application/json`',
    option: { say: '--content-type <type>', back: '--no-content-type' },
    label: 'Content type',
    section: 'sent',
    input: { kind: 'line' },
    example: 'text/plain',
  },
  body: {
    what: 'a template of the body, in Liquid; empty: none',
    without: 'the default body',
    option: { back: '--default-body' },
    label: 'Body',
    section: 'sent',
    input: { kind: 'text', rows: 5, empty: { legend: 'No body', text: 'Send no body at all' } },
    hint: 'A template in Liquid; empty: the default body.',
    example: '{"email": {{ data.email | json }}}',
  },
  onEnter: {
    what: 'other values for enters: any of the four above, `webhookUrl`, `answers`',
    without: 'enters are sent like everything else',
    option: { back: '--no-on-enter' },
    label: 'For enters',
    section: 'sent',
    input: { kind: 'json', rows: 3 },
    hint: 'Fields that differ for enters, as in a job file.',
    example: '{"method": "PUT"}',
  },
  onExit: {
    what: 'other values for exits: any of the same',
    without: 'exits are sent like everything else',
    option: { back: '--no-on-exit' },
    label: 'For exits',
    section: 'sent',
    input: { kind: 'json', rows: 3 },
    hint: 'Fields that differ for exits, as in a job file.',
    example: '{"method": "DELETE", "body": ""}',
  },
  envelope: {
    what: 'put each body into a CloudEvent',
    without: 'nothing is put around the body',
    option: { say: '--envelope <name>', takes: ['cloudevents'], back: '--no-envelope' },
    label: 'CloudEvents',
    section: 'sent',
    input: { kind: 'flag', on: 'cloudevents' },
  },
  batch: {
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
  },
  requestsPerSecond: {
    what: 'most requests per second [of the whole job](#how-fast), 0.01 to 1000',
    without: 'no limit',
    option: { say: '--requests-per-second <n>', back: '--no-requests-per-second' },
    label: 'Requests a second',
    section: 'when',
    input: { kind: 'number' },
  },
  backfillPerSecond: {
    what: 'most members per second of a backfill',
    without: 'no limit',
    option: { say: '--backfill-rate <n>', back: '--no-backfill-rate' },
    label: 'Existing users a second',
    section: 'when',
    input: { kind: 'number' },
  },
  backfillParallelCount: {
    what: 'most requests in flight for a backfill',
    without: 'no limit of its own',
    option: { say: '--backfill-parallel <n>', back: '--no-backfill-parallel' },
    label: 'Requests in flight for existing users',
    section: 'when',
    input: { kind: 'number', isWhole: true },
  },
  quietHours: {
    what: 'hours in which [nothing is sent](#quiet-hours)',
    without: 'no quiet hours',
    option: { back: '--no-quiet-hours' },
    label: 'Quiet hours',
    section: 'when',
    input: { kind: 'json', rows: 2 },
    example: '{"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}',
  },
  quota: {
    what: 'most people [per hour, day or week](#a-quota)',
    without: 'any number of people',
    option: { back: '--no-quota' },
    label: 'Quota',
    section: 'when',
    input: { kind: 'json', rows: 2 },
    example: '{"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}',
  },
  stale: {
    what: 'drop a change that is [older than the last one](#late-changes) of that person',
    without: 'send it',
    option: { say: '--stale <what>', takes: ['send', 'drop'] },
    label: 'Late changes',
    section: 'when',
    input: { kind: 'flag', on: 'drop' },
  },
  endsAt: {
    what: 'when the job [stops by itself](#an-end): an RFC 3339 time with its zone',
    without: 'never',
    option: { say: '--ends-at <time>', back: '--no-ends-at' },
    label: 'Ends',
    section: 'when',
    input: { kind: 'line' },
    example: '2030-01-01T00:00:00+01:00',
  },
  answers: {
    what: 'meaning of answers, by status or class: `delivered`, `retry`, `dead-letter` or `pause`',
    without: 'the default meanings',
    option: { say: '--answer <status=meaning>', takes: 'table', back: '--usual-answers' },
    label: 'Answers',
    section: 'answers',
    input: { kind: 'json', rows: 2 },
    example: '{"404": "delivered", "5xx": "retry"}',
  },
  retryFor: {
    what: 'how long to [retry](#how-long-it-is-retried), `1m` to `7d`',
    without: 'about 28 hours',
    option: { say: '--retry-for <time>', back: '--no-retry-for' },
    label: 'Retries for',
    section: 'answers',
    input: { kind: 'line' },
    example: '28h',
  },
};

/** Returns the meaning of a field and of leaving it out, in a line. */
export function helpOf(field: keyof JobDefinition): string {
  const { what, without } = FORM[field];
  return plain(without === undefined ? what : `${what}; ${JSON.stringify(defaultOf(field))}: ${without}`);
}

/** Text of a field without its Markdown. */
export function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
}
