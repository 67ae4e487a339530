import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SliceInput, SliceTrigger } from '../../src/contract/slice.ts';
import { packSlice, unpackSlice } from '../../src/domain/packed-slice.ts';

const AUDIENCES = ['a', 'b'].map((id) => ({ id, slug: id, name: id }));
const SLICE: Omit<SliceInput, 'triggers'> = {
  sliceId: 1,
  permits: 1,
  budgetMs: 1500,
  settings: {
    subscriptionId: '6d0e47b98c1f4a35b2c7d8e90f1a2b3c',
    revision: 1,
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
    userLegacyMessageFormat: false,
    requestTimeoutMs: 10_000,
  },
  audiences: AUDIENCES,
};
const AT = '2026-11-25T08:30:00.000000001Z';

const anyTrigger: fc.Arbitrary<SliceTrigger> = fc.record(
  {
    user: fc.string({ minLength: 1 }),
    audience: fc.constantFrom('a', 'b', 'of long ago'),
    event: fc.constantFrom('enter', 'exit'),
    at: fc.constantFrom(AT, '2026-11-25T08:30:00Z', '2026-11-25t09:30:00+01:00'),
    profile: fc.constantFrom({}, { email: 'ada@example.com' }),
    profileOptional: fc.constant(true as const),
  },
  { requiredKeys: ['user', 'audience', 'event', 'at'] },
);

test('what is unpacked, after a journey as JSON, is what was packed', () => {
  fc.assert(
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

test('a slice that names an audience by a place which it does not have is refused, not guessed', () => {
  const packed = packSlice({ ...SLICE, triggers: [] });
  expect(() => unpackSlice({ ...packed, triggers: [['1', 9, AT]] })).toThrow(RangeError);
});
