import type { JobStatus } from '../contract/job-status.ts';
import type { ShownRequest } from '../contract/delivery.ts';
import { hasStopped } from '../domain/job-state.ts';
import { capital, shellWord } from '../words/text.ts';
import { counted, duration, printable, printableReason } from '../domain/text.ts';
import { failureInWords } from '../domain/verdict.ts';
import type { Remedy } from '../contract/remedy.ts';
import { remedyLine, type RemedyWords } from '../words/remedy.ts';

/** `8 s ago`, `in 3 min` */
export function ago(at: string, now: number): string {
  const time = Date.parse(at);
  if (Number.isNaN(time)) return printable(at);
  const ms = now - time;
  if (Math.abs(ms) < 1500) return 'now';
  return ms > 0 ? `${duration(ms)} ago` : `in ${duration(-ms)}`;
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** A span of time as commands take it: `5m` */
export function spanWord(ms: number): string {
  const [unit, unitMs] = SPANS.find(([, one]) => ms % one === 0) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}

/** The local time; with its day when that is not today. */
export function clockTime(at: string, now: number): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return printable(at);
  const clock = time.toLocaleTimeString(undefined, { hour12: false });
  const isToday = time.toDateString() === new Date(now).toDateString();
  return isToday ? clock : `${time.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })}, ${clock}`;
}

/** The same text with its times as local times. */
export function inLocalTime(text: string, now: number): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z/g, (at) => clockTime(at, now));
}

/** The UTC of a time, shown when the pointer is on it. */
export function utc(at: string): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? printable(at) : `${time.toISOString().slice(0, 23).replace('T', ' ')} UTC`;
}

/** A sentence about a job's current state; trouble comes first. */
export function jobSentence(status: JobStatus, now: number): string {
  const { state, waiting, inFlight, parallelRequestCount, endpoint, lastFailure } = status;
  const { endpoint: throttled, quiet, quota } = status.waits;
  const letters = status.deadLettersWaiting ?? 0;
  const apart = letters === 0 ? '' : ` apart from ${counted(letters, 'dead letter')}`;
  const waits =
    waiting === 0 ? `nothing is waiting${apart}` : `${counted(waiting, 'trigger')} ${waiting === 1 ? 'waits' : 'wait'}`;
  const why = status.reason === undefined ? undefined : inLocalTime(printableReason(status.reason), now);
  if (state === 'paused') return why === undefined ? `Paused: ${waits}.` : `${why} ${capital(waits)}.`;
  if (hasStopped(state)) return stoppedSentence(status, why);
  if (state === 'stopping') return why === undefined ? `Stopping: ${waits}.` : `${why} ${capital(waits)}.`;
  if (state === 'starting') return 'Starting: a worker is checking it.';
  if (endpoint?.state === 'unhealthy') {
    const failure = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
    const probe = endpoint.nextProbeAt === undefined ? '' : `; the next probe is ${ago(endpoint.nextProbeAt, now)}`;
    return `The endpoint is not accepting requests${failure}: ${waits}${probe}.`;
  }
  if (endpoint?.state === 'new' && waiting > 0)
    return `The endpoint has accepted nothing yet, so the job sends one request at a time: ${waits}.`;
  if (throttled !== undefined)
    return `The endpoint asked to wait; the next request goes ${ago(throttled, now)}. ${capital(waits)}.`;
  if (quiet !== undefined) return `Quiet hours, which end ${ago(quiet, now)}: ${waits}.`;
  if (quota !== undefined) return `The quota is used up; sending continues ${ago(quota, now)}. ${capital(waits)}.`;
  if (waiting === 0) return `Up to date: ${waits}.`;
  if (inFlight > 0)
    return `Sending: ${counted(inFlight, 'request')} of at most ${parallelRequestCount} in flight, ${waits}.`;
  return `${capital(waits)}${status.delayed > 0 ? `, ${counted(status.delayed, 'person', 'people')} for the next attempt` : ''}.`;
}

function stoppedSentence({ state, kept, recoverableUntil, problems }: JobStatus, why: string | undefined): string {
  // A job with problems never began. For all others, the reason tells how to recover them in a terminal; the page has a button.
  if (recoverableUntil !== undefined && problems === undefined)
    return `${capital(state)}. Undelivered triggers can be recovered. Until then, the job accepts no triggers.`;
  if (why !== undefined) return `${capital(state)}. ${why} It accepts no more triggers.`;
  if (kept === undefined) return `${capital(state)}. It accepts no more triggers.`;
  const { waiting } = kept;
  return `Stopped. It keeps ${counted(waiting, 'trigger')} until you resume it, and accepts no more until then.`;
}

/** The command that sends the same request. Where a secret is hidden, it has `…`. */
export function curlOf({ method, url, headers, body }: ShownRequest): string {
  const words = [
    'curl',
    '--globoff',
    '--request',
    method,
    url,
    ...headers.flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    ...(body === '' ? [] : ['--data-raw', body]),
  ];
  return words.map(shellWord).join(' ');
}

/** The place for each remedy. */
const PLACES: RemedyWords = {
  listJobs: () => 'the page “Jobs”',
  status: () => 'the page of the job',
  logged: () => 'the page “Deliveries”',
  start: () => '“New job”',
  edit: () => '“Edit” on the page of the job',
  resume: () => '“Resume” on the page of the job',
  recover: () => '“Recover” on the page of the job',
  discard: () => '“Stop” on the page of the job, and “Discard them”',
  discardRecoverable: () => '“Start, and lose them”',
  listWatches: () => 'the page “Inputs”',
  listDeadLetters: () => 'the page “Dead letters”',
  deadLetter: () => 'the page “Dead letters”',
  force: () => 'the button below',
  render: () => '“The message” beside the form',
  startWorker: () => 'triggers worker',
  startTemporal: () => 'triggers up',
  findTest: () => undefined,
};

/** The remedy for a failure, as a line for the page. */
export function remedyOnPage(remedy: Remedy): string {
  return remedyLine(remedy, PLACES);
}
