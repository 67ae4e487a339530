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

/** A request as it goes out. */
export interface WebhookRequest {
  /** Name, value, name, value … as undici takes them. */
  readonly headers: string[];
  /** Added to the URL's own query, encoded; without a `?`. */
  readonly query?: string;
  /** Whose connections it goes over; absent: those of nobody in particular. */
  readonly identity?: ClientIdentity | undefined;
  readonly body: string | Buffer;
}

/** Most bytes of a body: a profile of the longest line that a source reads, and what is written around it. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Most bytes that one unit of a string takes in UTF-8. */
const BYTES_PER_UNIT = 3;

/** The message has more bytes than are sent to anybody. */
export class PayloadTooLarge extends Error {
  override readonly name = 'PayloadTooLarge';
  readonly code = ATTEMPT_CODES.payloadTooLarge;
}

const now = createNanosecondClock();

/** What else is known of a request than what it is about. */
export interface RequestMarks {
  /** Of the header `webhook-id`, without a dot; default: the trigger's delivery id. */
  readonly id?: string | undefined;
  /** The header of that name; absent: there is none. */
  readonly traceparent?: string | undefined;
}

/**
 * Makes the request for one attempt of a trigger: the same id every time, the time and the signature its own.
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
 * A request of ours with this JSON for its body: authorized, and signed at this moment.
 * @param id of the header `webhook-id`, without a dot.
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
