import { expect, test } from '@jest/globals';
import { AJob } from './a-job.ts';

/** A slice is dispatched, some of it is delivered, the next is throttled without a time; how long the job then waits. */
function takesSomeThenThrottles(job: AJob, round: number): number {
  for (const user of ['1', '2', '3']) job.signal(`${user} of round ${round}`);
  job.dispatch();
  const last = (job.running[0]?.triggers.length ?? 0) - 1;
  job.end({ [last]: { status: 429 } });
  const waitsMs = job.waitsMs ?? 0;
  job.now += waitsMs;
  return waitsMs;
}

test('an endpoint that takes some and then throttles gets the same first wait each time', () => {
  const job = new AJob(1);
  expect([1, 2, 3, 4].map((round) => takesSomeThenThrottles(job, round))).toEqual([5000, 5000, 5000, 5000]);
});

test('deliveries of another slice do not shorten a wait that the endpoint has just asked for', () => {
  const job = new AJob(2);
  job.dispatchEach(['1', '2']);
  job.end({ 0: { status: 429, retryAfterMs: 7000 } });
  job.end();
  expect(job.waitsMs).toBe(7000);
});

/** How long a job waits after each of three answers that ask for no time, to one person's trigger. */
function waitsFor(status: number): (number | undefined)[] {
  const job = new AJob(1).signals('1');
  return [1, 2, 3].map(() => {
    job.send({ 0: { status, retryAfterMs: 0 } });
    const { waitsMs } = job;
    job.now += waitsMs ?? 0;
    return waitsMs;
  });
}

test('a Retry-After in the past asks for no wait: a 429 waits as without one, a 503 costs an attempt', () => {
  expect(waitsFor(429)).toEqual([5000, 10_000, 20_000]);
  const [first = 0, second = 0] = waitsFor(503);
  expect([first > 3999, second > 23_000]).toEqual([true, true]);
});

test.each([
  ['the least', 1, 1000],
  ['ten years', 315_360_000_000, 3_600_000],
  ['more than a number of days can hold', 999_999_999_999_999_000, 3_600_000],
])('[S31] an endpoint that asks the job to wait for %s neither stops nor hurries it', (_, retryAfterMs, waitsMs) => {
  const job = new AJob(1).signals('1');
  job.send({ 0: { status: 429, retryAfterMs } });
  expect(job.waitsMs).toBe(waitsMs);
  job.now += waitsMs;
  expect(job.dispatchedUsers()).toEqual([['1']]);
});

/** Its endpoint has just failed for three others. */
function isUnhealthy(job: AJob): void {
  const failures = ['x', 'y', 'z'].map((user) => ({ user, verdict: 'transient' as const }));
  job.state.breaker.learn({ delivered: 0, failures }, 3, job.now, 0.5);
}

test('an unhealthy endpoint that only has people who failed is probed by different ones in turn', () => {
  const job = new AJob(3);
  for (const user of ['1', '2', '3']) {
    job.signal(user);
    job.dispatch();
    // So far down the schedule that none of them is due while the endpoint is probed.
    Object.assign(job.state.chains.get(user) ?? {}, { failures: 6 });
  }
  isUnhealthy(job);
  for (let i = 0; i < 3; i++) job.end({ 0: { status: 500 } });
  const probes: string[] = [];
  while (probes.length < 6) {
    job.now += job.waitsMs ?? 0;
    probes.push(...job.dispatchedUsers().flat());
    job.end({ 0: { status: 500 } });
  }
  for (const [index, user] of probes.slice(1).entries()) expect(user).not.toBe(probes[index]);
});

test('an unhealthy endpoint that has one person alone is probed by that one', () => {
  const job = new AJob(1);
  for (let i = 0; i < 4; i++) job.dispatchEach(['1']);
  isUnhealthy(job);
  job.end({ 0: { status: 500 } });
  job.now += job.waitsMs ?? 0;
  expect(job.status.endpoint).toMatchObject({ state: 'unhealthy' });
  for (let i = 0; i < 3; i++) {
    expect(job.dispatchedUsers()).toEqual([['1']]);
    job.end({ 0: { status: 500 } });
    job.now += job.waitsMs ?? 0;
  }
});

test('a job whose endpoint is unhealthy wakes for its next probe, not for everybody whose next attempt is due', () => {
  const job = new AJob(3);
  job.dispatchEach(['1', '2', '3']);
  job.failAll({ status: 500 });
  let earlier = 0;
  for (let probes = 0; probes < 6; probes++) {
    const { openUntil } = job.state.breaker;
    if ((job.state.chains.nextDue ?? openUntil) < openUntil) earlier++;
    expect(job.now + (job.waitsMs ?? 0)).toBe(openUntil);
    job.now = openUntil;
    job.fail({ status: 500 });
  }
  expect(earlier).toBeGreaterThan(0);
});

test('an unhealthy endpoint is probed though everybody waits for a next attempt, and it costs them no step', () => {
  const job = new AJob(3);
  const large = { profile: { text: 'x'.repeat(60_000) } };
  for (const user of ['1', '2', '3']) {
    job.signal(user, 'enter', large);
    job.dispatch();
    for (let i = 0; i < 4; i++) job.signal(user, 'exit', large);
    Object.assign(job.state.chains.get(user) ?? {}, { failures: 6 });
  }
  isUnhealthy(job);
  job.failAll({ status: 500 });
  expect(job.waitsMs).toBe(job.state.breaker.openUntil - job.now);
  job.now = job.state.breaker.openUntil;
  const [probe, ...others] = job.dispatch();
  expect([probe?.triggers.length, others]).toEqual([1, []]);
  const chain = job.state.chains.get(probe?.triggers[0]?.user ?? '');
  const notBefore = chain?.notBefore ?? 0;
  expect(notBefore).toBeGreaterThan(job.now);
  job.end({ 0: { status: 500 } });
  expect(chain).toMatchObject({ place: 'delayed', notBefore, failures: 7 });
  job.now = job.state.breaker.openUntil;
  job.send();
  expect(job.dispatch()).not.toEqual([]);
});

test('an unhealthy endpoint is not probed while an earlier request is open, since that would exceed the permits', () => {
  const job = new AJob(4);
  job.dispatchEach(['1', '2', '3', '4']);
  for (let i = 0; i < 3; i++) job.end({ 0: { status: 500 } });
  job.now = job.state.breaker.openUntil;
  expect(job.dispatch()).toEqual([]);
  job.end({ 0: { status: 500 } });
  job.now = job.state.breaker.openUntil;
  expect(job.dispatchedUsers()).toEqual([[expect.any(String)]]);
});

test('an unhealthy endpoint is probed with new people first, then those who failed least, and dead letters last', () => {
  const job = new AJob(1);
  const dead = { audience: 'a'.repeat(32), event: 'enter', at: '2026-01-01T00:00:00Z', redelivery: 1 };
  for (const [user, failures] of [
    ['thrice', 3],
    ['once', 1],
  ] as const) {
    job.signal(user);
    job.dispatch();
    Object.assign(job.state.chains.get(user) ?? {}, { failures: failures - 1 });
    job.end({ 0: { status: 500 } });
  }
  job.redeliver(dead, { user: 'dead' });
  job.signal('new');
  isUnhealthy(job);
  job.now += 6 * 60 * 60 * 1000;
  const probes: string[] = [];
  while (probes.length < 4) {
    probes.push(...job.dispatchedUsers().flat());
    job.end({ 0: { status: 422 } });
    job.now = job.state.breaker.openUntil;
  }
  expect(probes.slice(0, 2)).toEqual(['new', 'once']);
  expect(probes).not.toContain('dead');
});
