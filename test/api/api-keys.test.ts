import { expect, test } from '@jest/globals';
import { ApiKeys } from '../../src/api/callers.ts';
import { newApiKey } from '../../src/config/references.ts';

const shop = newApiKey();
const boss = newApiKey();

test('[S33] a key is known by its hash, and may what it says', () => {
  const keys = new ApiKeys({
    shop: { hash: shop.hash, may: ['trigger'], jobs: ['crm'], audiences: ['vip'] },
    boss: { hash: boss.hash, may: ['read', 'operate'] },
  });
  const caller = keys.callerOf(`Bearer ${shop.secret}`);
  expect([caller?.name, caller?.may('trigger'), caller?.may('read')]).toEqual(['shop', true, false]);
  expect([caller?.mayJob('crm'), caller?.mayJob('ads')]).toEqual([true, false]);
  expect([caller?.mayAudience('vip'), caller?.mayAudience('news')]).toEqual([true, false]);
  expect(keys.callerOf(`bearer  ${boss.secret}`)?.mayJob('anything')).toBe(true);
});

test.each([
  undefined,
  '',
  'Bearer',
  'Bearer ',
  `Bearer ${shop.secret}x`,
  `Basic ${shop.secret}`,
  shop.secret,
  `Bearer ${shop.hash}`,
])('[S33] %s is nobody’s', (authorization) => {
  const keys = new ApiKeys({ shop: { hash: shop.hash, may: ['trigger'] } });
  expect(keys.callerOf(authorization)).toBeUndefined();
});

test('[S33] without keys everybody may everything; once there were any, taking them away lets nobody in', () => {
  const keys = new ApiKeys({});
  expect(keys.isOpen).toBe(true);
  expect(keys.callerOf(undefined)?.may('operate')).toBe(true);
  keys.replace({ shop: { hash: shop.hash, may: ['read'] } });
  expect([keys.isOpen, keys.callerOf(undefined)]).toEqual([false, undefined]);
  keys.replace({});
  expect([keys.isOpen, keys.callerOf(`Bearer ${shop.secret}`)]).toEqual([false, undefined]);
});
