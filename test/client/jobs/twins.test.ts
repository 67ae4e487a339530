import { expect, test } from '@jest/globals';
import { pruneDoubt } from '../../../src/client/jobs/twins.ts';

test.each([
  [0, 0, undefined],
  [0, 5, undefined],
  [1, 0, 'none'],
  [3, 1, undefined],
  [4, 4, undefined],
  [4, 3, 'most'],
  [100, 101, undefined],
] as const)('stopping %i running jobs beside %i that have a file: %s', (stopped, wanted, doubt) => {
  expect(pruneDoubt(stopped, wanted)).toBe(doubt);
});
