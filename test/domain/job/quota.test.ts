import { expect, test } from '@jest/globals';
import type { FailedAttempt } from '../../../src/contract/slice.ts';
import type { Quota } from '../../../src/contract/timing.ts';
import { Breaker } from '../../../src/domain/job/throttles/breaker.ts';
import { describePerson } from '../../../src/domain/job/describing.ts';
import { recoverJob } from '../../../src/client/jobs/recovering.ts';
import { loseSlice, settleSlice } from '../../../src/domain/job/settling.ts';
import { carryJob } from '../../../src/domain/job/carrying.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';

const HOUR_MS = 3_600_000;
const STARTED = Date.UTC(2026, 0, 1);

/** An edit of the quota; its periods are hours or days. */
function edit(job: AJob, quota: Quota | null, more: object = {}): void {
  const lengthMs = quota?.per === 'day' ? 24 * HOUR_MS : HOUR_MS;
  const periods = Array.from({ length: 50 }, (_, place) => STARTED + place * lengthMs);
  const calendar = { quiet: [], periods, untilMs: STARTED + 48 * HOUR_MS };
  job.edit({ quota, ...more }, quota === null ? {} : { calendar });
}

/** A job that may tell of so many people an hour. */
function jobWith(people: number, permits = 20): AJob {
  const job = new AJob(permits);
  edit(job, { people, per: 'hour', timeZone: 'UTC' });
  return job;
}

/** The same in batches, to an endpoint that has accepted something. */
function batchJobWith(people: number, batch: { size: number; afterMs: number }): AJob {
  const job = new AJob(20);
  edit(job, { people, per: 'hour', timeZone: 'UTC' }, { batch });
  job.state.breaker = new Breaker();
  return job;
}

function signalAll(job: AJob, users: readonly string[]): void {
  for (const user of users) job.signal(user);
}

/** Sends all there is to send now, and says whom. */
const sendAll = (job: AJob) => job.sendAll().map((message) => message.split(' ')[0]);

const rowOf = (job: AJob) => statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Quota')?.value;

test('a period takes as many people as the quota says, and the rest waits for the next, in order', () => {
  const job = jobWith(3);
  signalAll(job, ['1', '2', '3', '4', '5', '6', '7']);
  expect(sendAll(job)).toEqual(['1', '2', '3']);
  expect(job.status).toMatchObject({ quotaUsed: 3, waits: { quota: '2026-01-01T01:00:00.000000000Z' } });
  expect(rowOf(job)).toBe(
    'at most 3 people an hour in UTC, 3 so far in this one; the rest waits for the next, at 2026-01-01 01:00:00 UTC',
  );
  expect(job.waitsMs).toBe(HOUR_MS);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['4', '5', '6']);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['7']);
  expect(job.status).toMatchObject({ quotaUsed: 1 });
  expect(job.status.waits).toEqual({});
  edit(job, null);
  expect(rowOf(job)).toBeUndefined();
});

test('an idle job wakes for a new period if the last one was used, to keep its status true', () => {
  const job = jobWith(3);
  expect(job.waitsMs).toBe(36 * HOUR_MS);
  job.signal('1');
  expect(sendAll(job)).toEqual(['1']);
  expect(job.status).toMatchObject({ quotaUsed: 1 });
  expect(job.waitsMs).toBe(HOUR_MS);
  job.now += HOUR_MS;
  expect(job.dispatch()).toEqual([]);
  expect(job.status).toMatchObject({ quotaUsed: 0 });
  expect(job.waitsMs).toBe(35 * HOUR_MS);
});

test('only a person without a first attempt is shown as waiting for the quota', () => {
  const job = jobWith(2, 3);
  signalAll(job, ['1', '2', '3']);
  job.backfill(['member']);
  job.send({ 0: { status: 500 }, 1: { code: 'SOURCE_UNAVAILABLE' } });
  job.dispatchEach(['4']);
  const ofPerson = (user: string) => describePerson(job.state, user, job.now);
  const quota = '2026-01-01T01:00:00.000000000Z';
  expect(ofPerson('1').waits).not.toHaveProperty('quota');
  // It comes back from a source that is down before the quota is there again.
  for (const user of ['2', '4', 'member']) expect(ofPerson(user)).toMatchObject({ waits: { quota } });
  job.now += 7000;
  job.send({ 0: { status: 500 } });
  const { state, now } = job;
  const chain = state.chains.get('2');
  if (chain !== undefined) state.chains.delay(chain, now + HOUR_MS);
  expect(ofPerson('2').waits).not.toHaveProperty('quota');
});

