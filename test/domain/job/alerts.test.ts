import { expect, test } from '@jest/globals';
import { backfillChildGone, operateBackfill, pauseJob, resumeJob, stopJob } from '../../../src/domain/job/operating.ts';
import { AJob } from './a-job.ts';

const MINUTE_MS = 60_000;

/** What the job tells by doing all there is to do now. */
function told(job: AJob): string[] {
  const before = job.alerts.length;
  job.dispatch();
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

test('an unhealthy endpoint raises one alert, however often it fails, and another when it recovers', () => {
  const job = new AJob(5);
  fail(job);
  expect(told(job)).toEqual(['endpoint-unhealthy began']);
  for (let probe = 0; probe < 3; probe++) {
    job.now += 11 * MINUTE_MS;
    told(job);
    failAll(job, 503);
    expect(told(job)).not.toContain('endpoint-unhealthy began');
  }
  job.now += 11 * MINUTE_MS;
  told(job);
  job.endAll();
  expect(told(job)).toContain('endpoint-unhealthy ended');
});

test.each([
  { what: 'accepts a request', text: /accepts requests again/ },
  { what: 'is another one after an edit', text: /not known whether/ },
])('the end of an alert says whether the endpoint is healthy when it $what', ({ what, text }) => {
  const job = new AJob(5);
  fail(job);
  told(job);
  job.now += 11 * MINUTE_MS;
  if (what === 'accepts a request') {
    told(job);
    job.endAll();
  } else job.edit({ webhookUrl: 'http://127.0.0.1/another' });
  expect(told(job)).toContain('endpoint-unhealthy ended');
  expect(job.alerts.find(({ state }) => state === 'ended')?.text).toMatch(text);
});

test('an alert gives the reason, and its end says since when', () => {
  const job = new AJob(5);
  fail(job, 401);
  told(job);
  job.now += 1000;
  resumeJob(job.state);
  told(job);
  const [began, ended] = job.alerts;
  expect(began).toMatchObject({ n: 1, state: 'began', text: expect.stringMatching(/misconfigured \(HTTP 401\)/) });
  expect(ended).toMatchObject({ n: 2, state: 'ended', since: began?.at });
});

test('a 410 raises an alert, which ends when somebody resumes the job', () => {
  const job = new AJob(1).signals('1');
  told(job);
  job.end({ 0: { status: 410 } });
  expect(told(job)).toEqual(['paused-by-endpoint began']);
  resumeJob(job.state);
  expect(told(job)).toEqual(['paused-by-endpoint ended']);
});

test('an old backlog raises an alert on time, which ends while a person has paused the job', () => {
  const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS });
  expect(told(job)).toEqual([]);
  job.signal('1');
  told(job);
  job.end({ 0: { status: 503 } });
  job.now += 14 * MINUTE_MS;
  told(job);
  job.failAll({ status: 503 });
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

test('waiting time is counted from acceptance, whatever the `at` of the trigger says', () => {
  for (const at of ['2025-02-04T00:00:00Z', '2036-01-01T00:00:00Z', '2026-01-01T00:00:60Z', '2026-01-01t00:00:00z']) {
    const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS }).signals('before');
    told(job);
    job.signal('1', 'enter', { at });
    expect(told(job)).toEqual([]);
    job.end({ 0: { status: 401 } });
    expect(Math.abs(Date.parse(job.status.oldestWaitingAt ?? '') - job.now)).toBeLessThanOrEqual(MINUTE_MS);
    job.now += 17 * MINUTE_MS;
    expect(told(job)).toContain('backlog-old began');
    job.nextRun();
    job.now += MINUTE_MS;
    expect(told(job)).not.toContain('backlog-old ended');
    expect(job.status.oldestWaitingAt).toMatch(/^2026-01-01T00:0[01]/);
  }
});

test('a backlog is not over while its oldest trigger waits for its next attempt, or behind others', () => {
  const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS });
  job.signal('1', 'enter', { profile: { text: 'x'.repeat(600) } });
  told(job);
  job.end({ 0: { status: 401 } });
  job.now += 16 * MINUTE_MS;
  pauseJob(job.state);
  job.signal('2');
  resumeJob(job.state);
  expect(told(job)).toContain('backlog-old began');
  job.failAll({ status: 401 });
  const { chains } = job.state;
  const chain = chains.get('1');
  if (chain === undefined) throw new Error('Nobody waits.');
  if (chain.place !== 'delayed') chains.delay(chain, job.now + 60 * MINUTE_MS);
  for (let again = 0; again < 2; again++) {
    expect(job.status.oldestWaitingAt).toBe('2026-01-01T00:00:00.000000000Z');
    expect(told(job)).not.toContain('backlog-old ended');
    job.nextRun();
  }
});

