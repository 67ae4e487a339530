import type { HttpProfiles as Config } from '../../config/http-source-config.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord, stringifyJson } from '../../domain/json.ts';
import { userIn } from '../user-id.ts';
import { valueAt } from '../value-at.ts';
import type { HttpApi } from './http-pages.ts';
import { filled } from './url-template.ts';

const WHAT = 'profiles';
const NOT_FOUND = 404;

/** Divides the people into groups that one request each can ask about. */
export function inGroups(users: readonly string[], { url, maxUsers }: Config): (readonly string[])[] {
  const size = url.includes('{user}') ? 1 : maxUsers;
  return Array.from({ length: Math.ceil(users.length / size) }, (_, i) => users.slice(i * size, (i + 1) * size));
}

/** The profiles of one group, as far as the service knows its people. */
export async function profilesOf(
  api: HttpApi,
  config: Config,
  users: readonly string[],
): Promise<ReadonlyMap<string, JsonObject>> {
  const [user = ''] = users;
  const path = filled(config.url, { user, users });
  if (config.url.includes('{user}')) {
    const answer = await api.get(WHAT, path, { tolerated: NOT_FOUND });
    return answer === undefined ? new Map() : new Map([[user, fieldsIn(api, config, answer.body)]]);
  }
  const body = config.body === undefined ? {} : { body: stringifyJson(withUsers(config.body, users)) };
  const rows = api.rowsIn(WHAT, await api.get(WHAT, path, body), config.items);
  const asked = new Set(users);
  const found = new Map<string, JsonObject>();
  for (const row of rows) {
    const owner = userIn(valueAt(row, config.id));
    if (owner !== undefined && asked.has(owner)) found.set(owner, fieldsIn(api, config, row));
  }
  return found;
}

function fieldsIn(api: HttpApi, { profile }: Config, value: Json | undefined): JsonObject {
  const fields = valueAt(value, profile);
  if (isRecord(fields)) return fields;
  throw api.unexpected(WHAT, `somebody has no object under ${profile === undefined ? 'their row' : `"${profile}"`}`);
}

function withUsers(body: Json, users: readonly string[]): Json {
  if (body === '{users}') return users;
  if (Array.isArray(body)) return (body as readonly Json[]).map((item) => withUsers(item, users));
  if (!isRecord(body)) return body;
  return Object.fromEntries(Object.entries(body).map(([name, item]) => [name, withUsers(item, users)]));
}
