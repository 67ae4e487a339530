import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SliceInput, SliceTrigger } from '../../src/contract/slice.ts';
import { packSlice, readProgress, readReport, unpackSlice } from '../../src/domain/slice.ts';
import { SETTINGS } from '../support/delivery-settings.ts';
import { always } from '../support/properties.ts';
import { readProfileRef, isProfileHolder, profileFrom } from '../../src/domain/trigger-run.ts';
import { profileHolderName } from '../../src/client/push/writing-runs.ts';

const AUDIENCES = ['a', 'b'].map((id) => ({ id, slug: id, name: id }));
const SLICE: Omit<SliceInput, 'triggers'> = {
  sliceId: 7,
  permits: 1,
  budgetMs: 1500,
  settings: SETTINGS,
  audiences: AUDIENCES,
};
const AT = '2026-11-25T08:30:00.000000001Z';

const anyTrigger: fc.Arbitrary<SliceTrigger> = fc.record(
  {
    user: fc.string({ minLength: 1 }),
    audience: fc.constantFrom('a', 'b', 'of long ago'),
    event: fc.constantFrom('enter', 'exit'),
    at: fc.constantFrom(AT, '2026-11-25T08:30:00Z', '2026-11-25t09:30:00+01:00'),
    profile: fc.constantFrom('{}', '{"email":"ada@example.com"}'),
    profileOptional: fc.constant(true as const),
  },
  { requiredKeys: ['user', 'audience', 'event', 'at'] },
);

test('a packed slice unpacks to the same slice, also after a journey through JSON', () => {
  always(
    fc.property(fc.array(anyTrigger), (triggers) => {
      const slice: SliceInput = { ...SLICE, triggers };
      const packed = JSON.parse(JSON.stringify(packSlice(slice))) as ReturnType<typeof packSlice>;
      expect(unpackSlice(packed)).toEqual(slice);
    }),
  );
});

test('members of a backfill take little more than their ids', () => {
  const triggers = Array.from({ length: 1000 }, (_, i): SliceTrigger => {
    return { user: String(i).padStart(19, '7'), audience: 'a', event: 'enter', at: AT };
  });
  const packed = packSlice({ ...SLICE, triggers });
  expect(JSON.stringify(packed.triggers).length).toBeLessThan(1000 * 30);
});

test('a slice that refers to an audience which it does not have is refused, not guessed', () => {
  const packed = packSlice({ ...SLICE, triggers: [] });
  expect(() => unpackSlice({ ...packed, triggers: [['1', 9, AT]] })).toThrow(RangeError);
});

test('an answer is judged once: a report is read with the verdict of its worker, and judged where it has none that is known', () => {
  const verdictOf = (how: object) =>
    readReport({ failed: [{ index: 0, durationMs: 1, ...how }], unsent: [], sendingMs: 1 }, 1)?.failed[0]?.verdict;
  expect(verdictOf({ status: 400, verdict: 'transient' })).toBe('transient');
  expect(verdictOf({ status: 400 })).toBe('refused');
  expect(verdictOf({ status: 400, as: 'pausing' })).toBe('pausing');
  for (const verdict of ['newer', 'delivered', 'constructor', 1])
    expect(verdictOf({ status: 400, verdict })).toBe('refused');
});

test('when one request fails for several triggers, the report gives the details once, at the first', () => {
  const first = {
    index: 1,
    status: 409,
    verdict: 'given-up',
    as: 'given-up',
    answer: 'no',
    durationMs: 9,
    retryAfterMs: 5,
  };
  const raw = { failed: [{ index: 3, like: 1, durationMs: 9 }, first], unsent: [0], sendingMs: 1, requests: 2 };
  const report = readReport(raw, 4);
  expect(report?.failed).toEqual([{ ...first, index: 3, like: 1 }, first]);
  expect(report?.requests).toBe(2);
  // What was read may be read again, as a recovery does.
  expect(readReport(report, 4)).toEqual(report);
});

test('a failure that refers to an unreported one is unreadable, and never a delivery', () => {
  for (const like of [2, 9, -1, 'x', null])
    expect(
      readReport({ failed: [{ index: 0, like, durationMs: 1 }], unsent: [], sendingMs: 1 }, 3)?.failed,
    ).toMatchObject([{ index: 0, code: 'REPORT_UNREADABLE' }]);
});

test('the worker that got the failures is read, and its name is cut', () => {
  const read = (worker: unknown) => readReport({ failed: [], unsent: [], sendingMs: 1, worker }, 3)?.worker;
  expect([read('1@a'), read('x'.repeat(1_000))?.length, read({})]).toEqual(['1@a', 200, undefined]);
});

test('the sizes of halved batches are read as far as possible', () => {
  const halved = [[0, 4], [1, 0], [7, 2], [2], 'x', [2, 1.5], [2, 1], [1, 2, true], [1, 2, 7]];
  const known = [
    [0, 4],
    [2, 1],
    [1, 2, true],
    [1, 2],
  ];
  expect(readReport({ failed: [], unsent: [], sendingMs: 1, halved }, 3)?.halved).toEqual(known);
  expect(readProgress({ failed: [], delivered: [], halved }, 3)?.halved).toEqual(known);
  expect(readReport({ failed: [], unsent: [], sendingMs: 1, halved: 7 }, 3)).not.toHaveProperty('halved');
});

test("the name of a profile holder comes from the id of its signal, and is no trigger holder's name", () => {
  const requestId = randomUUID();
  expect(profileHolderName(requestId)).toBe(profileHolderName(requestId));
  expect(profileHolderName(requestId)).not.toBe(profileHolderName(randomUUID()));
  expect(isProfileHolder(profileHolderName(requestId))).toBe(true);
  for (const other of ['12', 'p12', 'h12', `h${'g'.repeat(15)}`, `h${'0'.repeat(16)}`, '', 7, null, undefined])
    expect(isProfileHolder(other)).toBe(false);
});

const NAME = `h${'0'.repeat(15)}`;

test.each([
  [NAME, 0, [NAME, 0]],
  [NAME, 699, [NAME, 699]],
  [NAME, -1, undefined],
  [NAME, 0.5, undefined],
  [NAME, '0', undefined],
  [NAME, undefined, undefined],
  ['../other', 0, undefined],
  [undefined, 0, undefined],
])('the place %p, %p is %p', (holder, place, held) => {
  expect(readProfileRef(holder, place)).toEqual(held);
});

test.each([
  [{ profiles: ['{}', '{"a":{"b":1}}'] }, '{"a":{"b":1}}'],
  [{ profiles: ['{}', '{"a":1,"a":2}'] }, '{"a":1,"a":2}'],
  [{ profiles: ['{}'] }, undefined],
  [{ profiles: ['{}', '[1]'] }, undefined],
  [{ profiles: ['{}', '7'] }, undefined],
  [{ profiles: ['{}', '{"a":'] }, undefined],
  [{ profiles: ['{}', {}] }, undefined],
  [{ audiences: [], triggers: [] }, undefined],
  ['{}', undefined],
  [undefined, undefined],
])('the second profile of %j is %p', (content, profile) => {
  expect(profileFrom(content, [NAME, 1])).toBe(profile);
});
