import type { JobFact } from '../../client/calls/job-fact.ts';
import type { Audience } from '../../contract/audience.ts';
import type { DeadLetter, RedeliveryAnswer, RedeliveryRefusal } from '../../contract/dead-letter.ts';
import type {
  JobDiscarded,
  MemberFound,
  TraceEvent,
  TriggerAttempted,
  TriggerDied,
  TriggerReceived,
} from './events.ts';
import type { SliceTrigger } from '../../contract/slice.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { readRedelivery } from '../../domain/job/dead-letter.ts';
import { deliveryId } from '../../domain/delivery-id.ts';
import { instantOf } from '../../domain/instant.ts';
import { isMemberPage } from '../../domain/job/arriving.ts';
import type { Arrival } from '../../domain/job/steps.ts';
import { membersOf } from '../../domain/job/queue/waiting-pages.ts';
import { type NewestChanges, newerChange } from '../../domain/job/queue/memory.ts';
import { type CarriedJob, isCarriedJob } from '../../domain/job/carrying.ts';
import { isPreparedJob } from '../../domain/job/operating.ts';
import { isRecord } from '../../domain/json.ts';
import { deadLetterId, findAudience } from '../../domain/names.ts';
import { supersededText } from '../../domain/slice.ts';
import { attemptsOf } from '../../client/jobs/slice-attempts.ts';
import { MAX_TRIGGER_BYTES, readTrigger } from '../../domain/trigger.ts';
import { failureInWords } from '../../domain/verdict.ts';

/** The facts about a person from histories alone, without the outcome of a dead letter. */
export type Traced =
  TriggerReceived | MemberFound | TriggerAttempted | JobDiscarded | Omit<TriggerDied, 'state' | 'notice'>;

type FactOf<Kind extends JobFact['kind']> = Extract<JobFact, { kind: Kind }>;
/** Where and when something came. */
type EventMoment = Pick<JobFact, 'runId' | 'atMs'>;

/**
 * Picks the events of one person from the facts of a job's runs, in their order. It remembers little: how often each waiting trigger was
 * tried, and signals that came before the job knew its audiences.
 */
export class PersonTrace {
  readonly #jobId: string;
  readonly #user: string;
  /** Undefined before the job's definition was checked. */
  #audiences: readonly Audience[] | undefined;
  #names: readonly Audience[] = [];
  /** Redeliveries that the job has not answered yet, by run and question. */
  readonly #asked = new Map<string, TriggerReceived>();
  /** First runs of the dead letters that came back. */
  readonly #takenLetters = new Set<string>();
  /** Whether the job drops late changes, and the newest changes to compare them with. */
  #dropsStale = false;
  #newest: NewestChanges = new Map();
  #early: { readonly came: EventMoment; readonly raw: unknown; readonly event: TriggerEvent | undefined }[] = [];
  /** Triggers that are known to be superseded, by delivery id: the trace shows each once. */
  readonly #superseded = new Set<string>();
  /** Whether the job was told to drop waiting triggers. */
  #isDiscarding = false;
  /** Pages that are sent twice contain nothing new. */
  readonly #pages = new Set<string>();

  constructor(jobId: string, user: string) {
    this.#jobId = jobId;
    this.#user = user;
  }

