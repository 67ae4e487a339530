import type { Method } from '../contract/request-shape.ts';
import type { SliceTrigger } from '../contract/slice.ts';
import type { ClientIdentity } from './authorization.ts';

/** A request as it is sent. */
export interface WebhookRequest {
  /** Name, value, name, value …, as undici accepts them. */
  readonly headers: string[];
  /** Appended to the URL's own query; encoded, without a `?`. */
  readonly query?: string;
  /** The client certificate whose connections it uses; absent: connections without one. */
  readonly identity?: ClientIdentity | undefined;
  /** Null: none is sent. */
  readonly body: string | Buffer | null;
  /** Absent: POST. */
  readonly method?: Method;
  /** Where it goes, if that is not where all of the job's requests go. */
  readonly url?: URL;
  /** Names of the headers that the job itself sets, in lower case: they are not secret. Absent: none. */
  readonly own?: ReadonlySet<string>;
}

/** No message about this trigger can ever be sent. Any other error of making a request is a fault of the worker. */
export class MessageImpossible extends Error {
  override readonly name = 'MessageImpossible';
  readonly code: string;
  /** The reason, as far as people should see it. */
  readonly reason: string | undefined;
  /** The wrong part of the text, with a caret below it. It contains values of the person, and is only for people who ask to see them. */
  readonly excerpt: string | undefined;

  constructor(
    code: string,
    message: string,
    {
      cause,
      reason,
      excerpt,
    }: { readonly cause?: unknown; readonly reason?: string; readonly excerpt?: string | undefined } = {},
  ) {
    super(message, { cause });
    this.code = code;
    this.reason = reason;
    this.excerpt = excerpt;
  }
}

/** A trigger that is about to be sent. */
export interface SentTrigger extends SliceTrigger {
  /** Slugs of all audiences that the person is in; absent: the job does not send them. */
  readonly memberships?: readonly string[] | undefined;
}

/** The headers that identify a request, besides its content. */
export interface RequestMarks {
  /** Value of the header `webhook-id`; must not contain a dot. Default: the trigger's delivery id, or one of the batch. */
  readonly id?: string | undefined;
  /** Value of the header `traceparent`; absent: the header is not sent. */
  readonly traceparent?: string | undefined;
}
