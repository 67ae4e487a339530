import { expect, test } from '@jest/globals';
import type { QuietHours } from '../../../src/contract/timing.ts';
import { describePerson } from '../../../src/domain/job/describing.ts';
import { calendarRead, pauseJob, stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';

const HOUR_MS = 3_600_000;
const NIGHT: QuietHours = { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin', meanwhile: 'wait' };

/** An edit of the quiet hours, or what else there is; as its worker sees them, they are so many hours from when the job began. */
function edit(
  job: AJob,
  quietHours: QuietHours | null,
  hours: readonly (readonly [number, number])[] = [[1, 3]],
): void {
  const started = Date.UTC(2026, 0, 1);
  const quiet = hours.map(([from, to]) => [started + from * HOUR_MS, started + to * HOUR_MS] as const);
  const calendar = { quiet, untilMs: started + 192 * HOUR_MS };
  job.edit({ quietHours }, quietHours === null ? {} : { calendar });
}

/** A job that is quiet from an hour after its start, for two hours. */
function quietJob(permits = 1, more: Partial<QuietHours> = {}, hours?: readonly (readonly [number, number])[]): AJob {
  const job = new AJob(permits);
  edit(job, { ...NIGHT, ...more }, hours);
  return job;
}

const rowOf = (job: AJob) =>
  statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Quiet hours')?.value;

test('triggers that arrive in quiet hours wait for their end, and are then sent in order', () => {
  const job = quietJob();
  job.now += HOUR_MS;
  job.signal('1');
  job.signal('1', 'exit');
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(2 * HOUR_MS);
  job.now += 2 * HOUR_MS - 1;
  expect(job.dispatch()).toEqual([]);
  job.now += 1;
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '1 exit a']);
});

test('a slice knows when quiet hours begin, and none is dispatched in the last second before', () => {
  const job = quietJob(2);
  job.signal('1');
  job.now += HOUR_MS - 1001;
  expect(job.dispatch()).toMatchObject([{ notAfterMs: Date.UTC(2026, 0, 1, 1) }]);
  job.signal('2');
  job.now += 1;
  expect(job.dispatch()).toEqual([]);
  job.now += 1000;
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(2 * HOUR_MS);
  job.now += 2 * HOUR_MS;
  // No more of them are near, so it has until what is known ends.
  expect(job.dispatch()).toMatchObject([{ notAfterMs: Date.UTC(2026, 0, 9) }]);
});

test('a job without quiet hours tells its slices nothing of it', () => {
  const job = new AJob(1).signals('1');
  expect(job.dispatch()).not.toMatchObject([{ notAfterMs: expect.anything() }]);
});

test('an attempt or a probe of an unhealthy endpoint that is due in quiet hours waits for their end', () => {
  const job = quietJob(3);
  job.signal('1');
  job.now += HOUR_MS - 2000;
  job.fail({ status: 500 });
  job.now += 7000;
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(2 * HOUR_MS - 5000);
  job.now += 2 * HOUR_MS;
  expect(job.dispatch()).toMatchObject([{ triggers: [{ user: '1' }] }]);

  const unhealthy = quietJob(3);
  for (const user of ['1', '2', '3']) unhealthy.signal(user);
  unhealthy.now += HOUR_MS - 2000;
  unhealthy.dispatch();
  unhealthy.failAll({ status: 500 });
  expect(unhealthy.status.endpoint).toMatchObject({ state: 'unhealthy' });
  unhealthy.now += HOUR_MS;
  expect(unhealthy.dispatch()).toEqual([]);
  unhealthy.now += HOUR_MS + 2000;
  expect(unhealthy.dispatch()).toHaveLength(1);
});

test('a job that drops in quiet hours counts that as filtered, and sends waiting and redelivered triggers afterwards', () => {
  const job = quietJob(1, { meanwhile: 'drop' });
  job.now += HOUR_MS - 500;
  job.signal('before');
  job.now += 500;
  job.signal('1');
  job.signal('1', 'exit');
  job.redeliver({ audience: 'a'.repeat(32), event: 'enter', at: '2025-12-31T00:00:00.000000000Z', redelivery: 1 });
  expect(job.status).toMatchObject({ received: 3, filtered: 2, waiting: 2 });
  job.now += 2 * HOUR_MS - 1;
  job.signal('2');
  job.now += 1;
  job.signal('3');
  expect(job.dispatchedUsers().flat()).toEqual(['before', '3']);
  job.endAll();
  expect(job.dispatchedUsers().flat()).toEqual(['1']);
  expect(job.status).toMatchObject({ received: 5, filtered: 3 });
});

