import type { Audience } from '../contract/audience.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { SampleProblem, SampleWish } from '../contract/sample.ts';
import { findAudience } from '../domain/audience.ts';
import type { Profile } from '../domain/profile.ts';
import type { AudienceSource } from '../sources/source.ts';

/** Whom a sample is about, and through which audience. */
export interface SamplePerson {
  readonly user: string;
  readonly audience: Audience;
  readonly profile: Profile;
}

/** How many of the first members of an audience are searched for one with a profile. */
const MEMBERS_TRIED = 20;
/** How many members are suggested to somebody who named an unknown one. */
const MEMBERS_NAMED = 3;
/** How many audiences an answer names. */
const AUDIENCES_NAMED = 20;

/**
 * The person who was asked for, or the first member with a profile. The job's audiences are searched in their order, so that an empty one
 * is no obstacle. Rejects when the source does.
 */
export async function choosePerson(
  source: AudienceSource,
  audiences: readonly Audience[],
  { user, audience: name }: SampleWish,
): Promise<SamplePerson | SampleProblem> {
  const wanted = name === undefined ? audiences : [findAudience(audiences, name)].filter((one) => one !== undefined);
  const [first] = wanted;
  if (first === undefined) return unknownAudience(audiences, name ?? '');
  if (user !== undefined) {
    const profile = (await source.profiles([user])).get(user);
    return profile === undefined ? await unknownUser(source, first, user) : { user, audience: first, profile };
  }
  for (const audience of wanted) {
    const found = await firstMember(source, audience.id);
    if (found !== undefined) return { ...found, audience };
  }
  const slugs = wanted.map(({ slug }) => slug).slice(0, AUDIENCES_NAMED);
  return { field: 'user', message: `No member of ${slugs.join(', ')} has a profile. Name a person: --user` };
}

/** The first member of an audience who has a profile, among as many as are searched. */
export async function firstMember(
  source: AudienceSource,
  audienceId: string,
): Promise<{ readonly user: string; readonly profile: Profile } | undefined> {
  const { ids } = await source.members(audienceId, undefined, MEMBERS_TRIED);
  const profiles = await source.profiles(ids);
  for (const user of ids) {
    const profile = profiles.get(user);
    if (profile !== undefined) return { user, profile };
  }
  return undefined;
}

function unknownAudience(audiences: readonly Audience[], name: string): SampleProblem {
  const slugs = audiences.map(({ slug }) => slug);
  const near = nearestKey(name, slugs);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  const known = slugs.slice(0, AUDIENCES_NAMED).join(', ');
  return { field: 'audience', message: `The job does not listen to "${name}".${hint} Its audiences are: ${known}.` };
}

async function unknownUser(source: AudienceSource, audience: Audience, user: string): Promise<SampleProblem> {
  const { ids } = await source.members(audience.id, undefined, MEMBERS_TRIED);
  const near = nearestKey(user, ids);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  const named = ids.length === 0 ? '' : ` Members of ${audience.slug} are ${ids.slice(0, MEMBERS_NAMED).join(', ')}.`;
  return { field: 'user', message: `The source has no profile of "${user}".${hint}${named}` };
}
