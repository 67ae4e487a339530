import { createHash } from 'node:crypto';
import type { Json } from '../contract/trigger.ts';
import { AUDIENCE_ID } from '../domain/names.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';

/** A person's id, or why a value cannot be one. */
export type UserReading =
  { readonly ok: true; readonly user: string } | { readonly ok: false; readonly problem: string };

/** Reads the value in a file where a person's id belongs. */
export function readUser(value: unknown): UserReading {
  if (typeof value === 'number' || typeof value === 'bigint')
    return { ok: false, problem: 'the id must be a JSON string, in quotes: a number loses digits' };
  if (typeof value !== 'string') return { ok: false, problem: 'there is no person\'s id under "user"' };
  if (value.length < 1 || value.length > MAX_USER_LENGTH)
    return { ok: false, problem: `the id must have 1 to ${MAX_USER_LENGTH} characters` };
  return value.isWellFormed() ? { ok: true, user: value } : { ok: false, problem: 'the id is not valid Unicode' };
}

/** A person's id in JSON that was read without loss, where a whole number counts as its digits; undefined when it is not an id. */
export function userIn(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Whether a service can be asked about a person with this id, even in the path of a URL, where dots alone lead elsewhere. No service knows
 * anybody else.
 */
export function isAskable(user: string): boolean {
  return readUser(user).ok && user !== '.' && user !== '..';
}

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
