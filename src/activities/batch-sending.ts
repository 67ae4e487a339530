import { type Answers, answersTo } from '../contract/answers.ts';
import type { Audience } from '../contract/audience.ts';
import { BatchQueue } from '../domain/batch-queue.ts';
import { ATTEMPT_CODES, type AttemptVerdict, verdictOf } from '../domain/verdict.ts';
import { authorizationAfter, type HttpAttempt } from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorizations.ts';
import { type BatchItem, BatchMaker, fitsInto } from '../webhook/batched-request.ts';
import type { WebhookRequest } from '../webhook/request.ts';
import { ItemsSkipped } from '../webhook/templates.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import { asSent, profileOf, SliceCourse, type SliceSendingOptions, type Unmade, unmadeFor } from './slice-course.ts';

/** A batch that is on its way: the places of its triggers, and what it has of each. */
interface Batch {
  readonly places: readonly number[];
  readonly items: readonly BatchItem[];
}

/**
 * Sends the triggers of one slice in batches. There are as many lanes as permits; each takes one batch after another. A batch that is
 * refused as a message, or of which no request can be made, is halved until what cannot be accepted is alone.
 */
export class BatchSending {
  readonly #options: SliceSendingOptions;
  readonly #course: SliceCourse;
  readonly #queue: BatchQueue;
  readonly #maker: BatchMaker;
  readonly #audiences: ReadonlyMap<string, Audience>;
  readonly #inUrl: readonly string[];
  #authorization: RequestAuthorization;
  #requests = 0;

