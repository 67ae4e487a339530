import { expect, test } from '@jest/globals';
import type { Payload } from '@temporalio/common';
import fc from 'fast-check';
import { undecodableReason } from '../../src/domain/errors.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { always } from '../support/properties.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const payload = (encoding: string, data?: Uint8Array): Payload => ({
  metadata: { encoding: bytes(encoding) },
  ...(data === undefined ? {} : { data }),
});

const textOf = (value: unknown) => Buffer.from(payloadConverter.toPayload(value).data ?? []).toString();
const read = (text: string): unknown => payloadConverter.fromPayload(payload('json/plain', bytes(text)));

test('what is written is plain JSON, as any SDK reads and writes it', () => {
  const { metadata, data } = payloadConverter.toPayload({ user: '1', at: null });
  expect(Buffer.from(metadata?.['encoding'] ?? []).toString()).toBe('json/plain');
  expect(Buffer.from(data ?? []).toString()).toBe('{"user":"1","at":null}');
});

test('whatever is JSON arrives as it was', () => {
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
    60,
  );
});

test('whatever bytes come, reading them never throws', () => {
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
