import type { Audience } from '../contract/audience.ts';
import type { ExportField } from '../contract/request-shape.ts';
import type { Json, JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { type MemberPlaces, scanMembers } from './json-scan.ts';
import { parseJson, refuseNoNumber, stringifyJson } from './json.ts';

/** The parts of a message. */
export interface PayloadParts {
  readonly user: string;
  readonly event: TriggerEvent;
  /** When it happened, passed on as it is. */
  readonly at: string;
  readonly audience: Audience;
  readonly profile: Profile;
  readonly subscriptionId: string;
  readonly exportFields: readonly ExportField[];
  /** Slugs of all audiences that the person is in; undefined: they are not sent. */
  readonly memberships?: readonly string[] | undefined;
  /** RFC 3339: the time of this attempt. */
  readonly attemptAt: string;
  /** In the body of a trigger that shares its request with others; absent: it is in the header. */
  readonly deliveryId?: string;
}

/** The body of the default format: `{id, data, meta}`. @throws RangeError for a number that is too large to be written. */
export function newPayload(parts: PayloadParts): string {
  const data = dataOf(parts, { segment_events: segmentEvents(parts), ...segmentsAll(parts) });
  const { subscriptionId, attemptAt, deliveryId } = parts;
  const own = deliveryId === undefined ? {} : { delivery_id: deliveryId };
  const meta = stringifyJson({ object: 'user', subscription_id: subscriptionId, timestamp: attemptAt, ...own });
  return `{"id":${stringifyJson(parts.user)},"data":${data},"meta":${meta}}`;
}

/** The body of User Legacy Message Format: `{id, data, collected, table, segment_events, segments_all, subscriptionid}`. */
export function legacyPayload(parts: PayloadParts): string {
  const { audience, deliveryId } = parts;
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
    ...segmentsAll(parts),
    subscriptionid: parts.subscriptionId,
    ...(deliveryId === undefined ? {} : { delivery_id: deliveryId }),
  });
  return `{"id":${stringifyJson(parts.user)},"data":${data},${rest.slice(1)}`;
}

function segmentEvents({ audience, event, at }: PayloadParts): Json {
  return [{ id: audience.id, event, slug: audience.slug, [event]: at }];
}

/** The audiences of the person as they are sent, where they are. */
function segmentsAll({ memberships }: Pick<PayloadParts, 'memberships'>): { readonly segments_all?: Json } {
  return memberships === undefined ? {} : { segments_all: memberships };
}

/** The fields that a template may name as `data`. */
export function templateData(parts: PayloadParts): JsonObject {
  return { ...selectFields(fieldsOf(parts.profile), parts.exportFields), ...segmentsAll(parts) };
}

