import { effectiveShape, JSON_TYPE, type Method } from '../contract/request-shape.ts';
import type { DeliverySettings } from '../contract/slice.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { isTemplate, type PayloadParts } from '../domain/message.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { RequestAuthorization } from './authorization.ts';
import { MessageImpossible, type SentTrigger } from './request.ts';

/** The content that a request may have about one trigger. */
export interface RequestContent {
  /** The delivery id of the trigger. */
  readonly id: string;
  readonly trigger: SentTrigger;
  readonly parts: PayloadParts;
  /** Makes the default body. */
  readonly byDefault: () => string;
}

/** A request of its shape, without what every request has. */
export interface ShapedRequest {
  readonly url: URL;
  /** Further headers: name, value, name, value … */
  readonly headers: readonly string[];
  /** null: it has none; undefined: the default bodies of its items. */
  readonly body: string | null | undefined;
}

/** How the requests about enters, or about exits, look. */
export interface Shape {
  readonly method: Method;
  readonly contentType: string;
  /** Writes the default body; undefined: the requests have another body, or none. */
  readonly byDefault: ((content: RequestContent) => string) | undefined;
  /**
   * @throws MessageImpossible
   * @throws ItemsSkipped
   */
  readonly make: (contents: readonly RequestContent[], authorization: RequestAuthorization) => ShapedRequest;
}

/** A job's settings for its requests. */
export type ShapeSettings = Pick<DeliverySettings, 'webhookUrl' | 'request' | 'subscriptionId' | 'batch'>;

/** Reads how the requests of a job look. */
export interface Shapes {
  readonly of: (settings: ShapeSettings) => (event: TriggerEvent) => Shape;
  /** The problems of a part of a definition that show without a person, each with its field. Neither was checked. */
  readonly problems: (part: RequestPart, definition: unknown) => { readonly field: string; readonly message: string }[];
}

/** A part of a definition that describes requests: the definition itself, or the settings for one event. */
export interface RequestPart {
  /** Precedes the names of its fields. */
  readonly prefix: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Nothing is sent about these items of a batch, each for its reason. The others can be sent without them. */
export class ItemsSkipped extends Error {
  readonly reasons: ReadonlyMap<RequestContent, string>;

  constructor(reasons: ReadonlyMap<RequestContent, string>) {
    super();
    this.reasons = reasons;
  }
}

/** Posts the default body, and knows no other shape. */
export const DEFAULT_SHAPES: Shapes = {
  of: ({ webhookUrl, request }) => {
    const made: ShapedRequest = { url: new URL(webhookUrl), headers: [], body: undefined };
    const shape: Shape = {
      method: 'POST',
      contentType: JSON_TYPE,
      byDefault: ({ byDefault }) => byDefault(),
      make: () => made,
    };
    return () => {
      if (request === undefined) return shape;
      throw new MessageImpossible(ATTEMPT_CODES.templateFailed, 'The worker knows no shape but the default one.');
    };
  },
  problems: ({ prefix, fields }) =>
    ['method', 'headers', 'contentType', 'body', 'envelope']
      .filter((field) => fields[field] != null)
      .map((field) => ({ field: prefix + field, message: 'The worker sends only the default request.' })),
};

/** The URLs that a job sends to. */
export function destinationsOf(settings: DeliverySettings): readonly URL[] {
  if (settings.request === undefined) return [new URL(settings.webhookUrl)];
  return (['enter', 'exit'] as const).map((event) => destinationOf(settings, event));
}

/** Where the requests of an event go. If a URL has a template, only its origin matters. */
export function destinationOf({ webhookUrl, request }: DeliverySettings, event: TriggerEvent): URL {
  return new URL(effectiveShape({ ...request, webhookUrl }, event).webhookUrl);
}

/** The template of the URL that the requests of an event go to; undefined: it has none. */
export function urlTemplateOf({ webhookUrl, request }: DeliverySettings, event: TriggerEvent): string | undefined {
  const { webhookUrl: url } = effectiveShape({ ...request, webhookUrl }, event);
  return isTemplate(url) ? url : undefined;
}
