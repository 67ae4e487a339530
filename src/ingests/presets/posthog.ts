import type { JsonObject } from '../../contract/trigger.ts';
import {
  changeOf,
  eventOf,
  firstId,
  idOf,
  isObject,
  listOf,
  objectAt,
  own,
  type PresetSettings,
  type ReadArrival,
  valueAt,
} from '../arrival.ts';

/**
 * What PostHog's webhook destination sends by itself, `{"event": {…}, "person": {…}}`, of an event whose name says what happened (`cohort entered`)
 * and whose properties name the cohort; or a body that was made for us, with `event`, `cohort` and `distinct_id` at its top.
 */
export const readPosthog: ReadArrival = ({ body }, settings) => {
  const items = listOf(body);
  const read = items.map((item) => {
    if (!isObject(item)) return { reason: 'it is no JSON object' };
    return isObject(item['event']) ? eventIn(item, item['event'], settings) : plainIn(item, settings);
  });
  const ids = items.map((item) => (isObject(item) ? uuidOf(item) : undefined));
  return {
    changes: read.filter((one) => one !== undefined),
    ignored: read.filter((one) => one === undefined).length,
    messageId: ids.length === 1 ? ids[0] : undefined,
  };
};

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
