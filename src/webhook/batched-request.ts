import type { Audience } from '../contract/audience.ts';
import type { DeliverySettings } from '../contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { type Profile, templateData } from '../domain/message.ts';
import type { RequestAuthorization } from './authorizations.ts';
import {
  defaultBody,
  MAX_BODY_BYTES,
  nowInNanoseconds,
  payloadParts,
  refuseTooLong,
  requestWith,
  type SentTrigger,
  type WebhookRequest,
} from './request.ts';
import { bodyOf, cloudEvent, headersOf, readBody, type ReadShape, shapesOf } from './shaped-request.ts';
import { sha256 } from './signature.ts';
import type { BatchScope, ItemScope } from './templates.ts';

/** What of a batch is around the bodies of its triggers, in bytes. */
const BRACKETS_BYTES = 2;
const COMMA_BYTES = 1;

/** A trigger, ready to be put into a batch. */
export interface BatchItem {
  /** Its delivery id. */
  readonly id: string;
  readonly event: TriggerEvent;
  /** What the default body of a batch, or its envelope, has of it; undefined: the body is a template, which has `scope`. */
  readonly text: string | undefined;
  readonly scope: ItemScope | undefined;
  /** How many bytes it takes at least. */
  readonly bytes: number;
}

/** Whether a batch that has so many bytes already has room for another item. */
export function fitsInto(bytes: number, item: BatchItem): boolean {
  return BRACKETS_BYTES + bytes + item.bytes <= MAX_BODY_BYTES;
}

/** Makes the requests of a job that sends batches. */
export class BatchMaker {
  /** Whether a batch has either enters or exits. */
  readonly isByEvent: boolean;
  readonly #settings: DeliverySettings;
  readonly #shapes: ((event: TriggerEvent) => ReadShape) | undefined;

  constructor(settings: DeliverySettings) {
    const { request, webhookUrl, eventAnswers } = settings;
    this.#settings = settings;
    this.isByEvent = request?.onEnter != null || request?.onExit != null || eventAnswers !== undefined;
    this.#shapes = request === undefined ? undefined : shapesOf({ ...request, webhookUrl });
  }

  /** @throws MessageImpossible */
  item(trigger: SentTrigger, audience: Audience, profile: Profile): BatchItem {
    const settings = this.#settings;
    const id = deliveryId(settings.subscriptionId, trigger, sha256);
    const { event } = trigger;
    const shape = this.#shapes?.(event);
    const parts = { ...payloadParts(settings, trigger, audience, profile), deliveryId: id };
    const byDefault = (): string => defaultBody(parts, settings.userLegacyMessageFormat);
    if (shape === undefined || shape.body === 'default') {
      const body = byDefault();
      const text = settings.request?.envelope === 'cloudevents' ? cloudEvent(body, id, settings, trigger) : body;
      refuseTooLong(`[${text}]`);
      return { id, event, text, scope: undefined, bytes: Buffer.byteLength(text) + COMMA_BYTES };
    }
    let data: JsonObject | undefined;
    let body: JsonObject | undefined;
    const scope: ItemScope = {
      id: trigger.user,
      // Only what the template comes to: it may write a whole item.
      get data() {
        return (data ??= templateData(parts));
      },
      event,
      action: event === 'enter' ? 'entered' : 'exited',
      audience,
      at: trigger.at,
      delivery_id: id,
      attempt: (trigger.failures ?? 0) + 1,
      get body() {
        return (body ??= readBody(byDefault()));
      },
    };
    return { id, event, text: undefined, scope, bytes: 0 };
  }

  /**
   * The request for a batch. With the same content it has the same id, but its own time and signature.
   *
   * @param items at least one; where enters and exits have requests of their own, of one event.
   * @throws MessageImpossible also for what could be sent in smaller batches.
   * @throws ItemsSkipped by their scopes; the others can be sent without them.
   */
  request(
    items: readonly BatchItem[],
    authorization: RequestAuthorization,
    userAgent: string,
    {
      id = batchId(items),
      traceparent,
    }: { readonly id?: string | undefined; readonly traceparent?: string | undefined } = {},
  ): WebhookRequest {
    const { request } = this.#settings;
    const texts = (): string => `[${items.map(({ text = '' }) => text).join(',')}]`;
    const shape = this.#shapes?.(items[0]?.event ?? 'enter');
    if (request === undefined || shape === undefined) {
      const body = texts();
      refuseTooLong(body);
      return requestWith(body, id, authorization, userAgent, traceparent);
    }
    const around: BatchScope = {
      items: [],
      now: nowInNanoseconds(),
      job: { label: request.label, subscription_id: this.#settings.subscriptionId },
    };
    const url = shape.url(() => around);
    const headers = headersOf(shape, () => around, authorization);
    const inside = { ...around, items: items.flatMap(({ scope }) => scope ?? []) };
    const body = bodyOf(shape, request, () => inside, texts);
    if (body !== null) refuseTooLong(body);
    const contentType = request.envelope === 'cloudevents' ? CLOUD_EVENTS : shape.contentType;
    return {
      ...requestWith(body, id, authorization, userAgent, traceparent, contentType, headers),
      method: shape.method,
      url,
    };
  }
}

/** CloudEvents, JSON Batch Format. */
const CLOUD_EVENTS = 'application/cloudevents-batch+json';

/** What identifies a batch: the same for the same triggers, in the same order. */
export function batchId(items: readonly Pick<BatchItem, 'id'>[]): string {
  return sha256(items.map(({ id }) => id).join(',')).slice(0, 32);
}
