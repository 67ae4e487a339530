import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { deliveryId, membershipText, shortKey } from '../../src/domain/delivery-id.ts';

const SUBSCRIPTION = '6d0e47b98c1f4a35b2c7d8e90f1a2b3c';
const trigger = {
  user: '7076027172059065053',
  audience: '42976a269a5e6b9d06c681b1c27292df',
  event: 'enter' as const,
  at: '2020-10-14T13:27:33.916374949-07:00',
};

test('the id is the one that earlier versions gave: receivers may have it in their books', () => {
  expect(deliveryId(SUBSCRIPTION, trigger)).toBe('9b7a9af0bfb52418e91e2ee8332e50f4');
});

test.each(['2020-10-14T20:27:33.916374949Z', '2020-10-14t20:27:33.916374949z', '2020-10-15T02:57:33.916374949+06:30'])(
  'the same instant, spelt %s, has the same id',
  (at) => {
    expect(deliveryId(SUBSCRIPTION, { ...trigger, at })).toBe(deliveryId(SUBSCRIPTION, trigger));
  },
);

test.each([
  ['another nanosecond', { at: '2020-10-14T13:27:33.916374950-07:00' }],
  ['the same clock elsewhere', { at: '2020-10-14T13:27:33.916374949-06:00' }],
  ['another person', { user: '7076027172059065054' }],
  ['another audience', { audience: '42976a269a5e6b9d06c681b1c27292de' }],
  ['the other event', { event: 'exit' as const }],
])('%s is another delivery', (_, change) => {
  expect(deliveryId(SUBSCRIPTION, { ...trigger, ...change })).not.toBe(deliveryId(SUBSCRIPTION, trigger));
});

test('another job has other ids', () => {
  expect(deliveryId('x', trigger)).not.toBe(deliveryId(SUBSCRIPTION, trigger));
});

test('no two people and audiences run together into one id', () => {
  const part = fc.string({ unit: fc.constantFrom('1', ':', 'a'), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(part, part, part, part, (user, audience, otherUser, otherAudience) => {
      fc.pre(user !== otherUser || audience !== otherAudience);
      expect(deliveryId(SUBSCRIPTION, { ...trigger, user, audience })).not.toBe(
        deliveryId(SUBSCRIPTION, { ...trigger, user: otherUser, audience: otherAudience }),
      );
      expect(membershipText(user, audience)).not.toBe(membershipText(otherUser, otherAudience));
    }),
    { numRuns: 500 },
  );
});

test('[S26] an id can be signed and named: hex digits, no dot', () => {
  expect(deliveryId(SUBSCRIPTION, trigger)).toMatch(/^[0-9a-f]{32}$/);
  expect(shortKey(membershipText('1', '2'))).toMatch(/^[0-9a-f]{18}$/);
});
