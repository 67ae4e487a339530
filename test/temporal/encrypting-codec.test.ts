import { createCipheriv, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { Payload } from '@temporalio/common';
import fc from 'fast-check';
import { missingKeyReason, undecodable, undecodableReason } from '../../src/domain/errors.ts';
import { EncryptingCodec, readPayloadKeys, UnknownPayloadKey } from '../../src/temporal/encrypting-codec.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { aPayloadKey } from './a-payload-key.ts';
import { always } from '../support/properties.ts';

const KEY = aPayloadKey('k1');
const OTHER = aPayloadKey('k2');
const codecOf = (...keys: string[]) => new EncryptingCodec(readPayloadKeys(keys));
const codec = codecOf(KEY);

const SECRET = { user: '7076027172059065053', profile: { email: 'linnea@example.com' } };

async function sealed(value: unknown = SECRET, by = codec): Promise<Payload> {
  const [payload] = await by.encode([payloadConverter.toPayload(value)]);
  return payload ?? {};
}

async function opened(payload: Payload, by = codec): Promise<unknown> {
  const [decoded] = await by.decode([payload]);
  return payloadConverter.fromPayload(decoded ?? {});
}

/** As text, which can be compared a thousand times as fast. */
const plain = ({ metadata, data }: Payload) => ({
  metadata: Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('latin1')]),
  data: Buffer.from(data ?? []).toString('latin1'),
});
const textOf = (payload: Payload, name: string) => Buffer.from(payload.metadata?.[name] ?? []).toString();

const anyPayload = fc.record({
  // An object cannot simply have a property with the name `__proto__`.
  metadata: fc.dictionary(
    fc.string({ maxLength: 20 }).filter((name) => name !== '__proto__'),
    fc.uint8Array({ maxLength: 40 }),
    { maxKeys: 5 },
  ),
  data: fc.uint8Array({ maxLength: 3000 }),
});

test('all kinds of payloads come back as they were, in their order', async () => {
  await always(
    fc.asyncProperty(fc.array(anyPayload, { maxLength: 4 }), async (payloads) => {
      const decoded = await codec.decode(await codec.encode(payloads));
      expect(decoded.map(plain)).toEqual(payloads.map(plain));
    }),
    20,
  );
});

test('an encrypted payload shows only its length and which key decrypts it', async () => {
  const payload = await sealed();
  expect(textOf(payload, 'encoding')).toBe('binary/encrypted');
  expect(textOf(payload, 'encryption-key-id')).toBe('k1');
  const all = Buffer.concat([...Object.values(payload.metadata ?? {}), payload.data ?? Buffer.alloc(0)]);
  for (const part of ['7076', 'linnea', 'json/plain', KEY.slice(3), Buffer.from(KEY.slice(3), 'base64')])
    expect(all.includes(part)).toBe(false);
});

test('a payload becomes not much longer', async () => {
  const short = payloadConverter.toPayload('x').data?.length ?? 0;
  expect((await sealed('x')).data?.length).toBeLessThan(short + 70);
});

test('no nonce is used twice', async () => {
  const payloads = await codec.encode(Array.from({ length: 2_000 }, () => payloadConverter.toPayload('same')));
  const nonces = new Set(payloads.map(({ data }) => Buffer.from(data ?? []).toString('hex', 0, 12)));
  expect(nonces.size).toBe(payloads.length);
});

test('a payload with any byte changed or cut off cannot be decrypted, and nothing throws', async () => {
  for (const value of [SECRET, 'x'.repeat(2000)]) {
    const payload = await sealed(value);
    const data = Buffer.from(payload.data ?? []);
    for (let place = 0; place < data.length; place++) {
      const changed = Buffer.from(data);
      changed[place] = (changed[place] ?? 0) ^ 1;
      expect(undecodableReason(await opened({ ...payload, data: changed }))).toMatch(/cannot be decrypted/);
      const cut = data.subarray(0, place);
      expect(undecodableReason(await opened({ ...payload, data: cut }))).toMatch(/cannot be decrypted/);
    }
  }
});

test('the same key under another id decrypts nothing: the id is authenticated', async () => {
  const codec = codecOf(KEY, `k3:${KEY.slice(3)}`);
  const payload = await sealed(SECRET, codec);
  const renamed = { ...payload, metadata: { ...payload.metadata, 'encryption-key-id': Buffer.from('k3') } };
  expect(undecodableReason(await opened(renamed, codec))).toMatch(/"k3".*cannot be decrypted/);
});

test('a reason quotes nothing of the payload and is short enough to be kept', async () => {
  const payload = await sealed();
  const reason = undecodableReason(await opened({ ...payload, data: Buffer.from('linnea@example.com') })) ?? '';
  expect(reason).not.toContain('linnea');
  expect(reason.length).toBeLessThanOrEqual(200);
});

