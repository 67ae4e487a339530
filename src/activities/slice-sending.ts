import { type Answers, answersTo } from '../contract/answers.ts';
import type { Audience } from '../contract/audience.ts';
import type { FailedAttempt, PermitsReturned, SliceInput, SliceTrigger } from '../contract/slice.ts';
import type { Profile } from '../domain/message.ts';
import {
  ATTEMPT_CODES,
  type AttemptVerdict,
  type FailureRow,
  isDecidedVerdict,
  judge,
  ROW_LIMITS,
  VERDICTS,
  verdictOf,
} from '../domain/verdict.ts';
import { authorizationAfter, type HttpAttempt, type Poster, shownFault } from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorizations.ts';
import { MessageImpossible, type WebhookRequest } from '../webhook/request.ts';
import { type MakeRequest, requestMaker } from '../webhook/shaped-request.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import type { PacedStarts } from './paced-starts.ts';
import type { SettledTriggers } from './settled-triggers.ts';
import type { SliceTelemetry } from './slice-telemetry.ts';

/** How long requests may stay open after the budget is over before the permits of the idle lanes go back. */
const TAIL_MS = 250;
/** The same for a slice that spaces its requests, from its last start on: no other starts any before, so an endpoint that is slow is noticed sooner. */
const PACED_TAIL_MS = 50;

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
  /** How their starts are spaced; undefined: not at all. */
  readonly starts: PacedStarts | undefined;
  /** Aborted when the slice is no longer wanted, because its job was terminated, say. */
  readonly cancelled: AbortSignal;
  /** Absent: no permits are given back. */
  readonly returnPermits?: (returned: Omit<PermitsReturned, 'sliceId'>) => Promise<void>;
}

/** Why there is no request. */
type Unmade = Pick<FailedAttempt, 'code' | 'answer'>;

/** A request that has ended, and what came of it: judged once, where it ends. */
interface Ended {
  readonly attempt: HttpAttempt;
  readonly verdict: AttemptVerdict;
}

/** One permit in use: the place of its trigger, and where its person's triggers end. */
interface Lane {
  next: number;
  end: number;
  /** What the open request carries. */
  authorization: RequestAuthorization;
  /** Whether the open request is the second one for its trigger, with another token than the first. */
  isSecond: boolean;
  /** Where the open request goes, if that is a URL of its own. */
  url: URL | undefined;
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
  readonly #inRow: Record<FailureRow, number> = { failed: 0, refused: 0 };
  #isUnwell = false;
  readonly #endsAtMs: number;
  readonly #endsAtWall: number;
  #openLanes: number;
  #authorization: RequestAuthorization;
  /** Triggers that nobody has tried to send yet. */
  #unstarted: number;
  #lastStarted: NodeJS.Timeout | undefined;
  readonly #inUrl: readonly string[];
  readonly #make: MakeRequest;

  constructor(options: SliceSendingOptions) {
    const { triggers, budgetMs, audiences } = options.slice;
    this.#options = options;
    this.#authorization = options.authorization;
    this.#inUrl = secretsIn(options.url);
    this.#make = requestMaker(options.slice.settings);
    this.#audiences = new Map(audiences.map((audience) => [audience.id, audience]));
    for (const [index, { user }] of triggers.entries()) {
      if (user !== triggers[index - 1]?.user) this.#people.push(index);
    }
    this.#endsAtMs = performance.now() + budgetMs;
    this.#endsAtWall = Date.now() + budgetMs;
    this.#openLanes = Math.min(options.permits, this.#people.length);
    this.#unstarted = triggers.length - options.settled.count;
  }

