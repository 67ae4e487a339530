import { expect, test } from '@jest/globals';
import type { SliceProgress, SliceReport } from '../../../src/contract/slice.ts';
import { loseSlice, settleSlice } from '../../../src/domain/job/settling.ts';
import { AJob } from './a-job.ts';

const REPORT: SliceReport = {
  failed: [
    { index: 1, status: 503, retryAfterMs: 1000, durationMs: 3, answer: 'busy' },
    { index: 2, code: 'ECONNREFUSED', durationMs: 1 },
  ],
  unsent: [4],
  sendingMs: 12,
};
const PROGRESS: SliceProgress = { delivered: [[0, 0]], failed: REPORT.failed };

/** What a build that we do not know might say in place of anything. */
const STRANGE: readonly unknown[] = [
  undefined,
  null,
  NaN,
  Infinity,
  -1,
  0.5,
  1e15,
  99,
  '',
  'constructor',
  true,
  [],
  [null],
  [[]],
  {},
  { index: null },
  { length: 3 },
];

type Place = readonly (string | number)[];

function placesOf(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [[]];
  return [[], ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner).map((place) => [key, ...place]))];
}

function withStrange(value: unknown, [key, ...place]: Place, strange: unknown): unknown {
  if (key === undefined) return strange;
  if (Array.isArray(value)) return value.map((one, i) => (String(i) === key ? withStrange(one, place, strange) : one));
  const record = value as Record<string, unknown>;
  return { ...record, [key]: withStrange(record[key], place, strange) };
}

/** What `value` would be with something strange in each of its places, one at a time. */
function variations(value: object): { readonly said: string; readonly raw: unknown }[] {
  return placesOf(value).flatMap((place) =>
    STRANGE.map((strange) => ({
      said: `${place.join('.')} = ${JSON.stringify(strange) ?? 'undefined'}`,
      raw: withStrange(value, place, strange),
    })),
  );
}

/** A job with one slice of five triggers about four people: the last two are of one person. */
function aJobWithASlice(): { readonly job: AJob; readonly sliceId: number } {
  const job = new AJob(1).signals('0', '1', '2', '3');
  job.signal('3', 'exit');
  const [slice] = job.dispatch();
  expect(slice?.triggers).toHaveLength(5);
  return { job, sliceId: slice?.sliceId ?? 0 };
}

/** Nothing of the slice is left running, and each trigger is delivered or waits, in its order. */
function expectWhole(job: AJob): void {
  expect(job.state.slices.size).toBe(0);
  for (const user of ['0', '1', '2', '3']) expect(job.state.chains.get(user)?.place ?? 'gone').not.toBe('running');
  const { delivered, waiting, waits } = job.status;
  expect(delivered + waiting).toBe(5);
  expect(waits.endpoint ?? '').not.toContain('NaN');
  // Whatever waits comes out once the endpoint is well.
  for (let round = 0; round < 50 && job.status.waiting > 0; round++) {
    job.running.length = 0;
    job.dispatch();
    job.endAll();
    job.now += 60 * 60_000;
  }
  expect(job.status).toMatchObject({ delivered: 5, waiting: 0, deadLetters: 0 });
}

test('a report settles its slice or gives it back whole, whatever the report says in any place', () => {
  const tried = variations(REPORT);
  for (const { said, raw } of tried) {
    const { job, sliceId } = aJobWithASlice();
    const before = job.status;
    const isRead = settleSlice(job.state, sliceId, raw, job.now);
    if (!isRead) expect({ said, delivered: job.status.delivered }).toEqual({ said, delivered: before.delivered });
    expectWhole(job);
  }
  expect(tried.length).toBeGreaterThan(200);
});

test('nothing of a lost slice stays running, whatever its last heartbeat says in any place', () => {
  for (const { raw } of variations(PROGRESS)) {
    const { job, sliceId } = aJobWithASlice();
    loseSlice(job.state, sliceId, raw, job.now);
    expectWhole(job);
  }
});

test('a report that is unclear about failures counts no deliveries, and its triggers are not sent again at once', () => {
  const { job, sliceId } = aJobWithASlice();
  job.running.length = 0;
  expect(settleSlice(job.state, sliceId, { ...REPORT, failed: [{ ...REPORT.failed[0], index: 5 }] }, job.now)).toBe(
    false,
  );
  expect(job.status).toMatchObject({
    delivered: 0,
    waiting: 5,
    delayed: 4,
    lastFailure: { code: 'REPORT_UNREADABLE' },
  });
  expect(job.dispatch()).toEqual([]);
  expect(job.state.breaker.isOpen).toBe(false);
  job.now += 60_000;
  expect(job.dispatchedMessages()).toHaveLength(5);
});

test('an attempt whose place is clear failed, even if how it failed is not', () => {
  const { job, sliceId } = aJobWithASlice();
  const failed = [{ index: 1, status: 'teapot', code: 7, durationMs: 'long' }];
  expect(settleSlice(job.state, sliceId, { failed, unsent: [], sendingMs: null }, job.now)).toBe(true);
  expect(job.status).toMatchObject({ delivered: 4, waiting: 1, lastFailure: { code: 'REPORT_UNREADABLE' } });
});

test('the last failure names the worker that got it, also in the next run, and its dead letter does not', () => {
  const { job, sliceId } = aJobWithASlice();
  const report = { failed: [{ index: 1, status: 400, durationMs: 1 }], unsent: [], sendingMs: 1, worker: '1@b' };
  settleSlice(job.state, sliceId, report, job.now);
  job.running.length = 0;
  job.nextRun();
  expect(job.status.lastFailure).toMatchObject({ status: 400, worker: '1@b' });
  job.dispatch();
  expect(job.dead[0]?.failure).not.toHaveProperty('worker');
});