  constructor(options: SliceSendingOptions, size: number) {
    const { slice, settled } = options;
    this.#options = options;
    this.#course = new SliceCourse(options);
    this.#maker = new BatchMaker(slice.settings);
    this.#queue = new BatchQueue({
      triggers: slice.triggers,
      size,
      isByEvent: this.#maker.isByEvent,
      isDelivered: (place) => settled.isDelivered(place),
      // What an earlier attempt of this activity failed to deliver is not tried again: the workflow decides when to.
      isFailed: (place) => settled.failed.has(place),
      halved: settled.halved,
    });
    this.#audiences = new Map(slice.audiences.map((audience) => [audience.id, audience]));
    this.#authorization = options.authorization;
    this.#inUrl = secretsIn(options.url);
  }

  /** How many requests were made. */
  get requests(): number {
    return this.#requests;
  }

  run(): Promise<void> {
    return this.#course.run(this.#options.permits, () => this.#runLane());
  }

  async #runLane(): Promise<void> {
    try {
      while (!this.#queue.isEmpty) {
        const wait = this.#wait();
        if (wait === 'for ever') break;
        if (wait === undefined) await this.#sendNext();
        else await wait;
      }
    } catch (error) {
      this.#course.end(); // The other lanes start nothing more.
      throw error;
    }
    this.#course.laneEnded();
  }

  /**
   * What the next request has to wait for; undefined: nothing, and it must be started at once. Not asynchronous, or several lanes would find
   * that it is their turn.
   */
  #wait(): Promise<void> | 'for ever' | undefined {
    const { starts } = this.#options;
    if (!this.#course.mayStart) return 'for ever';
    if (starts === undefined || starts.from <= performance.now()) return undefined;
    return starts.from >= this.#course.endsAtMs ? 'for ever' : new Promise((resolve) => starts.wait(resolve));
  }

  #sendNext(): Promise<void> {
    const batch = this.#nextBatch();
    return batch === undefined ? Promise.resolve() : this.#send(batch);
  }

  /** Takes the next batch; settles whoever no request can be made for. */
  #nextBatch(): Batch | undefined {
    const items: BatchItem[] = [];
    let bytes = 0;
    const places = this.#queue.next((place) => {
      const item = this.#itemAt(place);
      if (!('id' in item)) {
        this.#settleUnmade(place, item);
        return 'out';
      }
      if (!fitsInto(bytes, item)) return 'full';
      items.push(item);
      bytes += item.bytes;
      return 'in';
    });
    return places.length === 0 ? undefined : { places, items };
  }

  #itemAt(place: number): BatchItem | Unmade {
    const { slice } = this.#options;
    const trigger = slice.triggers[place];
    const audience = trigger === undefined ? undefined : this.#audiences.get(trigger.audience);
    if (trigger === undefined || audience === undefined) return { code: ATTEMPT_CODES.payloadImpossible };
    const found = profileOf(place, trigger, this.#options);
    if (found.profile === undefined) return found;
    try {
      return this.#maker.item(asSent(trigger, this.#options), audience, found.profile);
    } catch (error) {
      return unmadeFor(error);
    }
  }

  /** Sends a batch, and once more where there is another authorization to try. */
  async #send(whole: Batch): Promise<void> {
    let batch = whole;
    for (let isSecond = false; ; isSecond = true) {
      const authorization = this.#authorization;
      let request = this.#makeRequest(batch, authorization);
      while (request instanceof ItemsSkipped) {
        batch = this.#leaveOut(batch, request);
        if (batch.places.length === 0) return;
        request = this.#makeRequest(batch, authorization);
      }
      if (!('headers' in request)) {
        this.#settleUnmadeBatch(batch, request);
        return;
      }
      const attempt = await this.#post(request);
      const verdict = verdictOf(attempt, this.#answersTo(batch));
      const other = isSecond ? undefined : await authorizationAfter(attempt, authorization);
      if (other === undefined) {
        this.#settle(batch, shownOf(attempt, request, authorization, this.#inUrl), verdict);
        if (attempt.ok) authorization.taken();
        return;
      }
      this.#options.telemetry.batchEnded(batch.places, attempt, verdict, true);
      this.#authorization = other;
      // Left unsent because there is another token to send, if it may not be sent any more.
      for (let wait = this.#wait(); wait !== undefined; wait = this.#wait()) {
        if (wait === 'for ever') return;
        await wait;
      }
    }
  }

  #answersTo({ items: [first] }: Batch): Answers | undefined {
    return answersTo(this.#options.slice.settings, first?.event ?? 'enter');
  }

  /** Settles those whom the template skips. What comes after them of the same people is left unsent. */
  #leaveOut({ places, items }: Batch, { reasons }: ItemsSkipped): Batch {
    const { triggers } = this.#options.slice;
    const people = new Set<string | undefined>();
    const staying = items.flatMap((item, i) => {
      const place = places[i] ?? 0;
      const user = triggers[place]?.user;
      const answer = reasons.get(item.scope);
      if (people.has(user)) return [];
      if (answer === undefined) return [[place, item] as const];
      people.add(user);
      this.#queue.leaveOut(place);
      this.#settleUnmade(place, { code: ATTEMPT_CODES.skipped, answer });
      return [];
    });
    return { places: staying.map(([place]) => place), items: staying.map(([, item]) => item) };
  }

  #makeRequest({ places, items }: Batch, authorization: RequestAuthorization): WebhookRequest | Unmade | ItemsSkipped {
    const { telemetry, userAgent } = this.#options;
    const traceparent = telemetry.batchBegins(places);
    try {
      return this.#maker.request(items, authorization, userAgent, { traceparent });
    } catch (error) {
      return error instanceof ItemsSkipped ? error : unmadeFor(error);
    }
  }

  #post(request: WebhookRequest): Promise<HttpAttempt> {
    const { slice, poster, url, telemetry, starts } = this.#options;
    this.#requests++;
    telemetry.requestBegan();
    starts?.start();
    if (starts !== undefined && this.#queue.isEmpty) this.#course.allStarted();
    return new Promise((resolve) => poster.post(url, request, slice.settings.requestTimeoutMs, resolve));
  }

  #settle({ places }: Batch, attempt: HttpAttempt, verdict: AttemptVerdict): void {
    const { telemetry } = this.#options;
    const isHalved = places.length > 1 && (verdict === 'refused' || verdict === 'given-up');
    telemetry.batchEnded(places, attempt, verdict, !isHalved);
    if (isHalved) {
      this.#halve(places, true);
      return;
    }
    const [first] = places;
    this.#course.learn(verdict);
    for (const place of places) this.#course.record(place, attempt, verdict, place === first ? undefined : first);
    if (verdict === 'delivered') this.#queue.delivered(places);
  }

  #halve(places: readonly number[], wasAsked: boolean): void {
    this.#queue.halve(places, wasAsked);
    this.#options.settled.halved = this.#queue.halved;
  }

  #settleUnmadeBatch({ places }: Batch, unmade: Unmade): void {
    const [first = 0, ...more] = places;
    // Only what is wrong with what a message says is not wrong with every message.
    if (more.length > 0 && unmade.code !== ATTEMPT_CODES.requestNotMade) this.#halve(places, false);
    else for (const place of [first, ...more]) this.#settleUnmade(place, unmade);
  }

  #settleUnmade(place: number, unmade: Unmade): void {
    const attempt = { ok: false, ...unmade, durationMs: 0 } as const;
    const verdict = verdictOf(attempt);
    this.#options.telemetry.attempted(place, attempt, verdict);
    this.#course.settle(place, attempt, verdict);
  }
}

/** An attempt as people may see it. */
function shownOf(
  attempt: HttpAttempt,
  { url }: WebhookRequest,
  { secrets }: RequestAuthorization,
  inUrl: readonly string[],
): HttpAttempt {
  return attempt.ok ? attempt : withoutEcho(attempt, secrets, url === undefined ? inUrl : secretsIn(url));
}
