import type { Activities } from '../contract/ports.ts';
import { findAudience } from '../domain/audience.ts';
import { fieldPaths } from '../domain/export-fields.ts';
import { fieldsOf } from '../domain/profile.ts';
import type { AudienceSource } from '../sources/source.ts';
import { firstMember } from './sample-person.ts';

/** Most bytes of JSON in a list of audiences. */
const MOST_BYTES = 256 * 1024;

/** The activities that say what the form can be filled in with: which audiences there are, and which fields a member's profile has. */
export function createAudienceLists(source: AudienceSource): Pick<Activities, 'listAudiences' | 'listProfileFields'> {
  return {
    async listAudiences() {
      const all = await source.audiences();
      let bytes = 0;
      const audiences = all.filter((one) => (bytes += Buffer.byteLength(JSON.stringify(one))) <= MOST_BYTES);
      return { audiences, total: all.length };
    },
    async listProfileFields(audience) {
      const found = findAudience(await source.audiences(), audience);
      const member = found && (await firstMember(source, found.id));
      return member === undefined ? [] : fieldPaths(fieldsOf(member.profile));
    },
  };
}
