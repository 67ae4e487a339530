import { createHash } from 'node:crypto';
import { nearestKey } from '../../contract/nearest-key.ts';
import { type KeySearch, triggerKeySearch, misspeltInTrigger, MOST_IN_REQUEST } from '../../client/push/key-search.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { jsonBytes } from '../../domain/json.ts';
import { MAX_TRIGGER_BYTES } from '../../domain/trigger.ts';
import {
  isObject,
  listOf,
  type ReadArrival,
  valueAt,
  type Change,
  changeOf,
  firstId,
  idOf,
  objectAt,
  own,
  type PresetSettings,
  type Reading,
  type Unreadable,
  without,
  eventOf,
  timeOf,
} from './arrival.ts';
import type { SignatureScheme } from './signature.ts';

const EVENTS: Readonly<Record<string, 'enter' | 'exit'>> = { 'Audience Entered': 'enter', 'Audience Exited': 'exit' };

const TOO_MANY: Reading = { changes: [{ reason: `it has more than ${MOST_IN_REQUEST} items` }], ignored: 0 };

/** Whether a request is refused as a whole, before any of its items is read: of each, several copies would be made. */
function isTooMany({ length }: readonly Json[]): boolean {
  return length > MOST_IN_REQUEST;
}

/** Most bytes of a request's profiles that are repeated because an item tells of several audiences: each of its changes has the whole profile. */
const MOST_REPEATED_BYTES = 16 * 1024 * 1024;

/** Bounds the repeated profiles of one request before they are copied. */
class RepeatedProfiles {
  #bytes = 0;

