import { generateKeyPairSync, randomBytes } from 'node:crypto';

const HMAC_BYTES = 32;
const PAYLOAD_KEY_BYTES = 32;

/** A new key to encrypt payloads in Temporal with, under an id that is not secret. */
export function newPayloadKey(id: string): { readonly secret: string } {
  return { secret: `${id}:${randomBytes(PAYLOAD_KEY_BYTES).toString('base64')}` };
}

/** A new signing secret of Standard Webhooks 1.0; for ed25519 also the public key, which is all that receivers need. */
export function newSigningSecret(kind: 'hmac' | 'ed25519'): { readonly secret: string; readonly publicKey?: string } {
  if (kind === 'hmac') return { secret: `whsec_${randomBytes(HMAC_BYTES).toString('base64')}` };
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const [seed, publicBytes] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  return {
    secret: `whsk_${Buffer.concat([seed, publicBytes]).toString('base64')}`,
    publicKey: `whpk_${publicBytes.toString('base64')}`,
  };
}