test.each<[what: string, payload: Payload]>([
  ['plain JSON', payloadConverter.toPayload(SECRET)],
  ['nothing', {}],
  ['bytes', payloadConverter.toPayload(randomBytes(100))],
  ['what another codec encrypted', encrypted({ 'encryption-key-id': 'k1' })],
  ['what another codec encrypted without saying how', encrypted({})],
  ['an impossible check', encrypted({ 'encryption-key-id': 'k1', 'encryption-key-check': 'none' })],
  ['an impossible key id', encrypted({ 'encryption-key-id': 'k\n1', 'encryption-key-check': '0'.repeat(16) })],
])('%s passes through untouched', async (_, payload) => {
  const [decoded] = await codec.decode([payload]);
  expect(decoded).toBe(payload);
});

function encrypted(metadata: Readonly<Record<string, string>>): Payload {
  const all = Object.entries({ encoding: 'binary/encrypted', ...metadata });
  return { metadata: Object.fromEntries(all.map(([name, text]) => [name, Buffer.from(text)])), data: randomBytes(50) };
}

test('after a rotation, payloads of the old key can be read, and the new one encrypts', async () => {
  const before = await sealed();
  const rotated = codecOf(OTHER, KEY);
  expect(await opened(before, rotated)).toEqual(SECRET);
  expect(textOf(await sealed(SECRET, rotated), 'encryption-key-id')).toBe('k2');
});

test('a missing key is an error that names it, never a dropped payload', async () => {
  const payload = await sealed(SECRET, codecOf(OTHER));
  const error: unknown = await codec.decode([payload]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UnknownPayloadKey);
  expect(error).toMatchObject({ keyId: 'k2', message: expect.stringMatching(/"k2".*\(k1\).*TRIGGERS_PAYLOAD_KEYS/) });
});

test('a missing key is a value that says so for a workflow of a worker, and an error for activities', async () => {
  const ofWorker = new EncryptingCodec(readPayloadKeys([KEY]), { marksMissing: true });
  const payload = await sealed(SECRET, codecOf(OTHER));
  const where = { namespace: 'default', workflowId: 'w' };
  const [marked] = await ofWorker.decode([payload], { type: 'workflow', ...where });
  const value = payloadConverter.fromPayload(marked ?? {});
  expect(missingKeyReason([SECRET, value])).toMatch(/"k2".*\(k1\)/);
  expect(undecodableReason(value)).toBe(missingKeyReason([value]));
  expect(missingKeyReason([undecodable('not JSON'), SECRET, 'text', undefined, null])).toBeUndefined();
  for (const context of [{ type: 'activity', isLocal: false, ...where } as const, undefined])
    await expect(ofWorker.decode([payload], context)).rejects.toThrow(UnknownPayloadKey);
});

test('if another key has its id, a key counts as missing', async () => {
  const payload = await sealed(SECRET, codecOf(aPayloadKey('k1')));
  await expect(codec.decode([payload])).rejects.toThrow(/"k1", and the payload key with that id here is not "k1\//);
});

test('a foreign key under an id of ours can be declared lost, by the name in the error; ours stays', async () => {
  const payload = await sealed(SECRET, codecOf(aPayloadKey('k1')));
  const error: unknown = await codec.decode([payload]).catch((thrown: unknown) => thrown);
  const [, name = ''] = /with that id here is not "([^"]+)"/.exec(String(error)) ?? [];
  const saidLost = codecOf(KEY, `${name}:lost`);
  expect(undecodableReason(await opened(payload, saidLost))).toMatch(/"k1", which is configured as lost/);
  expect(await opened(await sealed(), saidLost)).toEqual(SECRET);
});

test('without keys nothing is encrypted, and encrypted payloads are still recognized', async () => {
  const none = codecOf();
  const payload = payloadConverter.toPayload(SECRET);
  expect(await none.encode([payload])).toEqual([payload]);
  await expect(none.decode([await sealed()])).rejects.toThrow(/no payload keys are set here/);
});

test('a payload that was encrypted with a lost key is unreadable, and says so', async () => {
  const payload = await sealed(SECRET, codecOf(OTHER));
  expect(undecodableReason(await opened(payload, codecOf(KEY, 'k2:lost')))).toMatch(
    /"k2", which is configured as lost/,
  );
});

/** What only somebody with the key can make. */
function authentic(plain: Buffer): Payload {
  const key = readPayloadKeys([KEY]).encrypting;
  if (key === undefined) throw new Error('There is a key.');
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key.secret, nonce);
  cipher.setAAD(Buffer.from(`binary/encrypted\nk1\n${key.check}`));
  const data = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return encryptedWith(data, key.check);
}

function encryptedWith(data: Buffer, check: string): Payload {
  return { ...encrypted({ 'encryption-key-id': 'k1', 'encryption-key-check': check }), data };
}

test('encryption works as the documentation says, so that other programs can do it', async () => {
  // A Payload message by hand: metadata { encoding: "json/plain" }, data "7".
  const message = Buffer.concat([
    Buffer.from([0x0a, 22, 0x0a, 8]),
    Buffer.from('encoding'),
    Buffer.from([0x12, 10]),
    Buffer.from('json/plain'),
    Buffer.from([0x12, 1, 0x37]),
  ]);
  expect(await opened(authentic(message))).toBe(7);
});

test('the codec cannot read authentic content that is not a payload', async () => {
  expect(undecodableReason(await opened(authentic(Buffer.from([0x0a, 200, 1]))))).toMatch(/cannot be decrypted/);
});
