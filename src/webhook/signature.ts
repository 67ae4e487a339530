import { hash } from 'node:crypto';

/** Block of SHA-256; no longer than this a key is used as it is. */
const BLOCK_BYTES = 64;

const HASH_BYTES = 32;

/** A signing secret, ready for use. Keeps it to itself: nothing that prints a key shows it. */
export class SigningKey {
  // What HMAC (RFC 2104) begins its inner and its outer hash with, the outer one with room for the inner one's result.
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  constructor(secret: Buffer) {
    this.#inner = block(secret, 0x36);
    this.#outer = Buffer.concat([block(secret, 0x5c), Buffer.alloc(HASH_BYTES)]);
  }

  /**
   * HMAC-SHA256, in base64, of all but the first 64 bytes of `content`; those are overwritten. By two one-shot hashes, the inner one as a
   * string: objects of `createHmac`, and buffers that hashing makes, hold native memory, and to make and free that costs more than to hash.
   */
  hmac(content: Buffer): string {
    this.#inner.copy(content);
    this.#outer.write(hash('sha256', content, 'binary'), BLOCK_BYTES, 'latin1');
    return hash('sha256', this.#outer, 'base64');
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

/** A body as it is sent, and the value of its header `webhook-signature`. */
export interface SignedBody {
  readonly body: Buffer;
  readonly signature: string;
}

/**
 * Signs by Standard Webhooks 1.0 (specification, "Signature scheme"): HMAC-SHA256 over `<id>.<timestamp>.<body>`. One `v1,<base64>` for each
 * key, so that a receiver may know either the old secret or the new. The body is encoded once, for the hash and the connection alike.
 */
export function signBody(keys: readonly SigningKey[], id: string, timestampSeconds: number, body: string): SignedBody {
  const head = `${id}.${timestampSeconds}.`;
  const bodyStart = BLOCK_BYTES + Buffer.byteLength(head);
  const content = Buffer.allocUnsafe(bodyStart + Buffer.byteLength(body));
  content.write(head, BLOCK_BYTES);
  content.write(body, bodyStart);
  const signature = keys.map((key) => `v1,${key.hmac(content)}`).join(' ');
  return { body: content.subarray(bodyStart), signature };
}

function block(key: Buffer, pad: number): Buffer {
  const padded = Buffer.alloc(BLOCK_BYTES, pad);
  for (const [index, byte] of key.entries()) padded[index] = byte ^ pad;
  return padded;
}
