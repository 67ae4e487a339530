import { expect, test } from '@jest/globals';
import { ApiKeys, hashOf, IDLE_MS, LINK_MS, LONGEST_MS, Sessions } from '../../src/api/callers.ts';
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

test('[S33] a key is refused from the time that it expires on, with a code of its own', () => {
  let now = Date.parse('2027-01-31T00:00:00Z') - 1;
  const keys = new ApiKeys(
    { shop: { hash: shop.hash, may: ['read'], expires: '2027-01-31T01:00:00+01:00' } },
    () => now,
  );
  expect(keys.callerOf(`Bearer ${shop.secret}`)?.name).toBe('shop');
  now += 1;
  expect(keys.callerOf(`Bearer ${shop.secret}`)).toBeUndefined();
  const code = ({ secret }: { readonly secret: string }) => keys.refusalOf(hashOf(secret)).refusal;
  expect([code(shop), code(boss)]).toMatchObject([{ status: 401, code: 'KeyExpired' }, { code: 'NotAuthorized' }]);
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

const OF = { keyHash: 'ab' };

test('[S40] a session ends when nobody used it for half an hour, and after twelve hours in any case', () => {
  const sessions = new Sessions();
  sessions.begin(OF, 'idle', 0);
  expect(sessions.find('idle', IDLE_MS - 1)).toMatchObject({ of: OF });
  expect([sessions.find('idle', IDLE_MS), sessions.use('idle', IDLE_MS)]).toEqual([undefined, undefined]);

  sessions.begin(OF, 'used', 0);
  for (let now = 0; now < LONGEST_MS; now += IDLE_MS - 1) expect(sessions.use('used', now)).toBeDefined();
  expect(sessions.find('used', LONGEST_MS - 1)).toBeDefined();
  expect([sessions.find('used', LONGEST_MS), sessions.use('used', LONGEST_MS)]).toEqual([undefined, undefined]);
});

test('[S40] to be looked at keeps no session alive, only to be used does', () => {
  const sessions = new Sessions();
  sessions.begin(OF, 'a', 0);
  expect(sessions.find('a', IDLE_MS - 1)?.idleEndsAtMs).toBe(IDLE_MS);
  expect(sessions.use('a', 1000)?.idleEndsAtMs).toBe(IDLE_MS + 1000);
});

test('a session that was ended is no more, and no other ends with it', () => {
  const sessions = new Sessions();
  sessions.begin(OF, 'a', 0);
  sessions.begin('link', 'b', 0);
  sessions.end('a');
  expect([sessions.find('a', 1), sessions.find('b', 1)?.of]).toEqual([undefined, 'link']);
});

test('[S49] the API remembers a hundred sessions of a key; one more ends that key’s session that was unused for longest', () => {
  const sessions = new Sessions();
  sessions.begin({ keyHash: 'other' }, 'of another key', 0);
  for (let i = 0; i < 100; i++) sessions.begin(OF, `s${i}`, 0);
  sessions.use('s0', 1);
  sessions.begin(OF, 'another', 2);
  expect(sessions.find('s0', 3)).toBeDefined();
  expect(sessions.find('s1', 3)).toBeUndefined();
  expect(sessions.find('s2', 3)).toBeDefined();
  expect(sessions.find('of another key', 3)).toBeDefined();
});

test('[S39] a link lets in once, for ten minutes, and not when there is a newer one', () => {
  const sessions = new Sessions();
  expect(sessions.takeLink('', 0)).toBe(false);
  sessions.offerLink('one', 0);
  expect(sessions.takeLink('other', 1)).toBe(false);
  expect([sessions.takeLink('one', 2), sessions.takeLink('one', 3)]).toEqual([true, false]);
  sessions.offerLink('late', 0);
  expect(sessions.takeLink('late', LINK_MS)).toBe(false);
  sessions.offerLink('old', 0);
  sessions.offerLink('new', 0);
  expect([sessions.takeLink('old', 1), sessions.takeLink('new', 1)]).toEqual([false, true]);
});
