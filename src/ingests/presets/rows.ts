import type { Json, JsonObject } from '../../contract/trigger.ts';
import {
  changeOf,
  eventOf,
  firstId,
  idOf,
  isObject,
  listOf,
  own,
  type PresetSettings,
  type ReadArrival,
  timeOf,
  valueAt,
  without,
} from '../arrival.ts';

/** Where a person's id most often is, in this order. */
const USER_FIELDS = ['user_id', 'userId', 'external_id', 'id'];
/** What is said about a row, and belongs to no profile. */
const SAID = /^(event|audience|at)$/;

/** What each of these says means; what two places say must mean the same. */
const SAID_TWICE: readonly (readonly [key: string, (said: Json, settings: PresetSettings) => unknown])[] = [
  ['event', (said) => eventOf(said)],
  ['audience', (said, { audiences }) => audienceOf(idOf(said), audiences)],
  ['at', (said) => timeOf(said)],
];

function audienceOf(name: string | undefined, audiences: PresetSettings['audiences']): string | undefined {
  return name !== undefined && Object.hasOwn(audiences, name) ? audiences[name] : name;
}

/**
 * Rows that Hightouch or Census found added or removed: one, a list, or a list in `rows` or `records`. What happened to them is said by the URL
 * (`?event=enter`), beside the list, or by each row; so is the audience.
 */
export const readRows: ReadArrival = ({ body, query, headers }, settings) => {
  const around = isObject(body) && listIn(body) !== undefined ? body : {};
  const rows = listOf((isObject(body) ? listIn(body) : undefined) ?? body);
  const changes = rows.map((row) => {
    if (!isObject(row)) return { reason: 'a row is no JSON object' };
    const said = (key: string) => query[key] ?? own(around, key) ?? own(row, key);
    const several = SAID_TWICE.find(([key, meaning]) => {
      const all = [query[key], own(around, key), own(row, key)].filter((one) => one !== undefined && one !== null);
      return new Set(all.map((one) => meaning(one, settings))).size > 1;
    });
    if (several !== undefined)
      return { reason: `of the URL, what is around the rows and the row, two say a different "${several[0]}"` };
    const { userField } = settings;
    const user =
      userField === undefined ? firstId(...USER_FIELDS.map((key) => own(row, key))) : idOf(valueAt(row, userField));
    const userIn = `"${userField ?? USER_FIELDS.join('", "')}"`;
    const profile = without(row, (key) => SAID.test(key));
    return changeOf(
      { user, userIn, event: eventOf(said('event')), audiences: [said('audience')], at: said('at'), profile },
      settings,
    );
  });
  return { changes, ignored: 0, messageId: headers['idempotency-key'] };
};

function listIn(body: JsonObject) {
  return [body['rows'], body['records']].find((list) => Array.isArray(list));
}
