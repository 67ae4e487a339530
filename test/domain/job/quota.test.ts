import { expect, test } from '@jest/globals';
import type { Quota } from '../../../src/contract/timing.ts';
import { applyEdit } from '../../../src/domain/job/operating.ts';
import { loseSlice, settleSlice } from '../../../src/domain/job/settling.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/state.ts';
import { statusRows } from '../../../src/domain/status-rows.ts';
import { AJob } from './a-job.ts';

const HOUR_MS = 3_600_000;
const STARTED = Date.UTC(2026, 0, 1);

/** An edit of the quota; whatever it says, its periods are hours. */
function edit(job: AJob, quota: Quota | null, more: object = {}): void {
  const { calendar: _, ...record } = job.state.job;
  const periods = Array.from({ length: 50 }, (_, hour) => STARTED + hour * HOUR_MS);
  const calendar = quota === null ? {} : { calendar: { quiet: [], periods, untilMs: STARTED + 48 * HOUR_MS } };
  const definition = { ...record.definition, quota, ...more };
  applyEdit(job.state, { ...record, ...calendar, revision: record.revision + 1, definition });
}

/** A job that may tell of so many people an hour. */
function jobWith(people: number, permits = 20): AJob {
  const job = new AJob(permits);
  edit(job, { people, per: 'hour', timeZone: 'UTC' });
  return job;
}

function signalAll(job: AJob, users: readonly string[]): void {
  for (const user of users) job.signal(user);
}

/** Sends all there is to send now, and says whom. */
function sendAll(job: AJob): string[] {
  const users: string[] = [];
  for (let sent = job.cutUsers(); sent.length > 0; sent = job.cutUsers()) {
    users.push(...sent.flat());
    while (job.running.length > 0) job.end();
  }
  return users;
}

const rowOf = (job: AJob) => statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Quota')?.value;

test('so many people are told of in a period, the rest waits for the next, in order', () => {
  const job = jobWith(3);
  signalAll(job, ['1', '2', '3', '4', '5', '6', '7']);
  expect(sendAll(job)).toEqual(['1', '2', '3']);
  expect(job.status).toMatchObject({ quotaUsed: 3, quotaUntil: '2026-01-01T01:00:00.000000000Z' });
  expect(rowOf(job)).toBe(
    'at most 3 people an hour in UTC, 3 so far in this one; the rest waits for the next, at 2026-01-01 01:00:00 UTC',
  );
  expect(job.waitsMs).toBe(HOUR_MS);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['4', '5', '6']);
  job.now += HOUR_MS;
  expect(sendAll(job)).toEqual(['7']);
  expect(job.status).toMatchObject({ quotaUsed: 1 });
  expect(job.status).not.toHaveProperty('quotaUntil');
  edit(job, null);
  expect(rowOf(job)).toBeUndefined();
});

test('a person of whom two things are to be told counts twice, and keeps their order', () => {
  const job = jobWith(3);
  for (const user of ['1', '2']) for (const event of ['enter', 'exit'] as const) job.signal(user, event);
  expect(job.cutMessages()).toEqual(['1 enter a', '1 exit a', '2 enter a']);
  job.end();
  expect(job.cut()).toEqual([]);
  job.now += HOUR_MS;
  expect(job.cutMessages()).toEqual(['2 exit a']);
});

test('a repeated attempt does not count again, and is made although the quota is used', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3']);
  job.cut();
  job.end({ 0: { status: 500 } });
  expect(job.status).toMatchObject({ quotaUsed: 2 });
  expect(job.waitsMs).toBeLessThan(7000);
  job.now += 7000;
  expect(job.cutUsers()).toEqual([['1']]);
  job.end({ 0: { status: 429, retryAfterMs: 1000 } });
  job.now += 1000;
  expect(job.cutUsers()).toEqual([['1']]);
  job.end();
  expect(job.status).toMatchObject({ quotaUsed: 2, delivered: 2 });
  expect(job.cut()).toEqual([]);
});

test('one that was throttled at its first attempt has had it, also in the next period and the next run', () => {
  const job = jobWith(1);
  signalAll(job, ['1', '2']);
  job.cut();
  job.end({ 0: { status: 429, retryAfterMs: 2000 } });
  job.state = restoreJob(structuredClone(carryJob(job.state)));
  job.now += 2000;
  expect(job.cutUsers()).toEqual([['1']]);
  job.end({ 0: { status: 429, retryAfterMs: HOUR_MS } });
  job.now += HOUR_MS;
  // It is free, so another one goes.
  expect(job.cutUsers().flat()).toEqual(['1', '2']);
});