  async run(): Promise<void> {
    const { slice, starts } = this.#options;
    const tailMs = starts === undefined ? TAIL_MS : PACED_TAIL_MS;
    const tail = setTimeout(() => this.#returnIdlePermits(), slice.budgetMs + tailMs);
    const lanes = Array.from({ length: this.#openLanes }, () => this.#runLane());
    const ends = await Promise.allSettled(lanes);
    clearTimeout(tail);
    clearTimeout(this.#lastStarted);
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
      const lane: Lane = { next: 0, end: 0, authorization: this.#authorization, isSecond: false, url: undefined };
      const goOn = (last?: Ended): void => {
        try {
          if (last !== undefined) {
            const { attempt, verdict } = last;
            const other = lane.isSecond ? undefined : authorizationAfter(attempt, lane.authorization);
            if (other !== undefined) {
              this.#goOnWith(other, lane, last, goOn).catch(fail);
              return;
            }
            this.#settle(lane.next, this.#withoutEcho(attempt, lane), verdict);
            if (attempt.ok) lane.authorization.taken();
          }
          if (this.#startNext(lane, ended, goOn)) return;
          this.#openLanes--;
          resolve();
        } catch (error) {
          fail(error); // The connection, which calls this, would take it for its own.
        }
      };
      const ended = (attempt: HttpAttempt): void => {
        const verdict = verdictOf(attempt, this.#answersTo(lane.next));
        this.#options.telemetry.requestEnded(lane.next, { ...attempt, verdict });
        goOn({ attempt, verdict });
      };
      goOn();
    });
  }

  /** Starts the lane's next request, or has it called again when that may be; false when there is none to start. */
  #startNext(lane: Lane, done: (attempt: HttpAttempt) => void, later: () => void): boolean {
    const { slice, poster, url, telemetry, starts } = this.#options;
    for (;;) {
      const trigger = this.#moveOn(lane);
      if (trigger === undefined || !this.#mayStart()) return false;
      if (starts !== undefined && starts.from > performance.now()) {
        if (starts.from >= this.#endsAtMs) return false;
        starts.wait(later);
        return true;
      }
      lane.authorization = this.#authorization;
      const request = this.#makeRequest(trigger, lane.next);
      if ('headers' in request) {
        lane.url = request.url;
        telemetry.requestBegan();
        starts?.start();
        this.#countStarted(lane);
        poster.post(url, request, slice.settings.requestTimeoutMs, done);
        return true;
      }
      const attempt = { ok: false, ...request, durationMs: 0 } as const;
      const verdict = verdictOf(attempt);
      telemetry.attempted(lane.next, { ...attempt, verdict });
      this.#countStarted(lane);
      this.#settle(lane.next, attempt, verdict);
    }
  }

  /** The endpoint did not accept the authorization: if that was a token that may have expired, the trigger is sent once more, with another. */
  async #goOnWith(
    awaited: Promise<RequestAuthorization | undefined>,
    lane: Lane,
    refused: Ended,
    goOn: (last?: Ended) => void,
  ): Promise<void> {
    const other = await awaited;
    if (other !== undefined) this.#authorization = other;
    lane.isSecond = true;
    // Either settled, or left unsent because there is another token to send: then the lane takes up the same trigger again, if it still
    // may.
    goOn(other === undefined ? refused : undefined);
  }

  #answersTo(index: number): Answers | undefined {
    const { settings, triggers } = this.#options.slice;
    return answersTo(settings, triggers[index]?.event ?? 'enter');
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
  #settle(index: number, attempt: HttpAttempt, verdict: AttemptVerdict): void {
    const { settled } = this.#options;
    if (verdict === 'delivered') {
      settled.deliver(index);
      this.#inRow.failed = 0;
      this.#inRow.refused = 0;
      return;
    }
    const { ok: _, ...failure } = attempt;
    // Recorded, so that an edit of the table meanwhile does not change what was decided by it.
    const as = isDecidedVerdict(verdict) && verdict !== judge(failure) ? { as: verdict } : {};
    settled.failed.set(index, { index, ...failure, ...as });
    const { row, asksTo } = VERDICTS[verdict];
    if (asksTo !== null || (row !== null && ++this.#inRow[row] >= ROW_LIMITS[row])) this.#isUnwell = true;
  }

  #withoutEcho(attempt: HttpAttempt, { authorization, url }: Lane): HttpAttempt {
    if (attempt.ok) return attempt;
    return withoutEcho(attempt, authorization.secrets, url === undefined ? this.#inUrl : secretsIn(url));
  }

  /** The request, or why there is none. */
  #makeRequest(trigger: SliceTrigger, index: number): WebhookRequest | Unmade {
    const { profiles, sourceTrouble, userAgent, telemetry } = this.#options;
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
      return this.#make(trigger, audience, profile, this.#authorization, userAgent, marks);
    } catch (error) {
      if (error instanceof MessageImpossible)
        return { code: error.code, ...(error.told === undefined ? {} : { answer: error.told }) };
      return { code: ATTEMPT_CODES.requestNotMade, answer: shownFault(error) };
    }
  }

  /** Within the budget by both clocks: one stops while the machine sleeps, the other may be set back. */
  #mayStart(): boolean {
    const { cancelled, starts } = this.#options;
    if (this.#isUnwell || cancelled.aborted || starts?.isOver === true) return false;
    return performance.now() < this.#endsAtMs && Date.now() < this.#endsAtWall;
  }

  /** With a pace: once all are started, the next slice need not wait for the answers. */
  #countStarted({ isSecond }: Lane): void {
    if (isSecond || this.#options.starts === undefined || --this.#unstarted > 0) return;
    this.#lastStarted = setTimeout(() => this.#returnIdlePermits(), PACED_TAIL_MS);
  }

  #returnIdlePermits(): void {
    const { permits, starts, returnPermits } = this.#options;
    const left = this.#openLanes;
    if (returnPermits === undefined || left === 0) return;
    if (starts === undefined ? left >= permits : starts.isOver || starts.isAwaited) return;
    // Best effort: the permits come back with the report anyway.
    const returned = starts === undefined ? { left } : { left, spacing: starts.handOver() };
    void returnPermits(returned).catch(() => undefined);
  }
}
