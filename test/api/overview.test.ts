import { expect, test } from '@jest/globals';
import { SharedOverview } from '../../src/api/overview.ts';
import type { JobOverview } from '../../src/client/export-jobs.ts';

/** An overview whose questions are answered when the test says so; each answer has a job named after its number. */
function shared() {
  let now = 1_000;
  const waiting: (() => void)[] = [];
  let asked = 0;
  const overview = new SharedOverview(
    async () => {
      const jobs = [{ jobId: `job-${++asked}` } as JobOverview]; // All that is looked at here.
      await new Promise<void>((resolve) => waiting.push(resolve));
      return jobs;
    },
    () => now,
  );
  return {
    overview,
    asked: () => asked,
    pass: (ms: number) => (now += ms),
    /** The one asked last first. */
    answer: () =>
      waiting
        .splice(0)
        .reverse()
        .forEach((resolve) => resolve()),
  };
}

test('all who ask at the same time, and for two seconds after, get one answer', async () => {
  const { overview, asked, pass, answer } = shared();
  const both = [overview.get(), overview.get()];
  answer();
  const [first, second] = await Promise.all(both);
  expect(first).toMatchObject({ atMs: 1_000, jobs: [{ jobId: 'job-1' }] });
  expect(second).toBe(first);
  pass(1_999);
  expect(await overview.get()).toBe(first);
  pass(1);
  const next = overview.get();
  answer();
  expect(await next).toMatchObject({ atMs: 3_000, jobs: [{ jobId: 'job-2' }] });
  expect(asked()).toBe(2);
});

test('what takes long to ask is asked for seldom: most of the time, jobs are left alone', async () => {
  const { overview, asked, pass, answer } = shared();
  const first = overview.get();
  pass(5_000);
  answer();
  await first;
  pass(19_999);
  await overview.get();
  expect(asked()).toBe(1);
  pass(1);
  const next = overview.get();
  answer();
  await next;
  expect(asked()).toBe(2);
});

test('after a change the next answer is a new one', async () => {
  const { overview, answer } = shared();
  const first = overview.get();
  answer();
  await first;
  overview.forget();
  const next = overview.get();
  answer();
  expect(await next).toMatchObject({ jobs: [{ jobId: 'job-2' }] });

  overview.forget();
  const before = overview.get();
  overview.forget();
  const after = overview.get();
  answer();
  expect(await before).toMatchObject({ jobs: [{ jobId: 'job-3' }] });
  expect(await after).toMatchObject({ jobs: [{ jobId: 'job-4' }] });
  expect(await overview.get()).toBe(await after);
});

test('a question that fails is asked again by the next', async () => {
  let tries = 0;
  const overview = new SharedOverview(async () => {
    tries += 1;
    await Promise.resolve();
    if (tries === 1) throw new Error('away');
    return [];
  });
  await expect(overview.get()).rejects.toThrow('away');
  expect((await overview.get()).jobs).toEqual([]);
});
