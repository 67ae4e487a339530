import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { signBody } from '../../src/webhook/signature.ts';
import { readSigningSecret } from '../../src/webhook/signing-secret.ts';

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
  fc.assert(
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
  fc.assert(
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
