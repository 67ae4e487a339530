import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { Ed25519Key, HmacKey, type SigningKey } from './signing-key.ts';

/**
 * The secrets of Standard Webhooks 1.0: `whsec_` and the base64 of 24 to 64 random bytes, shared with the receiver; or `whsk_` and the base64 of an
 * ed25519 private key (its 32 bytes, optionally followed by the 32 of its public key), of which the receiver has only the public key.
 */
const HMAC = 'whsec_';
const PRIVATE = 'whsk_';

const MIN_HMAC_BYTES = 24;
const MAX_HMAC_BYTES = 64;
const ED25519_BYTES = 32;
/** What precedes the 32 bytes in the DER of an ed25519 key: PKCS #8 (RFC 8410, 7) and SPKI (RFC 8410, 4). */
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
  return isHmac ? new HmacKey(bytes) : undefined;
}

function ed25519Of(bytes: Buffer): SigningKey | undefined {
  if (bytes.length !== ED25519_BYTES && bytes.length !== ED25519_BYTES * 2) return undefined;
  const der = Buffer.concat([PKCS8_HEAD, bytes.subarray(0, ED25519_BYTES)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicBytes = bytes.subarray(ED25519_BYTES);
  // If the halves do not belong together, no receiver could verify the signatures.
  if (publicBytes.length > 0 && !publicBytesOf(key).equals(publicBytes)) return undefined;
  return new Ed25519Key(key);
}

function publicBytesOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD_BYTES);
}
