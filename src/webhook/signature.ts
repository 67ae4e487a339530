import { hash } from 'node:crypto';

/** Block of SHA-256; no longer than this a key is used as it is. */
const BLOCK_BYTES = 64;

/** A signing secret, ready for use. Keeps it to itself: nothing that prints a key shows it. */
export class SigningKey {
  // The blocks that HMAC (RFC 2104) begins its inner and its outer hash with.
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  constructor(secret: Buffer) {
    this.#inner = block(secret, 0x36);
    this.#outer = block(secret, 0x5c);
  }

  /**
   * HMAC-SHA256 in base64. By two one-shot hashes: each object of `createHmac` holds native memory, and making and freeing it costs
   * more than the hashing does.
   */
  hmac(content: string): string {
    const message = Buffer.allocUnsafe(BLOCK_BYTES + Buffer.byteLength(content));
    this.#inner.copy(message);
    message.write(content, BLOCK_BYTES);
    return hash('sha256', Buffer.concat([this.#outer, hash('sha256', message, 'buffer')]), 'base64');
  }
}

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
  return new SigningKey(bytes);
}

/**
 * The header `webhook-signature`: one `v1,<base64>` for each key, so that a receiver may know either the old secret or the new.
 * Standard Webhooks 1.0 (specification, "Signature scheme"): HMAC-SHA256 over `<id>.<timestamp>.<body>`.
 */
export function sign(keys: readonly SigningKey[], id: string, timestampSeconds: number, body: string): string {
  const content = `${id}.${timestampSeconds}.${body}`;
  return keys.map((key) => `v1,${key.hmac(content)}`).join(' ');
}

function block(key: Buffer, pad: number): Buffer {
  const padded = Buffer.alloc(BLOCK_BYTES, pad);
  for (const [index, byte] of key.entries()) padded[index] = byte ^ pad;
  return padded;
}
