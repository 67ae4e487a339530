import type { Alert, AlertKind } from '../../contract/alert.ts';
import { failureInWords } from '../attempt-codes.ts';
import { instantOf } from '../instant.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import type { BackfillIntake } from './backfill-intake.ts';

/** What a job carries of its alerts; plain JSON. */
export interface CarriedAlerts {
  /** Number of the next one. */
  readonly next: number;
  /** Conditions that hold now, and since when (epoch ms). */
  readonly active: Readonly<Partial<Record<AlertKind, number>>>;
  /** Alerts that are not known to be on their way, oldest first. */
  readonly owed: readonly Alert[];
  /** How many dead letters have been reported, and when (epoch ms). */
  readonly deadLetters: number;
  readonly deadLettersAt: number;
  /** Number of the backfill whose end has been reported. */
  readonly backfill: number;
  /** Epoch ms when last nothing waited. */
  readonly emptyAt: number;
}

/** The part of a job that alerts are about. */
interface Observed {
  readonly job: { readonly alertBacklogMs: number };
  readonly breaker: { readonly isOpen: boolean; readonly isSetup: boolean };
  readonly pause: { readonly by: 'operator' | 'endpoint' } | undefined;
  readonly chains: { readonly triggers: number; oldestAt(): string | undefined };
  readonly overflow: { readonly triggers: number };
  readonly counters: { readonly deadLetters: number };
  readonly backfill: Pick<BackfillIntake, 'n' | 'state' | 'counts'> | undefined;
  readonly lastFailure: LastFailure | undefined;
}

const NO_ALERTS: CarriedAlerts = {
  next: 1,
  active: {},
  owed: [],
  deadLetters: 0,
  deadLettersAt: 0,
  backfill: 0,
  emptyAt: 0,
};

/** Dead letters are reported at most this often, in ms, however many there are. */
const DEAD_LETTERS_EVERY_MS = 60 * 60_000;
/** At most this many are kept while none can be sent; the oldest are dropped. */
const MOST_OWED = 20;

/** What a job has reported to its operators, and has yet to report: each change once, however often the job is examined. */
export class Alerts {
  #now: CarriedAlerts;

  constructor(carried: CarriedAlerts = NO_ALERTS) {
    this.#now = carried;
  }

  get owed(): readonly Alert[] {
    return this.#now.owed;
  }

  /** These are on their way. */
  confirm(alerts: readonly Alert[]): void {
    const told = new Set(alerts.map(({ n }) => n));
    this.#now = { ...this.#now, owed: this.#now.owed.filter(({ n }) => !told.has(n)) };
  }

  carry(): CarriedAlerts {
    return this.#now;
  }

  /** Examines the job, and records what has changed. */
  observe(state: Observed, now: number): void {
    this.#condition('endpoint-unwell', state.breaker.isOpen, now, () => unwellText(state));
    this.#condition('paused-by-endpoint', state.pause?.by === 'endpoint', now, () => GONE_TEXT);
    if (waits(state) === 0) this.#now = this.#now.emptyAt === now ? this.#now : { ...this.#now, emptyAt: now };
    const due = this.backlogDueAt(state);
    this.#condition('backlog-old', due !== undefined && due <= now, now, () => backlogText(state));
    this.#deadLetters(state, now);
    this.#backfill(state, now);
  }

  /** When what is waiting will have waited too long, epoch ms; undefined when nothing is waiting, or a person has paused the job. */
  backlogDueAt(state: Observed): number | undefined {
    const oldest = state.chains.oldestAt();
    if (oldest === undefined || state.pause?.by === 'operator') return undefined;
    // The `at` of a trigger may be long ago; what counts is how long it has waited here.
    return Math.max(Date.parse(oldest), this.#now.emptyAt) + state.job.alertBacklogMs;
  }

  #condition(kind: AlertKind, holds: boolean, now: number, text: () => string): void {
    const since = this.#now.active[kind];
    if (holds === (since !== undefined)) return;
    if (since === undefined) {
      this.#add(kind, 'began', now, text());
      this.#now = { ...this.#now, active: { ...this.#now.active, [kind]: now } };
      return;
    }
    this.#add(kind, 'ended', now, ENDED[kind] ?? '', since);
    const { [kind]: _, ...active } = this.#now.active;
    this.#now = { ...this.#now, active };
  }

  #deadLetters({ counters }: Observed, now: number): void {
    const { deadLetters, deadLettersAt } = this.#now;
    const fresh = counters.deadLetters - deadLetters;
    if (fresh <= 0 || now - deadLettersAt < DEAD_LETTERS_EVERY_MS) return;
    this.#add(
      'dead-letters',
      'happened',
      now,
      `${fresh} new dead letter${fresh === 1 ? '' : 's'} (${counters.deadLetters} so far).`,
    );
    this.#now = { ...this.#now, deadLetters: counters.deadLetters, deadLettersAt: now };
  }

  #backfill({ backfill }: Observed, now: number): void {
    if (backfill === undefined || backfill.n === this.#now.backfill) return;
    if (backfill.state !== 'finished' && backfill.state !== 'lost') return;
    const text =
      backfill.state === 'finished'
        ? `Backfill ${backfill.n} is finished: ${backfill.counts.delivered} people were sent.`
        : `Backfill ${backfill.n} was lost: its workflow has ended. Start another one.`;
    this.#add(`backfill-${backfill.state}`, 'happened', now, text);
    this.#now = { ...this.#now, backfill: backfill.n };
  }

  #add(kind: AlertKind, state: Alert['state'], now: number, text: string, since?: number): void {
    const began = since === undefined ? {} : { since: instantOf(since) };
    const alert: Alert = { n: this.#now.next, kind, state, at: instantOf(now), ...began, text };
    this.#now = { ...this.#now, next: alert.n + 1, owed: [...this.#now.owed, alert].slice(-MOST_OWED) };
  }
}

const GONE_TEXT = 'The endpoint answered HTTP 410: never call again. The job is paused, and everything is kept.';

const ENDED: Readonly<Partial<Record<AlertKind, string>>> = {
  'endpoint-unwell': 'The endpoint takes requests again.',
  'paused-by-endpoint': 'The job goes on.',
  'backlog-old': 'What is waiting is recent again.',
};

function unwellText({ breaker, lastFailure }: Observed): string {
  const said = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  return breaker.isSetup
    ? `The endpoint seems wrongly set up${said}. A person has to correct that; everything is kept.`
    : `The endpoint is unwell${said}. It is probed with single requests; everything is kept.`;
}

function backlogText(state: Observed): string {
  return `Triggers have waited for more than ${Math.round(state.job.alertBacklogMs / 60_000)} min; ${waits(state)} wait.`;
}

function waits({ chains, overflow }: Observed): number {
  return chains.triggers + overflow.triggers;
}
