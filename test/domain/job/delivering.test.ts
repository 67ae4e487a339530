import { expect, test } from '@jest/globals';
import { parseInstant } from '../../../src/domain/instant.ts';
import { beginBackfill, resumeJob } from '../../../src/domain/job/operating.ts';
import { AJob } from './a-job.ts';

const numbered = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what} ${i + 1}`);

test('a single trigger goes out at once, with one permit', () => {
  const job = new AJob(5);
  job.signal('1', 'enter', { at: '2026-01-01T00:00:00Z', profile: { email: 'e' } });
  expect(job.dispatch()).toMatchObject([
    {
      permits: 1,
      settings: { subscriptionId: '5'.repeat(32), webhookUrl: 'https://example.com/hook', authorization: null },
      audiences: [{ slug: 'a' }],
      triggers: [{ user: '1', event: 'enter', at: '2026-01-01T00:00:00Z', profile: '{"email":"e"}' }],
    },
  ]);
  job.end();
  expect(job.status).toMatchObject({ received: 1, delivered: 1, waiting: 0, inFlight: 0, retried: 0 });
});

test('a slug and an id are the same audience; any other is refused with its name', () => {
  const job = new AJob();
  expect(job.signal('1', 'enter', { audience: 'a'.repeat(32) })).toBeUndefined();
  expect(job.signal('2', 'enter', { audience: 'c' })).toBe('the job does not subscribe to audience "c"');
  expect(job.status).toMatchObject({
    received: 1,
    rejected: 1,
    rejects: [{ at: '2026-01-01T00:00:00.000000000Z', reason: 'the job does not subscribe to audience "c"' }],
  });
});

test('the last ten refusals are kept, each short', () => {
  const job = new AJob();
  for (let i = 0; i < 30; i++) job.signal('1', 'enter', { audience: `${i} ${'x'.repeat(240)}` });
  expect(job.status.rejected).toBe(30);
  expect(job.status.rejects).toHaveLength(10);
  expect(job.status.rejects.at(-1)?.reason).toHaveLength(200);
  expect(job.status.rejects.at(-1)?.reason).toContain('"29 ');
});

test('triggers without a time get one each, though they come in the same millisecond', () => {
  const job = new AJob();
  for (let i = 0; i < 3; i++) job.signal('1');
  const times = job.dispatch()[0]?.triggers.map(({ at }) => at) ?? [];
  expect(new Set(times).size).toBe(3);
  expect(times.toSorted()).toEqual(times);
  expect(parseInstant(times[2] ?? '')).toBe('2026-01-01T00:00:00.000000002Z');
});

test('a person with a request in flight waits for it; others do not', () => {
  const job = new AJob(5);
  job.dispatchEach(['1']);
  job.signal('1', 'exit');
  job.signal('2');
  expect(job.dispatchedUsers()).toEqual([['2']]);
  job.end();
  expect(job.dispatchedUsers()).toEqual([['1']]);
});

test('live triggers go first, and every fourth slice goes to a backfill', () => {
  const job = new AJob(1);
  job.backfill(numbered('member', 3));
  for (const user of numbered('live', 8)) job.signal(user);
  const order: string[] = [];
  for (;;) {
    job.state.requestMs = 1000; // One trigger a slice.
    const users = job.dispatchedUsers();
    if (users.length === 0) break;
    order.push(...users.flat());
    job.end();
  }
  const [live, member] = [numbered('live', 8), numbered('member', 3)];
  expect(order).toEqual([...live.slice(0, 3), member[0], ...live.slice(3, 6), member[1], ...live.slice(6), member[2]]);
});

test('all enters of a backfill have the time at which it was asked for', () => {
  const job = new AJob(1);
  beginBackfill(job.state, ['a'.repeat(32)], job.now);
  job.now += 60_000;
  job.page(1, ['1', '2']);
  expect(job.dispatch()[0]?.triggers).toMatchObject([
    { user: '1', event: 'enter', at: '2026-01-01T00:00:00.000000000+00:00' },
    { user: '2', event: 'enter', at: '2026-01-01T00:00:00.000000000+00:00' },
  ]);
});

test('a member who left since the page was read is not sent as a member', () => {
  const job = new AJob(1);
  beginBackfill(job.state, ['a'.repeat(32)], job.now);
  const readAt = job.now;
  job.now += 1000;
  job.signal('1', 'exit');
  job.page(1, ['1', '2'], { readAt });
  expect(job.sendAll()).toEqual(['1 exit a', '2 enter a']);
});

test('a source that shows exits late is not believed about that time', () => {
  const lagging = new AJob(1, { sourceLagMs: 60_000 });
  lagging.signal('1', 'exit');
  lagging.now += 45_000;
  lagging.backfill(['1', '2']);
  expect(lagging.status.backfill).toMatchObject({ superseded: 1, waiting: 1 });
});

test('429 holds the whole job for the time that it names, and costs no attempt', () => {
  const job = new AJob(3);
  job.dispatchEach(['1']);
  job.signal('2');
  job.end({ 0: { status: 429, retryAfterMs: 7000 } });
  expect(job.dispatchedUsers()).toEqual([]);
  expect(job.waitsMs).toBe(7000);
  expect(job.status.waits.endpoint).toBe('2026-01-01T00:00:07.000000000Z');
  job.now += 7000;
  expect(job.state.chains.get('1')?.failures).toBe(0);
  expect(job.dispatchedUsers().flat()).toEqual(['1', '2']);
});

test('429 without a time waits 5 s, doubling, and a success starts anew', () => {
  const job = new AJob(1);
  const waits: (number | undefined)[] = [];
  job.signal('1');
  const again = () => {
    job.fail({ status: 429 });
    waits.push(job.waitsMs);
    job.now += job.waitsMs ?? 0;
  };
  again();
  again();
  again();
  job.send();
  job.signal('2');
  again();
  expect(waits).toEqual([5000, 10_000, 20_000, 5000]);
});

test('slices that are throttled side by side are throttled once', () => {
  const job = new AJob(3);
  job.dispatchEach(['1', '2', '3']);
  job.failAll({ status: 429 });
  expect(job.waitsMs).toBe(5000);
});

test('a transient failure waits by its schedule, and others go on', () => {
  const job = new AJob(1).signals('1');
  job.fail({ status: 500 });
  expect(job.status).toMatchObject({ delayed: 1, waiting: 1, retried: 0, lastFailure: { status: 500 } });
  expect(job.waitsMs).toBeGreaterThanOrEqual(4000);
  expect(job.waitsMs).toBeLessThanOrEqual(6000);
  job.signal('2');
  expect(job.dispatchedUsers()).toEqual([['2']]);
});

test('a second attempt counts as retried once it was made, whatever came of it', () => {
  const job = new AJob(1).signals('1');
  job.fail({ status: 500 });
  job.now += 6000;
  job.fail({ status: 500 });
  expect(job.status.retried).toBe(1);
  job.now += 36_000;
  job.send();
  expect(job.status).toMatchObject({ retried: 2, delivered: 1 });
});

test('410 pauses the job, keeps everything and says so; resuming goes on', () => {
  const job = new AJob(1).signals('1');
  job.fail({ status: 410 });
  job.signal('2');
  expect(job.dispatchedUsers()).toEqual([]);
  expect(job.status).toMatchObject({ state: 'paused', waiting: 2, reason: expect.stringMatching(/410 Gone/) });
  resumeJob(job.state);
  expect(job.dispatchedUsers().flat()).toEqual(['1', '2']);
});

test.each([
  ['enter', [1000, 4000, 15_000]],
  ['exit', []],
] as const)('a person unknown to the source is sent with segment_events alone: an %s after %j ms', (event, waits) => {
  const job = new AJob(1);
  job.signal('1', event);
  for (const ms of waits) {
    expect(job.dispatch()[0]?.triggers[0]).not.toHaveProperty('profileOptional');
    job.end({ 0: { code: 'PROFILE_MISSING' } });
    expect(job.waitsMs).toBe(ms);
    job.now += ms;
  }
  expect(job.dispatch()[0]?.triggers[0]).toMatchObject({ user: '1', event, profileOptional: true });
});

test('a profile that is not there yet is not shown as a failure of the job', () => {
  const job = new AJob(1).signals('1');
  job.fail({ code: 'PROFILE_MISSING' });
  expect(job.status.lastFailure).toBeUndefined();
});

test('a source that fails holds its people, and touches neither breaker nor schedule', () => {
  const job = new AJob(8).signals(...numbered('person', 8));
  job.fail({ code: 'SOURCE_UNAVAILABLE' });
  expect(job.status).toMatchObject({ delayed: job.status.waiting, deadLetters: 0 });
  expect(job.status.endpoint).toBeUndefined();
  expect(job.state.chains.get('person 1')?.failures).toBe(0);
});

test('three different people who fail stop the job; one of them probes after the wait', () => {
  const job = new AJob(3);
  job.dispatchEach(['1', '2', '3']);
  job.failAll({ status: 404 });
  for (const user of ['4', '5', '6']) job.signal(user);
  expect(job.dispatchedUsers()).toEqual([]);
  expect(job.status.endpoint).toMatchObject({
    state: 'unhealthy',
    advice:
      'The endpoint seems misconfigured (HTTP 404). Check the webhook URL, the authorization and the templates; every trigger is kept.',
  });
  job.now += 6000;
  expect(job.dispatchedUsers()).toEqual([['4']]);
  job.end();
  expect(job.status.endpoint).toEqual({ state: 'recovering' });
});

test('a probe before its time costs its trigger no step of the schedule', () => {
  const job = new AJob(3);
  job.dispatchEach(['1', '2', '3']);
  job.failAll({ status: 500 });
  const user = '1';
  const chain = job.state.chains.get(user);
  if (chain !== undefined) chain.failures = 4;
  for (const one of ['1', '2', '3']) {
    const delayed = job.state.chains.get(one);
    if (delayed !== undefined) job.state.chains.delay(delayed, job.now + 600_000 + Number(one));
  }
  job.now += 6000;
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end({ 0: { status: 500 } });
  expect(chain).toMatchObject({ place: 'delayed', failures: 4 });
});
