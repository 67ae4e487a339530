import { expect, test } from '@jest/globals';
import type { JobDefinition } from '../../../src/contract/export-job.ts';
import { Breaker, UNPROVEN } from '../../../src/domain/job/throttles/breaker.ts';
import { retryNow, stopJob } from '../../../src/domain/job/operating.ts';
import { settleSlice } from '../../../src/domain/job/settling.ts';
import { type CarriedJob, carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import { setJob } from '../../../src/domain/job/state.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';
import { answerSlice } from './model-endpoint.ts';

function edit(job: AJob, batch: { size: number; afterMs?: number } | null, more: object = {}): void {
  const { job: record } = job.state;
  const said = batch === null ? null : { afterMs: 0, ...batch };
  setJob(job.state, { ...record, definition: { ...record.definition, batch: said, ...more } });
}

function jobOf(batch: { size: number; afterMs?: number }, permits = 20, more: object = {}): AJob {
  const job = new AJob(permits);
  edit(job, batch, more);
  return job;
}

function signal(job: AJob, count: number, from = 0): void {
  for (let i = from; i < from + count; i++) job.signal(`person ${i}`);
}

/** How many triggers each slice has that is dispatched now, and how many requests it may make at once. */
const dispatchedSizes = (job: AJob) => job.dispatch().map(({ triggers, permits }) => [triggers.length, permits]);

test('permits are for requests: a slice has as many triggers as its requests can carry', () => {
  const job = jobOf({ size: 100 }, 2);
  signal(job, 1000);
  const [first, ...more] = job.dispatch();
  expect(first).toMatchObject({ settings: { batch: { size: 100 } } });
  expect([first, ...more].reduce((sum, slice) => sum + (slice?.permits ?? 0), 0)).toBeLessThanOrEqual(2);
  expect((first?.triggers.length ?? 0) % 100).toBe(0);
  expect(first?.triggers.length).toBeGreaterThanOrEqual(100);
});

test('a slice asks for no more permits than it has batches', () => {
  const job = jobOf({ size: 100 }, 500);
  signal(job, 250);
  expect(dispatchedSizes(job)).toEqual([[250, 3]]);
});

test('a slice is filled before the next is dispatched; for a slow endpoint it holds one second of work', () => {
  const job = jobOf({ size: 100 }, 20);
  signal(job, 3500);
  expect(dispatchedSizes(job)).toEqual([
    [1000, 5],
    [1000, 5],
    [1000, 5],
    [500, 5],
  ]);
  const slow = jobOf({ size: 100 }, 15);
  slow.state.requestMs = 2000;
  signal(slow, 3500);
  expect(dispatchedSizes(slow)).toEqual([
    [1000, 10],
    [500, 5],
  ]);
});

test('ready triggers go at once if batches have no time to wait', () => {
  const job = jobOf({ size: 100 });
  signal(job, 3);
  expect(dispatchedSizes(job)).toEqual([[3, 1]]);
  expect(job.waitsMs).toBeUndefined();
});

test('a batch that is not full waits from its oldest trigger on, and no longer; full ones go at once', () => {
  const job = jobOf({ size: 10, afterMs: 5000 });
  signal(job, 4);
  expect([job.dispatch(), job.waitsMs]).toEqual([[], 5000]);
  job.now += 2000;
  signal(job, 4, 4);
  expect([job.dispatch(), job.waitsMs]).toEqual([[], 3000]);
  job.now += 1000;
  signal(job, 17, 8);
  expect(dispatchedSizes(job)).toEqual([[20, 2]]);
  expect(job.waitsMs).toBe(2000);
  job.now += 2000;
  expect(dispatchedSizes(job)).toEqual([[5, 1]]);
  expect(job.waitsMs).toBeUndefined();
  job.now += 60_000;
  signal(job, 1, 100);
  expect([job.dispatch(), job.waitsMs]).toEqual([[], 5000]);
});

test('all triggers count, also those of one person', () => {
  const job = jobOf({ size: 3, afterMs: 5000 });
  for (let i = 0; i < 3; i++) job.signal('one', i % 2 === 0 ? 'enter' : 'exit', { at: `2026-01-01T00:00:0${i}Z` });
  expect(dispatchedSizes(job)).toEqual([[3, 1]]);
});

test('the next run knows which triggers wait for a batch, and since when', () => {
  const job = jobOf({ size: 10, afterMs: 5000 });
  signal(job, 1);
  job.dispatch();
  job.nextRun();
  job.now += 1000;
  expect([job.dispatch(), job.waitsMs]).toEqual([[], 4000]);
});

test('a status says what a batch waits for, and until when', () => {
  const job = jobOf({ size: 10, afterMs: 5000 });
  const row = () => statusRows(job.status, { time: (at) => at }).find(({ name }) => name === 'Batches')?.value;
  expect(row()).toBe('at most 10 in a request, or what is there after 5 s');
  signal(job, 1);
  job.dispatch();
  expect(job.status).toMatchObject({
    batch: { size: 10, afterMs: 5000 },
    waits: { batch: '2026-01-01T00:00:05.000000000Z' },
  });
  expect(row()).toBe(
    'at most 10 in a request, or what is there after 5 s; the next one goes when it is full, or 2026-01-01T00:00:05.000000000Z',
  );
  edit(job, { size: 10 });
  expect(row()).toBe('at most 10 in a request');
  edit(job, null);
  expect(row()).toBeUndefined();
});

test('a new or unhealthy endpoint is probed with one trigger, at once', () => {
  const job = jobOf({ size: 10, afterMs: 60_000 });
  job.state.breaker = new Breaker(UNPROVEN);
  signal(job, 30);
  expect(dispatchedSizes(job)).toEqual([[1, 1]]);
  job.end({ 0: { status: 500 } });
  expect(dispatchedSizes(job)).toEqual([[1, 1]]);
});

test('an edit that turns batches off makes the endpoint new, and another batch size does not', () => {
  const job = jobOf({ size: 10 });
  const change = (batch: JobDefinition['batch']) => {
    job.edit({ batch });
    return job.state.breaker.isUnproven;
  };
  expect(change({ size: 50, afterMs: 1000 })).toBe(false);
  expect(change(null)).toBe(true);
});

test('a job that stops, and one that is to try now, wait for no batch to fill', () => {
  for (const end of [
    (job: AJob) => stopJob(job.state, 'deliver', job.now + 60_000),
    (job: AJob) => retryNow(job.state, job.now),
  ]) {
    const job = jobOf({ size: 10, afterMs: 60_000 });
    signal(job, 2);
    expect(job.dispatch()).toEqual([]);
    end(job);
    expect(dispatchedSizes(job)).toEqual([[2, 1]]);
  }
});

test('triggers that a slice gives back have waited before, and go at once', () => {
  const job = jobOf({ size: 10, afterMs: 60_000 });
  signal(job, 10);
  job.send({}, [3, 4]);
  expect(dispatchedSizes(job)).toEqual([[2, 1]]);
});

test('an answer to a batch counts once for the breaker, and its people come back together', () => {
  const job = jobOf({ size: 10 }, 1);
  signal(job, 10);
  job.send(
    Object.fromEntries(Array.from({ length: 10 }, (_, n) => [n, { status: 503, ...(n === 0 ? {} : { like: 0 }) }])),
  );
  expect(job.status).toMatchObject({ delayed: 10, waiting: 10 });
  expect(job.status).not.toHaveProperty('endpoint');
  job.now += job.waitsMs ?? 0;
  expect(dispatchedSizes(job)).toEqual([[10, 1]]);
});

test('a person who fails in a batch is in ever smaller ones, and alone at the last attempt', () => {
  for (const retryFor of [null, '1m']) {
    const job = jobOf({ size: 1000 }, 500, { retryFor });
    signal(job, 1000);
    const seen: number[] = [];
    while (job.dead.length < 1000) {
      for (const slice of job.dispatch()) {
        const { report } = answerSlice(slice, [500], Infinity);
        const own = report.failed.find(({ index }) => slice.triggers[index]?.user === 'person 0');
        const first = own?.like ?? own?.index;
        if (own !== undefined) seen.push(report.failed.filter(({ index, like = index }) => like === first).length);
        settleSlice(job.state, slice.sliceId, report, job.now);
      }
      job.running.length = 0;
      // Whatever it is that fails, the endpoint is well.
      job.state.breaker = new Breaker();
      job.now += job.waitsMs ?? 0;
    }
    expect([seen[0], seen.at(-1)]).toEqual([1000, 1]);
    for (const [n, size] of seen.slice(1).entries()) expect(size).toBeLessThanOrEqual(Math.ceil((seen[n] ?? 0) / 4));
  }
});

test('a person whom an edit of the schedule leaves no attempt gets one more, alone', () => {
  const job = jobOf({ size: 256 }, 500);
  signal(job, 256);
  const fail = () => {
    job.state.breaker = new Breaker();
    const slices = job.dispatch();
    for (const slice of slices)
      settleSlice(job.state, slice.sliceId, answerSlice(slice, [500], Infinity).report, job.now);
    job.running.length = 0;
    job.now += 20 * 60_000;
    return Math.max(...slices.flatMap(({ triggers }) => triggers.map(({ batchMost = 256 }) => batchMost)));
  };
  for (let attempt = 1; attempt <= 3; attempt++) fail();
  edit(job, { size: 256 }, { retryFor: '1m' });
  expect(fail()).toBe(4);
  expect(job.dead).toEqual([]);
  expect(fail()).toBe(1);
  job.dispatch();
  expect(job.dead).toHaveLength(256);
  expect(job.dead[0]).toMatchObject({ attempts: 5, failure: { status: 500 } });
});

test('a failure that refers to another needs no details of its own', () => {
  const job = jobOf({ size: 2, answers: { '409': 'dead-letter' } } as never, 1);
  signal(job, 2);
  job.send({ 0: { status: 409, as: 'given-up', answer: 'no' }, 1: { like: 0 } });
  expect(job.dead.length).toBe(0);
  job.dispatch();
  expect(job.dead).toMatchObject([
    { failure: { status: 409, answer: 'no' } },
    { failure: { status: 409, answer: 'no' } },
  ]);
});

test('a failure that refers to an unreported one is unreadable, and is blamed on nobody', () => {
  const job = jobOf({ size: 2 }, 1);
  signal(job, 2);
  job.send({ 1: { like: 7 } });
  expect(job.status).toMatchObject({ delivered: 1, delayed: 1, lastFailure: { code: 'REPORT_UNREADABLE' } });
});

test('the sizes of a halved batch go with its people into the next slice and the next run', () => {
  const job = jobOf({ size: 4 }, 1);
  signal(job, 4);
  const [slice] = job.dispatch();
  job.running.length = 0;
  const report = { failed: [], unsent: [0, 1, 2, 3], sendingMs: 1, halved: [[0, 1], [1, 1], [2, 2], [9, 1], 'x'] };
  settleSlice(job.state, slice?.sliceId ?? 0, report, job.now);
  const before = job.state.chains.bytes;
  const carried = carryJob(job.state);
  expect(JSON.stringify(carried).length).toBeLessThanOrEqual(estimateBytes(job.state));
  job.state = restoreJob(JSON.parse(JSON.stringify(carried)) as CarriedJob);
  expect(job.state.chains.bytes).toBe(before);
  const [next] = job.dispatch();
  expect(next?.triggers.map(({ batchMost }) => batchMost)).toEqual([1, 1, 2, undefined]);
  // 1 + 1 + one for both others.
  expect(next?.permits).toBe(1);
  job.end({ 3: { status: 500 } });
  expect([job.state.chains.count, job.status.delayed]).toEqual([1, 1]);
});

test('with a request rate, a slice has as many batches as may start', () => {
  const job = jobOf({ size: 10 }, 50, { requestsPerSecond: 20 });
  signal(job, 1000);
  // Half a second's worth at once, and then one every 50 ms.
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([300]);
});

test('batches of a backfill are full, but for the last', () => {
  const job = jobOf({ size: 10 }, 1);
  const ids = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `member-${from + n}`);
  job.backfill(ids(25), { last: false });
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([20]);
  job.end();
  expect(job.dispatch()).toEqual([]);
  // It does not wait for a source that is down.
  expect(job.waitsMs).toBe(5000);
  job.page(2, ids(7, 25));
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([12]);
});

test('members that a limit lets go are not waited for', () => {
  const job = jobOf({ size: 100 }, 1, { backfillPerSecond: 30 });
  job.backfill(
    Array.from({ length: 1000 }, (_, n) => `member-${n}`),
    { last: false },
  );
  job.now += 1000;
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([30]);
});

test('live triggers that wait for their batch leave the permits to a backfill', () => {
  const job = jobOf({ size: 10, afterMs: 5000 }, 1);
  signal(job, 2);
  job.backfill(Array.from({ length: 30 }, (_, n) => `member-${n}`));
  const [slice] = job.dispatch();
  expect(slice?.kind).toBe('backfill');
  job.now += 5000;
  job.end();
  expect(job.dispatch().map(({ triggers }) => triggers.length)).toEqual([2]);
});