  /** Returns the events about the person in a fact. */
  take(fact: JobFact): Traced[] {
    switch (fact.kind) {
      case 'began':
        return this.#began(fact.args[0]);
      case 'prepared':
        return this.#prepared(fact.result);
      case 'signalled':
        return fact.arrivals.flatMap((arrival) => this.#arrived(fact, arrival));
      case 'slice':
        return this.#slice(fact);
      case 'stop-asked':
        return fact.waiting === 'discard' ? this.#discarded(fact) : [];
      case 'died':
        return fact.letters.filter(({ user }) => user === this.#user).map((letter) => this.#died(letter));
      case 'answered':
        return fact.answers.flatMap(({ answer }) => this.#answered(answer));
      case 'closed':
        // Signals to a job that ended before its definition was checked.
        return this.#receivedEarly();
      default:
        return [];
    }
  }

  #began(input: unknown): Traced[] {
    if (isCarriedJob(input)) this.#carriedOn(input);
    return isPreparedJob(input) ? this.#prepared(input) : [];
  }

  #carriedOn({ job, newest }: CarriedJob): void {
    this.#dropsStale = job.definition.stale === 'drop';
    if (this.#dropsStale) this.#newest = new Map(newest);
    this.#audiences = job.audiences;
    this.#names = [...job.audiences, ...job.formerAudiences];
  }

  /** A definition or an edit took effect. */
  #prepared(result: unknown): Traced[] {
    if (!isRecord(result) || !Array.isArray(result['audiences'])) return [];
    this.#audiences = result['audiences'] as readonly Audience[]; // Our own `prepareJob` returned it.
    this.#names = [...this.#audiences, ...this.#names];
    this.#dropsStale = isRecord(result['definition']) && result['definition']['stale'] === 'drop';
    return this.#receivedEarly();
  }

  #receivedEarly(): Traced[] {
    return this.#early.splice(0).map(({ came, raw, event }) => this.#received(came, raw, event));
  }

