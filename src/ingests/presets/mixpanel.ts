import { changeOf, idOf, isObject, listOf, objectAt, own, type ReadArrival, valueAt } from '../arrival.ts';

const ACTIONS: Readonly<Record<string, 'enter' | 'exit'>> = {
  members: 'enter',
  add_members: 'enter',
  remove_members: 'exit',
};
const DEFAULT_USER_FIELD = 'mixpanel_distinct_id';

/** One page of a cohort sync of Mixpanel. `members` is the whole cohort: all of them enter, and who has left is not said. */
export const readMixpanel: ReadArrival = ({ body }, settings) => {
  const action = isObject(body) && typeof body['action'] === 'string' ? body['action'] : '';
  if (!isObject(body) || !Object.hasOwn(ACTIONS, action))
    return { changes: [{ reason: '"action" is none of members, add_members and remove_members' }], ignored: 0 };
  const answer = { action, status: 'success' };
  const parameters = objectAt(body, 'parameters');
  const members = parameters['members'];
  if (!Array.isArray(members)) return { changes: [{ reason: '"parameters.members" is no list' }], ignored: 0, answer };
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
