import { expect, test } from '@jest/globals';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { UnknownPayloadKey } from '../../src/temporal/encrypting-codec.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { aPayloadKey } from './a-payload-key.ts';

test('without keys, payloads are written in the clear, and encrypted ones are an error', async () => {
  const { payloadCodecs: [codec] = [], failureConverterPath } = dataConverterWith([]);
  const payload = payloadConverter.toPayload('x');
  expect(await codec?.encode([payload])).toEqual([payload]);
  expect(failureConverterPath).toBeUndefined();
  const encrypted = (await dataConverterWith([aPayloadKey('k1')]).payloadCodecs?.[0]?.encode([payload])) ?? [];
  await expect(codec?.decode(encrypted)).rejects.toThrow(UnknownPayloadKey);
});

test('with keys, payloads are encrypted, and failures as well', () => {
  expect(dataConverterWith([aPayloadKey('k1')])).toMatchObject({
    payloadCodecs: [expect.anything()],
    failureConverterPath: expect.stringMatching(/failure-converter\.ts$/),
  });
});
