import type { Json } from '../contract/trigger.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';

/** A person's id, or why this cannot be one. */
export type UserReading =
  { readonly ok: true; readonly user: string } | { readonly ok: false; readonly problem: string };

/** Reads what stands in a file where a person's id belongs. */
export function readUser(value: unknown): UserReading {
  if (typeof value === 'number' || typeof value === 'bigint')
    return { ok: false, problem: 'the id must be a JSON string, in quotes: a number loses digits' };
  if (typeof value !== 'string') return { ok: false, problem: 'there is no person\'s id under "user"' };
  if (value.length < 1 || value.length > MAX_USER_LENGTH)
    return { ok: false, problem: `the id must have 1 to ${MAX_USER_LENGTH} characters` };
  return value.isWellFormed() ? { ok: true, user: value } : { ok: false, problem: 'the id is not valid Unicode' };
}

/** A person's id in JSON that was read without loss, where a whole number is its own text; undefined: it is none. */
export function userIn(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Whether a service can be asked for a person of this id, in the path of a URL too: there, dots alone lead elsewhere. Nobody else is known to any. */
export function isAskable(user: string): boolean {
  return readUser(user).ok && user !== '.' && user !== '..';
}
