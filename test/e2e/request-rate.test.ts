import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Lab, membersOfVip } from '../support/lab.ts';

const MEMBERS = Array.from({ length: 4000 }, (_, index) => `member-${String(index).padStart(4, '0')}`);
const WINDOW_MS = 10_000;

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({
    workers: 2,
    content: membersOfVip(MEMBERS),
  });
});
afterAll(async () => lab.close());

/** When requests arrived, by the endpoint's own clock, from this one on. */
function arrivals(from: number): number[] {
  return lab.receiver.ledger.entries.slice(from).map(({ arrivedAtMs }) => arrivedAtMs);
}

/** The most that arrived within ten seconds. */
function mostInWindow(times: readonly number[]): number {
  let [most, first] = [0, 0];
  for (const [index, at] of times.entries()) {
    while ((times[first] ?? at) < at - WINDOW_MS) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

test('the rate of requests is never exceeded, by live triggers and a backfill together on two workers', async () => {
  const requestsPerSecond = 50;
  const before = lab.receiver.ledger.requests;
  const job = await lab.start({ parallelRequestCount: 20, requestsPerSecond, existingUsers: true });
  const wanted = requestsPerSecond * 14;
  const live: Promise<unknown>[] = [];
  const pushing = setInterval(() => {
    for (let i = 0; i < requestsPerSecond / 10; i++)
      live.push(lab.jobs.enter(job, { audience: 'news', user: `live-${live.length}`, profile: {} }));
  }, 250);
  await lab.receiver.ledger.waitFor((ledger) => ledger.requests >= before + wanted);
  clearInterval(pushing);
  await Promise.all(live);
  await lab.jobs.stop(job, { waiting: 'discard' });
  const times = arrivals(before);
  // The network and the endpoint may hold some back and bring them together, so a second's worth is allowed; the rest is `spacing.test.ts`.
  expect(mostInWindow(times)).toBeLessThanOrEqual(11 * requestsPerSecond);
  // Unless the machine is busy all the time, the rate is what holds it back.
  expect(mostInWindow(times)).toBeGreaterThan(5 * requestsPerSecond);
  const users = lab.receiver.ledger.entries.slice(before).map(({ message }) => message?.user ?? '');
  expect(users.some((user) => user.startsWith('live'))).toBe(true);
  expect(users.some((user) => user.startsWith('member'))).toBe(true);
});
