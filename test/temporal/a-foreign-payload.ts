import { deflateSync } from 'node:zlib';
import type { Payload } from '@temporalio/common';
import fc from 'fast-check';
import { PayloadMessage } from '../../src/temporal/zlib-codec.ts';

/** As protobuf.js gives bytes that were left out on the wire, since they are empty: an empty array, despite the type. */
const LEFT_OUT = [] as unknown as Uint8Array;
const bytes = (text: string): Uint8Array => (text === '' ? LEFT_OUT : Buffer.from(text, 'latin1'));

const ENCODINGS = ['binary/null', 'binary/plain', 'json/plain', 'json/protobuf', 'binary/protobuf', 'binary/zlib'];
const encoding = fc.constantFrom(...ENCODINGS, 'binary/encrypted', 'secret/unknown', '', '\xff\xfe', 'JSON/PLAIN');
const deepJson = fc.integer({ min: 1, max: 20_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
const trigger = fc.record({ user: fc.anything(), audience: fc.anything(), at: fc.anything() }, { requiredKeys: [] });
const json = fc
  .oneof(fc.jsonValue(), trigger)
  .map((value) => JSON.stringify(value ?? null, (_, one: unknown) => plain(one)));
const data = fc.oneof(
  { weight: 3, arbitrary: json },
  fc.constantFrom('', 'null', '{"broken', '\xff\xfe\x00', '{"triggers":[null,7,[]],"profilesIn":"h000000000000000"}'),
  deepJson,
  fc.string(),
);

function plain(value: unknown): unknown {
  return typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value;
}

const ourKeyNames: fc.Arbitrary<Record<string, string>> = fc.constantFrom(
  {},
  { 'encryption-key-id': 'theirs', 'encryption-key-check': '0123456789abcdef' },
  { 'encryption-key-id': '', 'encryption-key-check': '' },
  { messageType: 'some.Proto' },
);

const unpacked: fc.Arbitrary<Payload> = fc.oneof(
  fc.constant<Payload>({}),
  fc.constant<Payload>({ metadata: {}, data: LEFT_OUT }),
  fc.record({ data: data.map(bytes) }),
  fc.record({ encoding, more: ourKeyNames, data }).map(({ encoding: name, more, data: text }) => ({
    metadata: Object.fromEntries(
      Object.entries({ encoding: name, ...more }).map(([key, value]) => [key, bytes(value)]),
    ),
    data: bytes(text),
  })),
);

/** A payload as any SDK, or anybody, may send it, and as protobuf.js gives it here. */
export const foreignPayload: fc.Arbitrary<Payload> = fc.oneof(
  { weight: 4, arbitrary: unpacked },
  unpacked.map((inner) => ({
    metadata: { encoding: bytes('binary/zlib') },
    data: deflateSync(PayloadMessage.encode(PayloadMessage.fromObject(inner)).finish()),
  })),
);