  /** Returns why a profile cannot be repeated so often; undefined: it can. */
  add(profile: JsonObject, times: number): Unreadable | undefined {
    if (times < 2) return undefined;
    const bytes = jsonBytes(profile);
    if (bytes > 2 * MAX_TRIGGER_BYTES) return { reason: 'its profile is too large for a trigger' };
    if (this.#bytes + bytes * times > MOST_REPEATED_BYTES) return { reason: REPEATS_TOO_MUCH };
    this.#bytes += bytes * times;
    return undefined;
  }
}

const REPEATS_TOO_MUCH = `the profiles of its items, once for each audience, have more than ${MOST_REPEATED_BYTES} bytes`;

/**
 * Calls of Segment's specification, one or a batch, which RudderStack makes as well: Track `Audience Entered` and `Audience Exited`, and Identify
 * with a boolean trait of the audience's name. Other calls tell of no change.
 */
const readSegment: ReadArrival = ({ body }, settings) => {
  const calls = isObject(body) && Array.isArray(body['batch']) ? listOf(body['batch']) : listOf(body);
  if (isTooMany(calls)) return TOO_MANY;
  const changes: (Change | Unreadable)[] = [];
  const repeated = new RepeatedProfiles();
  let ignored = 0;
  for (const call of calls) {
    const read = isObject(call) ? changesOfCall(call, settings, repeated) : [NO_CALL];
    if (read.length === 0) ignored += 1;
    changes.push(...read);
    // An Identify call may tell of each audience.
    if (changes.length > MOST_IN_REQUEST) return TOO_MANY;
  }
  return { changes, ignored, messageId: messageIdOfCalls(calls) };
};

const NO_CALL: Unreadable = { reason: 'it is no call: a JSON object with a "type"' };

function changesOfCall(
  call: JsonObject,
  settings: PresetSettings,
  repeated: RepeatedProfiles,
): (Change | Unreadable)[] {
  if (call['type'] === 'track') return tracked(call, settings);
  return call['type'] === 'identify' ? identified(call, settings, repeated) : [];
}

function tracked(call: JsonObject, settings: PresetSettings): (Change | Unreadable)[] {
  const name = call['event'];
  const event = typeof name === 'string' && Object.hasOwn(EVENTS, name) ? EVENTS[name] : undefined;
  if (event === undefined) return [];
  const context = objectAt(call, 'context');
  const computed = objectAt(context, 'personas');
  const properties = objectAt(call, 'properties');
  const traits = objectAt(context, 'traits');
  const isIn = own(properties, idOf(own(properties, 'audience_key')) ?? '');
  if (typeof isIn === 'boolean' && isIn !== (event === 'enter'))
    return [{ reason: 'its "event" and the property of its audience\'s key say different things' }];
  const audiences = [
    own(properties, 'audience_key'),
    own(computed, 'computation_key'),
    own(computed, 'computation_id'),
    own(properties, 'audience_id'),
    own(properties, 'audience_name'),
  ];
  return [
    changeOf({ ...reportedIn(call, traits, settings), event, audiences, profile: own(context, 'traits') }, settings),
  ];
}

function identified(call: JsonObject, settings: PresetSettings, repeated: RepeatedProfiles): (Change | Unreadable)[] {
  const context = objectAt(call, 'context');
  const computed = objectAt(context, 'personas');
  const rawTraits = call['traits'] ?? own(context, 'traits') ?? {};
  const traits = isObject(rawTraits) ? rawTraits : {};
  const key = idOf(own(computed, 'computation_key'));
  const names = Object.keys(settings.audiences).filter((name) => name !== key);
  if (key !== undefined && own(computed, 'computation_class') !== 'trait') names.unshift(key);
  const reported = reportedIn(call, traits, settings);
  if (!isObject(rawTraits) && names.length > 0) return [{ reason: 'its "traits" are no JSON object' }];
  const told = names.filter((name) => typeof own(traits, name) === 'boolean');
  const excess = repeated.add(traits, told.length);
  if (excess !== undefined) return [excess];
  return told.map((name) => {
    const audiences = name === key ? [name, own(computed, 'computation_id')] : [name];
    const profile = without(traits, (trait) => trait === name);
    return changeOf(
      { ...reported, event: own(traits, name) === true ? 'enter' : 'exit', audiences, profile },
      settings,
    );
  });
}

function reportedIn(call: JsonObject, traits: JsonObject, { userField }: PresetSettings) {
  const user =
    userField === undefined ? idOf(own(call, 'userId')) : firstId(valueAt(traits, userField), valueAt(call, userField));
  return { user, userIn: `"${userField ?? 'userId'}"`, at: call['timestamp'] ?? call['originalTimestamp'] };
}

/** A batch has no id of its own. It is the same batch when all its calls are the same. */
function messageIdOfCalls(calls: readonly Json[]): string | undefined {
  const ids = calls.map((call) => (isObject(call) ? idOf(own(call, 'messageId')) : undefined));
  if (ids.length === 0 || ids.includes(undefined)) return undefined;
  return ids.length === 1 ? ids[0] : createHash('sha256').update(JSON.stringify(ids)).digest('base64url');
}

/**
 * Reads PostHog's webhook destination. By default it sends `{"event": {…}, "person": {…}}`: the event's name says what happened (`cohort entered`),
 * and its properties name the cohort. A body that was made for us has `event`, `cohort` and `distinct_id` at its top.
 */
const readPosthog: ReadArrival = ({ body }, settings) => {
  const items = listOf(body);
  if (isTooMany(items)) return TOO_MANY;
  const read = items.map((item) => {
    if (!isObject(item)) return { reason: 'it is no JSON object' };
    return isObject(item['event']) ? eventIn(item, item['event'], settings) : plainIn(item, settings);
  });
  const ids = items.map((item) => (isObject(item) ? uuidOf(item) : undefined));
  return readingOf(read, ids.length === 1 ? ids[0] : undefined);
};

/** The reading of these items, in which undefined stands for an item that tells of no change. */
function readingOf(items: readonly (Change | Unreadable | undefined)[], messageId: string | undefined): Reading {
  const changes = items.filter((one) => one !== undefined);
  return { changes, ignored: items.length - changes.length, messageId };
}

function uuidOf(item: JsonObject): string | undefined {
  return firstId(own(objectAt(item, 'event'), 'uuid'), own(item, 'uuid'));
}

function eventIn(item: JsonObject, event: JsonObject, settings: PresetSettings) {
  const happened = eventOf(event['event']);
  if (happened === undefined) return undefined;
  const properties = objectAt(event, 'properties');
  const person = objectAt(item, 'person');
  const fields = objectAt(person, 'properties');
  const { userField } = settings;
  const user =
    userField === undefined
      ? idOf(own(event, 'distinct_id'))
      : firstId(valueAt(fields, userField), valueAt(properties, userField));
  return changeOf(
    {
      user,
      userIn: `"${userField ?? 'event.distinct_id'}"`,
      event: happened,
      audiences: namesIn(properties),
      at: own(event, 'timestamp'),
      profile: own(person, 'properties'),
    },
    settings,
  );
}

function plainIn(item: JsonObject, settings: PresetSettings) {
  const { userField } = settings;
  const user =
    userField === undefined ? firstId(own(item, 'distinct_id'), own(item, 'user')) : idOf(valueAt(item, userField));
  return changeOf(
    {
      user,
      userIn: `"${userField ?? 'distinct_id'}"`,
      event: eventOf(item['event']),
      audiences: namesIn(item),
      at: own(item, 'timestamp') ?? own(item, 'at'),
      profile: isObject(item['person']) ? own(item['person'], 'properties') : own(item, 'profile'),
    },
    settings,
  );
}

function namesIn(owner: JsonObject) {
  return ['cohort_id', 'cohort', 'cohort_name', 'audience'].map((key) => own(owner, key));
}

/**
 * Reads a webhook action of a campaign that begins when a person enters or leaves a segment. Its body is written there, as docs/ingests.md says.
 * Reporting webhooks, which tell of messages, come in the same signed form and tell of no change.
 */
const readCustomerio: ReadArrival = ({ body }, settings) => {
  const items = listOf(body);
  if (isTooMany(items)) return TOO_MANY;
  const { userField } = settings;
  const read = items.map((item) => {
    if (!isObject(item)) return { reason: 'it is no JSON object' };
    if (isReport(item)) return undefined;
    const identifiers = objectAt(item, 'identifiers');
    const user =
      userField === undefined
        ? firstId(own(item, 'user'), own(item, 'customer_id'), own(identifiers, 'id'), own(identifiers, 'cio_id'))
        : idOf(valueAt(item, userField));
    return changeOf(
      {
        user,
        userIn: `"${userField ?? 'customer_id'}"`,
        event: eventOf(item['event']),
        audiences: ['segment_id', 'segment', 'segment_name', 'audience'].map((key) => own(item, key)),
        at: own(item, 'timestamp') ?? own(item, 'at'),
        profile: own(item, 'attributes'),
      },
      settings,
    );
  });
  const [first] = items;
  return readingOf(read, items.length === 1 && isObject(first) ? firstId(own(first, 'event_id')) : undefined);
};

/** Whether it is a reporting webhook, which has a type of object and a metric. */
function isReport(item: JsonObject): boolean {
  return typeof item['metric'] === 'string' && typeof item['object_type'] === 'string';
}

const ACTIONS: Readonly<Record<string, 'enter' | 'exit'>> = {
  members: 'enter',
  add_members: 'enter',
  remove_members: 'exit',
};
const DEFAULT_USER_FIELD = 'mixpanel_distinct_id';

/** One page of a cohort sync of Mixpanel. `members` is the whole cohort: all of them enter, and nothing says who has left. */
const readMixpanel: ReadArrival = ({ body }, settings) => {
  const action = isObject(body) && typeof body['action'] === 'string' ? body['action'] : '';
  if (!isObject(body) || !Object.hasOwn(ACTIONS, action))
    return { changes: [{ reason: '"action" is none of members, add_members and remove_members' }], ignored: 0 };
  const answer = { action, status: 'success' };
  const parameters = objectAt(body, 'parameters');
  const members = parameters['members'];
  if (!Array.isArray(members)) return { changes: [{ reason: '"parameters.members" is no list' }], ignored: 0, answer };
  if (isTooMany(listOf(members))) return { ...TOO_MANY, answer };
  const userField = settings.userField ?? DEFAULT_USER_FIELD;
  const audiences = [own(parameters, 'mixpanel_cohort_id'), own(parameters, 'mixpanel_cohort_name')];
  const changes = listOf(members).map((member) => {
    if (!isObject(member)) return { reason: 'a member is no JSON object' };
    const user = idOf(valueAt(member, userField));
    return changeOf({ user, userIn: `"${userField}"`, event: ACTIONS[action], audiences, profile: member }, settings);
  });
  const session = idOf(own(parameters, 'mixpanel_session_id'));
  const page = idOf(own(objectAt(parameters, 'page_info'), 'page_count')) ?? '';
  const messageId = session === undefined ? undefined : [session, action, page].join(' ');
  return { changes, ignored: 0, messageId, answer };
};

/** Where a person's id most often is, in this order. */
const USER_FIELDS = ['user_id', 'userId', 'external_id', 'id'];
/** Fields about a row that belong to no profile. */
const ROW_FIELDS = /^(event|audience|at)$/;

/** How each of these fields is read. If two places give one, both must mean the same. */
const MEANINGS: readonly (readonly [key: string, (value: Json, settings: PresetSettings) => unknown])[] = [
  ['event', (value) => eventOf(value)],
  ['audience', (value, { audiences }) => audienceOf(idOf(value), audiences)],
  ['at', (value) => timeOf(value)],
];

function audienceOf(name: string | undefined, audiences: PresetSettings['audiences']): string | undefined {
  return name !== undefined && Object.hasOwn(audiences, name) ? audiences[name] : name;
}

/**
 * Reads rows that Hightouch or Census found added or removed: one, a list, or a list in `rows` or `records`. The URL (`?event=enter`), a field
 * beside the list, or each row says what happened to them, and names the audience.
 */
const readRows: ReadArrival = ({ body, query, headers }, settings) => {
  const around = isObject(body) && listIn(body) !== undefined ? body : {};
  const rows = listOf((isObject(body) ? listIn(body) : undefined) ?? body);
  if (isTooMany(rows)) return TOO_MANY;
  const changes = rows.map((row) => {
    if (!isObject(row)) return { reason: 'a row is no JSON object' };
    const valueOf = (key: string) => query[key] ?? own(around, key) ?? own(row, key);
    const several = MEANINGS.find(([key, meaning]) => {
      const all = [query[key], own(around, key), own(row, key)].filter((one) => one !== undefined && one !== null);
      return new Set(all.map((one) => meaning(one, settings))).size > 1;
    });
    if (several !== undefined)
      return { reason: `of the URL, what is around the rows and the row, two say a different "${several[0]}"` };
    const { userField } = settings;
    const user =
      userField === undefined ? firstId(...USER_FIELDS.map((key) => own(row, key))) : idOf(valueAt(row, userField));
    const userIn = `"${userField ?? USER_FIELDS.join('", "')}"`;
    const profile = without(row, (key) => ROW_FIELDS.test(key));
    return changeOf(
      { user, userIn, event: eventOf(valueOf('event')), audiences: [valueOf('audience')], at: valueOf('at'), profile },
      settings,
    );
  });
  return { changes, ignored: 0, messageId: headers['idempotency-key'] };
};

function listIn(body: JsonObject) {
  return [body['rows'], body['records']].find((list) => Array.isArray(list));
}

/** Fields that we put into `data` besides the profile. */
const OURS = /^(segment_events|segments_all|_audience|_audience_action|_audience_friendly|_audience_name)$/;
/** How the ids of what `triggers test` sends begin. */
const TEST = 'test-';

/** The messages of a Lytics webhook job in both formats, and those of our own jobs: one, a batch, or in a CloudEvent. */
const readLytics: ReadArrival = (arrival, settings) => {
  const messageId = arrival.headers['webhook-id'];
  const messages = listOf(arrival.body).map(unwrapped);
  if (isTooMany(messages.flatMap((message) => [message, ...eventsIn(message).slice(1)]))) return TOO_MANY;
  if (messageId?.startsWith(TEST) === true) return { changes: [], ignored: messages.length };
  const repeated = new RepeatedProfiles();
  return { changes: messages.flatMap((message) => changesIn(message, settings, repeated)), ignored: 0, messageId };
};

/**
 * Reads any sender that signs by Standard Webhooks: a message of a job of ours, a trigger as the HTTP API takes it, a list of either, or
 * `{"type": "audience.entered", "timestamp": …, "data": {…}}`. Other types tell of no change.
 */
const readStandard: ReadArrival = (arrival, settings) => {
  const items = listOf(arrival.body).map(unwrapped);
  if (isTooMany(items)) return TOO_MANY;
  if (items.some((item) => isObject(item) && isMessage(item))) return readLytics(arrival, settings);
  const { headers } = arrival;
  const search = triggerKeySearch(settings.audience === undefined ? ['user'] : ['user', 'audience']);
  return readingOf(
    items.map((item) => plainChange(item, settings, search)),
    headers['webhook-id'] ?? headers['idempotency-key'],
  );
};

/** Returns the data of a CloudEvent in structured mode, or anything else as it is. */
function unwrapped(item: Json): Json {
  return isObject(item) && typeof item['specversion'] === 'string' ? (item['data'] ?? null) : item;
}

function isMessage(item: JsonObject): boolean {
  const data = objectAt(item, 'data');
  return Array.isArray(data['segment_events']) || Array.isArray(item['segment_events']) || '_audience' in data;
}

function changesIn(message: Json, settings: PresetSettings, repeated: RepeatedProfiles): (Change | Unreadable)[] {
  if (!isObject(message)) return [{ reason: 'it is no message: a JSON object with "id" and "data"' }];
  const data = objectAt(message, 'data');
  if (!isObject(message['data'] ?? {})) return [{ reason: 'its "data" is no JSON object' }];
  const { userField } = settings;
  const user = userField === undefined ? idOf(own(message, 'id')) : idOf(valueAt(data, userField));
  const profile = without(data, (key) => OURS.test(key));
  const reported = { user, userIn: `"${userField ?? 'id'}"`, profile };
  const listed = eventsIn(message).filter(isObject);
  const name = own(data, '_audience_name');
  if (listed.length === 0) {
    const audiences = [own(data, '_audience'), own(data, '_audience_friendly'), name];
    return [changeOf({ ...reported, event: eventOf(data['_audience_action']), audiences }, settings)];
  }
  const excess = repeated.add(profile, listed.length);
  if (excess !== undefined) return [excess];
  return listed.map((one) => {
    const event = eventOf(one['event']);
    // Only the one event of the old format has a name.
    const audiences = [own(one, 'id'), own(one, 'slug'), ...(listed.length === 1 ? [name] : [])];
    return changeOf({ ...reported, event, audiences, at: event === undefined ? undefined : one[event] }, settings);
  });
}

/** The events that a message lists, usually in its data. */
function eventsIn(message: Json): readonly Json[] {
  if (!isObject(message)) return [];
  const events = own(objectAt(message, 'data'), 'segment_events') ?? own(message, 'segment_events');
  return Array.isArray(events) ? listOf(events) : [];
}

function plainChange(item: Json, settings: PresetSettings, search: KeySearch): Change | Unreadable | undefined {
  if (!isObject(item)) return { reason: 'it is no JSON object' };
  const { type } = item;
  if (typeof type !== 'string' || !isObject(item['data'])) return plainTrigger(item, item['event'], settings, search);
  const event = eventOf(type);
  if (event === undefined) return undefined;
  const innerEvent = own(item['data'], 'event') ?? event;
  if (eventOf(innerEvent) !== event) return { reason: 'its "type" and the "event" in its "data" say different things' };
  return plainTrigger({ at: item['timestamp'] ?? null, ...item['data'], event }, event, settings, search);
}

function plainTrigger(
  item: JsonObject,
  event: Json | undefined,
  settings: PresetSettings,
  search: KeySearch,
): Change | Unreadable {
  const field = settings.userField ?? 'user';
  const misspelt = misspeltInTrigger(item, search);
  if (misspelt !== undefined) return { reason: misspelt };
  const profile = own(item, 'profile');
  const reported = { user: idOf(valueAt(item, field)), userIn: `"${field}"`, event: eventOf(event), profile };
  return changeOf({ ...reported, audiences: [own(item, 'audience')], at: own(item, 'at') }, settings);
}

/** A sender that is known here. */
export interface Preset {
  readonly read: ReadArrival;
  /** How it signs, where it signs by itself. */
  readonly signature?: SignatureScheme;
  /**
   * The status for bad data, unless the configuration sets another. It is 200 if any other answer would make the sender repeat it, for days or at each
   * of its syncs: it will never be accepted.
   */
  readonly badDataStatus: 422 | 200;
  /** Which of its requests report a change; others are ignored. */
  readonly changes?: {
    readonly inWords: string;
    /** By a field's dotted path: the words that are understood there. */
    readonly fields: Readonly<Record<string, readonly string[]>>;
  };
}

const CALLS = {
  inWords:
    'Track calls "Audience Entered" and "Audience Exited", and Identify calls in which the audience\'s key is a trait that is true or false',
  fields: { type: ['track', 'identify'], event: ['Audience Entered', 'Audience Exited'] },
};

const X_SIGNATURE: SignatureScheme = { kind: 'hmac', header: 'x-signature', algorithm: 'sha1', encoding: 'hex' };

const PRESETS = {
  lytics: { read: readLytics, badDataStatus: 422, changes: { inWords: 'requests that are not tests', fields: {} } },
  segment: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422, changes: CALLS },
  rudderstack: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422, changes: CALLS },
  mixpanel: { read: readMixpanel, badDataStatus: 200 },
  hightouch: { read: readRows, badDataStatus: 200 },
  census: { read: readRows, badDataStatus: 200 },
  posthog: {
    read: readPosthog,
    badDataStatus: 422,
    changes: {
      inWords: 'events named for entering or leaving, such as "cohort entered" and "cohort left"',
      fields: { 'event.event': ['cohort entered', 'cohort left'] },
    },
  },
  customerio: {
    read: readCustomerio,
    signature: { kind: 'customerio' },
    badDataStatus: 200,
    changes: { inWords: "requests of a campaign's webhook action", fields: {} },
  },
  standard: {
    read: readStandard,
    signature: { kind: 'standard-webhooks' },
    badDataStatus: 422,
    changes: {
      inWords: 'a message of a job, a trigger, and types such as "audience.entered" and "audience.exited"',
      fields: { type: ['audience.entered', 'audience.exited'] },
    },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;

/** The names of all presets. */
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]]; // The keys of the literal above.

/**
 * Returns a word of an ignored request, and the similar one that the sender most likely meant.
 * Undefined: none is similar.
 */
export function nearMiss(
  { changes }: Preset,
  body: Json,
): { readonly value: string; readonly near: string } | undefined {
  const items = listOf(isObject(body) && Array.isArray(body['batch']) ? body['batch'] : body).filter(isObject);
  for (const item of items)
    for (const [path, words] of Object.entries(changes?.fields ?? {})) {
      const value = valueAt(item, path);
      if (typeof value !== 'string' || words.includes(value)) continue;
      const near = nearestKey(value, words);
      if (near !== undefined) return { value, near };
    }
  return undefined;
}

export function presetNamed(name: PresetName): Preset {
  return PRESETS[name];
}
