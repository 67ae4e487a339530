import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { UNPROVEN, Breaker } from '../../../src/domain/job/throttles/breaker.ts';
import { quickTookLong } from '../../../src/domain/job/dispatching.ts';
import { AJob } from './a-job.ts';

/** Whether the slices that the job dispatches now are quick. */
function dispatched(job: AJob): boolean[] {
  const quick: boolean[] = [];
  for (let step: Step = job.step(); step.kind !== 'wait'; step = job.step())
    if (step.kind === 'deliver') quick.push(step.isQuick);
  return quick;
}

test('a lone trigger for a fast endpoint is sent within the workflow task', () => {
  const job = new AJob(5);
  job.signal('1');
  expect(dispatched(job)).toEqual([true]);
});

test.each<[string, number, (job: AJob) => void]>([
  ['another slice is in flight', 20, (job) => job.dispatchEach(['0'])],
  [
    'others wait, too',
    20,
    (job) => {
      job.state.requestMs = 60;
      for (const user of ['2', '3', '4']) job.signal(user);
    },
  ],
  ['more triggers wait than it takes', 1, (job) => ['2', '3', '4', '5'].forEach((user) => job.signal(user))],
  ['the endpoint takes long', 20, (job) => (job.state.requestMs = 101)],
  ['the endpoint has accepted nothing yet', 20, (job) => (job.state.breaker = new Breaker(UNPROVEN))],
  ['the job is to stop', 20, (job) => stopJob(job.state, 'deliver')],
  ['one has just taken long', 20, (job) => quickTookLong(job.state, job.now)],
  ['requests are spaced', 20, (job) => job.edit({ requestsPerSecond: 5 })],
])('no slice is quick while %s', (_, permits, but) => {
  const job = new AJob(permits);
  but(job);
  job.signal('1');
  const quick = dispatched(job);
  expect(quick.length).toBeGreaterThan(0);
  expect(quick).not.toContain(true);
});

test('slices are quick again half a minute after one took long', () => {
  const job = new AJob(20);
  quickTookLong(job.state, job.now);
  job.now += 30_000;
  job.signal('1');
  expect(dispatched(job)).toEqual([true]);
});

test('the last slice before the end of a run is not quick', () => {
  const job = new AJob(20).facts({ continueSuggested: true });
  job.signal('1');
  expect(job.step()).toMatchObject({ kind: 'deliver', isQuick: false });
});

test('members of a backfill are not sent quickly', () => {
  const job = new AJob(20);
  job.backfill(['1']);
  expect(dispatched(job)).toEqual([false]);
});
