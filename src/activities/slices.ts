import type { Logger } from '@temporalio/common';
import type { Audience } from '../contract/audience.ts';
import type { FailedAttempt, SliceInput, SliceKind, SliceProgress, SliceTrigger } from '../contract/slice.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import type { Profile } from '../domain/message.ts';
import { ATTEMPT_CODES, judge, type Verdict } from '../domain/verdict.ts';
import { type HttpAttempt, isUnauthorized, type Poster, shownFault } from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorizations.ts';
import { makeRequest, MessageImpossible, type RequestMarks, type WebhookRequest } from '../webhook/request.ts';
import { sha256 } from '../webhook/signature.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import type { SliceTracing, TracedAttempt } from './deliver.ts';

/** Which triggers of a slice are settled: what heartbeats report, and what a later attempt of the activity starts from. */
export class SettledTriggers {
  readonly #delivered: Uint8Array;
  #deliveredCount = 0;
  readonly failed = new Map<number, FailedAttempt>();

  constructor(size: number, before: SliceProgress | undefined) {
    this.#delivered = new Uint8Array(size);
    for (const [first, last] of before?.delivered ?? []) {
      for (let index = first; index <= last; index++) this.deliver(index);
    }
    for (const attempt of before?.failed ?? []) this.failed.set(attempt.index, attempt);
  }

  /** How many are settled, delivered or failed. */
  get count(): number {
    return this.#deliveredCount + this.failed.size;
  }

  deliver(index: number): void {
    if (this.#delivered[index] === 0) this.#deliveredCount++;
    this.#delivered[index] = 1;
  }

  isDelivered(index: number): boolean {
    return this.#delivered[index] === 1;
  }

  /** Places that are neither delivered nor failed. */
  unsent(): number[] {
    const unsent: number[] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1 && !this.failed.has(index)) unsent.push(index);
    }
    return unsent;
  }

  progress(): SliceProgress {
    const ranges: [number, number][] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === index - 1) last[1] = index;
      else ranges.push([index, index]);
    }
    return { delivered: ranges, failed: [...this.failed.values()] };
  }
}

/** What is counted about deliveries. A verdict here may also be `delivered`; a status class is `2xx` … `5xx`, or `none` where no status came. */
export interface DeliveryMetrics {
  sliceBegan(permits: number): void;
  sliceEnded(permits: number): void;
  requestBegan(): void;
  requestEnded(statusClass: string, durationMs: number): void;
  attempted(kind: SliceKind, verdict: string, statusClass: string, count: number): void;
  /** `ageMs`: from the trigger's `at` until now. */
  delivered(kind: SliceKind, ageMs: number): void;
}

/** An attempt, with or without a request, as far as it is counted, logged and traced. */
interface Ended extends TracedAttempt, Pick<FailedAttempt, 'durationMs'> {
  /** Why we made no request: a code of ours, and nothing that an endpoint wrote. */
  readonly reason?: string | undefined;
}

interface Tally {
  readonly verdict: Verdict | 'delivered';
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  count: number;
  /** Of the longest. */
  durationMs: number;
}

export interface SliceTelemetryOptions {
  readonly slice: SliceInput;
  readonly log: Logger;
  /** Each attempt is logged, at `debug`. */
  readonly logsAttempts: boolean;
  /** Absent: nothing is counted. */
  readonly metrics?: DeliveryMetrics | undefined;
  /** Absent: nothing is told. */
  readonly tracing?: SliceTracing | undefined;
}

/**
 * Counts, logs and traces the attempts of one slice. At the usual level it logs one line for each kind of failure in a slice, with a count,
 * so that a million deliveries log nothing and a million refusals do not log a million lines; `debug` has a line for each attempt. No line
 * names a person.
 */
export class SliceTelemetry {
  readonly #options: SliceTelemetryOptions;
  readonly #kind: SliceKind;
  readonly #tallies = new Map<string | number, Tally>();

  constructor(options: SliceTelemetryOptions) {
    this.#options = options;
    this.#kind = options.slice.kind ?? 'live';
    options.metrics?.sliceBegan(options.slice.permits);
  }

