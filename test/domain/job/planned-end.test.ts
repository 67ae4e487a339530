import { expect, test } from '@jest/globals';
import { pauseJob, runAgain, STOP_DEADLINE_MS, stopJob } from '../../../src/domain/job/operating.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';

const HOUR_MS = 3_600_000;

/** A job that ends in an hour, as somebody in Berlin says it. */
function endingJob(): AJob {
  const job = new AJob(1);
  job.edit({ endsAt: '2026-01-01T02:00:00+01:00' });
  return job;
}

const rowOf = (job: AJob) => statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Ends')?.value;

test('a job waits for its end, sends what waits then, and is over', () => {
  const job = endingJob();
  expect(job.waitsMs).toBe(HOUR_MS);
  expect(rowOf(job)).toBe('by itself, at 2026-01-01 01:00:00 UTC');
  job.now += HOUR_MS - 1;
  job.dispatchEach(['1']);
  job.signal('2');
  expect(job.status).toMatchObject({ state: 'running', endsAt: '2026-01-01T02:00:00+01:00' });
  job.now += 1;
  expect(job.step()).toMatchObject({ kind: 'wait', until: job.now + STOP_DEADLINE_MS });
  expect(job.status).toMatchObject({
    state: 'stopping',
    reason: 'Its end ("endsAt") has come; what is waiting is sent first; what is left at 2026-01-01T02:00:00Z is kept.',
  });
  job.end();
  expect(job.dispatchedUsers()).toEqual([['2']]);
  job.end();
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a job keeps what its endpoint does not take within an hour of the end, and resuming removes the end', () => {
  const job = endingJob();
  job.now += HOUR_MS;
  job.signal('1');
  job.fail({ status: 500 });
  job.now += STOP_DEADLINE_MS;
  job.step();
  expect(job.status).toMatchObject({ state: 'stopped', hasReachedEnd: true, reason: 'Its end ("endsAt") came.' });
  runAgain(job.state, job.now);
  expect(job.dispatchedUsers()).toEqual([['1']]);
  expect(job.status).toMatchObject({ state: 'running', endsAt: null });
});

test.each(['operator', 'endpoint'] as const)(
  'a job that its %s has paused sends nothing at its end, and keeps everything',
  (by) => {
    const job = endingJob();
    job.signal('1');
    if (by === 'operator') pauseJob(job.state);
    else job.fail({ status: 410 });
    job.backfill(['member'], { last: false });
    expect(job.step()).toMatchObject({ kind: 'start-backfill' });
    job.now += HOUR_MS;
    expect(job.step()).toMatchObject({ kind: 'cancel-backfill' });
    expect(job.status.reason).toBe('Its end ("endsAt") has come; what is waiting is kept for a later resume.');
    job.step();
    expect(job.status).toMatchObject({ state: 'stopped', kept: { waiting: 2 } });
  },
);

test('the wait that an endpoint asked for is kept at the end, too', () => {
  const job = endingJob();
  job.signal('1');
  job.now += HOUR_MS - 1;
  job.fail({ status: 429, retryAfterMs: 60_000 });
  job.now += 1;
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(59_999);
});

test('an end can be moved, and taken away, before it comes', () => {
  const job = endingJob();
  job.edit({ endsAt: '2026-01-01T03:00:00Z' });
  expect(job.waitsMs).toBe(3 * HOUR_MS);
  job.edit({ endsAt: null });
  expect(job.waitsMs).toBeUndefined();
  expect(rowOf(job)).toBeUndefined();
  job.now += 5 * HOUR_MS;
  expect(job.dispatch()).toEqual([]);
});

test('an earlier stop decides how the job ends: its planned end has no further effect', () => {
  const job = endingJob();
  job.dispatchEach(['1']);
  stopJob(job.state, 'deliver', job.now + 10 * HOUR_MS);
  expect(job.waitsMs).toBe(10 * HOUR_MS);
  job.now += 2 * HOUR_MS;
  expect(job.dispatch()).toEqual([]);
  expect(job.status.reason).toMatch(/^Asked to stop; .* what is left at 2026-01-01T10:00:00Z is kept/);
});

test('a job that is resumed after its end sends what it kept, and goes on without an end', () => {
  const job = endingJob();
  job.signal('1');
  stopJob(job.state, 'keep');
  job.step();
  job.now += 24 * HOUR_MS;
  runAgain(job.state, job.now);
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end();
  expect(job.status).toMatchObject({ state: 'running', endsAt: null });
});
