import type { Audience } from '../contract/audience.ts';
import type { Method } from '../contract/request-shape.ts';
import type { DeliverySettings } from '../contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { legacyPayload, newPayload, type PayloadParts, type Profile, templateData } from '../domain/message.ts';
import { nextAttempt } from '../domain/slice.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { RequestAuthorization } from './authorization.ts';
import { MessageImpossible, type RequestMarks, type SentTrigger, type WebhookRequest } from './request.ts';
import { bodyOf, cloudEvent, headersOf, readBody, type ReadShape, shapesOf } from './shaped-request.ts';
import { signBody } from './signature.ts';
import { sha256 } from './sha256.ts';
import { type BatchScope, type ItemScope, type TemplateScope, withItems } from './templates.ts';

const DRIFT_MS = 2;

/**
 * Wall-clock time with nanoseconds, as RFC 3339 with an offset, for `meta.timestamp` and `collected`. The monotonic clock supplies the digits that
 * Date lacks, and is set again whenever the two have drifted apart.
 */
export function createNanosecondClock(): () => string {
  let offsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  let second = '';
  let secondEpoch = -1;
  return () => {
    let ns = offsetNs + process.hrtime.bigint();
    const wallMs = Date.now();
    if (Math.abs(Number(ns / 1_000_000n) - wallMs) > DRIFT_MS) {
      offsetNs += BigInt(wallMs) * 1_000_000n - ns;
      ns = BigInt(wallMs) * 1_000_000n;
    }
    const epoch = Number(ns / 1_000_000_000n);
    if (epoch !== secondEpoch) {
      secondEpoch = epoch;
      second = new Date(epoch * 1000).toISOString().slice(0, 19);
    }
    return `${second}.${String(ns % 1_000_000_000n).padStart(9, '0')}+00:00`;
  };
}

/** The time now, by the one clock of this worker. */
const nowInNanoseconds = createNanosecondClock();

/** Most bytes of a body: enough for the longest profile that a source reads, and what is written around it. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Most bytes that one UTF-16 code unit of a string takes in UTF-8. */
const BYTES_PER_UNIT = 3;

/** The size of the text around the bodies of a batch, in bytes. */
const BRACKETS_BYTES = 2;
const COMMA_BYTES = 1;

/** A trigger, ready to be put into a request. */
export interface RequestItem {
  /** Its delivery id. */
  readonly id: string;
  readonly trigger: SentTrigger;
  /** Its default body, with its envelope; undefined: the body is a template, or there is none. */
  readonly text: string | undefined;
  /** The names and values for templates; undefined: there are no templates. */
  readonly scope: TemplateScope | ItemScope | undefined;
  /** Its least size in bytes, within a request that it shares. */
  readonly bytes: number;
}

/** Whether a batch that has so many bytes already has room for another item. */
export function fitsInto(bytes: number, item: RequestItem): boolean {
  return BRACKETS_BYTES + bytes + item.bytes <= MAX_BODY_BYTES;
}

/**
 * Makes the requests of a job, each for one trigger or for a batch. A job without request settings gets a POST of the default body each time. Its
 * settings are read once for each revision.
 */
export class RequestMaker {
  /** Whether a batch has either enters or exits. */
  readonly isByEvent: boolean;
  readonly #settings: DeliverySettings;
  readonly #isBatch: boolean;
  readonly #isEvent: boolean;
  readonly #job: TemplateScope['job'];
  readonly #shapes: (event: TriggerEvent) => ReadShape;

  constructor(settings: DeliverySettings) {
    const { request = { label: '' }, webhookUrl, eventAnswers, subscriptionId, batch } = settings;
    this.#settings = settings;
    this.#isBatch = batch !== undefined;
    this.#isEvent = request.envelope === 'cloudevents';
    this.#job = { label: request.label, subscription_id: subscriptionId };
    this.isByEvent = request.onEnter != null || request.onExit != null || eventAnswers !== undefined;
    this.#shapes = shapesOf({ ...request, webhookUrl });
  }

