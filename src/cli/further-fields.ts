import type { JobDefinitionInput } from '../client/export-jobs.ts';
import type { JobDefinition } from '../contract/export-job.ts';
import { METHODS } from '../contract/request-shape.ts';
import type { Ask } from './ask.ts';
import { type Draft, problemOfNumber, problemOfTyped } from './form-answers.ts';

/** A field that the dialogue asks for only where somebody wants more than the usual. */
export interface FurtherField {
  readonly field: keyof JobDefinitionInput;
  /** As it is offered, and shown in the summary. */
  readonly name: string;
  readonly description: string;
  readonly ask: (draft: Draft, ask: Ask) => Promise<void>;
}

/** Those that can be said in a line, in the form's order; a job file can say the others, and these. */
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
    field: 'body',
    name: 'Body',
    description: 'A template of the body, in Liquid (docs/requests.md)',
    ask: asksText('body', 'Body (a template, in one line; empty: the usual body)'),
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
    field: 'retryFor',
    name: 'Tried for',
    description: 'How long a trigger is tried',
    ask: asksText('retryFor', 'How long a trigger is tried, such as 6h (empty: 28 hours)'),
  },
  {
    field: 'endsAt',
    name: 'Ends',
    description: 'When the job stops by itself',
    ask: asksText('endsAt', 'When the job stops by itself, such as 2030-01-01T00:00:00Z (empty: never)'),
  },
];

/** Asks for a line; an empty one means the usual. */
function asksText(field: 'body' | 'retryFor' | 'endsAt', message: string): FurtherField['ask'] {
  return async (draft, ask) => {
    const check = (typed: string) => (typed.trim() === '' ? undefined : problemOfTyped(field, typed.trim()));
    const typed = await ask.text({ message, check });
    draft[field] = typed.trim() === '' ? null : typed.trim();
  };
}

/** What was said of these fields, for the summary. */
export function furtherRows(definition: JobDefinitionInput): (readonly [name: string, value: string])[] {
  return FURTHER_FIELDS.flatMap(({ field, name }) => {
    const value = definition[field];
    if (value === undefined || value === null || value === false) return [];
    return [[name, value === true ? 'yes' : typeof value === 'string' ? value : JSON.stringify(value)] as const];
  });
}
