import { expect, test } from '@jest/globals';
import type { WatchStatus } from '../../src/client/export-jobs.ts';
import { watchLines } from '../../src/cli/render-watches.ts';

const AUDIENCE = { id: 'a'.repeat(32), slug: 'vip', name: 'Very important' };
const nowMs = Date.parse('2026-11-25T08:31:00Z');
const STATUS: WatchStatus = {
  v: 1,
  state: 'waiting',
  audience: AUDIENCE,
  everyMs: 300_000,
  emitExisting: false,
  largestExitPercent: 20,
  rounds: 12,
  enters: 1234,
  exits: 1,
  members: 56_789,
  nextAt: '2026-11-25T08:35:00.000000000Z',
  last: {
    at: '2026-11-25T08:30:00.000000000Z',
    members: 56_789,
    enters: 3,
    exits: 1,
    stayed: 0,
    durationMs: 4_000,
    isBaseline: false,
    told: { jobs: 2, unreadable: [] },
  },
};

test('a watch shows what it found, and when and how often it looks again', () => {
  expect(watchLines({ audience: AUDIENCE, status: STATUS }, { nowMs })).toEqual([
    'vip (Very important)',
    '  State         waiting for the next round',
    '  Members       56,789',
    '  Reported      1,234 enters and 1 exit in 12 rounds',
    '  Last round    60 s ago, 3 in, 1 out, told to 2 jobs, took 4 s',
    '  Next round    in 4 min, every 5 min',
  ]);
});

test('what is held says what to do, what fails says why, what was missed and who was not told is named', () => {
  const at = '2026-11-25T08:30:00.000000000Z';
  const status: WatchStatus = {
    ...STATUS,
    state: 'held',
    held: { exits: 40_000, members: 16_789, at },
    trouble: { since: at, failures: 3, notHere: 0, reason: 'down\u001b[2J' },
    missed: { from: at, to: at },
    last: { ...STATUS.last!, told: { jobs: 1, unreadable: ['secret-job'] } },
  };
  const text = watchLines({ audience: AUDIENCE, status }, { nowMs, columns: 400 }).join('\n');
  expect(text).toContain('triggers watch vip --accept');
  expect(text).toContain('3 failures: down\\u001b[2J');
  expect(text).toContain('because the snapshot was lost');
  expect(text).toContain('secret-job');
});

test('a watch that no worker answers for is shown, and what to do', () => {
  expect(watchLines({ audience: AUDIENCE, status: undefined }, { nowMs }).join('\n')).toContain('triggers worker');
});
