import { expect, test } from '@jest/globals';
import { readOptions } from '../../chaos/options.ts';

const DEFAULTS = { triggers: 3_000, kills: Number.POSITIVE_INFINITY, only: '', 'workers-stay': false };

test('an option that is not given is its default, and one that is given is of the same kind', () => {
  expect(readOptions(DEFAULTS, [])).toEqual({ options: DEFAULTS });
  expect(readOptions(DEFAULTS, ['--triggers', '7', '--only', 'a,b', '--workers-stay'])).toEqual({
    options: { ...DEFAULTS, triggers: 7, only: 'a,b', 'workers-stay': true },
  });
});

test.each(['', '3x', '-1', 'many'])('a number that is none is not taken: "%s"', (given) => {
  expect(readOptions(DEFAULTS, [`--triggers=${given}`])).toEqual({
    problem: `--triggers is a number, not "${given}".`,
  });
});

test.each([['--trigers', '7'], ['7'], ['--workers-stay=yes'], ['--triggers']])(
  'what is misspelt, or out of place, is not taken: %s',
  (...args) => {
    expect(readOptions(DEFAULTS, args)).toHaveProperty('problem');
  },
);

test.each(['--help', '-h'])('help is asked for by %s', (flag) => {
  expect(readOptions(DEFAULTS, [flag])).toEqual({});
});
