import { hash, type KeyObject, sign } from 'node:crypto';

/** Block size of SHA-256. An HMAC key that is no longer than this is used as it is. */
export const BLOCK_BYTES = 64;

const HASH_BYTES = 32;

/** A signing secret, ready for use. Printing a key does not reveal the secret. */
export interface SigningKey {
  /**
   * The signature of `content` without its first 64 bytes, as one entry of the header `webhook-signature`. The key may overwrite those 64 bytes.
   */
  signatureOf(content: Buffer): string;
}

/** HMAC-SHA256 (RFC 2104): `v1`. */
export class HmacKey implements SigningKey {
  // The blocks that HMAC's inner and outer hash begin with; the outer one has room for the inner hash after it.
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  /** @param secret at most 64 bytes. */
  constructor(secret: Buffer) {
    this.#inner = block(secret, 0x36);
    this.#outer = Buffer.concat([block(secret, 0x5c), Buffer.alloc(HASH_BYTES)]);
  }

  /**
   * Uses two one-shot hashes, the inner one as a string: `createHmac` objects, and buffers returned by hashing, hold native memory, and allocating
   * and freeing that costs more than the hashing.
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
