import type { JsonObject } from '../../src/contract/trigger.ts';
import { fieldsOf } from '../../src/domain/profile.ts';
import type { AudienceSource } from '../../src/sources/source.ts';

/** What a source says of these people, whether as objects or as text. */
export async function profileFields(
  source: AudienceSource,
  users: readonly string[],
): Promise<Map<string, JsonObject>> {
  return new Map([...(await source.profiles(users))].map(([user, profile]) => [user, fieldsOf(profile)]));
}
