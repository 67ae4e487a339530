import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { deflateSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { ApplicationFailure, type Payload } from '@temporalio/common';
import { decode, encode } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import fc from 'fast-check';
import { EVENTS_AHEAD, undecodableReason } from '../../src/domain/errors.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { always } from '../support/properties.ts';
import {
  EncryptingCodec,
  UnknownPayloadKey,
  InvalidPayloadKeys,
  readPayloadKeys,
  splitPayloadKeys,
} from '../../src/temporal/encrypting-codec.ts';
import { failureConverter } from '../../src/temporal/failure-converter.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { foreignPayload } from './a-foreign-payload.ts';
import { aPayloadKey } from './a-payload-key.ts';
import { PACKED_FROM_BYTES, ZlibCodec } from '../../src/temporal/zlib-codec.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const payload = (encoding: string, data?: Uint8Array): Payload => ({
  metadata: { encoding: bytes(encoding) },
  ...(data === undefined ? {} : { data }),
});

const textOf = (value: unknown) => Buffer.from(payloadConverter.toPayload(value).data ?? []).toString();
const read = (text: string): unknown => payloadConverter.fromPayload(payload('json/plain', bytes(text)));

test('the converter writes plain JSON, as any SDK reads and writes it', () => {
  const { metadata, data } = payloadConverter.toPayload({ user: '1', at: null });
  expect(Buffer.from(metadata?.['encoding'] ?? []).toString()).toBe('json/plain');
  expect(Buffer.from(data ?? []).toString()).toBe('{"user":"1","at":null}');
});

test('any JSON value arrives as it was sent', () => {
  always(
    fc.property(fc.jsonValue(), (value) => {
      // Compared as text: integers that a double may have rounded arrive as BigInt.
      expect(textOf(payloadConverter.fromPayload(payloadConverter.toPayload(value)))).toBe(JSON.stringify(value));
    }),
  );
});

test('integers above 2^53 keep their digits both ways', () => {
  const text = '{"user":7076027172059065053,"list":[18446744073709551615,5]}';
  expect(read(text)).toEqual({ user: 7076027172059065053n, list: [18446744073709551615n, 5] });
  expect(textOf(read(text))).toBe(text);
  expect(textOf(18446744073709551615n)).toBe('18446744073709551615');
});

test('nothing at all and bytes are what they are for every SDK', () => {
  expect(payloadConverter.fromPayload(payloadConverter.toPayload(undefined))).toBeUndefined();
  expect(payloadConverter.fromPayload(payloadConverter.toPayload(new Uint8Array([1, 2])))).toEqual(
    new Uint8Array([1, 2]),
  );
});

test.each<[what: string, payload: Payload, reason: string | RegExp]>([
  ['no JSON', payload('json/plain', bytes('{"email":"linnea@example.com",}')), 'it is not JSON'],
  ['no JSON, with a long integer', payload('json/plain', bytes('{"a":9007199254740993,}')), 'it is not JSON'],
  ['half a JSON', payload('json/plain', bytes('{"email":"linnea')), 'it is not JSON'],
  ['no data', payload('json/plain'), 'it is not JSON'],
  ['an empty text', payload('json/plain', new Uint8Array()), 'it is not JSON'],
  ['no UTF-8', payload('json/plain', new Uint8Array([0x22, 0xff, 0xfe, 0x22])), 'it is not UTF-8 text'],
  [
    'JSON that is nested deeper than the stack',
    payload('json/plain', bytes(`${'['.repeat(100_000)}9007199254740993${']'.repeat(100_000)}`)),
    'its JSON is nested too deep',
  ],
  ['an encoding that nobody knows', payload('application/x-unknown', bytes('{}')), /x-unknown/],
  ['protobuf', payload('json/protobuf', bytes('{}')), /json\/protobuf/],
  ['an encrypted payload', payload('binary/encrypted', bytes('???')), /binary\/encrypted/],
  ['no encoding', { metadata: {}, data: bytes('{}') }, /./],
  ['no metadata', { data: bytes('{}') }, /./],
  ['nothing', {}, /./],
])('%s becomes a value that says why, and nothing throws', (_, undecodablePayload, reason) => {
  const value: unknown = payloadConverter.fromPayload(undecodablePayload);
  expect(undecodableReason(value)).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
});

test("no reason quotes the payload: people's fields stand in it", () => {
  always(
    fc.property(fc.constantFrom('{', '}', '"', ',', 'x', '9007199254740993'), fc.nat(40), (junk, place) => {
      const text = '{"email":"linnea@example.com","n":[1,2]}';
      const value = read(text.slice(0, place) + junk + text.slice(place));
      expect(undecodableReason(value) ?? '').not.toMatch(/linnea|email|example/);
    }),
    30,
  );
});

test('reading never throws, whatever the bytes', () => {
  always(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom('json/plain', 'binary/plain', 'binary/null', 'x'),
      (data, encoding) => {
        payloadConverter.fromPayload(payload(encoding, data));
      },
    ),
  );
});

