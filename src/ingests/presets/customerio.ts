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
  type ReadArrival,
  valueAt,
} from '../arrival.ts';

/**
 * What a webhook action of a campaign sends that begins when a person enters or leaves a segment; its body is written there, as docs/ingests.md
 * says. Reporting webhooks, which tell of messages, come in the same signed form and tell of no change.
 */
export const readCustomerio: ReadArrival = ({ body }, settings) => {
  const items = listOf(body);
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
  return {
    changes: read.filter((one) => one !== undefined),
    ignored: read.filter((one) => one === undefined).length,
    messageId: items.length === 1 && isObject(first) ? firstId(own(first, 'event_id')) : undefined,
  };
};

/** A reporting webhook says what it is about, and what was measured. */
function isReport(item: JsonObject): boolean {
  return typeof item['metric'] === 'string' && typeof item['object_type'] === 'string';
}
