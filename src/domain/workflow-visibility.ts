import { utf8Bytes } from './json.ts';
import { printable, exactTime, shownTime } from './text.ts';
import type { Audience } from '../contract/audience.ts';
import type { JobDefinition } from '../contract/export-job.ts';
import { SEARCH_ATTRIBUTES } from './names.ts';
import type { DeadLetterState, DeadLetterStatus } from '../contract/dead-letter.ts';
import { failureInWords } from './verdict.ts';
import type { SearchAttribute } from '../contract/ports.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { shortKey } from './delivery-id.ts';
import { wantsEvent } from './trigger.ts';

// A server may refuse a summary of more than 400 bytes. Its quotes and encoding count, and encryption adds up to 190.
const SUMMARY_BYTES = 200;

/** The text, cut so that the server takes it as a workflow's summary. */
export function summaryOf(text: string): string {
  if (utf8Bytes(text) <= SUMMARY_BYTES) return text;
  const letters = [...text];
  while (utf8Bytes(letters.join('')) > SUMMARY_BYTES) letters.pop();
  return `${letters.join('')}…`;
}

/** A title and rows as the small Markdown table that the Temporal UI shows with a workflow. At most 20,000 bytes (server limit). */
export function detailsTable(title: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const lines = rows.map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return [`**${cell(title)}**`, '', '| | |', '|---|---|', ...lines].join('\n').slice(0, 6000).toWellFormed();
}

/** Text that cannot break the table or become markup, since answers of endpoints are shown here too. */
function cell(text: string): string {
  const shown = printable(text.replaceAll(/[\r\n]+/g, ' ')).replaceAll(/[|\\`<>[\]*_~&]/g, (mark) => `\\${mark}`);
  // The UI turns two hyphens into a dash, so an option could no longer be copied.
  return shown.replaceAll('--', String.raw`\-\-`);
}

/**
 * The content of a job's memo: written first by the client that starts the job, then by the job itself at every edit, and read by lists and
 * by publishing.
 */
export interface JobMemo {
  readonly label: string;
  readonly description?: string;
  readonly audiences: readonly Pick<Audience, 'id' | 'slug'>[];
  readonly sendsTo: UrlDigests;
}

export function jobMemo(
  definition: Omit<JobDefinition, 'audiences'>,
  audiences: readonly Audience[],
): JobMemo & Record<string, unknown> {
  const { label, description } = definition;
  return {
    label,
    ...(description === undefined ? {} : { description }),
    audiences: audiences.map(({ id, slug }) => ({ id, slug })),
    sendsTo: urlDigests(definition),
  };
}

const STATES: Readonly<Record<DeadLetterState, string>> = {
  waiting:
    'Waits for a person. Signal "redeliver" to send it after all (last in its person\'s order, with the same id), or "discard" to drop it.',
  redelivering: 'To be sent after all; the source and the job are being asked.',
  redelivered: 'It is with its job again.',
  discarded: 'Dropped by a person.',
  expired: 'Expired before anybody decided.',
};

/** A dead letter as the Temporal UI shows it. */
export function deadLetterDetails(status: DeadLetterStatus): string {
  const { state, jobId, user, audience, event, at, failure, attempts, diedAt, expiresAt, notice } = status;
  const answerText = failure.answer === undefined || failure.answer === '' ? '' : ` "${failure.answer}"`;
  const rows: [string, string][] = [
    ['State', STATES[state]],
    ...(notice === undefined ? [] : [['Not redelivered', notice] as [string, string]]),
    ['Job', jobId],
    ['Person', user],
    ['Audience', `${audience.slug} (${audience.name})`],
    ['Event', `${event} at ${exactTime(at)}`],
    ['Last attempt', `${shownTime(failure.at)}: ${failureInWords(failure)}${answerText}`],
    ['Attempts', String(attempts)],
    ['Given up', shownTime(diedAt)],
    ['Kept until', shownTime(expiresAt)],
  ];
  return detailsTable(`${event} of ${user}`, rows);
}

type NamesOfType<T> = {
  [Name in keyof typeof SEARCH_ATTRIBUTES]: (typeof SEARCH_ATTRIBUTES)[Name] extends T ? Name : never;
}[keyof typeof SEARCH_ATTRIBUTES];

export function keyword(name: NamesOfType<'KEYWORD'>, value: string): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}

export function keywordList(name: NamesOfType<'KEYWORD_LIST'>, value: string[]): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}
/** Where a job's enters go, and its exits: digests of the URLs, which may hold secrets. Empty: it sends none. */
export type UrlDigests = readonly [enters: string, exits: string];

export function urlDigests(form: Pick<JobDefinition, 'webhookUrl' | 'events' | 'onEnter' | 'onExit'>): UrlDigests {
  const digest = (event: TriggerEvent, own: JobDefinition['onEnter']): string =>
    wantsEvent(form, event) ? shortKey(own?.webhookUrl ?? form.webhookUrl) : '';
  return [digest('enter', form.onEnter), digest('exit', form.onExit)];
}
