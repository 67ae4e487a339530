import { expect, test } from '@jest/globals';
import { payloadConverter } from '../../src/payload-converter.ts';
import { dataConverterWith } from '../../src/payload-codec/data-converter.ts';
import { UnknownPayloadKey } from '../../src/payload-codec/unknown-payload-key.ts';
import { aPayloadKey } from './a-payload-key.ts';

test('who has no keys writes in the clear, and refuses to take what is encrypted for garbage', async () => {
  const { payloadCodecs: [codec] = [], failureConverterPath } = dataConverterWith([]);
  const payload = payloadConverter.toPayload('x');
  expect(await codec?.encode([payload])).toEqual([payload]);
  expect(failureConverterPath).toBeUndefined();
  const encrypted = (await dataConverterWith([aPayloadKey('k1')]).payloadCodecs?.[0]?.encode([payload])) ?? [];
  await expect(codec?.decode(encrypted)).rejects.toThrow(UnknownPayloadKey);
});

test('who has keys encrypts payloads, and failures as well', () => {
  expect(dataConverterWith([aPayloadKey('k1')])).toMatchObject({
    payloadCodecs: [expect.anything()],
    failureConverterPath: expect.stringMatching(/failure-converter\.ts$/),
  });
});
