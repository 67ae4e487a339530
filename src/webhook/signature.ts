import { createPrivateKey, createPublicKey, hash, type KeyObject, sign } from 'node:crypto';

/**
 * A signing secret, ready for use. It signs `content` after its first 64 bytes and returns one entry of the header `webhook-signature`. It may
 * overwrite those 64 bytes. Printing it does not reveal the secret.
 */
export type SigningKey = (content: Buffer) => string;

/** Block size of SHA-256. An HMAC key that is no longer than this is used as it is. */
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;

/**
 * The secrets of Standard Webhooks 1.0. `whsec_` and the base64 of 24 to 64 random bytes are shared with the receiver. `whsk_` and the base64 of an
 * ed25519 private key are not: the receiver has only the public key. A private key has 32 bytes, optionally followed by the 32 of its public key.
 */
const HMAC = 'whsec_';
const PRIVATE = 'whsk_';

const MIN_HMAC_BYTES = 24;
const MAX_HMAC_BYTES = 64;
const ED25519_BYTES = 32;
/** The bytes before the 32 bytes in the DER of an ed25519 key: PKCS #8 (RFC 8410, 7) and SPKI (RFC 8410, 4). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEAD_BYTES = 12;

export function isSigningSecret(text: string): boolean {
  return keyOf(text) !== undefined;
}

/**
 * Makes a secret ready for use.
 * @throws RangeError, whose message does not contain the secret.
 */
export function readSigningSecret(text: string): SigningKey {
  const key = keyOf(text);
  if (key === undefined)
    throw new RangeError('A signing secret must be "whsec_" or "whsk_" and the base64 of its bytes.');
  return key;
}

function keyOf(text: string): SigningKey | undefined {
  const [, prefix = '', encoded = ''] = /^(whsec_|whsk_)(.*)$/s.exec(text) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  // Strict: a mistyped character must not silently make another secret.
  if (bytes.toString('base64') !== encoded) return undefined;
  if (prefix === PRIVATE) return ed25519Of(bytes);
  const isHmac = prefix === HMAC && bytes.length >= MIN_HMAC_BYTES && bytes.length <= MAX_HMAC_BYTES;
  return isHmac ? hmacOf(bytes) : undefined;
}

/**
 * HMAC-SHA256 (RFC 2104): `v1`. It uses two one-shot hashes, the inner one as a string, since each delivery is signed. Objects of `createHmac` hold
 * native memory, and creating and freeing them takes three times as long as the hashing.
 */
function hmacOf(bytes: Buffer): SigningKey {
  const inner = block(bytes, 0x36);
  const outer = Buffer.concat([block(bytes, 0x5c), Buffer.alloc(HASH_BYTES)]);
  return (content) => {
    inner.copy(content);
    outer.write(hash('sha256', content, 'binary'), BLOCK_BYTES, 'latin1');
    return `v1,${hash('sha256', outer, 'base64')}`;
  };
}

/** The first block that a hash of HMAC reads. */
function block(key: Buffer, pad: number): Buffer {
  const padded = Buffer.alloc(BLOCK_BYTES, pad);
  for (const [index, byte] of key.entries()) padded[index] = byte ^ pad;
  return padded;
}

/** ed25519 (RFC 8032): `v1a`. */
function ed25519Of(bytes: Buffer): SigningKey | undefined {
  if (bytes.length !== ED25519_BYTES && bytes.length !== ED25519_BYTES * 2) return undefined;
  const der = Buffer.concat([PKCS8_HEAD, bytes.subarray(0, ED25519_BYTES)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicBytes = bytes.subarray(ED25519_BYTES);
  // If the halves do not belong together, no receiver could verify the signatures.
  if (publicBytes.length > 0 && !publicBytesOf(key).equals(publicBytes)) return undefined;
  return (content) => `v1a,${sign(null, content.subarray(BLOCK_BYTES), key).toString('base64')}`;
}

function publicBytesOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD_BYTES);
}

/** A body as it is sent, and the value of the header `webhook-signature`. */
export interface SignedBody {
  readonly body: Buffer;
  readonly signature: string;
}

/**
 * Signs `<id>.<timestamp>.<body>` according to Standard Webhooks 1.0 (specification, "Signature scheme"). It signs with each key: a receiver may have
 * either the old secret or the new one. The body is encoded only once, for the signatures and the connection.
 */
export function signBody(keys: readonly SigningKey[], id: string, timestampSeconds: number, body: string): SignedBody {
  const head = `${id}.${timestampSeconds}.`;
  const bodyStart = BLOCK_BYTES + Buffer.byteLength(head);
  const content = Buffer.allocUnsafe(bodyStart + Buffer.byteLength(body));
  content.write(head, BLOCK_BYTES);
  content.write(body, bodyStart);
  const signature = keys.map((sign) => sign(content)).join(' ');
  return { body: content.subarray(bodyStart), signature };
}