test('a person with two triggers counts twice, and the triggers keep their order', () => {
  const job = jobWith(3);
  for (const user of ['1', '2']) for (const event of ['enter', 'exit'] as const) job.signal(user, event);
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '1 exit a', '2 enter a']);
  job.end();
  expect(job.dispatch()).toEqual([]);
  job.now += HOUR_MS;
  expect(job.dispatchedMessages()).toEqual(['2 exit a']);
});

test('a repeated attempt does not count again, and is made although the quota is used', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3']);
  job.send({ 0: { status: 500 } });
  expect(job.status).toMatchObject({ quotaUsed: 2 });
  expect(job.waitsMs).toBeLessThan(7000);
  job.now += 7000;
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end({ 0: { status: 429, retryAfterMs: 1000 } });
  job.now += 1000;
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end();
  expect(job.status).toMatchObject({ quotaUsed: 2, delivered: 2 });
  expect(job.dispatch()).toEqual([]);
});

test('a throttled trigger has had a request, and its next one counts, too', () => {
  const job = jobWith(1);
  signalAll(job, ['1', '2']);
  job.send({ 0: { status: 429, retryAfterMs: 2000 } });
  job.now += 2000;
  expect(job.dispatch()).toEqual([]);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['1']);
});

test.each([
  ['unsent', {}, [0]],
  ['without a profile yet', { 0: { code: 'PROFILE_MISSING' } }, []],
  ['kept back by a source that is down', { 0: { code: 'SOURCE_UNAVAILABLE' } }, []],
  ['skipped by a template', { 0: { code: 'SKIPPED' } }, []],
] as const)('a trigger that comes back %s leaves its place in the quota to another', (_, failed, unsent) => {
  const job = jobWith(1);
  signalAll(job, ['1', '2']);
  job.dispatch();
  expect(job.status).toMatchObject({ quotaUsed: 1 });
  job.end(failed, [...unsent]);
  expect(job.status).toMatchObject({ quotaUsed: 0 });
  expect(job.dispatch()).toHaveLength(1);
});

test('a slice that is lost, or whose report is unreadable, uses the quota of all its triggers', () => {
  for (const end of [loseSlice, settleSlice]) {
    const job = jobWith(2);
    signalAll(job, ['1', '2', '3']);
    const [slice] = job.dispatch();
    end(job.state, slice?.sliceId ?? 0, undefined, job.now);
    expect(job.status).toMatchObject({ quotaUsed: 2 });
    job.now += 60_000;
    expect(job.dispatch().flatMap(({ triggers }) => triggers.length).length).toBeLessThanOrEqual(1);
  }
});

test('a slice starts nothing in the next period, and what it gives back then does not refund that period', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4']);
  job.now += HOUR_MS - 2000;
  expect(job.dispatch()).toMatchObject([{ notAfterMs: STARTED + HOUR_MS }]);
  job.now += 2000;
  expect(job.dispatchedUsers()).toEqual([['3', '4']]);
  job.end({}, [0, 1]);
  expect(job.status).toMatchObject({ quotaUsed: 2 });
  expect(job.dispatch()).toEqual([]);
});

test('a recovered job keeps its quota: requests known not to have been made are refunded', () => {
  const job = jobWith(3);
  signalAll(job, ['1', '2', '3', '4']);
  const [slice] = job.dispatch();
  if (slice === undefined) throw new Error('Nothing is dispatched.');
  expect(slice).toMatchObject({ quotaFrom: STARTED });
  const carried = structuredClone(carryJob(job.state));
  const throttled = { index: 0, status: 429, verdict: 'throttled', retryAfterMs: 2000, durationMs: 1 } as const;
  const report = { failed: [throttled], unsent: [1], sendingMs: 1 };
  job.running.length = 0;
  job.state = recoverJob(
    { carried, ends: [{ slice, end: { kind: 'reported', report } }], arrivals: [] },
    false,
    job.now,
  );
  expect(job.status).toMatchObject({ delivered: 1, quotaUsed: 2 });
  job.now += 2000;
  expect(sendAll(job)).toEqual(['1']);
  expect(job.status).toMatchObject({ delivered: 2, quotaUsed: 3 });
  // Of a slice of which nothing is known, all may have been sent.
  const lost = jobWith(3);
  signalAll(lost, ['1', '2', '3', '4']);
  lost.dispatch();
  const left = structuredClone(carryJob(lost.state));
  lost.running.length = 0;
  lost.state = recoverJob({ carried: left, ends: [], arrivals: [] }, false, lost.now);
  expect(lost.status).toMatchObject({ quotaUsed: 3 });
  expect(lost.dispatch()).toEqual([]);
});

test('in the last second of a period nothing is dispatched', () => {
  const job = jobWith(2);
  job.now += HOUR_MS - 1000;
  job.signal('1');
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(1000);
});

