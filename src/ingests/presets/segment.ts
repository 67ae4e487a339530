import { createHash } from 'node:crypto';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import {
  type Change,
  changeOf,
  firstId,
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

const EVENTS: Readonly<Record<string, 'enter' | 'exit'>> = { 'Audience Entered': 'enter', 'Audience Exited': 'exit' };

/**
 * Calls of Segment's specification, one or a batch, which RudderStack makes as well: Track `Audience Entered` and `Audience Exited`, and Identify
 * with a boolean trait of the audience's name. Other calls tell of no change.
 */
export const readSegment: ReadArrival = ({ body }, settings) => {
  const calls = isObject(body) && Array.isArray(body['batch']) ? listOf(body['batch']) : listOf(body);
  const read = calls.map((call) => (isObject(call) ? changesIn(call, settings) : [NO_CALL]));
  return {
    changes: read.flat(),
    ignored: read.filter((changes) => changes.length === 0).length,
    messageId: messageIdOf(calls),
  };
};

const NO_CALL: Unreadable = { reason: 'it is no call: a JSON object with a "type"' };

function changesIn(call: JsonObject, settings: PresetSettings): (Change | Unreadable)[] {
  if (call['type'] === 'track') return tracked(call, settings);
  return call['type'] === 'identify' ? identified(call, settings) : [];
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
  return [changeOf({ ...toldIn(call, traits, settings), event, audiences, profile: own(context, 'traits') }, settings)];
}

function identified(call: JsonObject, settings: PresetSettings): (Change | Unreadable)[] {
  const context = objectAt(call, 'context');
  const computed = objectAt(context, 'personas');
  const given = call['traits'] ?? own(context, 'traits') ?? {};
  const traits = isObject(given) ? given : {};
  const key = idOf(own(computed, 'computation_key'));
  const names = Object.keys(settings.audiences).filter((name) => name !== key);
  if (key !== undefined && own(computed, 'computation_class') !== 'trait') names.unshift(key);
  const told = toldIn(call, traits, settings);
  if (!isObject(given) && names.length > 0) return [{ reason: 'its "traits" are no JSON object' }];
  return names.flatMap((name) => {
    const value = own(traits, name);
    if (typeof value !== 'boolean') return [];
    const audiences = name === key ? [name, own(computed, 'computation_id')] : [name];
    const profile = without(traits, (trait) => trait === name);
    return [changeOf({ ...told, event: value ? 'enter' : 'exit', audiences, profile }, settings)];
  });
}

function toldIn(call: JsonObject, traits: JsonObject, { userField }: PresetSettings) {
  const user =
    userField === undefined ? idOf(own(call, 'userId')) : firstId(valueAt(traits, userField), valueAt(call, userField));
  return { user, userIn: `"${userField ?? 'userId'}"`, at: call['timestamp'] ?? call['originalTimestamp'] };
}

/** A batch has no id of its own. It is the same batch when all its calls are the same. */
function messageIdOf(calls: readonly Json[]): string | undefined {
  const ids = calls.map((call) => (isObject(call) ? idOf(own(call, 'messageId')) : undefined));
  if (ids.length === 0 || ids.includes(undefined)) return undefined;
  return ids.length === 1 ? ids[0] : createHash('sha256').update(JSON.stringify(ids)).digest('base64url');
}