const failureOf = (error: Error) => failureConverter.errorToFailure(error, payloadConverter);
const inTheClear = (error: Error) => JSON.stringify({ ...failureOf(error), encodedAttributes: undefined });

test('the converter encodes the message, the stack and the cause of a failure as payloads', () => {
  const cause = new TypeError('cause: linnea@example.com');
  const error = ApplicationFailure.create({ message: 'linnea@example.com', type: 'InvalidJob', cause });
  expect(inTheClear(error)).toContain('InvalidJob');
  expect(inTheClear(ApplicationFailure.nonRetryable('linnea@example.com'))).not.toMatch(/linnea|failure-converter/);
  expect(failureOf(error).cause).toMatchObject({ message: 'Encoded failure', stackTrace: '' });
  const read = failureConverter.failureToError(failureOf(error), payloadConverter);
  expect(read).toMatchObject({ message: 'linnea@example.com', cause: { message: 'cause: linnea@example.com' } });
});

test.each([
  ['as it is thrown', (error: Error) => error],
  ['as an activity fails with it', (error: Error) => ApplicationFailure.fromError(error)],
])('an error about a missing key stays readable without that key, %s', (_, wrapped) => {
  expect(failureOf(wrapped(new UnknownPayloadKey({ id: 'k2', check: '0'.repeat(16) }, ['k1'])))).toMatchObject({
    message: expect.stringContaining('"k2"'),
  });
});

test('the error of a query that came too early stays readable: a client that could not tell would not ask again', () => {
  expect(failureOf(new Error(EVENTS_AHEAD)).message).toBe(EVENTS_AHEAD);
});

test('without keys, payloads are written in the clear, and encrypted ones are an error', async () => {
  const { payloadCodecs: codecs = [], failureConverterPath } = dataConverterWith([]);
  const payload = payloadConverter.toPayload('x');
  expect(await encode(codecs, [payload])).toEqual([payload]);
  expect(failureConverterPath).toBeUndefined();
  const encrypted = await encode(dataConverterWith([aPayloadKey('k1')]).payloadCodecs ?? [], [payload]);
  await expect(decode(codecs, encrypted)).rejects.toThrow(UnknownPayloadKey);
});

test('with keys, payloads are encrypted, and failures as well', () => {
  expect(dataConverterWith([aPayloadKey('k1')])).toMatchObject({
    payloadCodecs: [expect.any(ZlibCodec), expect.any(EncryptingCodec)],
    failureConverterPath: expect.stringMatching(/failure-converter\.ts$/),
  });
});

const BYTES = Buffer.alloc(32, 'secret').toString('base64');

test('the first key encrypts, and each is found by its id', () => {
  const keys = readPayloadKeys([aPayloadKey('2026-11'), aPayloadKey('2026-05')]);
  expect(keys.encrypting?.id).toBe('2026-11');
  expect([...keys.byId.keys()]).toEqual(['2026-11', '2026-05']);
});

test('no key encrypts when no keys are configured', () => {
  expect(readPayloadKeys([]).encrypting).toBeUndefined();
});

test('a lost key is known by its id, without anything to decrypt with', () => {
  const { byId } = readPayloadKeys([aPayloadKey('new'), 'old:lost']);
  expect(byId.has('old')).toBe(true);
  expect(byId.get('old')).toBeUndefined();
});

test('two keys with the same id differ in their check, which is always the same for one key', () => {
  const checkOf = (entry: string) => readPayloadKeys([entry]).encrypting?.check;
  expect(checkOf(`a:${BYTES}`)).toBe(checkOf(`b:${BYTES}`));
  expect(checkOf(`a:${BYTES}`)).toMatch(/^[0-9a-f]{16}$/);
  expect(checkOf(`a:${BYTES}`)).not.toBe(checkOf(aPayloadKey('a')));
});

test('keys in a variable are separated by commas', () => {
  expect(splitPayloadKeys(`a:${BYTES}, b:${BYTES}`)).toEqual([`a:${BYTES}`, `b:${BYTES}`]);
});

