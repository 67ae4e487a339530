import type { Audience } from '../contract/audience.ts';
import type { DeadLetterState, DeadLetterStatus } from '../contract/dead-letter.ts';
import type { JobDefinition } from '../contract/export-job.ts';
import { parseInstant } from './instant.ts';
import { utf8Bytes } from './json.ts';
import { audienceAttribute, SEARCH_ATTRIBUTES } from './names.ts';
import { type UrlDigests, urlDigests } from './twins.ts';
import { failureInWords } from './verdict.ts';
import type { BackfillStatus, JobState, KeptBackfill } from '../contract/job-status.ts';

// Control characters, and marks that change the direction of the text that follows.
const UNSAFE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/** Text from outside, made safe to show: what could control a terminal, or disguise the text, is escaped. */
export function printable(text: string): string {
  return text.replaceAll(UNSAFE, (mark) => `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}

/** The same for a reason of ours, which may have several lines, where there is room for one paragraph. */
export function printableReason(reason: string): string {
  const lines = reason.split('\n').map((line) => line.trim());
  return printable(lines.filter((line) => line !== '').join(' '));
}

/** A word of a command, quoted if a shell would split it. Characters that control a terminal are escaped. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  return `$'${printable(text.replaceAll(/[\\']/g, String.raw`\$&`))}'`;
}

// A server may refuse a summary of more than 400 bytes. Its quotes and encoding count, and encryption adds up to 190.
const SUMMARY_BYTES = 200;

/** The text, cut so that the server takes it as a workflow's summary. */
export function summaryOf(text: string): string {
  if (utf8Bytes(text) <= SUMMARY_BYTES) return text;
  const letters = [...text];
  while (utf8Bytes(letters.join('')) > SUMMARY_BYTES) letters.pop();
  return `${letters.join('')}…`;
}

