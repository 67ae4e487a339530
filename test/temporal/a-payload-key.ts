import { randomBytes } from 'node:crypto';

/** A new key, in the form in which it is configured. */
export function aPayloadKey(id: string): string {
  return `${id}:${randomBytes(32).toString('base64')}`;
}