  /** Asked again, it drops nothing more. */
  #discarded({ runId, atMs }: EventMoment): Traced[] {
    if (this.#isDiscarding) return [];
    this.#isDiscarding = true;
    return [{ kind: 'discarded', jobId: this.#jobId, runId, at: instantOf(atMs) }];
  }

  #arrived(came: EventMoment, arrival: Arrival): Traced[] {
    switch (arrival.kind) {
      case 'trigger': {
        const { raw, event } = arrival;
        if (!isRecord(raw) || raw['user'] !== this.#user) return [];
        if (this.#audiences !== undefined) return [this.#received(came, raw, event)];
        this.#early.push({ came, raw, event });
        return [];
      }
      case 'redelivery':
        this.#redelivered(came, arrival.raw);
        return [];
      case 'page':
        return this.#page(came, arrival.raw);
      default:
        return [];
    }
  }

  #received({ runId, atMs }: EventMoment, raw: unknown, event: TriggerEvent | undefined): TriggerReceived {
    const line = { kind: 'received' as const, jobId: this.#jobId, runId, at: instantOf(atMs) };
    const reading = readTrigger(raw, event);
    if (!reading.ok) return { ...line, ...(event === undefined ? {} : { event }), refused: reading.reason };
    const { trigger } = reading;
    const audience = findAudience(this.#audiences ?? [], trigger.audience);
    const isOthers = this.#audiences !== undefined && audience === undefined;
    const change = { user: this.#user, audience: audience?.id ?? '', at: trigger.at ?? line.at };
    const newer = audience === undefined ? undefined : newerChange(this.#newest, change);
    const isLate = this.#dropsStale && trigger.at !== undefined && newer !== undefined;
    return {
      ...line,
      event: trigger.event,
      audience: audience?.slug ?? trigger.audience,
      ...(trigger.at === undefined ? {} : { triggerAt: trigger.at }),
      ...(isLate ? { newerAt: newer } : {}),
      ...(isOthers ? { refused: `the job does not subscribe to audience "${trigger.audience}"` } : {}),
    };
  }

  /** A dead letter asks the job to take it. */
  #redelivered({ runId, atMs }: EventMoment, raw: unknown): void {
    const reading = readRedelivery(raw, MAX_TRIGGER_BYTES);
    if (!reading.ok || reading.redelivery.user !== this.#user || reading.redelivery.isWithdrawn) return;
    const { asking, trigger } = reading.redelivery;
    const { audience, event, at, redelivery } = trigger;
    this.#asked.set(questionText(asking), {
      kind: 'received',
      jobId: this.#jobId,
      runId,
      at: instantOf(atMs),
      event,
      audience: this.#slugOf(audience),
      triggerAt: at,
      redelivery,
    });
  }

  /** The job alone knows whether it takes a dead letter. */
  #answered(answer: RedeliveryAnswer): Traced[] {
    const { runId, refusal } = answer;
    const asked = this.#asked.get(questionText(answer));
    this.#asked.delete(questionText(answer));
    // It may ask again, but is taken only once.
    if (asked === undefined || this.#takenLetters.has(runId)) return [];
    if (refusal === undefined) this.#takenLetters.add(runId);
    return [{ ...asked, ...(refusal === undefined ? {} : { refused: REFUSALS[refusal] }) }];
  }

  #page({ runId, atMs }: EventMoment, raw: unknown): Traced[] {
    if (!isMemberPage(raw)) return [];
    const page = `${raw.n}/${raw.number}`;
    const own = membersOf(raw).filter(({ user }) => user === this.#user);
    if (own.length === 0 || this.#pages.has(page)) return [];
    this.#pages.add(page);
    const line = { kind: 'found' as const, jobId: this.#jobId, runId, at: instantOf(atMs), backfill: raw.n };
    return own.map(({ audience, event, at }) => ({
      ...line,
      audience: this.#slugOf(audience),
      ...(event === 'enter' && at === undefined ? {} : { event }),
      ...(at === undefined ? {} : { triggerAt: at }),
    }));
  }

  #slice(fact: FactOf<'slice'>): Traced[] {
    const { triggers } = fact.slice;
    let isOver = false;
    const attempts = attemptsOf({ jobId: this.#jobId, ...fact }, fact, (index, outcome) => {
      if (triggers[index]?.user !== this.#user) return false;
      // After a trigger that did not get through, the person's others were not going to be sent in this slice.
      if (isOver && outcome === 'unsent') return false;
      isOver ||= outcome === 'failed' || outcome === 'skipped' || outcome === 'unsent';
      return true;
    });
    const told = attempts.map((attempt): Traced => {
      const at = attempt.endedAt ?? attempt.startedAt ?? instantOf(fact.atMs);
      return { kind: 'attempted', at, ...attempt };
    });
    return [...triggers.flatMap((trigger) => this.#replaced(fact, trigger)), ...told];
  }

  /** The trigger that this one replaced. */
  #replaced({ slice, runId, atMs, startedAtMs = atMs }: FactOf<'slice'>, by: SliceTrigger): Traced[] {
    const { user, audience, superseded } = by;
    if (user !== this.#user || superseded === undefined) return [];
    const { event, at: triggerAt, replay } = superseded;
    const id = deliveryId(slice.settings.subscriptionId, { user, audience, event, at: triggerAt });
    if (this.#superseded.has(id)) return [];
    this.#superseded.add(id);
    const trigger = { jobId: this.#jobId, runId, user, event, audience: this.#slugOf(audience), triggerAt };
    const lane = replay === true ? 'replay' : 'backfill';
    const what = { outcome: 'superseded' as const, answer: supersededText(by), deliveryId: id, lane } as const;
    return [{ kind: 'attempted', at: instantOf(startedAtMs), ...trigger, ...what }];
  }

  #died(letter: DeadLetter): Omit<TriggerDied, 'state' | 'notice'> {
    return {
      kind: 'died',
      jobId: this.#jobId,
      at: letter.diedAt,
      deadLetterId: deadLetterId(letter.deliveryId, letter.redeliveries),
      event: letter.event,
      audience: letter.audience.slug,
      triggerAt: letter.at,
      failure: failureInWords(letter.failure),
      attempts: letter.attempts,
    };
  }

  #slugOf(audience: string): string {
    return findAudience(this.#names, audience)?.slug ?? audience;
  }
}

/** Why a job did not take a dead letter. */
const REFUSALS: Readonly<Record<RedeliveryRefusal, string>> = {
  'other-subscription': 'it belongs to an earlier job of this id',
  'audience-left': 'the job no longer subscribes to its audience',
  stopped: 'the job was stopped',
  discarding: 'the job was stopping, and dropped what waited',
  withdrawn: 'it was withdrawn',
  unreadable: 'the job could not read it',
};

function questionText({ runId, question }: Pick<RedeliveryAnswer, 'runId' | 'question'>): string {
  return `${runId} ${question}`;
}

/** Whether an event of a trace shows that its job knows the person. A trigger may wait for longer than the histories that record it are kept. */
export function knowsPerson(event: TraceEvent): boolean {
  if (event.kind !== 'stands') return event.kind !== 'left-out' && event.kind !== 'discarded';
  const { standing } = event;
  return standing !== undefined && (standing.waitingCount > 0 || standing.inPages || standing.pendingDeadLetters > 0);
}
