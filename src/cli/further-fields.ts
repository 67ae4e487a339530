import type { JobDefinitionInput } from '../client/export-jobs.ts';
import type { JobDefinition } from '../contract/export-job.ts';
import { METHODS } from '../contract/request-shape.ts';
import { shownUrl } from '../domain/shown.ts';
import type { Ask } from './ask.ts';
import { type Draft, problemOf, problemOfNumber } from './form-answers.ts';

/** A field that the dialogue asks for only where somebody wants more than the usual. */
export interface FurtherField {
  readonly field: keyof JobDefinitionInput;
  /** As it is offered, and shown in the summary. */
  readonly name: string;
  readonly description: string;
  readonly ask: (draft: Draft, ask: Ask) => Promise<void>;
}

/** What goes beyond the usual form, in its order: each in a line, as people type it, or as a job file says it. */
export const FURTHER_FIELDS: readonly FurtherField[] = [
  {
    field: 'memberships',
    name: 'Memberships',
    description: 'Say in each message which audiences the person is in',
    ask: async (draft, ask) => {
      const message = 'Memberships: say in each message which audiences the person is in?';
      draft.memberships = await ask.yes({ message, initial: true });
    },
  },
  {
    field: 'events',
    name: 'Events',
    description: 'Send enters only, or exits only',
    ask: async (draft, ask) => {
      draft.events = await ask.one<JobDefinition['events']>({
        message: 'Events',
        choices: [
          { name: 'Enters and exits', value: null },
          { name: 'Enters only', value: ['enter'] },
          { name: 'Exits only', value: ['exit'] },
        ],
      });
    },
  },
  {
    field: 'method',
    name: 'Method',
    description: 'How requests are sent, instead of by POST',
    ask: async (draft, ask) => {
      draft.method = await ask.one({ message: 'Method', choices: METHODS.map((value) => ({ name: value, value })) });
    },
  },
  {
    field: 'headers',
    name: 'Headers',
    description: 'Further headers',
    ask: asksJson('headers', 'Headers', '{"x-list": "7"}'),
  },
  {
    field: 'contentType',
    name: 'Content type',
    description: 'What the body is, instead of JSON',
    ask: asksText('contentType', 'Content type (empty: application/json)'),
  },
  {
    field: 'body',
    name: 'Body',
    description: 'A template of the body, in Liquid (docs/requests.md)',
    ask: asksText('body', 'Body (a template, in one line; empty: the usual body)'),
  },
  {
    field: 'onEnter',
    name: 'For enters',
    description: 'What is different for enters',
    ask: asksJson('onEnter', 'What is different for enters', '{"method": "PUT"}'),
  },
  {
    field: 'onExit',
    name: 'For exits',
    description: 'What is different for exits',
    ask: asksJson('onExit', 'What is different for exits', '{"method": "DELETE", "body": ""}'),
  },
  {
    field: 'envelope',
    name: 'CloudEvents',
    description: 'Put each body into a CloudEvent',
    ask: async (draft, ask) => {
      const isWanted = await ask.yes({ message: 'CloudEvents: put each body into a CloudEvent?', initial: true });
      draft.envelope = isWanted ? 'cloudevents' : null;
    },
  },
  {
    field: 'batch',
    name: 'Batch',
    description: 'Send many triggers in one request',
    ask: async (draft, ask) => {
      const sizeOf = (size: number) => ({ size });
      const check = (typed: string) => (typed.trim() === '' ? undefined : problemOfNumber('batch', typed, sizeOf));
      const typed = await ask.text({ message: 'Most triggers in one request (empty: one, and not in a list)', check });
      draft.batch = typed.trim() === '' ? null : sizeOf(Number(typed));
    },
  },
  {
    field: 'requestsPerSecond',
    name: 'Rate',
    description: 'Make at most so many requests per second',
    ask: async (draft, ask) => {
      const check = (typed: string) => (typed.trim() === '' ? undefined : problemOfNumber('requestsPerSecond', typed));
      const typed = await ask.text({ message: 'Most requests per second (empty: no limit)', check });
      draft.requestsPerSecond = typed.trim() === '' ? null : Number(typed);
    },
  },
  {
    field: 'answers',
    name: 'Answers',
    description: 'What answers of the endpoint mean',
    ask: asksJson('answers', 'What answers mean', '{"404": "delivered"}'),
  },
  {
    field: 'retryFor',
    name: 'Tried for',
    description: 'How long a trigger is tried',
    ask: asksText('retryFor', 'How long a trigger is tried, such as 6h (empty: 28 hours)'),
  },
  {
    field: 'quietHours',
    name: 'Quiet hours',
    description: 'Hours in which nothing is sent',
    ask: asksJson('quietHours', 'Quiet hours', '{"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}'),
  },
  {
    field: 'quota',
    name: 'Quota',
    description: 'Tell of at most so many people in an hour, a day or a week',
    ask: asksJson('quota', 'Quota', '{"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}'),
  },
  {
    field: 'stale',
    name: 'Late changes',
    description: 'Drop a change that is older than the last one of that person',
    ask: async (draft, ask) => {
      const message = 'Late changes: drop a change that is older than the last one of that person?';
      draft.stale = (await ask.yes({ message, initial: true })) ? 'drop' : 'send';
    },
  },
  {
    field: 'endsAt',
    name: 'Ends',
    description: 'When the job stops by itself',
    ask: asksText('endsAt', 'When the job stops by itself, such as 2030-01-01T00:00:00Z (empty: never)'),
  },
];

/** Asks for a line; an empty one means the usual. */
function asksText(field: 'body' | 'contentType' | 'retryFor' | 'endsAt', message: string): FurtherField['ask'] {
  return async (draft, ask) => {
    const check = (typed: string) => (typed.trim() === '' ? undefined : problemOf(field, typed.trim()));
    const typed = await ask.text({ message, check });
    draft[field] = typed.trim() === '' ? null : typed.trim();
  };
}

/** Asks for what is an object in a job file, as it stands there; an empty line means none. */
function asksJson(field: keyof Draft, name: string, example: string): FurtherField['ask'] {
  return async (draft, ask) => {
    const check = (typed: string) => {
      if (typed.trim() === '') return undefined;
      try {
        return problemOf(field, JSON.parse(typed));
      } catch {
        return `Write it as in a job file: ${example}`;
      }
    };
    const typed = await ask.text({ message: `${name}, such as ${example} (empty: none)`, check });
    // As the form's own rules took it.
    Object.assign(draft, { [field]: typed.trim() === '' ? null : JSON.parse(typed) });
  };
}

/** What was said of these fields, for the summary. */
export function furtherRows(definition: JobDefinitionInput): (readonly [name: string, value: string])[] {
  return FURTHER_FIELDS.flatMap(({ field, name }) => {
    const value = definition[field];
    if (value === undefined || value === null || value === false) return [];
    return [
      [name, value === true ? 'yes' : typeof value === 'string' ? value : JSON.stringify(value, shownUrls)] as const,
    ];
  });
}

/** A webhook URL is often a secret, also one that is for one event. */
function shownUrls(name: string, value: unknown): unknown {
  return name === 'webhookUrl' && typeof value === 'string' ? shownUrl(value) : value;
}