test('live triggers come first: a backfill gets what they leave of a quota', () => {
  const job = jobWith(10, 2);
  const live = Array.from({ length: 13 }, (_, index) => `live-${index}`);
  job.backfill(Array.from({ length: 50 }, (_, index) => `member-${index}`));
  signalAll(job, live);
  const sendSlowly = (): string[] => {
    const sent: string[] = [];
    for (let turn = 0; turn < 20; turn++) {
      // So slow that a slice is of one person: often enough, it would be the turn of the backfill.
      job.state.requestMs = 10_000;
      sent.push(...job.dispatchedUsers().flat());
      job.endAll();
    }
    return sent;
  };
  expect(sendSlowly()).toEqual(live.slice(0, 10));
  expect(job.waitsMs).toBe(HOUR_MS);
  job.now += HOUR_MS;
  const sent = sendSlowly();
  expect(sent.slice(0, 3)).toEqual(live.slice(10));
  expect(sent.slice(3)).toHaveLength(7);
});

test('a backfill says when the quota lets its last members go, instead of how long its rate takes', () => {
  const job = jobWith(10);
  const members = Array.from({ length: 35 }, (_, n) => `member-${n}`);
  job.backfill(members, { expected: 35 });
  expect(job.status.backfill).toMatchObject({ expected: 35, lastFrom: '2026-01-01T03:00:00.000000000Z' });
  expect(sendAll(job)).toHaveLength(10);
  expect(job.status.backfill).toMatchObject({ delivered: 10, lastFrom: '2026-01-01T03:00:00.000000000Z' });
  expect(job.status.backfill).not.toHaveProperty('secondsLeft');
  const row = statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Backfill')?.value;
  expect(row).toContain('the last of them from 2026-01-01 03:00:00 UTC on, as far as the quota allows');
  // Further than the calendar reaches.
  edit(job, { people: 1, per: 'hour', timeZone: 'UTC' });
  const { calendar } = job.state.job;
  if (calendar !== undefined)
    job.state.job = { ...job.state.job, calendar: { ...calendar, periods: [STARTED, STARTED + HOUR_MS] } };
  expect(job.status.backfill).toMatchObject({ lastFrom: '2026-01-02T01:00:00.000000000Z' });
  edit(job, { people: 50, per: 'hour', timeZone: 'UTC' });
  expect(job.status.backfill).not.toHaveProperty('lastFrom');
  expect(job.status.backfill?.secondsLeft).toBeGreaterThan(0);
});

test('a member that failed is tried again although the quota is used', () => {
  const job = jobWith(2);
  job.backfill(['member-1', 'member-2', 'member-3']);
  job.send({ 0: { status: 500 } });
  job.now += 7000;
  expect(job.dispatchedUsers()).toEqual([['member-1']]);
  job.end();
  expect(job.status.backfill).toMatchObject({ delivered: 2 });
  expect(job.dispatch()).toEqual([]);
});

test('an unhealthy endpoint is probed with what was tried before, once the quota is used', () => {
  const job = jobWith(3, 3);
  signalAll(job, ['1', '2', '3', '4']);
  job.dispatch();
  job.failAll({ status: 500 });
  expect(job.status.endpoint).toMatchObject({ state: 'unhealthy' });
  for (let probes = 0; probes < 4; probes++) {
    job.now += job.waitsMs ?? 0;
    const users = job.dispatchedUsers().flat();
    expect(users).not.toContain('4');
    job.failAll({ status: 500 });
  }
  expect(job.status).toMatchObject({ quotaUsed: 3 });
});

test('an edit counts at once, on top of what was used in the same period', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4']);
  expect(sendAll(job)).toEqual(['1', '2']);
  edit(job, { people: 3, per: 'hour', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['3']);
  edit(job, { people: 1, per: 'hour', timeZone: 'UTC' });
  expect(job.dispatch()).toEqual([]);
});

test('a quota that is taken away and set again in the same period goes on where it was', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4']);
  expect(sendAll(job)).toEqual(['1', '2']);
  edit(job, null);
  expect(sendAll(job)).toEqual(['3', '4']);
  job.nextRun();
  edit(job, { people: 3, per: 'hour', timeZone: 'UTC' });
  signalAll(job, ['5', '6']);
  expect(sendAll(job)).toEqual(['5']);
  edit(job, null);
  job.now += HOUR_MS;
  edit(job, { people: 1, per: 'hour', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['6']);
});

