import { answersTo } from '../contract/answers.ts';
import type { Audience } from '../contract/audience.ts';
import type { Exchange } from '../contract/delivery.ts';
import type { FailedAttempt, SliceTrigger } from '../contract/slice.ts';
import { BatchQueue } from '../domain/batch-queue.ts';
import { type Profile, profileIn } from '../domain/message.ts';
import { ATTEMPT_CODES, verdictOf } from '../domain/verdict.ts';
import type { AttemptVerdict } from '../contract/verdict.ts';
import {
  type AttemptDone,
  authorizationAfter,
  type HttpAnswer,
  type HttpAttempt,
  shownFault,
} from '../webhook/attempt.ts';
import type { RequestAuthorization } from '../webhook/authorization.ts';
import { MessageImpossible, type SentTrigger, type WebhookRequest } from '../webhook/request.ts';
import { fitsInto, type RequestItem, RequestMaker } from '../webhook/request-maker.ts';
import { shownAnswer, shownRequest } from '../webhook/shown-request.ts';
import { ItemsSkipped, urlTemplateOf } from '../webhook/shape.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import { SendBudget, type SliceSendingOptions } from './send-budget.ts';

/** The triggers of a request: their places, and their content. Without batches there is one. */
interface Batch {
  readonly places: readonly number[];
  readonly items: readonly RequestItem[];
}

const NOBODY: Batch = { places: [], items: [] };

/** One permit in use, and its open request. */
interface PermitSlot {
  batch: Batch;
  authorization: RequestAuthorization;
  /** Whether this is the second request for its batch, with another token; before it is made: whether it is wanted. */
  isSecond: boolean;
  request: WebhookRequest | undefined;
}

/**
 * Sends the triggers of one slice, one in each request or in batches. There are as many slots as permits; each sends one request after another. A
 * person is in one request at a time, and their triggers therefore never overtake each other. After a failed trigger, the person's later ones stay
 * unsent. A batch is halved if it is refused as a message, or if no request can be made of it. This goes on until the unacceptable triggers are
 * alone.
 */
export class SliceSending {
  readonly #options: SliceSendingOptions;
  readonly #budget: SendBudget;
  readonly #queue: BatchQueue;
  readonly #maker: RequestMaker;
  readonly #audiences: ReadonlyMap<string, Audience>;
  #inUrl: readonly string[] | undefined;
  #authorization: RequestAuthorization;
  /** Triggers that were not tried yet. */
  #unstarted: number;
  #requests = 0;

