import type { Audience } from '../contract/audience.ts';
import type { Method } from '../contract/request-shape.ts';
import type { DeliverySettings } from '../contract/slice.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { legacyPayload, newPayload, type PayloadParts, type Profile } from '../domain/message.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { RequestAuthorization } from './authorization.ts';
import { MessageImpossible, type RequestMarks, type SentTrigger, type WebhookRequest } from './request.ts';
import type { RequestContent, Shape, Shapes } from './shape.ts';
import { signBody } from './signature.ts';
import { sha256 } from './sha256.ts';

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
export interface RequestItem extends RequestContent {
  /** Its default body, with its envelope; undefined: its request has another body, or none. */
  readonly text: string | undefined;
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
  readonly #shapeOf: (event: TriggerEvent) => Shape;

  constructor(settings: DeliverySettings, shapes: Shapes) {
    const { request, eventAnswers, batch } = settings;
    this.#settings = settings;
    this.#isBatch = batch !== undefined;
    this.isByEvent = request?.onEnter != null || request?.onExit != null || eventAnswers !== undefined;
    this.#shapeOf = shapes.of(settings);
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
    const content = { id, trigger, parts, byDefault: () => defaultBody(parts, isLegacy) };
    const text = this.#shapeOf(event).byDefault?.(content);
    if (!this.#isBatch || text === undefined) return { ...content, text, bytes: 0 };
    refuseTooLong(`[${text}]`);
    return { ...content, text, bytes: Buffer.byteLength(text) + COMMA_BYTES };
  }

  /**
   * The request for one item, or for a batch of them. With the same content it has the same id, but its own time and signature.
   *
   * @param items at least one. If enters and exits have separate requests, all items are of one event.
   * @throws MessageImpossible also if the items could be sent in smaller batches.
   * @throws ItemsSkipped with the items; the others can be sent without them.
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
    const { method, contentType, make } = this.#shapeOf(first.trigger.event);
    const { url, headers: more, body: own } = make(items, authorization);
    const body = own === undefined ? this.#defaultBodyOf(items) : own;
    if (body !== null) refuseTooLong(body);
    return requestWith({ body, id, traceparent, contentType, method, url, more }, authorization, userAgent);
  }

  #defaultBodyOf(items: readonly RequestItem[]): string {
    const text = items.map(({ text = '' }) => text).join(',');
    return this.#isBatch ? `[${text}]` : text;
  }

  #idOf(trigger: SentTrigger): string {
    return deliveryId(this.#settings.subscriptionId, trigger, sha256);
  }
}

/** @throws MessageImpossible */
function defaultBody(parts: PayloadParts, isLegacy: boolean): string {
  try {
    return isLegacy ? legacyPayload(parts) : newPayload(parts);
  } catch (error) {
    throw new MessageImpossible(ATTEMPT_CODES.payloadImpossible, 'The message cannot be written.', { cause: error });
  }
}

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
    throw new MessageImpossible(ATTEMPT_CODES.templateFailed, 'The authorization is not for its URL.', { reason });
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
