import type { Sample, SampleAnswer, SentSample } from './sample.ts';
import type { Answers } from '../../contract/answers.ts';
import { indentedJson } from '../../words/indented-json.ts';
import { duration, printable } from '../../domain/text.ts';
import { meaningOf } from './meaning.ts';
import { failureInWords, verdictOf } from '../../domain/verdict.ts';
import type { AttemptVerdict } from '../../contract/verdict.ts';
import { plain, type Terminal } from '../../cli/terminal.ts';
import { count, field, wrap } from '../../cli/text.ts';

/** The answer in words: `HTTP 204`, `connection refused`. */
export function outcomeOf(answer: SampleAnswer): string {
  return failureInWords(answer);
}

/** The people and changes of a sample. */
export function samplePerson({ user, others = [], event, audience }: Sample): string {
  const slug = printable(audience.slug);
  if (others.length === 0) return `${printable(user)} ${event === 'enter' ? 'enters' : 'exits'} ${slug}`;
  const people = `${[user, ...others.slice(0, -1)].map(printable).join(', ')} and ${printable(others.at(-1) ?? '')}`;
  return `${people} ${event} ${slug}, in one request`;
}

/** The person of a test, and whether the endpoint got it. */
export function testedText(sent: SentSample): string {
  const isAnswered = sent.answer.ok || sent.answer.status !== undefined;
  return `${samplePerson(sent)}. It was ${isAnswered ? 'sent' : 'tried'} once, as a test.`;
}

/**
 * The request as it goes over the wire, except for masked parts: its body byte for byte. Only on a terminal the body is indented, and characters that
 * could control the terminal are escaped, as JSON allows.
 */
export function requestLines(
  { request }: Sample,
  { interactive, paint }: Pick<Terminal, 'interactive' | 'paint'>,
): string[] {
  const { method, url, headers, body, bodyBytes } = request;
  const cut = bodyBytes - Buffer.byteLength(body);
  return [
    paint('bold', `${method} ${printable(url)}`),
    ...headers.map(([name, value]) => `${paint('cyan', `${printable(name)}:`)} ${printable(value)}`),
    '',
    ...(interactive ? indentedJson(body) : [body]),
    ...(cut === 0 ? [] : [`… and ${count(cut)} more bytes`]),
  ];
}

/** The answer to a sample, its duration, and what it would mean. */
export function answerLines(
  { answer, ...sample }: Pick<SentSample, 'answer' | 'retryFor'>,
  { columns = 80, paint = plain }: Partial<Terminal> = {},
): string[] {
  const { durationMs, retryAfterMs, isSecond } = answer;
  const answerText = answer.answer === undefined || answer.answer === '' ? undefined : printable(answer.answer);
  const rows: (readonly [string, string | undefined])[] = [
    ['Answer', paint(answer.verdict === 'delivered' ? 'green' : 'red', outcomeOf(answer))],
    [
      '',
      isSecond ? 'to a second request, which was sent with a new token after the first was answered 401' : undefined,
    ],
    ['It said', answerText],
    [
      'Wait',
      retryAfterMs === undefined || retryAfterMs === 0
        ? undefined
        : `${duration(retryAfterMs)}, according to Retry-After`,
    ],
    ['Took', `${count(durationMs)} ms, including connecting`],
    ['Verdict', meaningOf(answer, sample)],
  ];
  return rows.flatMap(([name, value]) => (value === undefined ? [] : field(name, value, columns)));
}

/** The meanings of answers to such a request for the job. */
export function tableLines(
  { answers, retryFor }: Sample,
  { columns = 80, paint = plain }: Partial<Terminal> = {},
): string[] {
  const statuses = statusesByVerdict(answers);
  const howLong = retryFor === undefined ? '' : `; for ${retryFor}`;
  const rows = IN_SHORT.flatMap(([name, verdicts, more = '']) => {
    const named = verdicts.flatMap((verdict) => statuses.get(verdict) ?? []);
    return named.length === 0 ? [] : field(name, named.join(', ') + more + (name === AGAIN ? howLong : ''), columns);
  });
  return [paint('bold', 'Meaning of its answers'), ...rows];
}

const AGAIN = 'Retried';

const IN_SHORT: readonly (readonly [name: string, verdicts: readonly AttemptVerdict[], more?: string])[] = [
  ['Delivered', ['delivered']],
  [AGAIN, ['transient']],
  ['Set up wrong', ['misconfigured'], '; retried'],
  ['Waits', ['throttled']],
  ['Pauses', ['endpoint-gone', 'pausing']],
  ['Refused', ['refused'], '; a dead letter, unless the endpoint has accepted nothing or refuses everybody'],
  ['Dead letter', ['given-up']],
];

/** The statuses of each verdict. A class stands for most of its statuses, and comes after those with another verdict. */
function statusesByVerdict(answers: Answers | undefined): ReadonlyMap<AttemptVerdict, readonly string[]> {
  const named = new Map<AttemptVerdict, string[]>();
  const name = (verdict: AttemptVerdict, status: string) => named.set(verdict, [...(named.get(verdict) ?? []), status]);
  for (const first of [200, 300, 400, 500]) {
    const verdicts = Array.from({ length: 100 }, (_, n) =>
      verdictOf({ ok: first === 200, status: first + n }, answers),
    );
    const [most = 'refused'] = verdicts.toSorted((a, b) => timesIn(verdicts, b) - timesIn(verdicts, a));
    for (const [n, verdict] of verdicts.entries()) if (verdict !== most) name(verdict, String(first + n));
    name(most, `${timesIn(verdicts, most) < verdicts.length ? 'other ' : ''}${first / 100}xx`);
  }
  const waiting = verdictOf({ ok: false, status: 503, retryAfterMs: 1 }, answers);
  if (waiting === 'throttled') name(waiting, '503 with Retry-After');
  return named;
}

function timesIn<T>(all: readonly T[], value: T): number {
  return all.filter((one) => one === value).length;
}

/** A line of explanation, wrapped if it is too long. */
export function noteLines(text: string, { columns, paint }: Pick<Terminal, 'columns' | 'paint'>): string[] {
  return wrap(text, columns).map((line) => paint('dim', line));
}

/** The warnings about the job. */
export function warningLines(
  { warnings = [] }: Sample,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string[] {
  return warnings.flatMap((warning) => wrap(`${paint('yellow', 'Warning:')} ${printable(warning)}`, columns));
}