  /** A request for the trigger at this place is about to be made. Returns the trace context that it carries, where there are traces. */
  requestBegins(index: number): RequestMarks | undefined {
    return this.#options.tracing?.requestBegins(index);
  }

  requestBegan(): void {
    this.#options.metrics?.requestBegan();
  }

  /** The request for the trigger at this place has ended. */
  requestEnded(index: number, attempt: Ended): void {
    const { metrics, slice, tracing } = this.#options;
    tracing?.requestEnded(index, attempt);
    metrics?.requestEnded(statusClassOf(attempt.status), attempt.durationMs);
    const at = slice.triggers[index]?.at;
    // If this clock is behind the one that gave `at`, the age would be negative.
    if (attempt.ok && metrics !== undefined && at !== undefined)
      metrics.delivered(this.#kind, Math.max(0, Date.now() - Date.parse(at)));
    this.#count(index, attempt);
  }

  /** The attempt for the trigger at this place ended without a request. */
  attempted(index: number, attempt: Ended): void {
    this.#options.tracing?.attempted(index, attempt);
    this.#count(index, attempt);
  }

  /** The source was asked for profiles. @param startedAtMs epoch ms. */
  profilesRead(startedAtMs: number, isAnswered: boolean): void {
    this.#options.tracing?.profilesRead(startedAtMs, isAnswered);
  }

  /** The slice is over. Called once. */
  close(): void {
    const { slice, log, metrics } = this.#options;
    metrics?.sliceEnded(slice.permits);
    for (const { verdict, status, code, reason, count, durationMs } of this.#tallies.values()) {
      metrics?.attempted(this.#kind, verdict, statusClassOf(status), count);
      if (verdict === 'delivered') continue;
      log.warn('attempts failed', { slice: slice.sliceId, verdict, status, code, reason, count, durationMs });
    }
  }

  #count(index: number, attempt: Ended): void {
    const { status, code, reason, durationMs } = attempt;
    const key = status ?? code ?? '';
    const known = this.#tallies.get(key);
    if (known === undefined) {
      const verdict = attempt.ok ? 'delivered' : judge(attempt);
      this.#tallies.set(key, { verdict, status, code, reason, count: 1, durationMs });
    } else {
      known.count++;
      known.durationMs = Math.max(known.durationMs, durationMs);
    }
    if (this.#options.logsAttempts) this.#logAttempt(index, attempt);
  }

  #logAttempt(index: number, attempt: Ended): void {
    const { slice, log } = this.#options;
    const trigger = slice.triggers[index];
    if (trigger === undefined) return;
    const { status, code, durationMs } = attempt;
    log.debug('attempted', {
      slice: slice.sliceId,
      deliveryId: deliveryId(slice.settings.subscriptionId, trigger, sha256),
      verdict: attempt.ok ? 'delivered' : judge(attempt),
      status,
      code,
      durationMs,
    });
  }
}

/** HTTP's statuses have three digits. */
const STATUS_CLASSES = Array.from({ length: 10 }, (_, hundreds) => `${hundreds}xx`);

function statusClassOf(status: number | undefined): string {
  return (status === undefined ? undefined : STATUS_CLASSES[Math.floor(status / 100)]) ?? 'none';
}

/** How long requests may stay open after the budget is over before the permits of the idle lanes go back. */
const TAIL_MS = 250;
/** After failures for this many different people in a row, a slice considers the endpoint unwell. */
const UNWELL_AFTER = 3;
/** After refusals for this many different people in a row, their payloads are not what is wrong: the job's breaker opens at the same number. */
const REFUSING_AFTER = 10;

export interface SliceSendingOptions {
  readonly slice: SliceInput;
  readonly settled: SettledTriggers;
  readonly telemetry: SliceTelemetry;
  readonly url: URL;
  readonly poster: Poster;
  readonly userAgent: string;
  readonly authorization: RequestAuthorization;
  /** Undefined: the source did not answer. */
  readonly profiles: ReadonlyMap<string, Profile> | undefined;
  /** Why it did not, as far as people may read that. */
  readonly sourceTrouble?: string;
  /** At most this many requests in flight. */
  readonly permits: number;
  /** Aborted when the slice is no longer wanted, because its job was terminated, say. */
  readonly cancelled: AbortSignal;
  /** Absent: no permits are given back. */
  readonly returnPermits?: (left: number) => Promise<void>;
}

/** Why there is no request. */
type Unmade = Pick<FailedAttempt, 'code' | 'answer'>;

/** One permit in use: the place of its trigger, and where its person's triggers end. */
interface Lane {
  next: number;
  end: number;
  /** What the open request carries. */
  authorization: RequestAuthorization;
  /** Whether the open request is the second one for its trigger, with another token than the first. */
  isSecond: boolean;
}

/**
 * Sends the triggers of one slice. There are as many lanes as permits; each takes one person after another and sends their triggers one
 * after another, so that a person's triggers never overtake each other. After a trigger that did not get through, the person's later ones
 * stay unsent.
 */
export class SliceSending {
  readonly #options: SliceSendingOptions;
  readonly #audiences: ReadonlyMap<string, Audience>;
  /** Where each person's triggers begin; a person's triggers are adjacent. */
  readonly #people: number[] = [];
  #nextPerson = 0;
  #failuresInRow = 0;
  #refusalsInRow = 0;
  #isUnwell = false;
  readonly #endsAtMs: number;
  readonly #endsAtWall: number;
  #openLanes: number;
  #authorization: RequestAuthorization;
  readonly #inUrl: readonly string[];