  constructor(options: SliceSendingOptions) {
    const { slice, shapes } = options;
    this.#options = options;
    this.#budget = new SendBudget(options);
    this.#maker = new RequestMaker(slice.settings, shapes);
    this.#queue = new BatchQueue({
      triggers: slice.triggers,
      size: slice.settings.batch?.size ?? 1,
      isByEvent: this.#maker.isByEvent,
    });
    this.#audiences = new Map(slice.audiences.map((audience) => [audience.id, audience]));
    this.#authorization = options.authorization;
    this.#unstarted = slice.triggers.length;
  }

  /** How many requests were made. */
  get requests(): number {
    return this.#requests;
  }

  run(): Promise<void> {
    return this.#budget.run(Math.min(this.#options.slice.permits, this.#queue.people), () => this.#runPermit());
  }

  /** Sends one request after another while one may be started. It uses callbacks: promises cost processor time for each delivery. */
  #runPermit(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        this.#budget.end(); // The other slots start nothing more.
        reject(error);
      };
      const slot: PermitSlot = {
        batch: NOBODY,
        authorization: this.#authorization,
        isSecond: false,
        request: undefined,
      };
      const goOn = (): void => {
        try {
          if (this.#startNext(slot, ended, goOn)) return;
          this.#budget.slotEnded();
          resolve();
        } catch (error) {
          fail(error); // The connection, which calls this, would mistake it for its own error.
        }
      };
      const settle = (attempt: HttpAttempt, verdict: AttemptVerdict, answer: HttpAnswer | undefined): void => {
        this.#settle(slot, attempt, verdict, answer);
        goOn();
      };
      const ended: AttemptDone = (attempt, answer) => {
        try {
          const verdict = this.#judge(slot, attempt);
          const instead = slot.isSecond ? undefined : authorizationAfter(attempt, slot.authorization);
          if (instead === undefined) settle(attempt, verdict, answer);
          else this.#goOnWith(instead, slot, () => settle(attempt, verdict, answer), goOn).catch(fail);
        } catch (error) {
          fail(error);
        }
      };
      goOn();
    });
  }

  /** The endpoint did not accept the authorization. If that was a token that may have expired, the batch is sent once more, with another one. */
  async #goOnWith(
    awaited: Promise<RequestAuthorization | undefined>,
    slot: PermitSlot,
    settle: () => void,
    goOn: () => void,
  ): Promise<void> {
    const other = await awaited;
    if (other === undefined) {
      settle();
      return;
    }
    this.#authorization = other;
    // Another token is there to try. If the batch may not be sent any more, it stays unsent.
    slot.isSecond = true;
    goOn();
  }

  /** Starts the slot's next request, or waits until it may start; false when there is none to start. */
  #startNext(slot: PermitSlot, done: AttemptDone, later: () => void): boolean {
    const { starts } = this.#options;
    if (slot.isSecond || !this.#queue.isEmpty) {
      if (!this.#budget.mayStart) return false;
      if (starts !== undefined && starts.from > performance.now()) {
        if (starts.from >= this.#budget.endsAtMs) return false;
        starts.wait(later);
        return true;
      }
      const batch = slot.isSecond ? this.#madeAgain(slot.batch) : this.#nextBatch();
      if (!this.#post(slot, batch, done)) {
        slot.isSecond = false;
        // A template that fails may take a second, each half of its batch another one, and the worker has other work.
        setImmediate(later);
      }
      return true;
    }
    return false;
  }

  /** Takes the next batch; settles triggers for which no request can be made. */
  #nextBatch(): Batch {
    const items: RequestItem[] = [];
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
    return { places, items };
  }

  #itemAt(place: number): RequestItem | BuildError {
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

  /** Sends a batch without the people whom its template skips; false if nothing is left to send. */
  #post(slot: PermitSlot, whole: Batch, done: AttemptDone): boolean {
    const { slice, poster, url, telemetry, starts } = this.#options;
    const authorization = this.#authorization;
    let batch = whole;
    let request = this.#makeRequest(batch, authorization);
    while (request instanceof ItemsSkipped) {
      batch = this.#leaveOut(batch, request);
      request = this.#makeRequest(batch, authorization);
    }
    if (request === undefined) return false;
    if (!('headers' in request)) {
      this.#settleUnmadeBatch(batch, request);
      return false;
    }
    slot.batch = batch;
    slot.authorization = authorization;
    slot.request = request;
    this.#requests++;
    telemetry.requestBegan();
    starts?.start();
    if (!slot.isSecond) this.#countStarted(batch.places.length);
    poster.post(url, request, slice.settings.requestTimeoutMs, done);
    return true;
  }

  /** The same batch with a new time, since each request is an attempt of its own. */
  #madeAgain({ places, items }: Batch): Batch {
    return {
      places,
      items: places.map((place, i) => {
        const again = this.#itemAt(place);
        return 'id' in again ? again : (items[i] as RequestItem); // It could be made before.
      }),
    };
  }

  #judge({ batch: { places, items } }: PermitSlot, attempt: HttpAttempt): AttemptVerdict {
    const answers = answersTo(this.#options.slice.settings, items[0]?.trigger.event ?? 'enter');
    const verdict = verdictOf(attempt, answers);
    this.#options.telemetry.requestEnded(places, attempt, verdict, !isHalved(places, verdict));
    return verdict;
  }

  /** Settles the triggers that the template skips. Later triggers of the same people are left unsent. */
  #leaveOut({ places, items }: Batch, { reasons }: ItemsSkipped): Batch {
    const { triggers } = this.#options.slice;
    const people = new Set<string | undefined>();
    const staying = items.flatMap((item, i) => {
      const place = places[i] ?? 0;
      const user = triggers[place]?.user;
      const answer = reasons.get(item);
      if (people.has(user)) return [];
      if (answer === undefined) return [[place, item] as const];
      people.add(user);
      this.#queue.leaveOut(place);
      this.#settleUnmade(place, { code: ATTEMPT_CODES.skipped, answer });
      return [];
    });
    return { places: staying.map(([place]) => place), items: staying.map(([, item]) => item) };
  }

  /** The request, or why there is none; undefined: no trigger is left for it. */
  #makeRequest(
    { places, items }: Batch,
    authorization: RequestAuthorization,
  ): WebhookRequest | BuildError | ItemsSkipped | undefined {
    if (items.length === 0) return undefined;
    const { telemetry, userAgent } = this.#options;
    const traceparent = telemetry.requestBegins(places);
    try {
      return this.#maker.request(items, authorization, userAgent, { traceparent });
    } catch (error) {
      return error instanceof ItemsSkipped ? error : unmadeFor(error);
    }
  }

  #countStarted(count: number): void {
    this.#unstarted -= count;
    if (this.#options.starts !== undefined && this.#unstarted <= 0) this.#budget.allStarted();
  }

  /** An attempt as people may see it. */
  #shownOf(attempt: HttpAttempt, slot: PermitSlot): HttpAttempt {
    return attempt.ok ? attempt : withoutEcho(attempt, slot.authorization.secrets, this.#secretsInUrl(slot));
  }

  #secretsInUrl({ request }: PermitSlot): readonly string[] {
    const url = request?.url;
    const isUsual = url === undefined || url.href === this.#options.url.href;
    return isUsual ? (this.#inUrl ??= secretsIn(this.#options.url)) : secretsIn(url);
  }

  #settle(slot: PermitSlot, attempt: HttpAttempt, verdict: AttemptVerdict, answer: HttpAnswer | undefined): void {
    const { places } = slot.batch;
    slot.isSecond = false;
    if (attempt.ok) slot.authorization.taken();
    if (isHalved(places, verdict)) {
      this.#unstarted += places.length;
      this.#halve(places, true);
      return;
    }
    const shown = this.#shownOf(attempt, slot);
    const [first] = places;
    this.#budget.learn(verdict);
    for (const place of places) this.#budget.record(place, shown, verdict, place === first ? undefined : first);
    try {
      this.#keep(slot, shown, verdict, answer);
    } catch (error) {
      // The outcome stands, whatever becomes of its row.
      this.#options.telemetry.notKept(error);
    }
    if (verdict === 'delivered') this.#queue.delivered(places);
  }

  /** Gives the outcome to the delivery log, if there is one. */
  #keep(slot: PermitSlot, shown: HttpAttempt, verdict: AttemptVerdict, answer: HttpAnswer | undefined): void {
    const { telemetry, slice } = this.#options;
    const { request, batch } = slot;
    const { deliveries } = telemetry;
    if (deliveries === undefined || request === undefined) return;
    const bytes = bytesOf(request.body);
    const batchId = slice.settings.batch === undefined ? undefined : headerIn(request, 'webhook-id');
    let exchange = deliveries.wantsExchange(verdict) ? this.#exchangeOf(slot, request, answer) : undefined;
    for (const [i, place] of batch.places.entries()) {
      deliveries.attempted(place, shown, verdict, { id: batch.items[i]?.id, batchId, bytes, exchange });
      exchange = undefined;
    }
  }

  #exchangeOf(slot: PermitSlot, request: WebhookRequest, answer: HttpAnswer | undefined): Exchange {
    const { slice, url } = this.#options;
    const { secrets } = slot.authorization;
    const template = urlTemplateOf(slice.settings, slot.batch.items[0]?.trigger.event ?? 'enter');
    return {
      request: shownRequest(request.url ?? url, request, MOST_BODY_BYTES, template),
      ...(answer === undefined
        ? {}
        : { response: shownAnswer(answer, secrets, this.#secretsInUrl(slot), headerIn(request, 'webhook-signature')) }),
    };
  }

  #halve(places: readonly number[], wasRequested: boolean): void {
    this.#queue.halve(places, wasRequested);
    this.#options.settled.halved = this.#queue.halved;
  }

  #settleUnmadeBatch({ places }: Batch, unmade: BuildError): void {
    const [first = 0, ...more] = places;
    // An error in a message's content may concern only one of its triggers. A fault of the worker concerns every message.
    if (more.length > 0 && unmade.code !== ATTEMPT_CODES.requestNotMade) this.#halve(places, false);
    else for (const place of [first, ...more]) this.#settleUnmade(place, unmade);
  }

  #settleUnmade(place: number, unmade: BuildError): void {
    const attempt = { ok: false, ...unmade, durationMs: 0 } as const;
    const verdict = verdictOf(attempt);
    this.#options.telemetry.attempted(place, attempt, verdict);
    this.#countStarted(1);
    // A template that gives no request for a person says nothing about the endpoint.
    if (unmade.code !== ATTEMPT_CODES.templateFailed) this.#budget.learn(verdict);
    this.#budget.record(place, attempt, verdict);
  }
}

