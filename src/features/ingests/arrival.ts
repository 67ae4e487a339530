import type { Json, JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import { instantOf, parseInstant } from '../../domain/instant.ts';
import { MAX_TRIGGER_BYTES } from '../../domain/trigger.ts';

/** The parts of a request that an ingest reads. */
export interface Arrival {
  /** By name in lower case; a repeated header has all its values. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The parameters of the URL. */
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: Json;
}

/** Returns the parameters of a URL's query, and one that it has twice: nobody can say which of the two counts. */
export function parametersIn(query: string): {
  readonly query: Arrival['query'];
  readonly doubled: string | undefined;
} {
  const parameters = [...new URLSearchParams(query)];
  const names = parameters.map(([name]) => name);
  return {
    query: Object.fromEntries(parameters),
    doubled: names.find((name, index) => names.indexOf(name) !== index),
  };
}

export function doubledText(name: string): string {
  return `The URL has the parameter "${name.slice(0, 50)}" twice.`;
}

/** One membership change, as its sender tells it. Others decide whether it can become a trigger. */
export interface Change {
  readonly user: string;
  readonly event: TriggerEvent;
  /** How the sender names the audience, the most lasting name first: id, slug, name. At least one. */
  readonly audiences: readonly [string, ...string[]];
  /** RFC 3339; absent: the sender does not say. */
  readonly at?: string | undefined;
  readonly profile?: JsonObject | undefined;
}

/** Why an item cannot be read as a change: in words, without anything about a person. */
export interface Unreadable {
  readonly reason: string;
}

/** The contents of a request, as an ingest reads them. */
export interface Reading {
  /** In their order. */
  readonly changes: readonly (Change | Unreadable)[];
  /** How many items tell of no change. */
  readonly ignored: number;
  /** The same whenever the sender repeats this request, and different for any other; absent: the sender gives none. */
  readonly messageId?: string | undefined;
  /** Fields that the sender expects in the answer. */
  readonly answer?: JsonObject | undefined;
}

/** Settings that every preset has. */
export interface PresetSettings {
  /** The field of a person that is their id, as a dotted path; undefined: the sender's usual place. */
  readonly userField?: string | undefined;
  /** The audience of all changes; undefined: the sender names it. */
  readonly audience?: string | undefined;
  /** Our names of audiences, by the sender's. */
  readonly audiences: Readonly<Record<string, string>>;
}

/** Reads a sender's requests. Pure, and never throws. */
export type ReadArrival = (arrival: Arrival, settings: PresetSettings) => Reading;

/** Whether it is a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object at a field; an empty one when there is none. */
export function objectAt(owner: JsonObject, key: string): JsonObject {
  const value = own(owner, key);
  return isObject(value) ? value : {};
}

/** Returns the value of an object's own field. */
export function own(owner: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(owner, key) ? owner[key] : undefined;
}

/** Returns the value at a dotted path. A field of exactly that name comes first. */
export function valueAt(owner: JsonObject, path: string): Json | undefined {
  if (Object.hasOwn(owner, path)) return owner[path];
  let value: Json | undefined = owner;
  for (const key of path.split('.')) value = isObject(value) ? own(value, key) : undefined;
  return value;
}

/** An id as text, with all its digits; undefined when it is none. */
export function idOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : undefined;
}

/** Returns the first of these that is an id. */
export function firstId(...values: readonly (Json | undefined)[]): string | undefined {
  for (const value of values) {
    const id = idOf(value);
    if (id !== undefined) return id;
  }
  return undefined;
}

const ENTER = new Set(['enter', 'entered', 'enters', 'add', 'added', 'joined', 'true']);
const EXIT = new Set(['exit', 'exited', 'exits', 'leave', 'left', 'leaves', 'remove', 'removed', 'deleted', 'false']);

/** Returns the event that a sender's word means; undefined: none. In several words, such as `audience.entered`, the last one counts. */
export function eventOf(value: Json | undefined): TriggerEvent | undefined {
  if (typeof value === 'boolean') return value ? 'enter' : 'exit';
  if (typeof value !== 'string') return undefined;
  const word =
    value
      .trim()
      .toLowerCase()
      .split(/[\s._:/-]+/)
      .at(-1) ?? '';
  if (ENTER.has(word)) return 'enter';
  return EXIT.has(word) ? 'exit' : undefined;
}

/** Seconds since 1970, from September 2001 to the year 2100. A number outside of these is not meant as a time: 20261127 is a date. */
const FIRST_S = 1_000_000_000;
const LAST_S = 4_102_444_800;

/**
 * Returns a time as RFC 3339. Takes such a text as it is, or seconds or ms since 1970, as a number or text, from September 2001 to the year 2100.
 * Undefined when there is none; null when the value is not a time.
 */
export function timeOf(value: Json | undefined): string | null | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string' && parseInstant(value) !== undefined) return value;
  const number = typeof value === 'string' && /^\d{9,13}(\.\d{1,3})?$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number') return null;
  if (number >= FIRST_S && number < LAST_S) return instantOf(Math.round(number * 1000));
  return number >= FIRST_S * 1000 && number < LAST_S * 1000 ? instantOf(Math.round(number)) : null;
}

/** A change as its sender tells it; something may be missing. */
interface ReportedChange {
  readonly user: string | undefined;
  /** The place where the user is looked for, for the reason. */
  readonly userIn: string;
  readonly event: TriggerEvent | undefined;
  readonly audiences: readonly (Json | undefined)[];
  readonly at?: Json | undefined;
  /** As it came: refused unless it is an object or nothing. */
  readonly profile?: Json | undefined;
}

/** Returns a change, or what it lacks. */
export function changeOf(reported: ReportedChange, { audience }: PresetSettings): Change | Unreadable {
  const { user, userIn, event, profile } = reported;
  const audiences = audience === undefined ? reported.audiences.map(idOf) : [audience];
  const [first, ...others] = new Set(audiences.filter((one) => one !== undefined));
  if (user === undefined) return { reason: `it does not say who: there is no text or whole number in ${userIn}` };
  if (event === undefined) return { reason: 'it does not say whether the person enters or leaves' };
  if (first === undefined) return { reason: 'it does not say which audience it is about' };
  const at = timeOf(reported.at);
  if (at === null)
    return {
      reason: 'its time is neither RFC 3339 nor seconds or ms since 1970, from September 2001 to the year 2100',
    };
  if (profile !== undefined && profile !== null && !isObject(profile))
    return { reason: 'what it says of the person is no JSON object' };
  const fields = isObject(profile) && Object.keys(profile).length > 0 ? profile : undefined;
  return { user, event, audiences: [first, ...others], at, profile: fields };
}

/** More fields than a trigger has room for, although each takes only 5 bytes or more: `"":0,`. */
const TOO_MANY_FIELDS = MAX_TRIGGER_BYTES / 5;

/** An object without some of its fields. One that is too large for a trigger stays as it is: its copy would be refused, and may take seconds. */
export function without(owner: JsonObject, keys: (key: string) => boolean): JsonObject {
  if (Object.keys(owner).length > TOO_MANY_FIELDS) return owner;
  return Object.fromEntries(Object.entries(owner).filter(([key]) => !keys(key)));
}

/** The items of a list, or the thing itself. */
export function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [value];
}