/** The JSON of the profile's sent fields, with sorted keys, including `ours`. */
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
    const text = stringifyJson(value ?? null);
    if (text.includes('null')) refuseNoNumber(value);
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${text}`;
  }
  return `{${members}}`;
}

/** A person's fields as their source has them: an object, or the JSON text of one, which then need not be parsed and written again. */
export type Profile = JsonObject | ProfileText;

/** A profile in JSON that is known to be an object's. */
export function profileIn(json: string): Profile {
  return ProfileText.read(json) ?? (parseJson(json) as JsonObject);
}

/** A person's fields as an object. */
export function fieldsOf(profile: Profile): JsonObject {
  return profile instanceof ProfileText ? profile.parse() : profile;
}

/** The JSON text of a person's fields, sent as it is spelt. It is valid, and its keys are sorted by UTF-16 code units, each present once. */
export class ProfileText {
  readonly #text: string;
  readonly #starts: readonly number[];
  readonly #end: number;

  /**
   * Reads the JSON object in `text` from `from` to `to`. Undefined when there is none, and when it needs a real parser: a key that is
   * repeated or has an escape, a lone surrogate, over a hundred levels, a number not spelt as it would be written.
   */
  static read(text: string, from = 0, to = text.length): ProfileText | undefined {
    const places = scanMembers(text, from, to);
    if (places === undefined) return undefined;
    const read = new ProfileText(text, places);
    return places.isSorted ? read : read.#sorted();
  }

  private constructor(text: string, { starts, end }: MemberPlaces) {
    this.#text = text;
    this.#starts = starts;
    this.#end = end;
  }

  parse(): JsonObject {
    return parseJson(this.with({})) as JsonObject; // It is an object's text.
  }

  /** The text with our members in their places, which win over the person's fields of the same name. */
  with(ours: JsonObject): string {
    const pieces: string[] = [];
    let next = 0;
    for (const key of Object.keys(ours).sort()) {
      const place = this.#placeOf(key);
      if (next < place) pieces.push(this.#members(next, place));
      pieces.push(`${JSON.stringify(key)}:${stringifyJson(ours[key] ?? null)}`);
      next = this.#keyAt(place) === key ? place + 1 : place;
    }
    const count = this.#starts.length;
    if (next < count) pieces.push(this.#members(next, count));
    return `{${pieces.join(',')}}`;
  }

  /** How many keys are smaller. */
  #placeOf(key: string): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keyAt(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Empty after the last. */
  #keyAt(place: number): string {
    const start = this.#starts[place];
    return start === undefined ? '' : this.#text.slice(start + 1, this.#text.indexOf('"', start + 1));
  }

  #members(first: number, last: number): string {
    const next = this.#starts[last];
    const end = next === undefined ? this.#end : this.#text.lastIndexOf(',', next);
    return this.#text.slice(this.#starts[first], end);
  }

  /** Undefined when a key is there twice. */
  #sorted(): ProfileText | undefined {
    const members = this.#starts.map((_, place) => ({
      key: this.#keyAt(place),
      text: this.#members(place, place + 1),
    }));
    members.sort((a, b) => (a.key < b.key ? -1 : 1));
    const text = `{${members.map((member) => member.text).join(',')}}`;
    const places = scanMembers(text, 0, text.length);
    return places?.isSorted === true ? new ProfileText(text, places) : undefined;
  }
}

/**
 * The part of a profile that Export Fields select. Without fields: all of it. A field that is exactly a key selects that key. Otherwise its
 * dots lead into nested objects (`user_attributes.value`), and the selected value keeps its place there. If it is sent under another name,
 * the dots of that name make nested objects. A field that the profile does not have selects nothing.
 */
export function selectFields(profile: JsonObject, fields: readonly ExportField[]): JsonObject {
  if (fields.length === 0) return profile;
  const selected = new Map<string, Json | Branch>();
  for (const field of fields) {
    if (typeof field !== 'string') put(valueAt(profile, field.field), field.as.split('.'), selected);
    else if (Object.hasOwn(profile, field)) selected.set(field, profile[field] ?? null);
    else take(profile, field.split('.'), selected);
  }
  return toObject(selected);
}

type Branch = Map<string, Json | Branch>;

function take(from: JsonObject, path: readonly string[], into: Branch): void {
  const [key, ...rest] = path;
  if (key === undefined || !Object.hasOwn(from, key)) return;
  const value = from[key] ?? null;
  if (rest.length === 0) {
    into.set(key, value);
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const known = into.get(key);
  if (known !== undefined && !(known instanceof Map)) return; // The whole of it is taken already.
  const branch: Branch = known ?? new Map<string, Json | Branch>();
  take(value as JsonObject, rest, branch);
  if (branch.size > 0) into.set(key, branch);
}

/** The value of a field; undefined: the profile does not have it. */
function valueAt(profile: JsonObject, field: string): Json | undefined {
  if (Object.hasOwn(profile, field)) return profile[field];
  let value: Json | undefined = profile;
  for (const key of field.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = (value as JsonObject)[key];
  }
  return value;
}

function put(value: Json | undefined, [key, ...rest]: readonly string[], into: Branch): void {
  if (value === undefined || key === undefined) return;
  if (rest.length === 0) {
    into.set(key, value);
    return;
  }
  const known = into.get(key);
  const branch: Branch = known instanceof Map ? known : new Map<string, Json | Branch>();
  into.set(key, branch);
  put(value, rest, branch);
}

function toObject(branch: Branch): JsonObject {
  // fromEntries defines keys rather than assigning them, so that a field called __proto__ is a field like any other.
  return Object.fromEntries([...branch].map(([key, value]) => [key, value instanceof Map ? toObject(value) : value]));
}

/** Whether a text of a job is a template, rather than plain text. */
export function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/** How many levels of nested objects have their fields listed. */
export const DEEPEST = 8;
/** The form accepts no more fields, and no longer ones (`contract/export-job.ts`). */
export const MOST_FIELDS = 1000;
const LONGEST_FIELD = 255;

/**
 * Returns the paths that Export Fields may name in a profile: its keys and, after each object, the paths into it (`user_attributes`,
 * `user_attributes.value`). At most 1,000. Leaves out keys that no path can name, such as a nested key with a dot.
 */
export function fieldPaths(profile: JsonObject): string[] {
  const paths = new Set<string>();
  collectPaths(profile, '', DEEPEST, paths);
  return [...paths];
}

function collectPaths(from: JsonObject, prefix: string, levels: number, into: Set<string>): void {
  for (const key of Object.keys(from).sort()) {
    const path = prefix + key;
    const isNameable = path.trim() === path && key !== '' && path.length <= LONGEST_FIELD && path.isWellFormed();
    if (!isNameable || (prefix !== '' && key.includes('.')) || into.size >= MOST_FIELDS) continue;
    into.add(path);
    const value = from[key] ?? null;
    // After a key that itself contains a dot, a path would lead elsewhere.
    if (levels > 1 && typeof value === 'object' && !Array.isArray(value) && value !== null && !key.includes('.'))
      collectPaths(value as JsonObject, `${path}.`, levels - 1, into);
  }
}