test('a trigger dropped in quiet hours still counts: a backfill does not send members that it contradicts', () => {
  const job = quietJob(1, { meanwhile: 'drop' });
  job.now += HOUR_MS;
  job.backfill(['stays', 'leaves']);
  job.signal('leaves', 'exit');
  // And members that were read before it are not sent, either.
  job.now += 2 * HOUR_MS;
  expect(job.dispatchedUsers()).toEqual([['stays']]);
  expect(job.status).toMatchObject({ filtered: 1, backfill: { superseded: 1 } });
});

test('a backfill waits in quiet hours, whatever becomes of triggers, and its child is left alone', () => {
  const job = quietJob(1, { meanwhile: 'drop' });
  job.now += HOUR_MS;
  job.backfill(['member'], { last: false });
  expect(job.step()).toMatchObject({ kind: 'start-backfill' });
  expect(job.waitsMs).toBe(2 * HOUR_MS);
  job.now += 2 * HOUR_MS;
  expect(job.dispatchedUsers()).toEqual([['member']]);
});

test('quiet hours raise no alert about what waits, until it has waited as long after them', () => {
  const job = new AJob(1, { alertBacklogMs: HOUR_MS / 2 });
  edit(job, NIGHT);
  job.now += HOUR_MS;
  job.signal('1');
  job.now += 2 * HOUR_MS - 1;
  expect(job.dispatch()).toEqual([]);
  expect(job.alerts).toEqual([]);
  job.now += 1;
  job.fail({ status: 500 });
  job.now += HOUR_MS / 2 - 1;
  job.fail({ status: 500 });
  expect(job.alerts).toEqual([]);
  job.now += 1;
  job.dispatch();
  expect(job.alerts).toMatchObject([{ kind: 'backlog-old' }]);
});

test('a status says when it is quiet and until when, and from when on a stopping job sends', () => {
  const job = quietJob(1, { days: ['mon', 'fri'] });
  const always = '22:00 to 08:00 in Europe/Berlin, from mon, fri; what comes meanwhile waits';
  expect(rowOf(job)).toBe(always);
  expect(job.status.waits).toEqual({});
  job.now += HOUR_MS;
  job.signal('1');
  expect(job.status).toMatchObject({ state: 'running', waits: { quiet: '2026-01-01T03:00:00.000000000Z' } });
  expect(rowOf(job)).toBe(`${always}; now, until 2026-01-01 03:00:00 UTC (08:00 there)`);
  stopJob(job.state, 'deliver', job.now + 24 * HOUR_MS);
  expect(job.status.reason).toBe(
    'Asked to stop; what is waiting is sent first, from 2026-01-01T03:00:00Z on, after the quiet hours; what is left at 2026-01-02T01:00:00Z is kept.',
  );
  expect(job.dispatch()).toEqual([]);
  job.now += 2 * HOUR_MS;
  expect(job.dispatchedUsers()).toEqual([['1']]);
  edit(job, null);
  expect(rowOf(job)).toBeUndefined();
});

/** When the job wakes by itself from now on, in hours from its start, up to so many of them. */
function wakesUntil(job: AJob, hours: number): number[] {
  const started = Date.UTC(2026, 0, 1);
  const woken: number[] = [];
  for (let waits = job.waitsMs; waits !== undefined; waits = job.waitsMs) {
    job.now += waits;
    if (job.now > started + hours * HOUR_MS) break;
    woken.push((job.now - started) / HOUR_MS);
  }
  return woken;
}

test('an idle or paused job wakes only when quiet hours begin and end, to keep its status true', () => {
  const nights = [
    [1, 3],
    [25, 27],
  ] as const;
  const idle = quietJob(1, {}, nights);
  expect(wakesUntil(idle, 100)).toEqual([1, 3, 25, 27]);
  // With work, it is the same timer that ends the wait.
  const waiting = quietJob(1, {}, nights);
  waiting.now += HOUR_MS;
  waiting.signal('1');
  expect(waiting.waitsMs).toBe(2 * HOUR_MS);
  waiting.now += 2 * HOUR_MS;
  expect(waiting.dispatchedUsers()).toEqual([['1']]);
  const paused = quietJob(1, {}, nights);
  pauseJob(paused.state);
  expect(wakesUntil(paused, 100)).toEqual([1, 3, 25, 27]);
});