  constructor(options: SliceSendingOptions) {
    const { triggers, budgetMs, audiences } = options.slice;
    this.#options = options;
    this.#authorization = options.authorization;
    this.#inUrl = secretsIn(options.url);
    this.#audiences = new Map(audiences.map((audience) => [audience.id, audience]));
    for (const [index, { user }] of triggers.entries()) {
      if (user !== triggers[index - 1]?.user) this.#people.push(index);
    }
    this.#endsAtMs = performance.now() + budgetMs;
    this.#endsAtWall = Date.now() + budgetMs;
    this.#openLanes = Math.min(options.permits, this.#people.length);
  }

  async run(): Promise<void> {
    const lanes = Array.from({ length: this.#openLanes }, () => this.#runLane());
    const tail = setTimeout(() => this.#returnIdlePermits(), this.#options.slice.budgetMs + TAIL_MS);
    const ends = await Promise.allSettled(lanes);
    clearTimeout(tail);
    // Checked only now: the slice of a failed activity soon goes to another worker.
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Sends one person after another, and each person's triggers one after another, until nobody is left or nothing more may be started. */
  #runLane(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        this.#isUnwell = true; // The other lanes start nothing more.
        reject(error);
      };
      const lane: Lane = { next: 0, end: 0, authorization: this.#authorization, isSecond: false };
      const goOn = (attempt?: HttpAttempt): void => {
        try {
          if (attempt !== undefined) {
            if (isUnauthorized(attempt) && !lane.isSecond) {
              this.#goOnWithAnother(lane, attempt, goOn).catch(fail);
              return;
            }
            this.#settle(lane.next, withoutEcho(attempt, lane.authorization.secrets, this.#inUrl));
            if (attempt.ok) lane.authorization.taken();
          }
          if (this.#startNext(lane, ended)) return;
          this.#openLanes--;
          resolve();
        } catch (error) {
          fail(error); // The connection, which calls this, would take it for its own.
        }
      };
      const ended = (attempt: HttpAttempt): void => {
        this.#options.telemetry.requestEnded(lane.next, attempt);
        goOn(attempt);
      };
      goOn();
    });
  }

  /** Starts the lane's next request; false when there is none to start. */
  #startNext(lane: Lane, done: (attempt: HttpAttempt) => void): boolean {
    const { slice, poster, url, telemetry } = this.#options;
    for (;;) {
      const trigger = this.#moveOn(lane);
      if (trigger === undefined || !this.#mayStart()) return false;
      lane.authorization = this.#authorization;
      const request = this.#makeRequest(trigger, lane.next);
      if ('headers' in request) {
        telemetry.requestBegan();
        poster.post(url, request, slice.settings.requestTimeoutMs, done);
        return true;
      }
      const attempt = { ok: false, ...request, durationMs: 0 } as const;
      telemetry.attempted(lane.next, attempt);
      this.#settle(lane.next, attempt);
    }
  }

  /** The endpoint did not accept the authorization: if that was a token that may have expired, the trigger is sent once more, with another. */
  async #goOnWithAnother(lane: Lane, refused: HttpAttempt, goOn: (attempt?: HttpAttempt) => void): Promise<void> {
    const other = await lane.authorization.instead();
    if (other !== undefined) this.#authorization = other;
    lane.isSecond = true;
    // Either settled, or left unsent because there is another token to send: then the lane takes up the same trigger again, if it still
    // may.
    goOn(other === undefined ? refused : undefined);
  }

  /** Moves a lane to its next trigger: of its person until one did not get through, then of another. Undefined when nobody is left. */
  #moveOn(lane: Lane): SliceTrigger | undefined {
    const { settled, slice } = this.#options;
    for (;;) {
      while (lane.next < lane.end && settled.isDelivered(lane.next)) {
        lane.next++;
        lane.isSecond = false;
      }
      // What an earlier attempt of this activity failed to deliver is not tried again either: the workflow decides when to.
      if (lane.next < lane.end && !settled.failed.has(lane.next)) return slice.triggers[lane.next];
      const person = this.#people[this.#nextPerson];
      if (person === undefined) return undefined;
      this.#nextPerson++;
      lane.isSecond = false;
      lane.next = person;
      lane.end = this.#people[this.#nextPerson] ?? slice.triggers.length;
    }
  }

