import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { type Answer, IdempotencyStore, type RepeatKey } from '../../src/api/idempotency-store.ts';
import { createPushClock } from '../../src/client/push/push.ts';

const of = (request: string, caller = 'shop'): RepeatKey => ({ caller, request });
const K = of('k');
const accepted: Answer = { status: 202, headers: {}, body: { accepted: 1 } };
const away: Answer = { status: 503, headers: {}, body: {} };

test('a repeat gets the first answer, also while that is still being made, and nothing is done twice', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  let acts = 0;
  const act = async (): Promise<Answer> => {
    acts += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
    return accepted;
  };
  const both = await Promise.all([repeats.once(K, 'body', act), repeats.once(K, 'body', act)]);
  const later = await repeats.once(K, 'body', act);
  expect([...both, later].map(({ isReplayed }) => isReplayed)).toEqual([false, true, true]);
  expect(acts).toBe(1);
});

test('a failed request is done again, and its triggers have the same times as before', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  const times: string[][] = [];
  const answers = [away, undefined, accepted];
  const act = async (atOf: (index: number) => string): Promise<Answer> => {
    times.push([atOf(0), atOf(1)]);
    const answer = answers.shift();
    if (answer === undefined) throw new Error('Temporal is away.');
    return await Promise.resolve(answer);
  };
  expect((await repeats.once(K, 'body', act)).status).toBe(503);
  await expect(repeats.once(K, 'body', act)).rejects.toThrow('away');
  expect(await repeats.once(K, 'body', act)).toMatchObject({ status: 202, isReplayed: false });
  expect(new Set(times.map((each) => each.join())).size).toBe(1);
  expect(times[0]?.[0]).not.toBe(times[0]?.[1]);
});

test('a key that was used for another body is refused; without a key everything is done', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  await repeats.once(K, 'one', act);
  await expect(repeats.once(K, 'other', act)).rejects.toThrow(/used for another request/);
  const without = [await repeats.once(undefined, 'one', act), await repeats.once(undefined, 'one', act)];
  expect(without.map(({ isReplayed }) => isReplayed)).toEqual([false, false]);
});

test('a day later a key is as good as new', async () => {
  let now = 0;
  const repeats = new IdempotencyStore(createPushClock(), () => now);
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  await repeats.once(K, 'one', act);
  now = 25 * 3_600_000;
  expect(await repeats.once(K, 'other', act)).toMatchObject({ isReplayed: false });
});

test('[S44] keys of any length are remembered in a few bytes', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void; // What the flag brings.
  const repeats = new IdempotencyStore(createPushClock());
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 50; i++) await repeats.once(of(String(i).padEnd(2_000_000, 'x')), 'body', act);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000);
  expect(await repeats.once(of('49'.padEnd(2_000_000, 'x')), 'body', act)).toMatchObject({ isReplayed: true });
});

test('a repeat has the first ten reasons of the first answer, and all of its counts', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  const refused = Array.from({ length: 100 }, (_, index) => ({ index, reason: 'why' }));
  const act = async (): Promise<Answer> =>
    await Promise.resolve({ status: 207, headers: {}, body: { accepted: 1, refusedCount: 100, refused } });
  expect((await repeats.once(K, 'body', act)).body).toMatchObject({ refused });
  expect(await repeats.once(K, 'body', act)).toEqual({
    status: 207,
    headers: {},
    isReplayed: true,
    body: { accepted: 1, refusedCount: 100, refused: refused.slice(0, 10) },
  });
});

test('[S44] answers are remembered in so many bytes: of more, the oldest are forgotten', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  const jobs = { [`crm${'x'.repeat(1024 * 1024)}`]: 1 };
  const act = async (): Promise<Answer> => await Promise.resolve({ ...accepted, body: { jobs } });
  for (let i = 0; i < 40; i++) await repeats.once(of(`k${i}`), 'body', act);
  expect(await repeats.once(of('k39'), 'body', act)).toMatchObject({ isReplayed: true });
  expect(await repeats.once(of('k0'), 'body', act)).toMatchObject({ isReplayed: false });
});

test('a caller with many requests makes the API forget none of others', async () => {
  const repeats = new IdempotencyStore(createPushClock());
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  const quiet = of('order 1', 'quiet');
  await repeats.once(quiet, 'body', act);
  for (let i = 0; i < 10_010; i++) await repeats.once(of(`k${i}`), 'body', act);
  expect(await repeats.once(quiet, 'body', act)).toMatchObject({ isReplayed: true });
  expect(await repeats.once(of('k0'), 'body', act)).toMatchObject({ isReplayed: false });
  expect(await repeats.once(of('k10009'), 'body', act)).toMatchObject({ isReplayed: true });
});
