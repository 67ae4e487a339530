import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { operateBackfill } from '../../../src/domain/job/operating.ts';
import { BackfillPace } from '../../../src/domain/job/throttles/pace.ts';
import { slicePermits, sliceSize, updateRequestMs } from '../../../src/domain/job/throttles/slice-size.ts';
import { AJob } from './a-job.ts';
import { always } from '../../support/properties.ts';

const people = (count: number): string[] => Array.from({ length: count }, (_, index) => `member-${index}`);

/** A job with a backfill of so many people, all of them read. */
function jobOf(count: number, limits: { perSecond?: number; parallel?: number; permits?: number } = {}): AJob {
  const job = new AJob(limits.permits ?? 10);
  job.edit({ backfillPerSecond: limits.perSecond ?? null, backfillParallelCount: limits.parallel ?? null });
  job.backfill(people(count));
  return job;
}

/** Sends all that may be sent now; how many that were. */
const send = (job: AJob) => job.sendAll().length;

describe('the rate of a backfill', () => {
  test('a backfill keeps its rate each second, and its job wakes within a second to go on', () => {
    const job = jobOf(1000, { perSecond: 100 });
    const sent: number[] = [];
    for (let second = 0; second < 5; second++) {
      job.now += 1000;
      sent.push(send(job));
      expect(job.waitsMs).toBeLessThanOrEqual(1000);
    }
    expect(sent).toEqual([100, 100, 100, 100, 100]);
  });

  test('a rate below one a second sends one person after the other', () => {
    const job = jobOf(5, { perSecond: 0.5 });
    const at: number[] = [];
    for (let second = 1; second <= 8; second++) {
      job.now += 1000;
      if (send(job) > 0) at.push(second);
    }
    expect(at).toEqual([2, 4, 6, 8]);
  });

  test('a fractional rate is kept in the long run, by a slice a second and not one for each person', () => {
    const pace = new BackfillPace({ granted: 0, since: 0 });
    const perSecond = 3.3;
    let [sent, times] = [0, 0];
    for (let now = 0; now <= 100_000; now += 100) {
      const allowed = pace.allowed(1000, perSecond, now);
      if (allowed > 0) times++;
      for (let i = 0; i < allowed; i++) pace.spend(1000 - i, perSecond, now);
      sent += allowed;
    }
    expect(sent).toBeGreaterThanOrEqual(327);
    expect(times).toBeLessThanOrEqual(110);
  });

  test('a rate makes up for a wait that ended late, and for two seconds at most', () => {
    const job = jobOf(1000, { perSecond: 100 });
    job.now += 1900;
    expect(send(job)).toBe(190);
    job.now += 60_000;
    expect(send(job)).toBe(200);
  });

  test('a rate does not hold back live triggers', () => {
    const job = jobOf(1000, { perSecond: 10 });
    for (let user = 0; user < 50; user++) job.signal(`live-${user}`, 'exit');
    expect(send(job)).toBe(50);
  });

  test('a backfill never hands out more than its rate allows, whenever members come', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.nat(500)), { minLength: 1, maxLength: 40 });
    always(
      fc.property(fc.double({ min: 0.1, max: 300, noNaN: true }), steps, (perSecond, all) => {
        let pace = new BackfillPace({ granted: 0, since: 0 });
        let now = 0;
        let sent = 0;
        for (const [ms, waiting] of all) {
          now += ms;
          const allowed = pace.allowed(waiting, perSecond, now);
          const next = pace.nextAt(waiting, perSecond, now);
          expect(allowed === 0 || next === undefined).toBe(true);
          // If nobody may go now and only time holds them, the pace says when somebody may.
          if (allowed === 0 && waiting > 0) {
            expect(next).toBeGreaterThan(now);
            expect(pace.allowed(waiting, perSecond, next ?? 0)).toBeGreaterThan(0);
          }
          for (let i = 0; i < allowed; i++) pace.spend(waiting - i, perSecond, now);
          sent += allowed;
          expect(sent).toBeLessThanOrEqual((perSecond * now) / 1000 + 1e-3);
          pace = new BackfillPace(JSON.parse(JSON.stringify(pace.carry())) as ReturnType<BackfillPace['carry']>);
        }
      }),
    );
  });
});

test('a share of the permits leaves the others to live triggers, whatever the backfill has left to do', () => {
  const job = jobOf(5000, { parallel: 3 });
  const permitsOf = (slices: readonly { permits: number }[]) => slices.reduce((sum, { permits }) => sum + permits, 0);
  expect(permitsOf(job.dispatch())).toBe(3);
  for (let user = 0; user < 5000; user++) job.signal(`live-${user}`, 'exit');
  const live = job.dispatch();
  expect(permitsOf(live)).toBe(7);
  expect(live.flatMap(({ triggers }) => triggers.map(({ event }) => event))).not.toContain('enter');
});

test('live triggers are shared out among all the permits that are free, however many members wait', () => {
  const job = jobOf(5000, { permits: 4 });
  for (let user = 0; user < 200; user++) job.signal(`live-${user}`, 'exit');
  // Every fourth slice is the backfill's.
  expect(
    job
      .dispatch()
      .map(({ triggers }) => triggers.length)
      .slice(0, 3),
  ).toEqual([50, 50, 50]);
});

