import type { Audience } from '../contract/audience.ts';
import type { Json, JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { selectFields } from './export-fields.ts';
import { stringifyJson } from './json.ts';
import { fieldsOf, type Profile, ProfileText } from './profile.ts';

/** What a message is made of. */
export interface PayloadParts {
  readonly user: string;
  readonly event: TriggerEvent;
  /** When it happened, passed on as it is. */
  readonly at: string;
  readonly audience: Audience;
  readonly profile: Profile;
  readonly subscriptionId: string;
  readonly exportFields: readonly string[];
  /** RFC 3339: the time of this attempt. */
  readonly attemptAt: string;
}

/** The body of the default format: `{id, data, meta}`. */
export function newPayload(parts: PayloadParts): string {
  const data = dataOf(parts, { segment_events: segmentEvents(parts) });
  const meta = stringifyJson({ object: 'user', subscription_id: parts.subscriptionId, timestamp: parts.attemptAt });
  return `{"id":${stringifyJson(parts.user)},"data":${data},"meta":${meta}}`;
}

/** The body of User Legacy Message Format: `{id, data, collected, table, segment_events, subscriptionid}`. */
export function legacyPayload(parts: PayloadParts): string {
  const { audience } = parts;
  const data = dataOf(parts, {
    _audience: audience.id,
    _audience_action: parts.event === 'enter' ? 'entered' : 'exited',
    _audience_friendly: audience.slug,
    _audience_name: audience.name,
  });
  const rest = stringifyJson({
    collected: parts.attemptAt,
    table: 'user',
    segment_events: segmentEvents(parts),
    subscriptionid: parts.subscriptionId,
  });
  return `{"id":${stringifyJson(parts.user)},"data":${data},${rest.slice(1)}`;
}

function segmentEvents({ audience, event, at }: PayloadParts): Json {
  return [{ id: audience.id, event, slug: audience.slug, [event]: at }];
}

/** The JSON of what is sent of the profile, with sorted keys, including `ours`. */
function dataOf({ profile, exportFields }: PayloadParts, ours: JsonObject): string {
  if (profile instanceof ProfileText && exportFields.length === 0) return profile.with(ours);
  return sortedObject(selectFields(fieldsOf(profile), exportFields), ours);
}

/**
 * The JSON of an object with sorted keys; `ours` win over the profile's fields of the same name. Written key by key: an object
 * would put integer-like keys first, whatever we sort, and is slower besides.
 */
function sortedObject(profile: JsonObject, ours: JsonObject): string {
  const keys = Object.keys(profile);
  for (const key of Object.keys(ours)) if (!Object.hasOwn(profile, key)) keys.push(key);
  let members = '';
  for (const key of keys.sort()) {
    const value = Object.hasOwn(ours, key) ? ours[key] : profile[key];
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${stringifyJson(value ?? null)}`;
  }
  return `{${members}}`;
}
