import { expect, test } from '@jest/globals';
import type { DifferenceCounts } from '../../../src/features/reconcile/difference.ts';
import { doubtInWords, doubtsAbout } from '../../../src/features/reconcile/doubts.ts';

const counts = (theirs: number, members: number, both: number): DifferenceCounts => ({
  theirs,
  members,
  both,
  enters: members - both,
  exits: theirs - both,
});

test.each([
  ['nothing on either side', counts(0, 0, 0), []],
  ['the same', counts(5, 5, 5), []],
  ['an empty list', counts(0, 5, 0), ['empty']],
  ['other ids', counts(3, 5, 0), ['no-match']],
  ['a source that is empty', counts(3, 0, 0), ['exits']],
  ['a fifth who left', counts(100, 80, 80), []],
  ['more than a fifth', counts(100, 79, 79), ['exits']],
  ['few, whatever their share', counts(12, 2, 2), []],
  ['four fifths who are missing', counts(20, 100, 20), []],
  ['more than that', counts(19, 100, 19), ['enters']],
  ['both', counts(100, 400, 50), ['exits', 'enters']],
] as const)('%s', (_what, difference, doubts) => {
  expect(doubtsAbout(difference)).toEqual(doubts);
  for (const doubt of doubts) expect(doubtInWords(doubt, difference)).toMatch(/\.$|does that\.$/);
});

test('a job that leaves out exits still doubts an empty list, and a list of other people', () => {
  expect(doubtsAbout({ ...counts(3, 50, 0), exits: 0 })).toEqual(['enters']);
  expect(doubtsAbout({ ...counts(0, 5, 0), exits: 0 })).toEqual(['empty']);
});
