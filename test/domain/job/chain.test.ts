import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { acceptedNow, WaitingTimes, waitsSince } from '../../../src/domain/job/queue/chain.ts';
import { always } from '../../support/properties.ts';

const NOW = Date.UTC(2026, 0, 1);
const trigger = { audience: 'a', event: 'enter' } as const;

test.each([
  ['2026-01-01T00:00:30Z', NOW + 30_000],
  ['2025-12-31T23:59:60Z', NOW],
  ['2026-01-01t01:00:00+01:00', NOW],
])('an `at` near the time of acceptance, %s, stands for it', (at, since) => {
  expect(acceptedNow(at, NOW)).toEqual({});
  expect(waitsSince({ ...trigger, at })).toBe(since);
});

test.each(['2025-02-04T00:00:00Z', '2026-01-01T00:01:01Z', '9999-12-31T23:59:60Z', 'nonsense'])(
  'a trigger with any other `at`, such as %s, keeps its time of acceptance',
  (at) => {
    expect(acceptedNow(at, NOW)).toEqual({ since: NOW });
    expect(waitsSince({ ...trigger, at, ...acceptedNow(at, NOW) })).toBe(NOW);
  },
);

test('the oldest is the first of all that are there, in whatever order they come and go', () => {
  const change = fc.record({ since: fc.nat(5), isGone: fc.boolean(), isAsked: fc.boolean() });
  always(
    fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
      const times = new WaitingTimes();
      const there: number[] = [];
      for (const { since, isGone, isAsked } of changes) {
        const place = there.indexOf(since);
        if (isGone && place >= 0) {
          times.remove(since);
          there.splice(place, 1);
        } else if (!isGone) {
          times.add(since);
          there.push(since);
        }
        if (isAsked && times.oldest !== (there.length === 0 ? undefined : Math.min(...there))) return false;
      }
      return true;
    }),
  );
  expect(new WaitingTimes().oldest).toBeUndefined();
});
