import { expect, test } from '@jest/globals';
import { carryJob, restoreJob } from '../../../src/domain/dispatcher/job-state.ts';
import { endBackfill, pauseJob, resumeJob } from '../../../src/domain/dispatcher/operating.ts';
import { AJob } from './a-job.ts';

const MINUTE_MS = 60_000;

/** What the job tells by doing all there is to do now. */
function told(job: AJob): string[] {
  const before = job.alerts.length;
  job.cut();
  return job.alerts.slice(before).map(({ kind, state }) => `${kind} ${state}`);
}

/** Everything that is in flight fails. */
function failAll(job: AJob, status: number): void {
  for (const slice of job.running.slice())
    job.end(Object.fromEntries(slice.triggers.map((_, index) => [index, { status }])));
}

/** The endpoint fails three people, which opens the breaker. */
function fail(job: AJob, status = 503): void {
  for (const user of ['1', '2', '3']) job.signal(user);
  told(job);
  failAll(job, status);
}

test('an unwell endpoint is told of once, however often it fails, and so is its recovery', () => {
  const job = new AJob(5);
  fail(job);
  expect(told(job)).toEqual(['endpoint-unwell began']);
  for (let probe = 0; probe < 3; probe++) {
    job.now += 11 * MINUTE_MS;
    told(job);
    failAll(job, 503);
    expect(told(job)).not.toContain('endpoint-unwell began');
  }
  job.now += 11 * MINUTE_MS;
  told(job);
  while (job.running.length > 0) job.end();
  expect(told(job)).toContain('endpoint-unwell ended');
});

test('what is told says why, and since when it was', () => {
  const job = new AJob(5);
  fail(job, 401);
  told(job);
  job.now += 1000;
  resumeJob(job.state);
  told(job);
  const [began, ended] = job.alerts;
  expect(began).toMatchObject({ n: 1, state: 'began', text: expect.stringMatching(/wrongly set up \(HTTP 401\)/) });
  expect(ended).toMatchObject({ n: 2, state: 'ended', since: began?.at });
});

test('410 is told of, and that somebody resumed the job', () => {
  const job = new AJob(1);
  job.signal('1');
  told(job);
  job.end({ 0: { status: 410 } });
  expect(told(job)).toEqual(['paused-by-endpoint began']);
  resumeJob(job.state);
  expect(told(job)).toEqual(['paused-by-endpoint ended']);
});

test('a backlog is told of when it is old, at the time when it becomes so, and when it is gone; not while a person has paused the job', () => {
  const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS });
  expect(told(job)).toEqual([]);
  job.signal('1');
  told(job);
  job.end({ 0: { status: 503 } });
  job.now += 14 * MINUTE_MS;
  told(job);
  while (job.running.length > 0) job.end({ 0: { status: 503 } });
  expect(told(job)).toEqual([]);
  expect(job.waitsMs).toBeLessThanOrEqual(MINUTE_MS + 1000);
  job.now += 2 * MINUTE_MS;
  expect(told(job)).toContain('backlog-old began');
  pauseJob(job.state);
  expect(told(job)).toEqual(['backlog-old ended']);
  resumeJob(job.state);
  expect(told(job)).toContain('backlog-old began');
});

test('a trigger about long ago is not a backlog when it has just come', () => {
  const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS });
  told(job);
  job.signal('1', 'enter', { at: '2020-01-01T00:00:00Z' });
  expect(told(job)).toEqual([]);
});

test('dead letters are told of at once, then once an hour at most, with how many there are', () => {
  const job = new AJob(1);
  for (let minute = 0; minute < 4; minute++) {
    job.signal(String(minute));
    told(job);
    job.end({ 0: { status: 422 } });
    job.now += MINUTE_MS;
  }
  told(job);
  expect(job.alerts.map(({ text }) => text)).toEqual(['1 new dead letter (1 so far).']);
  job.now += 60 * MINUTE_MS;
  told(job);
  expect(job.alerts.map(({ text }) => text).slice(1)).toEqual(['3 new dead letters (4 so far).']);
});

test('the end of a backfill is told of once, be it finished or lost', () => {
  const job = new AJob(5);
  job.backfill(['1', '2']);
  told(job);
  while (job.running.length > 0) job.end();
  expect(told(job)).toEqual(['backfill-finished happened']);
  expect(told(job)).toEqual([]);
  job.backfill(['1'], { last: false });
  endBackfill(job.state, 'lost');
  expect(told(job)).toEqual(['backfill-lost happened']);
});

test('what was not told when a run ended is told by the next one, and what was told is not', () => {
  const job = new AJob(5);
  fail(job);
  expect(job.rawStep().kind).toBe('raise-alerts');
  job.state = restoreJob(carryJob(job.state));
  expect(told(job)).toEqual(['endpoint-unwell began']);
  job.state = restoreJob(carryJob(job.state));
  expect(told(job)).toEqual([]);
});