test('dead letters are gathered for a minute, then reported once an hour, or when ten times as many have come', () => {
  const job = new AJob(1);
  const refuse = (count: number) => {
    job.state.counters.deadLetters += count;
    told(job);
  };
  refuse(3);
  expect(job.alerts).toEqual([]);
  expect(job.waitsMs).toBe(MINUTE_MS);
  job.now += MINUTE_MS;
  told(job);
  expect(job.alerts.map(({ text }) => text)).toEqual(['3 new dead letters (3 so far).']);
  refuse(29);
  job.now += 58 * MINUTE_MS;
  told(job);
  expect(job.alerts).toHaveLength(1);
  refuse(1);
  expect(job.alerts[1]).toMatchObject({ n: 2, text: '30 new dead letters (33 so far).' });
  refuse(5);
  job.now += 61 * MINUTE_MS;
  told(job);
  expect(job.alerts[2]).toMatchObject({ n: 3, text: '5 new dead letters (38 so far).' });
});

test('a job that stops reports its dead letters at once', () => {
  const job = new AJob(1).signals('1');
  told(job);
  job.end({ 0: { status: 422 } });
  expect(told(job)).toEqual([]);
  stopJob(job.state, 'deliver');
  expect(job.step()).toMatchObject({ kind: 'finish' });
  expect(job.alerts).toMatchObject([{ kind: 'dead-letters' }]);
});

test('the end of a backfill says how many of its people became dead letters', () => {
  const job = new AJob(5).signals('earlier');
  told(job);
  job.end();
  job.backfill(['1', '2', '3']);
  told(job);
  job.end({ 0: { status: 422 } });
  job.endAll();
  told(job);
  expect(job.alerts.find(({ kind }) => kind === 'backfill-finished')?.text).toBe(
    'Backfill 1 is finished: 2 people were sent. 1 person became a dead letter.',
  );
});

test('alerts say once that a backfill ended, was lost, goes on, or is given up', () => {
  const job = new AJob(5);
  job.backfill(['1', '2']);
  told(job);
  job.endAll();
  expect(told(job)).toEqual(['backfill-finished happened']);
  expect(told(job)).toEqual([]);
  job.backfill(['1'], { last: false });
  backfillChildGone(job.state, 2);
  expect(told(job)).toEqual(['backfill-lost began']);
  expect(job.alerts.at(-1)?.text).toMatch(/^Backfill 2 was lost after 1 member was read: .*Resume it/);
  operateBackfill(job.state, 'resume');
  expect(told(job)).toEqual(['backfill-lost ended']);
  backfillChildGone(job.state, 2);
  expect(told(job)).toEqual(['backfill-lost began']);
  operateBackfill(job.state, 'cancel');
  expect(told(job)).toEqual(['backfill-lost ended']);
});

test('the next run raises alerts that the last run could not raise, and repeats none', () => {
  const job = new AJob(5);
  fail(job);
  expect(job.rawStep().kind).toBe('raise-alerts');
  job.nextRun();
  expect(told(job)).toEqual(['endpoint-unhealthy began']);
  job.nextRun();
  expect(told(job)).toEqual([]);
});

test('an alert about an old backlog of our own making says so, and does not blame the endpoint', () => {
  const job = new AJob(5, { alertBacklogMs: 15 * MINUTE_MS }).signals('1', '2', '3');
  told(job);
  for (const slice of job.running.slice())
    job.end(Object.fromEntries(slice.triggers.map((_, index) => [index, { code: 'ADDRESS_REFUSED' }])));
  job.now += 16 * MINUTE_MS;
  expect(told(job)).toEqual(['backlog-old began']);
  expect(job.alerts.at(-1)?.text).toMatch(/The last failure: the worker may not connect to this address\.$/);
});

test('a backlog is not put down to a failure before the last delivery', () => {
  const job = new AJob(1, { alertBacklogMs: 15 * MINUTE_MS }).signals('1');
  told(job);
  job.end({ 0: { code: 'ADDRESS_REFUSED' } });
  job.now += MINUTE_MS;
  told(job);
  job.end();
  pauseJob(job.state);
  job.signal('2');
  told(job);
  job.now += 16 * MINUTE_MS;
  resumeJob(job.state);
  told(job);
  expect(job.alerts.find(({ kind }) => kind === 'backlog-old')?.text).not.toMatch(/last failure/);
});

test('an alert about a worker fault does not blame the endpoint', () => {
  const job = new AJob(5).signals('1', '2', '3');
  told(job);
  for (const slice of job.running.slice())
    job.end(Object.fromEntries(slice.triggers.map((_, index) => [index, { code: 'WORKER_FAULT' }])));
  expect(told(job)).toEqual(['endpoint-unhealthy began']);
  expect(job.alerts.at(-1)?.text).toMatch(/^Requests fail by a fault of the worker, not of the endpoint/);
});
