import { expect, test } from '@jest/globals';
import { inTimeOrder } from '../../../src/client/history/trace.ts';

async function ordered(times: Iterable<string>): Promise<string[]> {
  const all: string[] = [];
  async function* given() {
    for (const time of times) yield await Promise.resolve(time);
  }
  for await (const time of inTimeOrder(given(), (one) => one)) all.push(time);
  return all;
}

test('what a history put down late takes its place in time; what is of one time keeps its order', async () => {
  expect(await ordered(['1', '4', '2', '3'])).toEqual(['1', '2', '3', '4']);
});

test('a long stream flows on, and is not gathered', async () => {
  let given = 0;
  async function* endless() {
    for (;;) yield await Promise.resolve(String(1e9 + given++));
  }
  for await (const first of inTimeOrder(endless(), (one) => one)) {
    expect(first).toBe('1000000000');
    break;
  }
  expect(given).toBeLessThan(2000);
});
