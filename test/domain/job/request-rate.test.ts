import { expect, test } from '@jest/globals';
import type { SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import { loseSlice, returnPermits, settleSlice } from '../../../src/domain/job/settling.ts';
import { RequestSpacing } from '../../../src/domain/job/throttles/request-rate.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';

function edit(job: AJob, requestsPerSecond: number | null, more: object = {}): void {
  job.edit({ requestsPerSecond, ...more });
}

/** A job with a rate, for which so many people wait. */
function jobAt(requestsPerSecond: number, waiting: number, permits = 50): AJob {
  const job = new AJob(permits);
  edit(job, requestsPerSecond);
  for (let i = 0; i < waiting; i++) job.signal(`person ${i}`);
  return job;
}

/** What a slice reports that began when it was dispatched, and started each request as soon as it could; `now` becomes the time of the last one. */
function send(job: AJob, slice: SliceInput): SliceReport {
  const { pace } = slice;
  if (pace === undefined) throw new Error('The slice has no pace.');
  const spacing = new RequestSpacing(pace.perSecond, pace.nextAtMs ?? -Infinity);
  for (const _ of slice.triggers) {
    job.now = Math.max(job.now, Math.ceil(spacing.from));
    spacing.start(job.now);
  }
  const end = { nextAtMs: spacing.from, inMs: spacing.from - job.now };
  return { failed: [], unsent: [], sendingMs: 1, spacing: end };
}

function sendAll(job: AJob): void {
  for (const slice of job.running.splice(0)) settleSlice(job.state, slice.sliceId, send(job, slice), job.now);
}

test('a job with a rate runs one slice at a time, with all permits and a second of requests', () => {
  const job = jobAt(20, 100);
  const [slice, ...more] = job.dispatch();
  expect(more).toEqual([]);
  // Half a second's worth at once, and then one every 50 ms.
  expect(slice).toMatchObject({ permits: 30, budgetMs: 1500, pace: { perSecond: 20 } });
  expect(slice?.triggers).toHaveLength(30);
  sendAll(job);
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([20]);
});

test.each([5, 20, 200])(
  'a rate of %i a second is kept within a twentieth over ten seconds, with late slices',
  (rate) => {
    const job = jobAt(rate, rate * 12, 500);
    const startedAt = job.now;
    const lateMs = [40, 90, 150, 10];
    for (let n = 0; job.now < startedAt + 10_000; n++) {
      job.dispatch();
      job.now += lateMs[n % 4] ?? 0;
      sendAll(job);
      job.now += lateMs[(n + 1) % 4] ?? 0;
    }
    const { delivered } = job.status;
    const due = ((job.now - startedAt) * rate) / 1000;
    expect(delivered).toBeLessThanOrEqual(due * 1.05 + 1);
    expect(delivered).toBeGreaterThanOrEqual(due * 0.95 - 1);
  },
);

test('a low rate sends one after the other, and wakes a second early, since timers are late', () => {
  const job = jobAt(0.1, 3);
  const at: number[] = [];
  for (let n = 0; n < 3; n++) {
    expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([1]);
    sendAll(job);
    at.push(job.now);
    if (n < 2) {
      expect(job.waitsMs).toBe(9000);
      job.now += 9900; // The timer was late.
    }
  }
  expect(at.map((time) => time - (at[0] ?? 0))).toEqual([0, 10_000, 20_000]);
  expect(job.waitsMs).toBeUndefined();
});

test('a status says what the rate makes wait, and until when', () => {
  const job = jobAt(0.1, 2);
  const row = () => statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Rate limit')?.value;
  expect(row()).toBe('at most 0.1 requests a second');
  job.dispatch();
  sendAll(job);
  expect(job.status).toMatchObject({ requestsPerSecond: 0.1, waits: { rate: '2026-01-01T00:00:10.000000000Z' } });
  expect(row()).toBe('at most 0.1 requests a second; the next one goes 2026-01-01T00:00:10.000000000Z');
  job.now += 10_000;
  job.dispatch();
  sendAll(job);
  // Nobody waits.
  expect(job.status.waits).toEqual({});
  edit(job, null);
  expect(row()).toBeUndefined();
});

test('all requests count as started if a slice is lost or its report is unreadable or from an older worker', () => {
  for (const end of [loseSlice, settleSlice]) {
    const job = jobAt(0.1, 3);
    const [slice] = job.dispatch();
    job.running.length = 0;
    end(job.state, slice?.sliceId ?? 0, undefined, job.now);
    expect(job.waitsMs).toBe(9000);
  }
  const job = jobAt(0.1, 3);
  job.send();
  expect(job.waitsMs).toBe(9000);
});

test('the next slice is dispatched once a slice has started its last request, without waiting for the answers', () => {
  const job = jobAt(20, 100, 50);
  const [slice] = job.dispatch();
  const sliceId = slice?.sliceId ?? 0;
  const report = slice === undefined ? undefined : send(job, slice);
  returnPermits(job.state, { sliceId, left: 20 }, job.now);
  expect(job.dispatch()).toEqual([]);
  returnPermits(job.state, { sliceId, left: 20, spacing: { inMs: 'soon' } }, job.now);
  expect(job.dispatch()).toEqual([]);
  returnPermits(job.state, { sliceId, left: 20, spacing: report?.spacing }, job.now);
  const [next] = job.dispatch();
  expect(next).toMatchObject({ permits: 20, pace: { nextAtMs: report?.spacing?.nextAtMs } });
  // What it reports in the end says nothing new.
  const { spacing } = job.state;
  settleSlice(job.state, sliceId, { ...report, spacing: { nextAtMs: 0, inMs: -1e9 } }, job.now);
  expect(job.state.spacing).toEqual(spacing);
});

test('the slice after an edit has the new rate, runs beside no old slice, and keeps no old wait', () => {
  const job = new AJob(10);
  for (let i = 0; i < 1000; i++) job.signal(`person ${i}`);
  const unpaced = job.dispatch();
  expect(unpaced.length).toBeGreaterThan(1);
  expect(unpaced.every(({ pace }) => pace === undefined)).toBe(true);
  edit(job, 0.01);
  expect(job.dispatch()).toEqual([]);
  job.endAll();
  for (let i = 0; i < 100; i++) job.signal(`later ${i}`);
  expect(job.dispatch()).toMatchObject([{ pace: { perSecond: 0.01 } }]);
  sendAll(job);
  expect(job.waitsMs).toBe(99_000);
  edit(job, 10);
  expect(job.dispatch()).toMatchObject([{ pace: { perSecond: 10 } }]);
  job.running.length = 0;
  edit(job, null);
  job.now += 1;
  expect(job.dispatch().every(({ pace }) => pace === undefined)).toBe(true);
});

test('a probe of an unhealthy endpoint counts, too', () => {
  const job = jobAt(0.05, 20);
  for (let n = 0; n < 12; n++) {
    job.dispatch();
    for (const slice of job.running.splice(0)) {
      const report = send(job, slice);
      settleSlice(job.state, slice.sliceId, { ...report, failed: [{ index: 0, status: 500, durationMs: 1 }] }, job.now);
    }
    if (job.status.endpoint?.state === 'unhealthy') break;
    job.now += 20_000;
  }
  expect(job.status.endpoint).toMatchObject({ state: 'unhealthy' });
  // The breaker asks for less than the rate.
  expect(job.waitsMs).toBe(19_000);
});

test('a backfill has its own limit beside that of the job', () => {
  const job = jobAt(100, 0, 100);
  edit(job, 100, { backfillPerSecond: 10 });
  job.backfill(Array.from({ length: 100 }, (_, index) => `member-${index}`));
  job.now += 1000;
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([10]);
  sendAll(job);
  edit(job, 2, { backfillPerSecond: 10 });
  job.now += 1000;
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([3]);
});