/** Most bytes of a request's body that the delivery log keeps. */
const MOST_BODY_BYTES = 64 * 1024;

function headerIn({ headers }: WebhookRequest, name: string): string | undefined {
  const place = headers.indexOf(name);
  return place < 0 ? undefined : headers[place + 1];
}

function bytesOf(body: WebhookRequest['body']): number {
  if (body === null) return 0;
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}

/** Whether a batch is sent again in two halves: it was refused as a message. */
function isHalved({ length }: readonly number[], verdict: AttemptVerdict): boolean {
  return length > 1 && (verdict === 'refused' || verdict === 'given-up');
}

/** Why there is no request. */
type BuildError = Pick<FailedAttempt, 'code' | 'answer'>;

/** The profile that a trigger is sent with, or why there is none. @param index its place in the slice. */
function profileOf(
  index: number,
  trigger: SliceTrigger,
  options: Pick<SliceSendingOptions, 'slice' | 'profiles' | 'spilled' | 'sourceTrouble'>,
): { readonly profile: Profile } | (BuildError & { readonly profile?: undefined }) {
  const { slice, profiles, spilled, sourceTrouble } = options;
  const { user, profileOptional } = trigger;
  // A profile that came with its trigger is the one to send. The source's profile never replaces it.
  if (trigger.profileRef !== undefined && !spilled.has(index))
    return { code: ATTEMPT_CODES.sourceUnavailable, answer: PROFILE_READ_FAILED };
  const profile = trigger.profileRef === undefined ? trigger.profile : spilled.get(index);
  if (trigger.profileRef !== undefined && profile === undefined) return { code: ATTEMPT_CODES.profileLost };
  if (profiles === undefined && (profile === undefined || slice.settings.memberships === true))
    return { code: ATTEMPT_CODES.sourceUnavailable, ...(sourceTrouble === undefined ? {} : { answer: sourceTrouble }) };
  const found = profile === undefined ? profiles?.get(user) : profileIn(profile);
  if (found !== undefined) return { profile: found };
  return profileOptional === true ? { profile: {} } : { code: ATTEMPT_CODES.profileMissing };
}

const PROFILE_READ_FAILED = 'The profile that came with the trigger could not be read from Temporal.';

/** A trigger with the additional data that was looked up for it, besides the profile. */
function asSent(trigger: SliceTrigger, { memberships }: Pick<SliceSendingOptions, 'memberships'>): SentTrigger {
  return memberships === undefined ? trigger : { ...trigger, memberships: memberships.get(trigger.user) ?? [] };
}

/** The code and reason of an error in making a request. */
function unmadeFor(error: unknown): BuildError {
  if (error instanceof MessageImpossible)
    return { code: error.code, ...(error.reason === undefined ? {} : { answer: error.reason }) };
  return { code: ATTEMPT_CODES.requestNotMade, answer: shownFault(error) };
}
