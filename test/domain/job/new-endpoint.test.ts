import { expect, test } from '@jest/globals';
import { Breaker, UNPROVEN } from '../../../src/domain/job/throttles/breaker.ts';
import { pauseJob, resumeJob, retryNow, stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

/** A job that has not sent anything yet, with as many people waiting. */
function newJob(people = 20, parallelRequestCount = 10): AJob {
  const job = new AJob(parallelRequestCount);
  job.state.breaker = new Breaker(UNPROVEN);
  for (let user = 0; user < people; user++) job.signal(String(user));
  return job;
}

/** How many triggers each slice has that the job dispatches now. */
const dispatched = (job: AJob): number[] => job.dispatch().map(({ triggers }) => triggers.length);

/** A new job whose endpoint has failed for three people, so that it gets nothing but probes. */
function leftToProbes(): AJob {
  const job = newJob();
  for (let failure = 0; failure < 3; failure++) {
    dispatched(job);
    job.end({ 0: { status: 500 } });
  }
  expect(dispatched(job)).toEqual([]);
  return job;
}

test('[S27] a new endpoint gets one request, whatever waits; after its first 2xx all permits are used', () => {
  const job = newJob();
  expect(dispatched(job)).toEqual([1]);
  job.end();
  expect(dispatched(job).reduce((sum, size) => sum + size, 0)).toBeGreaterThanOrEqual(10);
});

test('the status shows a new endpoint as long as triggers wait for its first acceptance', () => {
  expect(newJob(0).status.endpoint).toBeUndefined();
  const job = newJob();
  expect(job.status.endpoint).toEqual({ state: 'new' });
  dispatched(job);
  job.end({ 0: { status: 422 } });
  expect([job.status.endpoint, job.status.lastFailure?.status]).toEqual([{ state: 'new' }, 422]);
  dispatched(job);
  job.end();
  expect(job.status.endpoint).toBeUndefined();
});

test('a new endpoint that only a person can fix stays "new", with advice and the time of the next attempt', () => {
  const job = newJob(1);
  dispatched(job);
  job.end({ 0: { status: 401 } });
  expect(job.status.endpoint).toEqual({
    state: 'new',
    nextProbeAt: expect.stringMatching(/^2026-.*Z$/),
    advice: expect.stringMatching(/misconfigured \(HTTP 401\)\. First check the authorization: the job has none\./),
  });
});

test('[S27] a refusing new endpoint gets one request at a time, and only probes after three people', () => {
  const job = newJob();
  for (let failure = 0; failure < 3; failure++) {
    expect(dispatched(job)).toEqual([1]);
    job.end({ 0: { status: 500 } });
  }
  expect(dispatched(job)).toEqual([]);
  expect(job.status.endpoint).toMatchObject({ state: 'unhealthy' });
});

test('[S27] a job keeps what a new endpoint refuses: the endpoint may be wrong, and not the messages', () => {
  const job = newJob(130);
  for (let refusal = 0; refusal < 120; refusal++) {
    expect(dispatched(job)).toEqual([1]);
    job.end({ 0: { status: 422 } });
    if (refusal >= 59) job.now += 1000;
  }
  expect([job.status.deadLetters, job.status.waiting]).toEqual([0, 130]);
  expect(job.status.endpoint).toMatchObject({
    state: 'unhealthy',
    refusedInRow: 120,
    advice: expect.stringMatching(/^All of the last 120 people were refused .* it has accepted nobody since/),
  });
});

test.each(['SOURCE_UNAVAILABLE', 'TOKEN_UNAVAILABLE', 'ADDRESS_REFUSED'])(
  '[S27] a request that was never made for a reason about everybody (%s) proves nothing, and waits 5 s',
  (code) => {
    const job = newJob();
    expect(dispatched(job)).toEqual([1]);
    job.end({ 0: { code } });
    expect(dispatched(job)).toEqual([]);
    expect(job.rawStep()).toEqual({ kind: 'wait', until: job.now + 5000 });
    job.now += 5000;
    expect(dispatched(job)).toEqual([1]);
    job.end();
    expect(dispatched(job).length).toBeGreaterThan(1);
  },
);

test('[S27] a request that could not be made does not shorten the wait for an unhealthy new endpoint', () => {
  const breaker = new Breaker(UNPROVEN);
  const learn = (verdict: 'misconfigured' | 'worker-fault', user: string, now: number) =>
    breaker.learn({ delivered: 0, failures: [{ user, verdict }] }, 10, now, 0.5);
  for (let probe = 0; probe < 8; probe++) learn('misconfigured', String(probe), 1e9 * probe);
  const until = breaker.barredUntil;
  learn('worker-fault', 'late', until - 60_000);
  expect(breaker.barredUntil).toBe(until);
});

test('[S27] a failure that is about one person delays nobody else: the next person is tried at once', () => {
  const job = newJob();
  expect(dispatched(job)).toEqual([1]);
  job.end({ 0: { code: 'PROFILE_MISSING' } });
  expect(dispatched(job)).toEqual([1]);
  job.end({ 0: { code: 'PAYLOAD_TOO_LARGE' } });
  expect(dispatched(job)).toEqual([1]);
});

test('[S27] another URL has to prove itself anew; what the old one still takes says nothing about it', () => {
  const job = newJob();
  dispatched(job);
  job.end();
  expect(dispatched(job).length).toBeGreaterThan(0);
  job.edit({ webhookUrl: 'https://other.example.com/hook' });
  job.endAll();
  job.signals('somebody', 'else');
  expect(dispatched(job)).toEqual([1]);
});

test('[S27] pausing and resuming, or stopping with deliver, does not prove an endpoint', () => {
  const resumed = newJob();
  pauseJob(resumed.state);
  resumeJob(resumed.state);
  const stopped = newJob();
  stopJob(stopped.state, 'deliver', stopped.now + 60_000);
  expect([dispatched(resumed), dispatched(stopped)]).toEqual([[1], [1]]);
});

test('[S27] a new endpoint that is left to probes gets one request when the job is resumed, not all that waits', () => {
  const job = leftToProbes();
  resumeJob(job.state);
  expect(dispatched(job)).toEqual([1]);
});

test('an endpoint left to probes gets the next one at once on request, and everything once it accepts that', () => {
  const job = leftToProbes();
  retryNow(job.state, job.now);
  expect([dispatched(job), job.status.endpoint?.state]).toEqual([[1], 'unhealthy']);
  job.end();
  expect(dispatched(job).length).toBeGreaterThan(0);
  expect(job.status.delayed).toBe(0);
});

test('trying now forgets no attempt, and does not wait out what the endpoint asked for', () => {
  const job = new AJob(5).signals('1');
  dispatched(job);
  job.end({ 0: { status: 500 } });
  expect(dispatched(job)).toEqual([]);
  const failures = () => job.state.chains.get('1')?.failures;
  expect(failures()).toBe(1);
  retryNow(job.state, job.now);
  expect(dispatched(job)).toEqual([1]);
  expect(failures()).toBe(1);
  job.end({ 0: { status: 429 } });
  expect(dispatched(job)).toEqual([]);
  retryNow(job.state, job.now);
  expect(dispatched(job)).toEqual([1]);
});

test('an endpoint that is new when a run ends is still new in the next run', () => {
  const { state } = newJob();
  expect(restoreJob(carryJob(state)).breaker.isUnproven).toBe(true);
});