/** The scheme, then what is before the path: the host, perhaps with a user name; then the path and the query. A fragment is never sent. */
const PARTS = /^(https?:\/\/)([^/?#\\]+)([^?#]*)(?:\?([^#]*))?/i;
/** A parameter of a query with an ordinary name. Anything else may be the secret itself, as in `?5up3rs3cret`. */
const NAMED = /^([\w.$[\]-]{1,40})=./;
const MASK = '…';

/**
 * A webhook URL as people may see it: the origin, and of the rest only the names of the query's parameters, as in
 * `https://hooks.example.com/…?token=…`. Anybody who has a URL's path can often send to it, so the path is a secret like a token. There is
 * no hash to tell two URLs of a host apart: it would confirm a guess, and jobs have names. The result is still a URL, never longer than the
 * original, and masking it again changes nothing.
 */
export function shownUrl(url: string): string {
  const [, scheme, authority, path, query] = PARTS.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) return MASK;
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const masked = path === undefined || path === '' || path === '/' ? (path ?? '') : `/${MASK}`;
  return `${scheme}${host}${masked}${query === undefined ? '' : `?${query.split('&').map(shownParameter).join('&')}`}`;
}

/** Free text of people as it may be kept: each URL in it is masked. The result is never longer. */
export function shownText(text: string): string {
  return text.replaceAll(/[a-z][\w+.-]*:\/\/[^\s"'<>]+/gi, (url) => shownUrl(url));
}

function shownParameter(parameter: string): string {
  if (parameter === '') return '';
  const [, name] = NAMED.exec(parameter) ?? [];
  return name === undefined ? MASK : `${name}=${MASK}`;
}

/** The text with its first letter as a capital. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** A title and rows as the small Markdown table that the Temporal UI shows with a workflow. At most 20,000 bytes (server limit). */
export function detailsTable(title: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const lines = rows.map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return [`**${cell(title)}**`, '', '| | |', '|---|---|', ...lines].join('\n').slice(0, 6000).toWellFormed();
}

/** A whole number for people: 12,345 */
export function shownCount(n: number): string {
  return String(n).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 trigger`, `2 triggers`; `1 person`, `2 people` where the plural is told. */
export function counted(n: number, noun: string, plural = `${noun}s`): string {
  return `${shownCount(n)} ${n === 1 ? noun : plural}`;
}

/** A duration in the one unit that says enough: `8 s`, `3 min`, `2 h`, `5 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** Whether a job in this state has stopped, as it should or not: nothing is sent, whether it keeps triggers or not. */
export function hasStopped(state: string): boolean {
  return STOPPED.has(state);
}
const STOPPED: ReadonlySet<string> = new Set<JobState>(['stopped', 'terminated', 'failed', 'timed out', 'canceled']);

/** Whether a backfill in this state has nothing more to send. */
export function isBackfillOver(state: string | undefined): boolean {
  return state !== undefined && BACKFILL_OVER.has(state);
}
const BACKFILL_OVER: ReadonlySet<string> = new Set<BackfillStatus['state']>(['finished', 'cancelled']);

/** An RFC 3339 time in UTC for people, to the second; any other text as it is. */
export function shownTime(at: string): string {
  const instant = parseInstant(at);
  return instant === undefined ? at : `${instant.slice(0, 19).replace('T', ' ')} UTC`;
}

/** The same to its last digit: a nanosecond can decide which of two triggers is newer. */
export function exactTime(at: string): string {
  const instant = parseInstant(at);
  return instant === undefined
    ? at
    : `${instant
        .slice(0, 29)
        .replace('T', ' ')
        .replace(/\.?0+$/, '')} UTC`;
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
interface JobMemo {
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

/** The options that a job is started with: what lists and the Temporal UI show of it before it has reported anything itself. */
export function shownToPeople(
  jobId: string,
  job: {
    readonly definition: JobDefinition;
    readonly audiences: readonly Audience[];
    readonly missingSearchAttributes: readonly string[];
  },
) {
  const { definition, audiences, missingSearchAttributes } = job;
  const attributes = [
    keyword('ExportJobId', jobId),
    keyword('ExportJobStatus', 'running'),
    keywordList(
      'ExportAudiences',
      audiences.map(({ id }) => audienceAttribute(id)),
    ),
  ];
  return {
    staticSummary: summaryOf(definition.label),
    memo: jobMemo(definition, audiences),
    // With an attribute that the namespace does not have, the start would be refused.
    ...(missingSearchAttributes.length > 0 ? {} : { typedSearchAttributes: attributes }),
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

/** A search attribute and its value, as the SDK takes them when it starts a workflow. */
export type SearchAttribute =
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD' }; readonly value: string }
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD_LIST' }; readonly value: string[] };

export function keyword(name: NamesOfType<'KEYWORD'>, value: string): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}

export function keywordList(name: NamesOfType<'KEYWORD_LIST'>, value: string[]): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}

/** Says how far a kept backfill has read. */
export function keptBackfillInWords({ n, taken, expected }: KeptBackfill): string {
  const read = expected === undefined ? shownCount(taken) : `${shownCount(taken)} of ${shownCount(expected)}`;
  return `backfill ${n} (${read} members read)`;
}

/** Dead letters that nobody else can send, in words that continue a sentence. */
export function andLetters(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? ', and a dead letter that only it can send'
    : `, and ${count} dead letters that only it can send`;
}

/** Deeper lines are not indented further: they would consist of spaces. */
const MOST_DEPTH = 40;

/**
 * JSON in lines for people, printable, every value as it is written: parsing and writing it again would lose digits. Truncated JSON is
 * shown as far as it goes.
 */
export function indentedJson(json: string): string[] {
  // A string (perhaps without its end), a mark, or anything else up to the next of these; spaces between them are dropped.
  const tokens = json.match(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s"{}[\],:]+/gs) ?? [];
  const lines = [''];
  let depth = 0;
  const write = (text: string): void => void lines.push((lines.pop() ?? '') + text);
  const breakLine = (): void => void lines.push('  '.repeat(Math.min(depth, MOST_DEPTH)));
  tokens.forEach((token, i) => {
    const isEmpty = (token === '{' && tokens[i + 1] === '}') || (token === '[' && tokens[i + 1] === ']');
    const closesEmpty = (token === '}' && tokens[i - 1] === '{') || (token === ']' && tokens[i - 1] === '[');
    if (/^[}\]]$/.test(token) && !closesEmpty) {
      depth = Math.max(0, depth - 1); // An endpoint may answer anything.
      breakLine();
    }
    write(token === ':' ? ': ' : printable(token));
    if (/^[{[]$/.test(token) && !isEmpty) {
      depth++;
      breakLine();
    }
    if (token === ',') breakLine();
  });
  return lines;
}

/** Whether a text has all words that somebody searches for, anywhere and in any letters. */
export function hasWords(text: string, search: string): boolean {
  const where = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => where.includes(word));
}

/** The parts of a job that a search looks at. */
export interface NamedJob {
  readonly jobId: string;
  readonly label?: string;
  readonly audiences?: readonly { readonly slug: string }[];
}

/** Whether a job's id, label and audiences have all words that somebody searches for. */
export function jobHasWords({ jobId, label = '', audiences = [] }: NamedJob, search: string): boolean {
  return hasWords([jobId, label, ...audiences.map(({ slug }) => slug)].join('\n'), search);
}
