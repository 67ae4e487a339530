import type { Audience } from '../contract/audience.ts';

/** An audience's id, in its only spelling. */
export const AUDIENCE_ID = /^[0-9a-f]{32}$/;

/** The audience that a slug or an id names; undefined for anything else. */
export function findAudience<T extends Audience>(audiences: readonly T[], name: unknown): T | undefined {
  return audiences.find(({ id, slug }) => id === name || slug === name);
}

/** The audience with this id that the job listens to, or listened to before. */
export function audienceById(
  job: { readonly audiences: readonly Audience[]; readonly formerAudiences: readonly Audience[] },
  id: string,
): Audience | undefined {
  return job.audiences.find((one) => one.id === id) ?? job.formerAudiences.find((one) => one.id === id);
}
