import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/** A signing secret, ready for use. */
export type SigningKey = KeyObject;

const PREFIX = 'whsec_';
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/**
 * Reads a Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.
 *
 * @throws RangeError that says what is wrong, without the secret.
 */
export function readSigningSecret(secret: string): SigningKey {
  const bytes = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : '', 'base64');
  if (bytes.length < MIN_BYTES || bytes.length > MAX_BYTES) {
    throw new RangeError(
      `A signing secret must be "${PREFIX}" and the base64 of ${MIN_BYTES} to ${MAX_BYTES} bytes; this one has ${bytes.length}.`,
    );
  }
  return createSecretKey(bytes);
}

/**
 * The header `webhook-signature`: one `v1,<base64>` for each key, so that a receiver may know either the old secret or the new.
 * Standard Webhooks 1.0 (specification, "Signature scheme"): HMAC-SHA256 over `<id>.<timestamp>.<body>`.
 */
export function sign(keys: readonly SigningKey[], id: string, timestampSeconds: number, body: string): string {
  const content = `${id}.${timestampSeconds}.${body}`;
  return keys.map((key) => `v1,${createHmac('sha256', key).update(content).digest('base64')}`).join(' ');
}