  /**
   * @param id its delivery id; default: the one that all its attempts have.
   * @throws MessageImpossible
   */
  item(trigger: SentTrigger, audience: Audience, profile: Profile, id = this.#idOf(trigger)): RequestItem {
    const { user, event, at, memberships } = trigger;
    const { subscriptionId, exportFields, userLegacyMessageFormat: isLegacy } = this.#settings;
    const attemptAt = nowInNanoseconds();
    const alone = { user, event, at, audience, profile, subscriptionId, exportFields, memberships, attemptAt };
    const parts = this.#isBatch ? { ...alone, deliveryId: id } : alone;
    const shape = this.#shapes(event);
    const byDefault = (): string => defaultBody(parts, isLegacy);
    const text = shape.body === 'default' ? this.#wrapped(byDefault(), id, trigger) : undefined;
    if (this.#isBatch) {
      if (text !== undefined) refuseTooLong(`[${text}]`);
      const bytes = text === undefined ? 0 : Buffer.byteLength(text) + COMMA_BYTES;
      return {
        id,
        trigger,
        text,
        bytes,
        scope: text === undefined ? itemScope(trigger, id, parts, byDefault) : undefined,
      };
    }
    const scope = shape.isTemplated ? this.#scopeOf(trigger, id, parts, byDefault) : undefined;
    return { id, trigger, text, bytes: 0, scope };
  }

  /**
   * The request for one item, or for a batch of them. With the same content it has the same id, but its own time and signature.
   *
   * @param items at least one. If enters and exits have separate requests, all items are of one event.
   * @throws MessageImpossible also if the items could be sent in smaller batches.
   * @throws ItemsSkipped with their scopes; the others can be sent without them.
   */
  request(
    items: readonly RequestItem[],
    authorization: RequestAuthorization,
    userAgent: string,
    marks: RequestMarks = {},
  ): WebhookRequest {
    const [first] = items;
    if (first === undefined) throw new RangeError('A request is about somebody.');
    const { id = this.#isBatch ? batchId(items) : first.id, traceparent } = marks;
    const shape = this.#shapes(first.trigger.event);
    const around = this.#isBatch ? { items: [], now: nowInNanoseconds(), job: this.#job } : first.scope;
    // It exists whenever there are templates.
    const scope = (): TemplateScope | BatchScope => around as TemplateScope | BatchScope;
    const { method } = shape;
    const url = shape.url(scope);
    const more = shape.headers.length === 0 ? NO_HEADERS : headersOf(shape, scope, authorization);
    const body = this.#isBatch ? this.#list(shape, items, scope()) : this.#bodyOf(shape, first, scope);
    if (body !== null) refuseTooLong(body);
    const contentType = this.#isBatch && this.#isEvent ? CLOUD_EVENTS : shape.contentType;
    return requestWith({ body, id, traceparent, contentType, method, url, more }, authorization, userAgent);
  }

  #bodyOf(shape: ReadShape, item: RequestItem, scope: () => TemplateScope | BatchScope): string | null {
    if (item.text !== undefined) return item.text;
    const body = bodyOf(shape, this.#settings.request ?? {}, scope);
    return body === null ? null : this.#wrapped(body, item.id, item.trigger);
  }

  #list(shape: ReadShape, items: readonly RequestItem[], around: TemplateScope | BatchScope): string | null {
    if (shape.body === 'default') return `[${items.map(({ text = '' }) => text).join(',')}]`;
    const inside = withItems(
      around,
      items.flatMap(({ scope }) => scope ?? []),
    );
    return bodyOf(shape, this.#settings.request ?? {}, () => inside);
  }

  #scopeOf(trigger: SentTrigger, id: string, parts: PayloadParts, byDefault: () => string): TemplateScope {
    const { wantsData, wantsBody } = this.#shapes(trigger.event);
    return {
      ...itemFields(trigger, id, parts),
      data: wantsData ? templateData(parts) : {},
      now: parts.attemptAt,
      job: this.#job,
      body: wantsBody ? readBody(byDefault()) : {},
    };
  }

