import { expect, test } from '@jest/globals';
import { startedText } from '../../src/cli/commands/watch.ts';
import { RateMeter, watchLines, watchStatus } from '../../src/cli/render-watches.ts';
import { NoWorker } from '../../src/client/errors.ts';
import type { WatchStatus } from '../../src/client/export-jobs.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aStatus } from './a-status.ts';
import { aTerminal } from './a-terminal.ts';

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
    `  Id            ${AUDIENCE.id}`,
    '  State         waiting for the next round',
    '  Members       56,789',
    '  Reported      1,234 enters and 1 exit in 12 rounds',
    '  Last round    60 s ago, 3 in, 1 out, told to 2 jobs, took 4 s',
    '  Next round    in 4 min, every 5 min',
    '  Settings      When more than 20 % of the members leave at once, that is held',
    '                until it is seen twice. Where there is nothing to compare with,',
    '                nobody is reported.',
  ]);
});

test('a running watch that is given other settings says all of them as they are now', () => {
  const settings = { ...STATUS, audience: AUDIENCE, emitExisting: true, largestExitPercent: 100 };
  expect(startedText(false, settings)).toBe(
    'Already watching vip; now every 5 min. No exits are held. Where there is nothing to compare with, everybody is reported as entering.',
  );
});

test('what is held says what to do, what fails says why, what was missed and who was not told is named', () => {
  const at = '2026-11-25T08:30:00.000000000Z';
  const status: WatchStatus = {
    ...STATUS,
    state: 'held',
    held: { exits: 40_000, members: 16_789, at },
    trouble: { since: at, failures: 3, notHere: 0, reason: 'down\u001b[2J\ntoo' },
    missed: { from: at, to: at },
    last: {
      ...STATUS.last!,
      told: { jobs: 1, unreadable: ['secret-job'], absent: ['away-job'], lost: [{ jobId: 'late', from: at, to: at }] },
    },
  };
  const text = watchLines({ audience: AUDIENCE, status }, { nowMs, columns: 400 }).join('\n');
  expect(text).toContain('triggers watch vip --accept');
  expect(text).toContain('3 failures: down\\u001b[2J too');
  expect(text).toContain('because the snapshot was lost');
  expect(text).toContain('secret-job');
  expect(text).toContain('away-job: not running, and told what was missed in the first round after it runs again');
  expect(text).toContain('late was not told what changed from 2026-11-25T08:30:00 to 2026-11-25T08:30:00 UTC');
});

test('a watch that no worker answers for is shown, and what to do', () => {
  expect(watchLines({ audience: AUDIENCE, status: undefined }, { nowMs }).join('\n')).toContain('triggers worker');
});

function jobThatSays(answers: readonly (JobStatus | Error)[]) {
  const rest = [...answers];
  return {
    status: () => {
      const next = rest.shift() ?? aStatus({ state: 'stopped' });
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  };
}

const quick = { json: false, signal: new AbortController().signal, refreshMs: 1 };

test('a pipe gets a line for each change, until the job has ended', async () => {
  const { terminal, out } = aTerminal();
  const once = aStatus({ state: 'paused' });
  await watchStatus(jobThatSays([once, once, aStatus({ state: 'stopped', waiting: 0 })]), 'vip', terminal, quick);
  expect(out.filter((line) => line.startsWith('paused')).length).toBeGreaterThanOrEqual(1);
  expect(out.at(-1)).toMatch(/^stopped/);
});

test('a person sees the status redrawn', async () => {
  const { terminal, out, drawn } = aTerminal({ interactive: true });
  await watchStatus(jobThatSays([aStatus()]), 'vip', terminal, quick);
  expect(out).toEqual([]);
  expect(drawn).toHaveLength(2);
});

test('a program gets one status per line', async () => {
  const { terminal, out } = aTerminal({ interactive: true });
  await watchStatus(jobThatSays([aStatus()]), 'vip', terminal, { ...quick, json: true });
  expect(out.map((line) => (JSON.parse(line) as JobStatus).state)).toEqual(['running', 'stopped']);
});

test('a worker that is away does not end the watch', async () => {
  const { terminal, out, err } = aTerminal();
  await watchStatus(jobThatSays([new NoWorker('q', undefined, 10_000), aStatus()]), 'vip', terminal, quick);
  expect(err.join()).toContain('No worker polls the task queue "q"');
  expect(out.length).toBeGreaterThan(0);
});

test('watching ends when it is interrupted', async () => {
  const { terminal } = aTerminal();
  const controller = new AbortController();
  const watch = watchStatus({ status: () => Promise.resolve(aStatus()) }, 'vip', terminal, {
    json: false,
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(), 20);
  await watch;
});

test('the rate is that of the last ten seconds', () => {
  const meter = new RateMeter();
  expect(meter.read(1000, 0)).toBeUndefined();
  expect(meter.read(2000, 1000)).toBe(1000);
  expect(meter.read(2000, 12_000)).toBeUndefined();
  expect(meter.read(2100, 13_000)).toBe(100);
});
