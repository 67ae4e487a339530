import { expect, test } from '@jest/globals';
import { startReceiver } from '../../src/local/receiver.ts';
import { type HttpAttempt, createPoster, type Poster } from '../../src/webhook/attempt.ts';
import { type LookUp, NetworkPolicy } from '../../src/webhook/network-policy.ts';
import { afterwards, closing, startRawServer } from './a-server.ts';
import { attemptOf, THIS_MACHINE } from './an-attempt.ts';

/** How much later than its deadline a request may end on a busy machine. */
const LATE_MS = 10_000;

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
])('[S14] a request ends at %s', async (_, timeoutMs, mostMs) => {
  const url = await silentEndpoint();
  const attempt = await attemptOf(posterWith(timeoutMs), url, [], '{}', mostMs);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeGreaterThanOrEqual(200);
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('requests with different deadlines each end at their own, in whatever order they were started', async () => {
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

const silentLookUp: LookUp = () => undefined;

test.each<[string, (port: string) => string, LookUp | undefined]>([
  ['the name is still being looked up', (port) => `http://hook.example:${port}/`, silentLookUp],
  ['TLS is still being agreed on', (port) => `https://127.0.0.1:${port}/`, undefined],
  ['the answer is still to come', (port) => `http://127.0.0.1:${port}/`, undefined],
])('[S14] the deadline holds while %s', async (_, urlOf, lookUp) => {
  const server = await startRawServer(() => undefined);
  const poster = createPoster({ timeoutMs: 20_000, policy: THIS_MACHINE, ...(lookUp === undefined ? {} : { lookUp }) });
  const attempt = await attemptOf(poster, urlOf(server.url.port), [], '{}', 200);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('[S14] [S28] nothing is sent over a connection that opens after the deadline, and the attempt ends only once, since the next one may be in flight by then', async () => {
  const receiver = await startReceiver();
  afterwards(() => receiver.close());
  let find = (): void => undefined;
  const late: LookUp = (_, __, callback) => (find = () => callback(null, [{ address: '127.0.0.1', family: 4 }]));
  const poster = createPoster({ timeoutMs: 20_000, policy: THIS_MACHINE, lookUp: late });
  const ends: HttpAttempt[] = [];
  const url = new URL(`http://hook.example:${receiver.port}/`);
  await new Promise<void>((resolve) =>
    poster.post(url, { headers: [], body: '{}' }, 200, (attempt) => {
      ends.push(attempt);
      resolve();
    }),
  );
  find();
  await poster.close();
  expect(ends).toEqual([{ ok: false, code: 'REQUEST_TIMEOUT', durationMs: expect.any(Number) }]);
  expect(receiver.ledger.requests).toBe(0);
});

test('[S14] the deadline holds while a proxy does not open a tunnel', async () => {
  const silent = await startRawServer(() => undefined);
  const proxy = `http://127.0.0.1:${silent.url.port}`;
  const rules = { allowHttp: true, allowAddresses: ['127.0.0.1'], allowPorts: ['1-65535'], proxy };
  const poster = createPoster({ timeoutMs: 20_000, policy: new NetworkPolicy(rules) });
  const attempt = await attemptOf(poster, 'http://127.0.0.1:9/', [], '{}', 200);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('[S14] a proxy whose answer trickles in is given up in time, and its connection is closed, whoever waits for it', async () => {
  const drips = await startRawServer((socket) => {
    socket.write('HTTP/1.1 200 ');
    const timer = setInterval(() => socket.write('O'), 50);
    socket.once('close', () => clearInterval(timer));
  });
  const proxy = `http://127.0.0.1:${drips.url.port}`;
  const rules = { allowHttp: true, allowAddresses: ['127.0.0.1'], allowPorts: ['1-65535'], proxy };
  const poster = createPoster({ timeoutMs: 500, policy: new NetworkPolicy(rules) });
  expect(await attemptOf(poster, 'http://127.0.0.1:9/', [], '{}', 200)).toMatchObject({ code: 'REQUEST_TIMEOUT' });
  await poster.close();
  await closing(drips.connections);
});