describe('pausing a backfill', () => {
  test('a paused backfill sends no new members, live triggers still go, and an operator may resume it', () => {
    const job = jobOf(100);
    expect(operateBackfill(job.state, 'pause')).toBeUndefined();
    job.signal('live', 'exit');
    expect(send(job)).toBe(1);
    expect(job.status.backfill).toMatchObject({ state: 'paused', pausedBy: 'operator', delivered: 0, waiting: 100 });
    job.nextRun();
    expect(send(job)).toBe(0);
    expect(operateBackfill(job.state, 'resume')).toBeUndefined();
    expect(send(job)).toBe(100);
    expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 100 });
  });

  test('a paused backfill may be cancelled, and then cannot be resumed', () => {
    const job = jobOf(100);
    operateBackfill(job.state, 'pause');
    operateBackfill(job.state, 'cancel');
    expect(send(job)).toBe(0);
    expect(job.status.backfill).toMatchObject({ state: 'cancelled', waiting: 0 });
    expect(operateBackfill(job.state, 'resume')).toMatch(/^No backfill is running/);
  });
});

test('a sample is sent and nobody else, until it is resumed', () => {
  const job = new AJob(10);
  job.backfill(people(50), { sample: 1 });
  expect(send(job)).toBe(1);
  expect(job.status.backfill).toMatchObject({ state: 'paused', pausedBy: 'sample', delivered: 1, waiting: 49 });
  operateBackfill(job.state, 'resume');
  expect(send(job)).toBe(49);
});

test('the status shows the number of members, the rate and the time left, as far as they are known', () => {
  const job = new AJob(10);
  job.backfill(people(100), { last: false, expected: 1000 });
  for (let second = 0; second < 10; second++) {
    job.now += 1000;
    const [slice] = job.dispatch();
    if (slice !== undefined) job.end();
  }
  const { expected, ratePerSecond = 0, secondsLeft = 0 } = job.status.backfill ?? {};
  expect(expected).toBe(1000);
  expect(ratePerSecond).toBeGreaterThan(5);
  expect(secondsLeft).toBeGreaterThan(10);
});

test.each([
  [20, 16, 2],
  [5, 5, 1],
  [500, 16, 32],
  [1, 1, 1],
  [3, 0, 3],
])('%i free permits over %i slices are %i each', (free, slices, permits) => {
  expect(slicePermits(free, slices)).toBe(permits);
});

test.each([
  ['a second of work', { permits: 2, free: 20, ready: 100_000, requestMs: 50 }, 40],
  ['its share of what is ready', { permits: 2, free: 20, ready: 300, requestMs: 50 }, 30],
  ['no fewer than its permits, so that none idles', { permits: 4, free: 20, ready: 1, requestMs: 15_000 }, 4],
  ['no more than a thousand', { permits: 20, free: 20, ready: 1_000_000, requestMs: 0.1 }, 1000],
  ['50 ms of work at least, to be worth the way', { permits: 2, free: 20, ready: 10, requestMs: 1 }, 100],
])('a slice takes %s', (_, { permits, free, ready, requestMs }, size) => {
  expect(sliceSize({ permits, freePermits: free, allPermits: free, ready, requestMs, running: 15, most: 16 })).toBe(
    size,
  );
});

test('with a slow endpoint, a slice leaves the last ready triggers to others, except for 0.1 s of work', () => {
  const measure = { permits: 2, freePermits: 2, allPermits: 20, requestMs: 50, running: 15, most: 16 };
  expect([300, 100, 30].map((ready) => sliceSize({ ...measure, ready }))).toEqual([30, 10, 4]);
});

test('with a fast endpoint, a slice takes all that it can send in a second', () => {
  const measure = { permits: 2, freePermits: 2, allPermits: 20, requestMs: 5, running: 15, most: 16 };
  expect([500, 300].map((ready) => sliceSize({ ...measure, ready }))).toEqual([400, 300]);
});

test('a slice is whole rounds of its permits: none of them waits for the last request of another', () => {
  const measure = { permits: 3, freePermits: 3, allPermits: 50, ready: 100_000, running: 15, most: 16 };
  expect([51.6, 300, 700].map((requestMs) => sliceSize({ ...measure, requestMs }))).toEqual([57, 9, 3]);
});

test('slices that are dispatched together do not end together', () => {
  const measure = { permits: 1, freePermits: 16, allPermits: 16, ready: 100_000, requestMs: 10, most: 4 };
  expect([0, 1, 2, 3].map((running) => sliceSize({ ...measure, running }))).toEqual([25, 50, 75, 100]);
});

test('a slice takes between its permits and a thousand triggers, whatever was measured', () => {
  const count = fc.integer({ min: 1, max: 500 });
  always(
    fc.property(
      count,
      count,
      fc.nat(500),
      fc.nat(10_000_000),
      fc.double({ min: 0, noNaN: true }),
      (a, b, c, ready, requestMs) => {
        const freePermits = Math.max(a, b);
        const measure = { permits: Math.min(a, b), freePermits, allPermits: freePermits + c, ready, requestMs };
        const size = sliceSize({ ...measure, running: a % 16, most: 16 });
        expect(size).toBeGreaterThanOrEqual(Math.min(a, b));
        expect(size).toBeLessThanOrEqual(1000);
        expect(Number.isInteger(size)).toBe(true);
      },
    ),
  );
});

test('the estimate follows what is measured, by half', () => {
  expect(updateRequestMs(100, 5, 50, 500)).toBe(75);
  let ms = 100;
  for (let i = 0; i < 20; i++) ms = updateRequestMs(ms, 20, 1000, 50);
  expect(ms).toBeCloseTo(1, 3);
});

test('permits that had nothing to do do not make requests look slow', () => {
  expect(updateRequestMs(10, 500, 1, 10)).toBe(10);
});

test('a slice that sent nothing teaches nothing', () => {
  expect(updateRequestMs(42, 5, 0, 1000)).toBe(42);
});
