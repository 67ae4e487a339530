import type { PersonStanding } from '../../contract/person-standing.ts';
import type { Attempt } from '../../client/job-client.ts';
import type { TraceEvent } from './events.ts';
import { askerInWords } from '../../words/audit.ts';
import { knownInstant } from '../../domain/instant.ts';
import { counted, duration, exactTime, printable, printableReason, shownTime } from '../../domain/text.ts';
import { waitText } from '../../words/standing.ts';
import { failureInWords, VERDICTS } from '../../domain/verdict.ts';
import { type Paint, plain } from '../../cli/terminal.ts';
import { count, fromNow, wrap } from '../../cli/text.ts';

const TIME_WIDTH = 12;
/** As many characters as the receiver shows: enough to find an id in a log. */
const ID_DIGITS = 12;

/** The time of day of an RFC 3339 time, in UTC. */
function timeOfDay(at: string): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** A line about something that happened at a time; its continuation lines are indented. */
function timedLines(at: string, text: string, columns: number): string[] {
  return wrap(text, Math.max(20, columns - TIME_WIDTH)).map(
    (line, row) => `  ${(row === 0 ? timeOfDay(at) : '').padEnd(TIME_WIDTH - 2)}${line}`,
  );
}

/** The outcome of an attempt, in words: `HTTP 503 in 84 ms "busy"`. */
function outcomeText(attempt: Attempt, paint: Paint): string {
  const { outcome, verdict, durationMs, answer, status } = attempt;
  // No request was made: there is no duration, and the text is the reason.
  const took = durationMs === undefined || durationMs === 0 ? '' : ` in ${Math.round(durationMs)} ms`;
  switch (outcome) {
    case 'delivered':
      return paint('green', 'delivered') + (status === undefined ? '' : `, HTTP ${status}`) + took;
    case 'unsent':
      return 'returned unsent, since its slice ended first';
    case 'superseded':
      return `dropped: ${printable(answer ?? '')}`;
    case 'skipped':
      return `skipped by a template of the job${answer === undefined || answer === '' ? '' : `: "${printable(answer)}"`}`;
    case 'running':
      return 'is being sent now';
    case 'unknown':
      return paint(
        'yellow',
        'its slice was lost, so it may have been sent; it will be sent again, with the same webhook-id',
      );
    case 'failed': {
      const answerText = answer === undefined || answer === '' ? '' : ` "${printable(answer)}"`;
      return paint('red', failureInWords(attempt)) + took + answerText + meaning(verdict, attempt);
    }
  }
}

function meaning(verdict: Attempt['verdict'], { retryAfterMs }: Attempt): string {
  switch (verdict === undefined ? null : VERDICTS[verdict].asksTo) {
    case 'wait':
      return `, which asks the whole job to wait${retryAfterMs === undefined || retryAfterMs === 0 ? '' : ` ${duration(retryAfterMs)}`}`;
    case 'end':
      return ', which asks never to be called again';
    case 'pause':
      return ', at which the job pauses';
    case null:
      return '';
  }
}

/** `webhook-id f1c51a9fc5c2…` */
function shownId(deliveryId: string): string {
  return `webhook-id ${deliveryId.slice(0, ID_DIGITS)}…`;
}

/** One attempt of the list: when, which event, whose, and with what result. */
export function attemptLines(attempt: Attempt, options: { columns?: number; paint?: Paint } = {}): string[] {
  const { columns = 80, paint = plain } = options;
  const { endedAt, startedAt, user, event, audience, deliveryId } = attempt;
  const text = `${event} of ${printable(user)}, ${printable(audience)}: ${outcomeText(attempt, paint)}; ${shownId(deliveryId)}`;
  return timedLines(endedAt ?? startedAt ?? attempt.triggerAt, text, columns);
}

type EventOf<Kind extends TraceEvent['kind']> = Extract<TraceEvent, { kind: Kind }>;