  /** Writes an attempt down. */
  #settle(index: number, attempt: HttpAttempt): void {
    if (attempt.ok) {
      this.#options.settled.deliver(index);
      this.#failuresInRow = 0;
      this.#refusalsInRow = 0;
      return;
    }
    const { ok: _, ...rest } = attempt;
    const failure = { index, ...rest };
    this.#options.settled.failed.set(index, failure);
    this.#noteFailure(failure);
  }

  /** The request, or why there is none. */
  #makeRequest(trigger: SliceTrigger, index: number): WebhookRequest | Unmade {
    const { profiles, sourceTrouble, slice, userAgent, telemetry } = this.#options;
    let profile = trigger.profile ?? profiles?.get(trigger.user);
    if (profile === undefined) {
      if (profiles === undefined)
        return {
          code: ATTEMPT_CODES.sourceUnavailable,
          ...(sourceTrouble === undefined ? {} : { answer: sourceTrouble }),
        };
      if (trigger.profileOptional !== true) return { code: ATTEMPT_CODES.profileMissing };
      profile = {};
    }
    const audience = this.#audiences.get(trigger.audience);
    if (audience === undefined) return { code: ATTEMPT_CODES.payloadImpossible };
    const marks = telemetry.requestBegins(index);
    try {
      return makeRequest(slice.settings, trigger, audience, profile, this.#authorization, userAgent, marks);
    } catch (error) {
      if (error instanceof MessageImpossible) return { code: error.code };
      return { code: ATTEMPT_CODES.requestNotMade, answer: shownFault(error) };
    }
  }

  /** Within the budget by both clocks: one stops while the machine sleeps, the other may be set back. */
  #mayStart(): boolean {
    if (this.#isUnwell || this.#options.cancelled.aborted) return false;
    return performance.now() < this.#endsAtMs && Date.now() < this.#endsAtWall;
  }

  #noteFailure(failure: FailedAttempt): void {
    const verdict = judge(failure);
    if (verdict === 'transient' || verdict === 'setup') this.#failuresInRow++;
    if (verdict === 'refused') this.#refusalsInRow++;
    const isRow = this.#failuresInRow >= UNWELL_AFTER || this.#refusalsInRow >= REFUSING_AFTER;
    if (verdict === 'throttled' || verdict === 'gone' || isRow) this.#isUnwell = true;
  }

  #returnIdlePermits(): void {
    if (this.#openLanes === 0 || this.#openLanes >= this.#options.permits) return;
    // Best effort: the permits come back with the report anyway.
    void this.#options.returnPermits?.(this.#openLanes).catch(() => undefined);
  }
}
