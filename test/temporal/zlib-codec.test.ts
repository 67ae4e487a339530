import { randomBytes } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import type { Payload } from '@temporalio/common';
import { undecodableReason } from '../../src/domain/errors.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { PACKED_FROM_BYTES, ZlibCodec } from '../../src/temporal/zlib-codec.ts';
import { aPayloadKey } from './a-payload-key.ts';

const codec = new ZlibCodec({ packs: true });
const encodingOf = ({ metadata }: Payload) => Buffer.from(metadata?.['encoding'] ?? []).toString();

/** Its JSON has so many bytes. */
const text = (bytes: number) => payloadConverter.toPayload('x'.repeat(bytes - 2));

async function packed(payload: Payload): Promise<Payload> {
  return (await codec.encode([payload]))[0] ?? {};
}

async function read(payload: Payload, by = codec): Promise<unknown> {
  const [decoded = {}] = await by.decode([payload]);
  return payloadConverter.fromPayload(decoded);
}

test('a long payload takes a fraction of its bytes, and comes back as it was', async () => {
  for (const bytes of [PACKED_FROM_BYTES, 400_000]) {
    const payload = await packed(text(bytes));
    expect(encodingOf(payload)).toBe('binary/zlib');
    expect(payload.data?.length).toBeLessThan(bytes / 10);
    expect(await read(payload)).toBe('x'.repeat(bytes - 2));
  }
});

test('what people look at in the Temporal UI stays as it is', async () => {
  const payload = text(PACKED_FROM_BYTES - 1);
  expect(await packed(payload)).toBe(payload);
});

test('what packing would not make smaller stays as it is', async () => {
  const payload = { metadata: { encoding: Buffer.from('binary/plain') }, data: randomBytes(PACKED_FROM_BYTES) };
  expect(await packed(payload)).toBe(payload);
});

test('who does not pack reads what others packed', async () => {
  const reader = new ZlibCodec({ packs: false });
  const payload = text(PACKED_FROM_BYTES);
  expect(await reader.encode([payload])).toEqual([payload]);
  expect(await read(await packed(payload), reader)).toBe('x'.repeat(PACKED_FROM_BYTES - 2));
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['no zlib', Buffer.from('not packed')],
  ['no payload', deflateSync(Buffer.from([0xff, 0xff]))],
  ['more than any payload has', deflateSync(Buffer.alloc(65 * 1024 * 1024))],
])('what says that it is packed and holds %s is a value that says so, and no exception', async (_, data) => {
  const value = await read({ metadata: { encoding: Buffer.from('binary/zlib') }, data });
  expect(undecodableReason(value)).toMatch(/binary\/zlib/);
});

test.each([
  ['without keys, long payloads are packed', [], 'binary/zlib'],
  ['with keys, they are encrypted, which packs them', [aPayloadKey('k1')], 'binary/encrypted'],
])('%s', async (_, keys, encoding) => {
  const codecs = dataConverterWith(keys).payloadCodecs ?? [];
  let payloads = [text(PACKED_FROM_BYTES)];
  for (const one of codecs) payloads = await one.encode(payloads);
  expect(payloads.map(encodingOf)).toEqual([encoding]);
  for (const one of codecs.toReversed()) payloads = await one.decode(payloads);
  expect(payloads.map((payload) => payloadConverter.fromPayload(payload))).toEqual(['x'.repeat(PACKED_FROM_BYTES - 2)]);
});
