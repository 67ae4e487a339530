import { type Answers, answersTo } from '../contract/answers.ts';
import type { Audience } from '../contract/audience.ts';
import type { SliceTrigger } from '../contract/slice.ts';
import { ATTEMPT_CODES, type AttemptVerdict, verdictOf } from '../domain/verdict.ts';
import { authorizationAfter, type HttpAttempt } from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorizations.ts';
import type { WebhookRequest } from '../webhook/request.ts';
import { type MakeRequest, requestMaker } from '../webhook/shaped-request.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import { asSent, profileOf, SliceCourse, type SliceSendingOptions, type Unmade, unmadeFor } from './slice-course.ts';

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
  readonly #course: SliceCourse;
  #authorization: RequestAuthorization;
  /** Triggers that nobody has tried to send yet. */
  #unstarted: number;
  readonly #inUrl: readonly string[];
  readonly #make: MakeRequest;

  constructor(options: SliceSendingOptions) {
    const { triggers, audiences } = options.slice;
    this.#options = options;
    this.#authorization = options.authorization;
    this.#inUrl = secretsIn(options.url);
    this.#make = requestMaker(options.slice.settings);
    this.#audiences = new Map(audiences.map((audience) => [audience.id, audience]));
    for (const [index, { user }] of triggers.entries()) {
      if (user !== triggers[index - 1]?.user) this.#people.push(index);
    }
    this.#course = new SliceCourse(options);
    this.#unstarted = triggers.length - options.settled.count;
  }

  run(): Promise<void> {
    const lanes = Math.min(this.#options.permits, this.#people.length);
    return this.#course.run(lanes, () => this.#runLane());
  }

  /** Sends one person after another, and each person's triggers one after another, until nobody is left or nothing more may be started. */
  #runLane(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        this.#course.end(); // The other lanes start nothing more.
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
            this.#course.settle(lane.next, this.#withoutEcho(attempt, lane), verdict);
            if (attempt.ok) lane.authorization.taken();
          }
          if (this.#startNext(lane, ended, goOn)) return;
          this.#course.laneEnded();
          resolve();
        } catch (error) {
          fail(error); // The connection, which calls this, would take it for its own.
        }
      };
      const ended = (attempt: HttpAttempt): void => {
        const verdict = verdictOf(attempt, this.#answersTo(lane.next));
        this.#options.telemetry.requestEnded(lane.next, attempt, verdict);
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
      if (trigger === undefined || !this.#course.mayStart) return false;
      if (starts !== undefined && starts.from > performance.now()) {
        if (starts.from >= this.#course.endsAtMs) return false;
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
      telemetry.attempted(lane.next, attempt, verdict);
      this.#countStarted(lane);
      this.#course.settle(lane.next, attempt, verdict);
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

  #withoutEcho(attempt: HttpAttempt, { authorization, url }: Lane): HttpAttempt {
    if (attempt.ok) return attempt;
    return withoutEcho(attempt, authorization.secrets, url === undefined ? this.#inUrl : secretsIn(url));
  }

  /** The request, or why there is none. */
  #makeRequest(trigger: SliceTrigger, index: number): WebhookRequest | Unmade {
    const { userAgent, telemetry } = this.#options;
    const found = profileOf(index, trigger, this.#options);
    if (found.profile === undefined) return found;
    const { profile } = found;
    const audience = this.#audiences.get(trigger.audience);
    if (audience === undefined) return { code: ATTEMPT_CODES.payloadImpossible };
    const marks = telemetry.requestBegins(index);
    try {
      return this.#make(asSent(trigger, this.#options), audience, profile, this.#authorization, userAgent, marks);
    } catch (error) {
      return unmadeFor(error);
    }
  }

  #countStarted({ isSecond }: Lane): void {
    if (isSecond || this.#options.starts === undefined || --this.#unstarted > 0) return;
    this.#course.allStarted();
  }
}
