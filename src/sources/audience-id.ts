import { createHash } from 'node:crypto';
import { AUDIENCE_ID } from '../domain/audience.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The id of an audience that a service or a database calls `key`: 32 hex digits stay as they are, a UUID loses its dashes, and anything
 * else becomes half of its SHA-256, so that the id is always the same.
 */
export function audienceIdOf(key: string): string {
  const lower = key.toLowerCase();
  if (AUDIENCE_ID.test(lower)) return lower;
  if (UUID.test(lower)) return lower.replaceAll('-', '');
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}
