import { expect, test } from '@jest/globals';
import { startReceiver } from '../../src/local/receiver.ts';
import { createPoster, type Poster } from '../../src/webhook/poster.ts';
import { afterwards } from './a-server.ts';
import { attemptOf, THIS_MACHINE } from './an-attempt.ts';

/** How much later than its deadline a request may end on a busy machine. */
const LATE_MS = 1000;

async function silentEndpoint(): Promise<URL> {
  const receiver = await startReceiver({ answer: () => 'hang' });
  afterwards(() => receiver.close());
  return new URL(receiver.url);
}

function posterWith(timeoutMs: number): Poster {
  const poster = createPoster({ timeoutMs, policy: THIS_MACHINE });
  afterwards(() => poster.close());
  return poster;
}

test.each([
  ['its own deadline when that is shorter', 20_000, 200],
  ["the worker's deadline when its own is longer", 200, 20_000],
])('a request ends at %s', async (_, timeoutMs, mostMs) => {
  const url = await silentEndpoint();
  const attempt = await attemptOf(posterWith(timeoutMs), url, [], '{}', mostMs);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeGreaterThanOrEqual(200);
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('requests with different deadlines each end at their own, in whatever order they began', async () => {
  const url = await silentEndpoint();
  const poster = posterWith(20_000);
  const deadlines = [1500, 200, 800, 20_000];
  const attempts = deadlines.map((mostMs) => attemptOf(poster, url, [], '{}', mostMs));
  const ended: number[] = [];
  for (const [index, attempt] of attempts.slice(0, 3).entries()) void attempt.then(() => ended.push(index));
  await Promise.all(attempts.slice(0, 3));
  expect(ended).toEqual([1, 2, 0]);
  for (const [index, mostMs] of deadlines.slice(0, 3).entries()) {
    const { durationMs = 0 } = (await attempts[index]) ?? {};
    expect(durationMs).toBeGreaterThanOrEqual(mostMs);
    expect(durationMs).toBeLessThan(mostMs + LATE_MS);
  }
});
