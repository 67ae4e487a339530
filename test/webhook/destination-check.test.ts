import { expect, test } from '@jest/globals';
import { refusalBeforehand } from '../../src/webhook/destination-check.ts';
import type { LookUp } from '../../src/webhook/look-up.ts';
import { NetworkPolicy } from '../../src/webhook/network-policy.ts';

const policy = new NetworkPolicy({ allowHttp: false, allowAddresses: [], allowPorts: ['443'] });
const answering =
  (...addresses: string[]): LookUp =>
  (_, __, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );

test.each([
  ['https://10.0.0.1/', answering('8.8.8.8'), /public addresses only/],
  ['http://example.com/', answering('8.8.8.8'), /by https only/],
  ['https://example.com/', answering('10.0.0.1'), /public addresses only/],
  ['https://example.com/', answering('8.8.8.8', '10.0.0.1'), /public addresses only/],
])('[S1] [S9] %s is refused in advance', async (url, lookUp, reason) => {
  expect(await refusalBeforehand(policy, new URL(url), lookUp)).toMatch(reason);
});

test('a name that cannot be looked up now is not refused, since it may exist later', async () => {
  const failing: LookUp = (_, __, callback) => callback(new Error('no answer'), []);
  expect(await refusalBeforehand(policy, new URL('https://example.com/'), failing)).toBeUndefined();
  expect(await refusalBeforehand(policy, new URL('https://example.com/'), answering('8.8.8.8'))).toBeUndefined();
});
