import type { Audience } from '../contract/audience.ts';

/** The audience that a slug or an id names; undefined for anything else. */
export function findAudience<T extends Audience>(audiences: readonly T[], name: unknown): T | undefined {
  return audiences.find(({ id, slug }) => id === name || slug === name);
}
