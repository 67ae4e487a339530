import type { Alert, AlertKind } from '../../contract/alert.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import { instantOf } from '../instant.ts';
import { counted, shownCount } from '../text.ts';
import { ATTEMPT_CODES, failureInWords } from '../verdict.ts';
import { WHEN_LOST, leftOutInWords, lostInWords } from './describing-backfills.ts';
import type { BackfillIntake } from './backfill.ts';
import type { JobRecord, Pause } from './job.ts';
import { isReportable, type UnreadableHolder } from './queue/overflow.ts';
import { type Breaker, refusalInWords, whatToCheck } from './throttles/breaker.ts';
import { lastQuietEnd } from './throttles/calendar.ts';

/** The alerts of a job as a run carries them; plain JSON. */
export interface CarriedAlerts {
  /** Number of the next one. */
  readonly next: number;
  /** Conditions that hold now, and their beginnings (epoch ms). */
  readonly active: Readonly<Partial<Record<AlertKind, number>>>;
  /** Alerts that are not known to be on their way, oldest first. */
  readonly owed: readonly Alert[];
  /** How many dead letters have been reported, how many of them by the last alert, and when that was (epoch ms). */
  readonly deadLetters: number;
  readonly deadLettersLast: number;
  readonly deadLettersAt: number;
  /** When the first unreported one came, epoch ms; 0: there is none. */
  readonly deadLettersSince: number;
  /** Number of the backfill whose end has been reported. */
  readonly backfill: number;
}

/** The part of a job that alerts depend on. */
interface Observed {
  readonly job: Pick<JobRecord, 'alertBacklogMs' | 'definition' | 'audiences' | 'formerAudiences' | 'calendar'>;
  readonly breaker: Pick<Breaker, 'isOpen' | 'isSetup' | 'isDoubtful' | 'isUnproven' | 'inRow' | 'acceptedAt'>;
  readonly pause?: Pause | undefined;
  readonly chains: { readonly triggers: number; readonly waitingSince: number | undefined };
  readonly overflow: { readonly triggers: number; readonly waitingSince: number | undefined };
  readonly counters: { readonly deadLetters: number };
  readonly stopping?: unknown;
  readonly backfill: Pick<BackfillIntake, 'n' | 'state' | 'counts' | 'expected' | 'isLost' | 'leftOut'> | undefined;
  readonly lastFailure?: LastFailure | undefined;
  readonly unreadable: UnreadableHolder | undefined;
  /** Epoch ms. */
  readonly lastDeliveredAt?: number | undefined;
}

const NO_ALERTS: CarriedAlerts = {
  next: 1,
  active: {},
  owed: [],
  deadLetters: 0,
  deadLettersLast: 0,
  deadLettersAt: 0,
  deadLettersSince: 0,
  backfill: 0,
};

/** Dead letters are gathered for this long, in ms, so that a flood is not reported as a handful. */
const GATHER_MS = 60_000;
/** They are reported once in this many ms, unless there are many times as many new ones as the last alert said. */
const DEAD_LETTERS_EVERY_MS = 60 * 60_000;
const MANY_TIMES = 10;
/** At most this many are kept while none can be sent; the oldest are dropped. */
const MOST_OWED = 20;

/** The alerts that a job has reported to its operators, and has yet to report: each change once, however often the job is examined. */
export class Alerts {
  #state: CarriedAlerts;

  constructor(carried: CarriedAlerts = NO_ALERTS) {
    this.#state = carried;
  }

  get owed(): readonly Alert[] {
    return this.#state.owed;
  }

  /** Forgets alerts that are on their way. */
  confirm(alerts: readonly Alert[]): void {
    const confirmed = new Set(alerts.map(({ n }) => n));
    this.#state = { ...this.#state, owed: this.#state.owed.filter(({ n }) => !confirmed.has(n)) };
  }

  carry(): CarriedAlerts {
    return this.#state;
  }

  /** Examines the job, and records what has changed. */
  observe(state: Observed, now: number): void {
    this.#condition('endpoint-unhealthy', state.breaker.isOpen, state, now, unhealthyText);
    this.#condition('paused-by-endpoint', state.pause?.by === 'endpoint', state, now, pausedText);
    const due = this.backlogDueAt(state, now);
    this.#condition('backlog-old', due !== undefined && due <= now, state, now, backlogText);
    this.#deadLetters(state, now);
    this.#condition('backfill-lost', state.backfill?.isLost === true, state, now, lostText);
    this.#condition('holder-unreadable', isReportable(state.unreadable), state, now, holdersText);
    this.#backfill(state, now);
  }

  /**
   * When the backlog will have waited too long, epoch ms; undefined when nothing is waiting, or a person has paused the job. Waiting in
   * quiet hours is intended, and does not count.
   */
  backlogDueAt(state: Observed, now: number): number | undefined {
    const since = waitingSince(state);
    if (since === undefined || state.pause?.by === 'operator') return undefined;
    return Math.max(since, lastQuietEnd(state.job, now)) + state.job.alertBacklogMs;
  }

  /** When new dead letters will be reported, epoch ms; undefined when there are none. A job that stops does not gather them. */
  deadLettersDueAt({ counters, stopping }: Observed): number | undefined {
    const { deadLetters, deadLettersLast, deadLettersAt, deadLettersSince } = this.#state;
    const fresh = counters.deadLetters - deadLetters;
    if (fresh <= 0) return undefined;
    if (stopping !== undefined) return 0;
    const gathered = deadLettersSince + GATHER_MS;
    return fresh >= MANY_TIMES * deadLettersLast ? gathered : Math.max(gathered, deadLettersAt + DEAD_LETTERS_EVERY_MS);
  }

