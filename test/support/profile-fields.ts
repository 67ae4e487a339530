import type { JsonObject } from '../../src/contract/trigger.ts';
import { fieldsOf } from '../../src/domain/message.ts';
import type { AudienceSource } from '../../src/activities/audience-source.ts';

/** The fields that a source has for these people, whether it gives objects or text. */
export async function profileFields(
  source: AudienceSource,
  users: readonly string[],
): Promise<Map<string, JsonObject>> {
  return new Map([...(await source.profiles(users))].map(([user, profile]) => [user, fieldsOf(profile)]));
}
