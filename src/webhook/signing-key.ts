import { hash, type KeyObject, sign } from 'node:crypto';

/** Block of SHA-256; no longer than this an HMAC key is used as it is. */
export const BLOCK_BYTES = 64;

const HASH_BYTES = 32;

/** A signing secret, ready for use. Keeps it to itself: nothing that prints a key shows it. */
export interface SigningKey {
  /**
   * The signature of all but the first 64 bytes of `content`, as one entry of the header `webhook-signature`. Those 64 bytes are the key's to
   * overwrite.
   */
  signatureOf(content: Buffer): string;
}

/** HMAC-SHA256 (RFC 2104): `v1`. */
export class HmacKey implements SigningKey {
  // What HMAC begins its inner and its outer hash with, the outer one with room for the inner one's result.
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  /** @param secret at most 64 bytes. */
  constructor(secret: Buffer) {
    this.#inner = block(secret, 0x36);
    this.#outer = Buffer.concat([block(secret, 0x5c), Buffer.alloc(HASH_BYTES)]);
  }

  /**
   * By two one-shot hashes, the inner one as a string: objects of `createHmac`, and buffers that hashing makes, hold native memory, and to make
   * and free that costs more than to hash.
   */
  signatureOf(content: Buffer): string {
    this.#inner.copy(content);
    this.#outer.write(hash('sha256', content, 'binary'), BLOCK_BYTES, 'latin1');
    return `v1,${hash('sha256', this.#outer, 'base64')}`;
  }
}

/** ed25519 (RFC 8032): `v1a`. */
export class Ed25519Key implements SigningKey {
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    this.#key = key;
  }

  signatureOf(content: Buffer): string {
    return `v1a,${sign(null, content.subarray(BLOCK_BYTES), this.#key).toString('base64')}`;
  }
}

function block(key: Buffer, pad: number): Buffer {
  const padded = Buffer.alloc(BLOCK_BYTES, pad);
  for (const [index, byte] of key.entries()) padded[index] = byte ^ pad;
  return padded;
}