test('an idle job without a calendar sets no timer', () => {
  const job = new AJob(1).signals('1');
  job.send();
  expect(job.waitsMs).toBeUndefined();
});

test('the next attempt and the next probe, due in quiet hours, are shown as due at their end', () => {
  const job = quietJob(3, {}, [[1, 3]]);
  job.now += HOUR_MS - 2000;
  for (const user of ['1', '2', '3']) job.signal(user);
  job.dispatch();
  job.failAll({ status: 500 });
  expect(describePerson(job.state, '1', job.now)).toMatchObject({
    chain: { place: 'delayed', nextAttemptAt: '2026-01-01T03:00:00.000000000Z' },
    endpoint: { state: 'unhealthy', nextProbeAt: '2026-01-01T03:00:00.000000000Z' },
  });
});

test('an end in quiet hours leaves time to send afterwards', () => {
  const job = quietJob();
  const { calendar } = job.state.job;
  job.edit({ endsAt: '2026-01-01T02:00:00Z' }, calendar && { calendar });
  job.now += HOUR_MS;
  job.signal('1');
  job.now += HOUR_MS;
  expect(job.dispatch()).toEqual([]);
  expect(job.status.reason).toMatch(/what is left at 2026-01-01T04:00:00Z is kept/);
  job.now += HOUR_MS;
  expect(job.dispatchedUsers()).toEqual([['1']]);
});

test('an edit counts at once: it ends quiet hours, or begins them', () => {
  const job = quietJob();
  job.now += HOUR_MS;
  job.signal('1');
  expect(job.dispatch()).toEqual([]);
  edit(job, null);
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end();
  job.signal('2');
  edit(job, NIGHT, [[0, 2]]);
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(HOUR_MS);
});

test('a calendar is read anew half a day before it ends; without one nothing is sent, and nothing is dropped', () => {
  const job = quietJob(1, { meanwhile: 'drop' }, []);
  expect(job.waitsMs).toBe(180 * HOUR_MS);
  job.now += 180 * HOUR_MS;
  const revision = job.state.job.revision;
  expect(job.step()).toEqual({
    kind: 'read-calendar',
    settings: { quietHours: { ...NIGHT, meanwhile: 'drop' }, quota: null },
    from: job.now,
    revision,
  });
  job.signal('1');
  // Once.
  expect(job.dispatchedUsers()).toEqual([['1']]);
  job.end();
  job.now += 12 * HOUR_MS;
  job.signal('2');
  expect(job.dispatch()).toEqual([]);
  // For no time that is known: what reads it wakes the job.
  expect(job.waitsMs).toBe(job.state.job.alertBacklogMs);
  expect(job.status).toMatchObject({ waiting: 1 });
  calendarRead(job.state, revision, { quiet: [], untilMs: job.now + 192 * HOUR_MS });
  expect(job.dispatchedUsers()).toEqual([['2']]);
});

test('a calendar read before an edit does not count, and the next run asks for a missing one', () => {
  const job = quietJob();
  const { revision, calendar } = job.state.job;
  job.now += 190 * HOUR_MS;
  expect(job.step()).toMatchObject({ kind: 'read-calendar' });
  edit(job, { ...NIGHT, from: '21:00' });
  calendarRead(job.state, revision, { quiet: [], untilMs: Infinity });
  expect(job.state.job.calendar).toEqual(calendar);
  const { calendar: _, ...record } = job.state.job;
  const carried = { ...carryJob(job.state), job: record };
  job.state = restoreJob(structuredClone(carried));
  job.signal('1');
  expect(job.step()).toMatchObject({ kind: 'read-calendar', revision: revision + 1 });
  expect(job.dispatch()).toEqual([]);
});

test('in quiet hours a job may continue as new, and goes on being quiet', () => {
  const job = quietJob();
  job.now += HOUR_MS;
  job.signal('1');
  expect(job.facts({ continueSuggested: true }).step()).toEqual({ kind: 'continue-as-new' });
  job.facts({});
  job.nextRun();
  expect(job.dispatch()).toEqual([]);
  expect(job.waitsMs).toBe(2 * HOUR_MS);
});