test('usage still counts when an edit changes the kind of period, but not for a later period', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4', '5', '6', '7', '8']);
  expect(sendAll(job)).toEqual(['1', '2']);
  edit(job, { people: 3, per: 'day', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['3']);
  job.now += 2 * HOUR_MS;
  expect(job.dispatch()).toEqual([]);
  edit(job, { people: 4, per: 'hour', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['4']);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['5', '6', '7', '8']);
});

test('a period that is over counts for no other', () => {
  const job = jobWith(1);
  signalAll(job, ['1', '2']);
  expect(sendAll(job)).toEqual(['1']);
  job.now += 30 * HOUR_MS;
  edit(job, { people: 1, per: 'day', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['2']);
});

test('a batch takes no more than the quota leaves', () => {
  const job = batchJobWith(5, { size: 3, afterMs: 0 });
  signalAll(job, ['1', '2', '3', '4', '5', '6', '7']);
  expect(sendAll(job)).toHaveLength(5);
  job.now += HOUR_MS;
  expect(sendAll(job)).toHaveLength(2);
});

/** The one slice that is dispatched now is about one batch, and that fails so. */
function failBatch(job: AJob, attempt: Partial<FailedAttempt>): void {
  const [slice, ...more] = job.dispatch();
  expect(more).toEqual([]);
  const all = [...(slice?.triggers.keys() ?? [])];
  job.end(Object.fromEntries(all.map((place) => [place, place === 0 ? attempt : { ...attempt, like: 0 }])));
}

test("after a failed batch, each person's oldest trigger does not count again, also in the next run; later ones do", () => {
  const job = batchJobWith(4, { size: 4, afterMs: 0 });
  for (const user of ['1', '2']) for (const event of ['enter', 'exit'] as const) job.signal(user, event);
  failBatch(job, { status: 503 });
  job.nextRun();
  job.now += 7000;
  const users = job.dispatch().flatMap(({ triggers }) => triggers.map(({ user, event }) => `${user} ${event}`));
  expect(users).toEqual(['1 enter', '2 enter']);
  job.end();
  expect(job.status).toMatchObject({ delivered: 2, quotaUsed: 4 });
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['1', '2']);
});

test('a batch halved without a request, because its template rendered none, uses no quota', () => {
  const job = batchJobWith(2, { size: 2, afterMs: 0 });
  signalAll(job, ['1', '2']);
  const [slice] = job.dispatch();
  job.running.length = 0;
  const halved = [
    [0, 1, true],
    [1, 1, true],
  ];
  const template = { index: 0, code: 'TEMPLATE_FAILED', durationMs: 0 };
  settleSlice(job.state, slice?.sliceId ?? 0, { failed: [template], unsent: [1], sendingMs: 1, halved }, job.now);
  expect(job.status).toMatchObject({ quotaUsed: 0 });
  expect(job.dispatch()).toMatchObject([{ triggers: [{ user: '2', batchMost: 1 }] }]);
});

test('a trigger that was refused in a batch uses the quota, even if its template then fails for it alone', () => {
  const job = batchJobWith(2, { size: 2, afterMs: 0 });
  signalAll(job, ['1', '2']);
  const [slice] = job.dispatch();
  job.running.length = 0;
  const halved = [
    [0, 1],
    [1, 1],
  ];
  const template = { index: 0, code: 'TEMPLATE_FAILED', durationMs: 0 };
  settleSlice(job.state, slice?.sliceId ?? 0, { failed: [template], unsent: [1], sendingMs: 1, halved }, job.now);
  expect(job.status).toMatchObject({ quotaUsed: 2 });
});

test('a dead letter that comes back counts anew', () => {
  const job = jobWith(2);
  edit(job, { people: 2, per: 'hour', timeZone: 'UTC' }, { answers: { '400': 'dead-letter' } });
  signalAll(job, ['1', '2']);
  job.send({ 0: { status: 400, as: 'given-up' } });
  job.dispatch();
  const [dead] = job.dead;
  expect(job.redeliver({ ...dead?.trigger, redelivery: 1 }, { force: true })).toBeUndefined();
  expect(job.dispatch()).toEqual([]);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['1']);
});

test('a backfill leaves enough quota for live triggers that wait for their batch to fill', () => {
  const job = batchJobWith(10, { size: 20, afterMs: 60_000 });
  const members = Array.from({ length: 30 }, (_, n) => `member-${n}`);
  signalAll(job, ['1', '2']);
  job.signal('2', 'exit');
  job.backfill(members);
  expect(sendAll(job)).toEqual(members.slice(0, 7));
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(60_000);
  job.now += 60_000;
  expect(sendAll(job)).toEqual(['1', '2', '2']);
  expect(job.status).toMatchObject({ quotaUsed: 10 });
  job.now += HOUR_MS;
  expect(sendAll(job)).toHaveLength(10);
});
