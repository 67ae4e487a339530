import { type Json, type JsonObject, misspeltInTrigger } from '../../contract/trigger.ts';
import {
  type Arrival,
  type Change,
  changeOf,
  eventOf,
  idOf,
  isObject,
  listOf,
  objectAt,
  own,
  type PresetSettings,
  type ReadArrival,
  type Unreadable,
  valueAt,
  without,
} from '../arrival.ts';

/** What we put into `data` besides the profile. */
const OURS = /^(segment_events|segments_all|_audience|_audience_action|_audience_friendly|_audience_name)$/;
/** How the ids of what `triggers test` sends begin. */
const TEST = 'test-';

/** The messages of a Lytics webhook job in both formats, and those of our own jobs: one, a batch, or in a CloudEvent. */
export const readLytics: ReadArrival = (arrival, settings) => {
  const messageId = arrival.headers['webhook-id'];
  const messages = listOf(arrival.body).map(unwrapped);
  if (messageId?.startsWith(TEST) === true) return { changes: [], ignored: messages.length };
  return { changes: messages.flatMap((message) => changesIn(message, settings)), ignored: 0, messageId };
};

/**
 * What anybody sends who signs by Standard Webhooks: a message of a job of ours, a trigger as the HTTP API takes it, a list of either, or
 * `{"type": "audience.entered", "timestamp": …, "data": {…}}`. Other types tell of no change.
 */
export const readStandard: ReadArrival = (arrival, settings) => {
  const items = listOf(arrival.body).map(unwrapped);
  if (items.some((item) => isObject(item) && isMessage(item))) return readLytics(arrival, settings);
  const read = items.map((item) => plainChange(item, settings));
  return {
    changes: read.filter((change) => change !== undefined),
    ignored: read.filter((change) => change === undefined).length,
    messageId: messageIdOf(arrival),
  };
};

function messageIdOf({ headers }: Arrival): string | undefined {
  return headers['webhook-id'] ?? headers['idempotency-key'];
}

/** What is in a CloudEvent, in structured mode. */
function unwrapped(item: Json): Json {
  return isObject(item) && typeof item['specversion'] === 'string' ? (item['data'] ?? null) : item;
}

function isMessage(item: JsonObject): boolean {
  const data = objectAt(item, 'data');
  return Array.isArray(data['segment_events']) || Array.isArray(item['segment_events']) || '_audience' in data;
}

function changesIn(message: Json, settings: PresetSettings): (Change | Unreadable)[] {
  if (!isObject(message)) return [{ reason: 'it is no message: a JSON object with "id" and "data"' }];
  const data = objectAt(message, 'data');
  if (!isObject(message['data'] ?? {})) return [{ reason: 'its "data" is no JSON object' }];
  const { userField } = settings;
  const user = userField === undefined ? idOf(own(message, 'id')) : idOf(valueAt(data, userField));
  const told = { user, userIn: `"${userField ?? 'id'}"`, profile: without(data, (key) => OURS.test(key)) };
  const events = own(data, 'segment_events') ?? own(message, 'segment_events');
  const listed = Array.isArray(events) ? listOf(events).filter(isObject) : [];
  const name = own(data, '_audience_name');
  if (listed.length === 0) {
    const audiences = [own(data, '_audience'), own(data, '_audience_friendly'), name];
    return [changeOf({ ...told, event: eventOf(data['_audience_action']), audiences }, settings)];
  }
  return listed.map((one) => {
    const event = eventOf(one['event']);
    // Only the one event of the old format has a name.
    const audiences = [own(one, 'id'), own(one, 'slug'), ...(listed.length === 1 ? [name] : [])];
    return changeOf({ ...told, event, audiences, at: event === undefined ? undefined : one[event] }, settings);
  });
}

function plainChange(item: Json, settings: PresetSettings): Change | Unreadable | undefined {
  if (!isObject(item)) return { reason: 'it is no JSON object' };
  const { type } = item;
  if (typeof type !== 'string' || !isObject(item['data'])) return plainTrigger(item, item['event'], settings);
  const event = eventOf(type);
  if (event === undefined) return undefined;
  const said = own(item['data'], 'event') ?? event;
  if (eventOf(said) !== event) return { reason: 'its "type" and the "event" in its "data" say different things' };
  return plainTrigger({ at: item['timestamp'] ?? null, ...item['data'], event }, event, settings);
}

function plainTrigger(item: JsonObject, event: Json | undefined, settings: PresetSettings): Change | Unreadable {
  const field = settings.userField ?? 'user';
  const misspelt = misspeltInTrigger({ ...item, user: 'its own', audience: item['audience'] ?? settings.audience });
  if (misspelt !== undefined) return { reason: misspelt };
  const profile = own(item, 'profile');
  const told = { user: idOf(valueAt(item, field)), userIn: `"${field}"`, event: eventOf(event), profile };
  return changeOf({ ...told, audiences: [own(item, 'audience')], at: own(item, 'at') }, settings);
}