test.each([
  ['unsent', {}, [0]],
  ['without a profile yet', { 0: { code: 'PROFILE_MISSING' } }, []],
  ['kept back by a source that is down', { 0: { code: 'SOURCE_UNAVAILABLE' } }, []],
  ['skipped by a template', { 0: { code: 'SKIPPED' } }, []],
] as const)('what is given back %s leaves its place to another', (_, failed, unsent) => {
  const job = jobWith(1);
  signalAll(job, ['1', '2']);
  job.cut();
  expect(job.status).toMatchObject({ quotaUsed: 1 });
  job.end(failed, [...unsent]);
  expect(job.status).toMatchObject({ quotaUsed: 0 });
  expect(job.cut()).toHaveLength(1);
});

test('of a slice that is lost, or whose report cannot be read, all may have been sent', () => {
  for (const end of [loseSlice, settleSlice]) {
    const job = jobWith(2);
    signalAll(job, ['1', '2', '3']);
    const [slice] = job.cut();
    end(job.state, slice?.sliceId ?? 0, undefined, job.now);
    expect(job.status).toMatchObject({ quotaUsed: 2 });
    job.now += 60_000;
    expect(job.cut().flatMap(({ triggers }) => triggers.length).length).toBeLessThanOrEqual(1);
  }
});

test('a slice may start nothing in the next period, and what it gives back then gives nothing back to that', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4']);
  job.now += HOUR_MS - 2000;
  expect(job.cut()).toMatchObject([{ notAfterMs: STARTED + HOUR_MS }]);
  job.now += 2000;
  expect(job.cutUsers()).toEqual([['3', '4']]);
  job.end({}, [0, 1]);
  expect(job.status).toMatchObject({ quotaUsed: 2 });
  expect(job.cut()).toEqual([]);
});

test('in the last second of a period nothing is cut', () => {
  const job = jobWith(2);
  job.now += HOUR_MS - 1000;
  job.signal('1');
  expect(job.cut()).toEqual([]);
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
      sent.push(...job.cutUsers().flat());
      while (job.running.length > 0) job.end();
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

test('a member that failed is tried again although the quota is used', () => {
  const job = jobWith(2);
  job.backfill(['member-1', 'member-2', 'member-3']);
  job.cut();
  job.end({ 0: { status: 500 } });
  job.now += 7000;
  expect(job.cutUsers()).toEqual([['member-1']]);
  job.end();
  expect(job.status.backfill).toMatchObject({ delivered: 2 });
  expect(job.cut()).toEqual([]);
});

test('an unwell endpoint is probed with what was tried before, once the quota is used', () => {
  const job = jobWith(3, 3);
  signalAll(job, ['1', '2', '3', '4']);
  job.cut();
  while (job.running.length > 0)
    job.end(Object.fromEntries((job.running[0]?.triggers ?? []).map((_, index) => [index, { status: 500 }])));
  expect(job.status.endpoint).toMatchObject({ state: 'unwell' });
  for (let probes = 0; probes < 4; probes++) {
    job.now += job.waitsMs ?? 0;
    const users = job.cutUsers().flat();
    expect(users).not.toContain('4');
    while (job.running.length > 0) job.end({ 0: { status: 500 } });
  }
  expect(job.status).toMatchObject({ quotaUsed: 3 });
});

test('an edit counts at once, on top of what was used in the same period; without a quota nothing is remembered', () => {
  const job = jobWith(2);
  signalAll(job, ['1', '2', '3', '4', '5', '6']);
  expect(sendAll(job)).toEqual(['1', '2']);
  edit(job, { people: 3, per: 'hour', timeZone: 'UTC' });
  expect(sendAll(job)).toEqual(['3']);
  edit(job, { people: 1, per: 'hour', timeZone: 'UTC' });
  expect(job.cut()).toEqual([]);
  edit(job, null);
  expect(sendAll(job)).toEqual(['4', '5', '6']);
  expect(carryJob(job.state)).not.toHaveProperty('quota');
});

test('a batch takes no more than the quota leaves', () => {
  const job = jobWith(5);
  edit(job, { people: 5, per: 'hour', timeZone: 'UTC' }, { batch: { size: 3, afterMs: 0 } });
  signalAll(job, ['1', '2', '3', '4', '5', '6', '7']);
  expect(sendAll(job)).toHaveLength(5);
  job.now += HOUR_MS;
  expect(sendAll(job)).toHaveLength(2);
});
