import { expect, test } from '@jest/globals';
import { type Answer, Repeats } from '../../src/api/repeats.ts';
import { createPushClock } from '../../src/client/push/push.ts';

const accepted: Answer = { status: 202, headers: {}, body: { accepted: 1 } };
const away: Answer = { status: 503, headers: {}, body: {} };

test('a repeat gets the first answer, also while that is still being made, and nothing is done twice', async () => {
  const repeats = new Repeats(createPushClock());
  let acts = 0;
  const act = async (): Promise<Answer> => {
    acts += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
    return accepted;
  };
  const both = await Promise.all([repeats.once('k', 'body', act), repeats.once('k', 'body', act)]);
  const later = await repeats.once('k', 'body', act);
  expect([...both, later].map(({ isReplayed }) => isReplayed)).toEqual([false, true, true]);
  expect(acts).toBe(1);
});

test('one that failed is done again, and its triggers have the same times as before', async () => {
  const repeats = new Repeats(createPushClock());
  const times: string[][] = [];
  const answers = [away, undefined, accepted];
  const act = async (atOf: (index: number) => string): Promise<Answer> => {
    times.push([atOf(0), atOf(1)]);
    const answer = answers.shift();
    if (answer === undefined) throw new Error('Temporal is away.');
    return await Promise.resolve(answer);
  };
  expect((await repeats.once('k', 'body', act)).status).toBe(503);
  await expect(repeats.once('k', 'body', act)).rejects.toThrow('away');
  expect(await repeats.once('k', 'body', act)).toMatchObject({ status: 202, isReplayed: false });
  expect(new Set(times.map((each) => each.join())).size).toBe(1);
  expect(times[0]?.[0]).not.toBe(times[0]?.[1]);
});

test('a key that was used for another body is refused; without a key everything is done', async () => {
  const repeats = new Repeats(createPushClock());
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  await repeats.once('k', 'one', act);
  await expect(repeats.once('k', 'other', act)).rejects.toThrow(/used for another request/);
  const without = [await repeats.once(undefined, 'one', act), await repeats.once(undefined, 'one', act)];
  expect(without.map(({ isReplayed }) => isReplayed)).toEqual([false, false]);
});

test('a day later a key is as good as new', async () => {
  let now = 0;
  const repeats = new Repeats(createPushClock(), () => now);
  const act = async (): Promise<Answer> => await Promise.resolve(accepted);
  await repeats.once('k', 'one', act);
  now = 25 * 3_600_000;
  expect(await repeats.once('k', 'other', act)).toMatchObject({ isReplayed: false });
});