  #condition(
    kind: keyof typeof ENDED,
    holds: boolean,
    state: Observed,
    now: number,
    text: (state: Observed) => string,
  ): void {
    const since = this.#state.active[kind];
    if (holds === (since !== undefined)) return;
    if (since === undefined) {
      this.#add(kind, 'began', now, text(state));
      this.#state = { ...this.#state, active: { ...this.#state.active, [kind]: now } };
      return;
    }
    this.#add(kind, 'ended', now, ENDED[kind](state, since), since);
    const { [kind]: _, ...active } = this.#state.active;
    this.#state = { ...this.#state, active };
  }

  #deadLetters(state: Observed, now: number): void {
    const { deadLetters } = state.counters;
    const fresh = deadLetters - this.#state.deadLetters;
    if (fresh <= 0) return;
    if (this.#state.deadLettersSince === 0) this.#state = { ...this.#state, deadLettersSince: now };
    const due = this.deadLettersDueAt(state);
    if (due === undefined || due > now) return;
    const text = `${counted(fresh, 'new dead letter')} (${shownCount(deadLetters)} so far).`;
    this.#add('dead-letters', 'happened', now, text);
    const reported = { deadLetters, deadLettersLast: fresh, deadLettersAt: now, deadLettersSince: 0 };
    this.#state = { ...this.#state, ...reported };
  }

  #backfill({ backfill, job }: Observed, now: number): void {
    if (backfill === undefined || backfill.n === this.#state.backfill) return;
    if (backfill.state !== 'finished') return;
    const { delivered, dead } = backfill.counts;
    const sent = `${counted(delivered, 'person was', 'people were')} sent.`;
    const others = dead === 0 ? '' : ` ${counted(dead, 'person became a dead letter', 'people became dead letters')}.`;
    const text = `Backfill ${backfill.n} is finished: ${sent}${others}`;
    const leftOut = leftOutInWords(backfill, job);
    this.#add('backfill-finished', 'happened', now, leftOut === undefined ? text : `${text} ${leftOut}`);
    this.#state = { ...this.#state, backfill: backfill.n };
  }

  #add(kind: AlertKind, state: Alert['state'], now: number, text: string, since?: number): void {
    const began = since === undefined ? {} : { since: instantOf(since) };
    const alert: Alert = { n: this.#state.next, kind, state, at: instantOf(now), ...began, text };
    this.#state = { ...this.#state, next: alert.n + 1, owed: [...this.#state.owed, alert].slice(-MOST_OWED) };
  }
}

function pausedText({ pause }: Observed): string {
  const status = pause?.status === undefined ? '410: never call again' : `${pause.status}`;
  return `The endpoint answered HTTP ${status}. The job is paused, and everything is kept.`;
}

const ENDED = {
  'endpoint-unhealthy': healthyText,
  'paused-by-endpoint': () => 'The job goes on.',
  'backlog-old': () => 'No trigger waits for that long any more.',
  'holder-unreadable': () => 'Nothing waits any longer for a holder that cannot be read.',
  'backfill-lost': () => 'The backfill goes on, or was given up.',
} satisfies Readonly<Partial<Record<AlertKind, (state: Observed, since: number) => string>>>;

/** @param since when it was found to be unhealthy, epoch ms */
function healthyText({ breaker: { acceptedAt = 0 } }: Observed, since: number): string {
  return acceptedAt >= since
    ? 'The endpoint accepts requests again.'
    : 'It is not known whether the endpoint is healthy: the job was edited or stopped, and nothing was accepted since.';
}

function unhealthyText({ breaker, lastFailure, job: { definition } }: Observed): string {
  if (lastFailure?.code === ATTEMPT_CODES.workerFault)
    return 'Requests fail by a fault of the worker, not of the endpoint (see docs/errors.md: WORKER_FAULT). Only single probes are sent; everything is kept.';
  const failure = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  return breaker.isSetup
    ? (refusalInWords(breaker, lastFailure, definition.authorization) ??
        `The endpoint seems misconfigured${failure}. ${whatToCheck(lastFailure, definition.authorization)}. Nothing is lost.`)
    : `The endpoint is unhealthy${failure}. It is probed with single requests; everything is kept.`;
}

function lostText({ backfill }: Observed): string {
  return backfill === undefined ? '' : `${lostInWords(backfill)} ${WHEN_LOST}`;
}

function holdersText({ unreadable }: Observed): string {
  if (unreadable === undefined) return '';
  const { number, reason } = unreadable;
  return `The holder ${number} cannot be read (${reason}). The triggers behind it wait. See: triggers status JOB`;
}

function backlogText(state: Observed): string {
  const { lastFailure, lastDeliveredAt = 0, job } = state;
  const isWhy = lastFailure !== undefined && Date.parse(lastFailure.at) >= lastDeliveredAt;
  const why = isWhy ? ` The last failure: ${failureInWords(lastFailure)}.` : '';
  return `Triggers have waited for more than ${Math.round(job.alertBacklogMs / 60_000)} min; ${waits(state)} wait.${why}`;
}

/** Since when the longest-waiting trigger waits, epoch ms; undefined when nothing waits. */
export function waitingSince({ chains, overflow }: Pick<Observed, 'chains' | 'overflow'>): number | undefined {
  const since = Math.min(chains.waitingSince ?? Infinity, overflow.waitingSince ?? Infinity);
  return since === Infinity ? undefined : since;
}

function waits({ chains, overflow }: Observed): number {
  return chains.triggers + overflow.triggers;
}