/** Tells a trace as a story, job by job, at most `columns` wide. Times are UTC. */
export class TraceStory {
  readonly #nowMs: number;
  readonly #columns: number;
  readonly #paint: Paint;
  #jobId: string | undefined;
  #day: string | undefined;
  /** The result of the last failed attempt, in words. */
  #lastFailure: string | undefined;
  /** A dead letter waits for a decision. */
  #hasDeadLetter = false;
  /** The changes that the job has received. */
  readonly #received = new Set<string>();

  constructor({ nowMs, columns = 80, paint = plain }: { nowMs: number; columns?: number; paint?: Paint }) {
    this.#nowMs = nowMs;
    this.#columns = columns;
    this.#paint = paint;
  }

  lines(event: TraceEvent): string[] {
    return [...this.#headings(event), ...this.#linesOf(event)];
  }

  #headings({ jobId, kind, at }: TraceEvent): string[] {
    const lines: string[] = [];
    if (jobId !== this.#jobId) {
      this.#lastFailure = undefined;
      this.#hasDeadLetter = false;
      this.#received.clear();
      this.#day = undefined;
      this.#jobId = jobId;
      lines.push(`Job ${this.#paint('bold', printable(jobId))}`);
    }
    const day = at.slice(0, 10);
    if (kind !== 'stands' && kind !== 'left-out' && day !== this.#day) {
      this.#day = day;
      lines.push(this.#paint('dim', `  ${day}, UTC`));
    }
    return lines;
  }

  /** Whether the job got the same change before, as far back as the story goes. A trigger without a time of its own counts as a new one each time. */
  #isAgain({ event, audience, triggerAt, redelivery, refused }: EventOf<'received'>): boolean {
    if (triggerAt === undefined || redelivery !== undefined || refused !== undefined) return false;
    const change = `${event ?? ''} ${audience ?? ''} ${knownInstant(triggerAt) ?? triggerAt}`;
    if (this.#received.has(change)) return true;
    this.#received.add(change);
    return false;
  }

  #linesOf(event: TraceEvent): string[] {
    switch (event.kind) {
      case 'received':
        return timedLines(event.at, receivedText(event, this.#isAgain(event)), this.#columns);
      case 'found':
        return timedLines(event.at, foundText(event), this.#columns);
      case 'attempted':
        return timedLines(event.at, this.#attemptText(event), this.#columns);
      case 'died':
        return timedLines(event.at, this.#diedText(event), this.#columns);
      case 'discarded':
        return timedLines(event.at, this.#discardedText(), this.#columns);
      case 'stands':
        return this.#wrapped(
          standsText(event, this.#nowMs, { lastFailure: this.#lastFailure, hasDeadLetter: this.#hasDeadLetter }),
        );
      case 'left-out':
        return this.#wrapped(this.#paint('yellow', `Left out: ${printableReason(event.reason)}`));
    }
  }

  #attemptText(attempt: EventOf<'attempted'>): string {
    const { event, audience, outcome, deliveryId, attempt: which, lane } = attempt;
    if (outcome === 'failed') this.#lastFailure = failureInWords(attempt);
    if (outcome === 'delivered') this.#lastFailure = undefined;
    const number = which === undefined ? '' : `, attempt ${count(which)}`;
    const id = outcome === 'delivered' || outcome === 'unknown' ? `; ${shownId(deliveryId)}` : '';
    const why = lane === undefined ? '' : ` (${lane})`;
    return `${event} ${printable(audience)}${why}${number}: ${outcomeText(attempt, this.#paint)}${id}`;
  }

  #diedText({ event, audience, failure, attempts, deadLetterId, state, notice, decision }: EventOf<'died'>): string {
    const id = printable(deadLetterId);
    const what = `${event} ${printable(audience)} became a ${this.#paint('red', 'dead letter')} after ${counted(attempts, 'attempt')} (${printable(failure)})`;
    const why = notice === undefined ? '' : ` It was not redelivered: ${printableReason(notice)}`;
    if (state !== 'waiting' && state !== 'redelivering')
      return `${what}; ${ENDS[state]}${decision === undefined ? '' : ` ${printableReason(askerInWords(decision))}`}`;
    this.#hasDeadLetter = true;
    return `${what}. It waits for a decision: triggers dead-letters show ${id}${why}`;
  }

  #discardedText(): string {
    return `the job was stopped with --waiting discard: what it had not sent by then was ${this.#paint('yellow', 'dropped')}`;
  }

  #wrapped(text: string): string[] {
    return wrap(text, Math.max(20, this.#columns - 2)).map((line) => `  ${line}`);
  }
}

const ENDS: Readonly<Record<Exclude<EventOf<'died'>['state'], 'waiting' | 'redelivering'>, string>> = {
  redelivered: 'it was returned to its job',
  discarded: 'it was discarded',
  expired: 'nobody decided in time',
  terminated: 'its workflow was terminated or cancelled, so it will not be sent',
  gone: 'the server no longer knows what became of it',
};

function foundText({ audience, event, triggerAt, backfill }: EventOf<'found'>): string {
  if (triggerAt !== undefined)
    return `${event} ${printable(audience)} (at ${printable(exactTime(triggerAt))}) is told again, by backfill ${backfill}`;
  return event === 'exit'
    ? `no member of ${printable(audience)}, and the endpoint has them: found by backfill ${backfill}`
    : `found among the members of ${printable(audience)}, by backfill ${backfill}`;
}

function receivedText(
  { event, audience, triggerAt, redelivery, newerAt, refused }: EventOf<'received'>,
  isAgain: boolean,
): string {
  const what = [event, audience].filter((part) => part !== undefined).join(' ') || 'a trigger';
  const at = triggerAt === undefined ? '' : ` (at ${printable(exactTime(triggerAt))})`;
  if (redelivery !== undefined && refused !== undefined)
    return `${printable(what)}${at}: the job did not take it back from its dead letter: ${printable(refused)}`;
  if (refused !== undefined) return `${printable(what)} rejected: ${printable(refused)}`;
  if (redelivery !== undefined) return `${printable(what)} returned to the job from its dead letter${at}`;
  if (newerAt !== undefined)
    return `${printable(what)} received late${at} and dropped: the job had accepted a newer change, of ${printable(exactTime(newerAt))}`;
  return `${printable(what)} received${isAgain ? ' again: a repeat' : ''}${at}`;
}

/** The person's standing, in words, given the story so far. */
function standsText(
  { standing, notice }: EventOf<'stands'>,
  nowMs: number,
  { lastFailure, hasDeadLetter }: { readonly lastFailure: string | undefined; readonly hasDeadLetter: boolean },
): string {
  const doubt = notice === undefined ? '' : ` ${printableReason(notice)}`;
  if (standing === undefined) return `Waiting triggers: unknown.${doubt}`;
  const why = waitText(standing, (at) => `at ${timeNear(at, nowMs)} (${fromNow(at, nowMs)})`, lastFailure);
  return printable(`${waitingText(standing, hasDeadLetter)} ${why}`.trim()) + doubt;
}

function waitingText({ waiting, waitingCount, inPages }: PersonStanding, hasDeadLetter: boolean): string {
  if (waitingCount === 0) return inPages ? '' : `Nothing ${hasDeadLetter ? 'else ' : ''}waits.`;
  const listed = waiting.slice(0, SHOWN).map(({ event, audience }) => `${event} ${audience}`);
  const more = waitingCount > listed.length ? ' …' : '';
  return `${counted(waitingCount, 'trigger')} ${waitingCount === 1 ? 'waits' : 'wait'}: ${listed.join(', ')}${more}.`;
}

const SHOWN = 6;

/** The time of day alone, in UTC, where nobody can mistake the day. */
function timeNear(at: string, nowMs: number): string {
  const isNear = Math.abs(Date.parse(at) - nowMs) < 12 * 60 * 60_000;
  return isNear ? timeOfDay(at) : shownTime(at);
}
