import { createPublicKey, verify } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { newSigningSecret } from '../../src/config/references.ts';
import { isSigningSecret, readSigningSecret, signBody } from '../../src/webhook/signature.ts';
import { always } from '../support/properties.ts';

const secretOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`;
const OLD = secretOf(new Uint8Array(32).fill(1));
const NEW = secretOf(new Uint8Array(64).fill(2));
const id = 'a'.repeat(32);

/** The headers of a request that is signed at this moment. */
function signed(secrets: string[], body: string): Record<string, string> {
  const seconds = Math.floor(Date.now() / 1000);
  const { signature } = signBody(secrets.map(readSigningSecret), id, seconds, body);
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': signature };
}

test('[S26] whatever the body, a receiver with the Standard Webhooks library accepts the signature', () => {
  const secret = fc.uint8Array({ minLength: 24, maxLength: 64 });
  always(
    fc.property(secret, fc.jsonValue(), (bytes, value) => {
      const body = JSON.stringify(value);
      expect(new Webhook(secretOf(bytes)).verify(body, signed([secretOf(bytes)], body))).toEqual(JSON.parse(body));
    }),
  );
});

test.each([
  ['old', OLD],
  ['new', NEW],
])('[S25] a message signed with two secrets is accepted by a receiver that has only the %s one', (_, known) => {
  expect(new Webhook(known).verify('{"a":1}', signed([OLD, NEW], '{"a":1}'))).toEqual({ a: 1 });
});

test('[S26] the body that is sent is the one that was signed, byte for byte, with every key that signs it', () => {
  const keys = [OLD, NEW].map(readSigningSecret);
  always(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const [one, both] = [keys.slice(0, 1), keys].map((keys) => signBody(keys, id, 1_790_000_000, text));
      expect(both?.body).toEqual(Buffer.from(text));
      expect(both?.signature.split(' ')[0]).toBe(one?.signature);
    }),
  );
});

test.each([
  ['another body', '{"a":2}', {}],
  ['another id', '{"a":1}', { 'webhook-id': 'b'.repeat(32) }],
  ['another time', '{"a":1}', { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 60) }],
])('[S26] %s with the same signature is not accepted', (_, body, changes) => {
  const headers = { ...signed([OLD], '{"a":1}'), ...changes };
  expect(() => new Webhook(OLD).verify(body, headers)).toThrow('No matching signature');
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const HMAC = `whsec_${base64(new Uint8Array(32).fill(1))}`;
/** RFC 8032, 7.1, test 1: the private key and its public key. */
const SEED = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
const PUBLIC = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');

/** Node's own verification of an ed25519 signature. */
function isSigned(publicBytes: Buffer, content: string, signature: string): boolean {
  const x = publicBytes.toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, Buffer.from(content), key, Buffer.from(signature.slice('v1a,'.length), 'base64'));
}

test.each([
  ['', 'nothing'],
  ['secret', 'no prefix'],
  ['whsec_', 'no bytes'],
  [`whsec_${base64(new Uint8Array(23))}`, '23 bytes'],
  [`whsec_${base64(new Uint8Array(65))}`, '65 bytes'],
  [HMAC.replace('A', '!'), 'a wrong character'],
  [HMAC.slice(0, -2), 'a lost end'],
  [`whsk_${base64(new Uint8Array(33))}`, '33 bytes of ed25519'],
  [`whsk_${base64(Buffer.concat([SEED, SEED]))}`, 'halves that do not belong together'],
  [`whpk_${base64(PUBLIC)}`, 'a public key'],
])('[S25] the secret %j is refused (%s), and not repeated', (secret) => {
  expect(isSigningSecret(secret)).toBe(false);
  let message = '';
  try {
    readSigningSecret(secret);
  } catch (error) {
    message = inspect(error);
  }
  expect(message).toMatch(/A signing secret must be/);
  if (secret.length > 10) expect(message).not.toContain(secret.slice(8));
});

test.each([
  ['its 32 bytes', SEED],
  ['followed by the public key', Buffer.concat([SEED, PUBLIC])],
])('an ed25519 key, %s, signs what its public key verifies', (_, bytes) => {
  const { body, signature } = signBody([readSigningSecret(`whsk_${base64(bytes)}`)], 'an-id', 1_790_000_000, '{"a":1}');
  expect(signature).toMatch(/^v1a,[\w+/]{86}==$/);
  expect(isSigned(PUBLIC, `an-id.1790000000.${body.toString()}`, signature)).toBe(true);
  expect(isSigned(PUBLIC, `an-id.1790000001.${body.toString()}`, signature)).toBe(false);
});

test('a shared secret and an ed25519 key together sign the same content', () => {
  const keys = [`whsk_${base64(SEED)}`, HMAC, `whsk_${base64(SEED)}`].map(readSigningSecret);
  const { signature } = signBody(keys, 'an-id', 1_790_000_000, '{"a":1}');
  const [first, second, third] = signature.split(' ');
  expect(first).toBe(third);
  expect(second).toBe(signBody([readSigningSecret(HMAC)], 'an-id', 1_790_000_000, '{"a":1}').signature);
  expect(isSigned(PUBLIC, 'an-id.1790000000.{"a":1}', first ?? '')).toBe(true);
});

test('a new secret is valid and never the same', () => {
  const secrets = Array.from({ length: 10 }, () => newSigningSecret('hmac').secret);
  expect(new Set(secrets).size).toBe(10);
  expect(secrets.every(isSigningSecret)).toBe(true);
  expect(Buffer.from(secrets[0]?.slice('whsec_'.length) ?? '', 'base64')).toHaveLength(32);
});

test('the public key of a new ed25519 secret verifies what the secret signs', () => {
  const { secret, publicKey = '' } = newSigningSecret('ed25519');
  const { signature } = signBody([readSigningSecret(secret)], 'an-id', 1, 'body');
  const publicBytes = Buffer.from(publicKey.slice('whpk_'.length), 'base64');
  expect(isSigned(publicBytes, 'an-id.1.body', signature)).toBe(true);
});

test.each([HMAC, `whsk_${base64(SEED)}`])('a key does not show its secret when it is logged', (secret) => {
  const key = readSigningSecret(secret);
  expect(JSON.stringify(key) + inspect(key, { depth: 9 })).not.toMatch(/AQEB|01 01 01|nWGx|9d 61/);
});
