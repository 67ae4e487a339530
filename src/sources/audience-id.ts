import { createHash } from 'node:crypto';

/** An audience's id inside, in its one spelling. */
export const AUDIENCE_ID = /^[0-9a-f]{32}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The id of an audience that a service or a database calls `key`: 32 hex digits stay, a UUID loses its dashes, and of anything else it is half a
 * SHA-256, so that it is the same tomorrow.
 */
export function audienceIdOf(key: string): string {
  const lower = key.toLowerCase();
  if (AUDIENCE_ID.test(lower)) return lower;
  if (UUID.test(lower)) return lower.replaceAll('-', '');
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}