test.each<[what: string, keys: string[], says: RegExp]>([
  ['no id', [BYTES], /^Payload key 1 of 1 must be "<key id>:<base64 of 32 bytes>"/],
  ['an empty id', [`:${BYTES}`], /1 of 1 must be/],
  ['the key before its id', [`${BYTES}:a`], /1 of 1 must be/],
  ['an id with a space', [`a b:${BYTES}`], /1 of 1 must be/],
  ['an id that is too long', [`${'a'.repeat(33)}:${BYTES}`], /1 of 1 must be/],
  ['a key under the name of a lost one', [`a/${'0'.repeat(16)}:${BYTES}`], /1 of 1 must be/],
  ['a short key', [`a:${BYTES}`, `b:${BYTES.slice(0, 40)}`], /^Payload key 2 of 2 must have exactly 32 bytes/],
  ['a long key', [`a:${Buffer.alloc(48, 'secret').toString('base64')}`], /exactly 32 bytes/],
  ['a wrong character', [`a:${BYTES.replace('c', '!')}`], /exactly 32 bytes/],
  ['base64url', [`a:${Buffer.alloc(32, 0xff).toString('base64url')}`], /exactly 32 bytes/],
  ['no key', ['a:'], /exactly 32 bytes/],
  ['the same id twice', [`a:${BYTES}`, aPayloadKey('a')], /2 of 2 has the same id as one before it/],
  ['a first key that is a lost one', ['a:lost', `b:${BYTES}`], /first payload key encrypts/],
])('%s is an error that names its position, without repeating a key', (_, keys, says) => {
  const error = errorOf(() => readPayloadKeys(keys));
  expect(error).toBeInstanceOf(InvalidPayloadKeys);
  expect((error as Error).message).toMatch(says);
  expect(inspect(error)).not.toMatch(/c2VjcmV0|Y3JldHNl|cmV0c2Vj|lost:|\/{20}|_{20}/);
});

function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown.');
}

const codec = new ZlibCodec(PACKED_FROM_BYTES);
const encodingOf = ({ metadata }: Payload) => Buffer.from(metadata?.['encoding'] ?? []).toString();

/** Its JSON has so many bytes. */
const text = (bytes: number) => payloadConverter.toPayload('x'.repeat(bytes - 2));

async function packed(payload: Payload): Promise<Payload> {
  return (await codec.encode([payload]))[0] ?? {};
}

async function unpacked(payload: Payload): Promise<unknown> {
  const [decoded = {}] = await codec.decode([payload]);
  return payloadConverter.fromPayload(decoded);
}

test('a long payload takes a fraction of its bytes, and comes back as it was', async () => {
  for (const bytes of [PACKED_FROM_BYTES, 400_000]) {
    const payload = await packed(text(bytes));
    expect(encodingOf(payload)).toBe('binary/zlib');
    expect(payload.data?.length).toBeLessThan(bytes / 10);
    expect(await unpacked(payload)).toBe('x'.repeat(bytes - 2));
  }
});

test('the codec does not pack short payloads, which people look at in the Temporal UI', async () => {
  const payload = text(PACKED_FROM_BYTES - 1);
  expect(await packed(payload)).toBe(payload);
});

test('the codec does not pack a payload that would not become smaller', async () => {
  const payload = { metadata: { encoding: Buffer.from('binary/plain') }, data: randomBytes(PACKED_FROM_BYTES) };
  expect(await packed(payload)).toBe(payload);
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['no zlib', Buffer.from('not packed')],
  ['no payload', deflateSync(Buffer.from([0xff, 0xff]))],
  ['more than any payload has', deflateSync(Buffer.alloc(65 * 1024 * 1024))],
])('a payload marked as packed that holds %s becomes a value that says so, and throws nothing', async (_, data) => {
  const value = await unpacked({ metadata: { encoding: Buffer.from('binary/zlib') }, data });
  expect(undecodableReason(value)).toMatch(/binary\/zlib/);
});

test.each([
  ['without keys, long payloads are packed', [], PACKED_FROM_BYTES, 'binary/zlib'],
  ['with keys, shorter ones too, and then they are encrypted', [aPayloadKey('k1')], 512, 'binary/encrypted'],
])('%s', async (_, keys, bytes, encoding) => {
  const { payloadCodecs: codecs = [] } = dataConverterWith(keys);
  const payloads = await encode(codecs, [text(bytes)]);
  expect(payloads.map(encodingOf)).toEqual([encoding]);
  expect(payloads[0]?.data?.length).toBeLessThan(bytes / 3);
  expect((await decode(codecs, payloads)).map((payload) => payloadConverter.fromPayload(payload))).toEqual([
    'x'.repeat(bytes - 2),
  ]);
});

test('whatever a stranger sends, a worker and a client read it as a value, or say which key is missing', async () => {
  for (const keys of [[], [aPayloadKey('ours')]]) {
    const codecs = (dataConverterWith(keys).payloadCodecs ?? []).toReversed();
    await always(
      fc.asyncProperty(foreignPayload, async (sent) => {
        let payloads = [sent];
        try {
          for (const codec of codecs) payloads = await codec.decode(payloads);
        } catch (error) {
          expect(error).toBeInstanceOf(UnknownPayloadKey);
          return;
        }
        for (const one of payloads) payloadConverter.fromPayload(one);
      }),
      200,
    );
  }
});

test('an encoding without a single letter is unknown, like any that nobody reads', async () => {
  const left = { metadata: { encoding: [] as unknown as Uint8Array }, data: bytes('{}') }; // As protobuf.js gives it.
  const [opened = {}] = await new ZlibCodec(PACKED_FROM_BYTES).decode([left]);
  expect(undecodableReason(payloadConverter.fromPayload(opened))).toEqual(expect.any(String));
});
