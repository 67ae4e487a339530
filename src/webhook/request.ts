import type { Audience } from '../contract/audience.ts';
import type { DeliverySettings, SliceTrigger } from '../contract/slice.ts';
import type { Profile } from '../domain/profile.ts';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { legacyPayload, newPayload } from '../domain/payload.ts';
import type { RequestAuthorization } from './authorizations.ts';
import type { ClientIdentity } from './client-identity.ts';
import { createNanosecondClock } from './nanosecond-clock.ts';
import { sha256 } from './sha256.ts';
import { signBody } from './signature.ts';

/** A request as it is sent. */
export interface WebhookRequest {
  /** Name, value, name, value …, as undici accepts them. */
  readonly headers: string[];
  /** Appended to the URL's own query; encoded, without a `?`. */
  readonly query?: string;
  /** The client certificate whose connections it uses; absent: connections without one. */
  readonly identity?: ClientIdentity | undefined;
  readonly body: string | Buffer;
}

/** Most bytes of a body: enough for the longest profile that a source reads, and what is written around it. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Most bytes that one UTF-16 code unit of a string takes in UTF-8. */
const BYTES_PER_UNIT = 3;

/** The message is larger than anything that is sent. */
export class PayloadTooLarge extends Error {
  override readonly name = 'PayloadTooLarge';
  readonly code = ATTEMPT_CODES.payloadTooLarge;
}

const now = createNanosecondClock();

/** What identifies a request in headers, besides its content. */
export interface RequestMarks {
  /** Value of the header `webhook-id`; must not contain a dot. Default: the trigger's delivery id. */
  readonly id?: string | undefined;
  /** Value of the header `traceparent`; absent: the header is not sent. */
  readonly traceparent?: string | undefined;
}

/**
 * Makes the request for one attempt of a trigger. Every attempt has the same id, but its own time and signature.
 *
 * @throws PayloadTooLarge for a body of more than 2 MiB.
 */
export function makeRequest(
  settings: DeliverySettings,
  trigger: SliceTrigger,
  audience: Audience,
  profile: Profile,
  authorization: RequestAuthorization,
  userAgent: string,
  { id = deliveryId(settings.subscriptionId, trigger, sha256), traceparent }: RequestMarks = {},
): WebhookRequest {
  const { subscriptionId, exportFields, userLegacyMessageFormat } = settings;
  const parts = {
    user: trigger.user,
    event: trigger.event,
    at: trigger.at,
    audience,
    profile,
    subscriptionId,
    exportFields,
    attemptAt: now(),
  };
  const body = userLegacyMessageFormat ? legacyPayload(parts) : newPayload(parts);
  if (body.length * BYTES_PER_UNIT > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new PayloadTooLarge('The message is longer than 2 MiB.');
  return requestWith(body, id, authorization, userAgent, traceparent);
}

/**
 * Makes a request with this JSON as its body, authorized and signed with the current time.
 * @param id value of the header `webhook-id`; must not contain a dot.
 */
export function requestWith(
  body: string,
  id: string,
  { headers, query, identity, signingKeys }: RequestAuthorization,
  userAgent: string,
  traceparent?: string,
): WebhookRequest {
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const all = [
    'content-type',
    'application/json',
    'user-agent',
    userAgent,
    'webhook-id',
    id,
    'webhook-timestamp',
    String(timestampSeconds),
    ...headers,
  ];
  if (traceparent !== undefined) all.push('traceparent', traceparent);
  if (signingKeys.length === 0) return { headers: all, query, identity, body };
  const signed = signBody(signingKeys, id, timestampSeconds, body);
  all.push('webhook-signature', signed.signature);
  return { headers: all, query, identity, body: signed.body };
}
