import { expect, test } from '@jest/globals';
import { NoWorker } from '../../src/client/errors.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { RateMeter, watchStatus } from '../../src/cli/watch-status.ts';
import { aStatus } from './a-status.ts';
import { aTerminal } from './a-terminal.ts';

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