  #wrapped(body: string, id: string, trigger: SentTrigger): string {
    return this.#isEvent ? cloudEvent(body, id, trigger, this.#settings.subscriptionId) : body;
  }

  #idOf(trigger: SentTrigger): string {
    return deliveryId(this.#settings.subscriptionId, trigger, sha256);
  }
}

function itemFields(trigger: SentTrigger, id: string, { audience }: PayloadParts): Omit<ItemScope, 'data' | 'body'> {
  const { user, event, at } = trigger;
  const action = event === 'enter' ? 'entered' : 'exited';
  return { id: user, event, action, audience, at, delivery_id: id, attempt: nextAttempt(trigger) };
}

/** The costly parts are made only when a template reads them. A template may write a whole item, and its text does not tell whether it does. */
function itemScope(trigger: SentTrigger, id: string, parts: PayloadParts, byDefault: () => string): ItemScope {
  let data: JsonObject | undefined;
  let body: JsonObject | undefined;
  return {
    ...itemFields(trigger, id, parts),
    get data() {
      return (data ??= templateData(parts));
    },
    get body() {
      return (body ??= readBody(byDefault()));
    },
  };
}

/** @throws MessageImpossible */
function defaultBody(parts: PayloadParts, isLegacy: boolean): string {
  try {
    return isLegacy ? legacyPayload(parts) : newPayload(parts);
  } catch (error) {
    throw new MessageImpossible(ATTEMPT_CODES.payloadImpossible, 'The message cannot be written.', error);
  }
}

const NO_HEADERS: readonly string[] = [];

/** CloudEvents, JSON Batch Format. */
const CLOUD_EVENTS = 'application/cloudevents-batch+json';

/** The id of a batch: the same for the same triggers in the same order. */
export function batchId(items: readonly Pick<RequestItem, 'id'>[]): string {
  return sha256(items.map(({ id }) => id).join(',')).slice(0, 32);
}

/** @throws MessageImpossible */
function refuseTooLong(body: string): void {
  if (body.length * BYTES_PER_UNIT > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new MessageImpossible(ATTEMPT_CODES.payloadTooLarge, 'The message is longer than 2 MiB.');
}

/** The parts of a request, without its sender. */
interface RequestParts {
  readonly body: string | null;
  /** Value of the header `webhook-id`; must not contain a dot. */
  readonly id: string;
  readonly traceparent: string | undefined;
  readonly contentType: string;
  readonly method: Method;
  readonly url: URL;
  /** Further headers: name, value, name, value … */
  readonly more: readonly string[];
}

/**
 * Makes a request, authorized and signed with the current time; without a body, the signature is that of an empty one.
 * @throws MessageImpossible when its authorization may not be sent to its URL
 */
export function requestWith(
  { body, id, traceparent, contentType, method, url, more }: RequestParts,
  { headers, query, identity, signingKeys, reaches }: RequestAuthorization,
  userAgent: string,
): WebhookRequest {
  // Only a template leads to another path than was checked before: that is a failure of this message alone, and others go on.
  if (!reaches(url)) {
    const reason = 'webhookUrl: it leads where the authorization may not be sent';
    throw new MessageImpossible(
      ATTEMPT_CODES.templateFailed,
      'The authorization is not for its URL.',
      undefined,
      reason,
    );
  }
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const all = [
    ...(body === null ? [] : ['content-type', contentType]),
    'user-agent',
    userAgent,
    'webhook-id',
    id,
    'webhook-timestamp',
    String(timestampSeconds),
    ...headers,
    ...more,
  ];
  if (traceparent !== undefined) all.push('traceparent', traceparent);
  const own =
    more.length === 0 ? NO_NAMES : new Set(more.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()));
  if (signingKeys.length === 0) return { headers: all, query, identity, body, own, method, url };
  const signed = signBody(signingKeys, id, timestampSeconds, body ?? '');
  all.push('webhook-signature', signed.signature);
  return { headers: all, query, identity, body: body === null ? null : signed.body, own, method, url };
}

const NO_NAMES: ReadonlySet<string> = new Set();
