import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import type { ExportJobs } from '../../src/app/export-jobs.ts';
import { until } from '../support/patience.ts';
import { apiWithoutTemporal, askOf, type Question } from './an-api.ts';

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test.each([
  ['a command', '/v1/jobs', {}, 90],
  ['the test of an endpoint', '/v1/test', { body: { jobId: 'crm' } }, 170],
  [
    'a list that is compared',
    '/v1/jobs/crm/reconcile',
    { body: 'id\n1\n', headers: { 'content-type': 'text/csv' } },
    3600,
  ],
] as const)('%s waits no longer than is promised', async (_, path, question: Question, seconds) => {
  let hear: () => void = () => undefined;
  const isAsked = new Promise<void>((resolve) => (hear = resolve));
  const never = async (): Promise<never> => {
    hear();
    return await new Promise(() => undefined);
  };
  const jobs = { list: never, test: never, compare: never } as unknown as ExportJobs; // No more of it is used.
  const api = await apiWithoutTemporal({}, { jobs });
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
  try {
    let isAnswered = false;
    const asking = askOf(api, path, question).finally(() => (isAnswered = true));
    await isAsked;
    jest.advanceTimersByTime(seconds * 1000 - 1);
    for (let turns = 0; turns < 100; turns++) await turn();
    expect(isAnswered).toBe(false);
    jest.advanceTimersByTime(1);
    expect(await asking).toMatchObject({
      status: 503,
      headers: { 'retry-after': '5' },
      body: { code: 'ServerUnreachable', detail: expect.stringContaining(`within ${seconds} s`) },
    });
  } finally {
    jest.useRealTimers();
    await api.close();
  }
});

test('[S35] more connections than may be open are not taken, until another one ends', async () => {
  const api = await apiWithoutTemporal({}, { mostConnections: 2 });
  const { hostname, port } = new URL(api.url);
  const open = async () => {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  const answered = async () => {
    const socket = await open();
    socket.write('GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    await once(socket, 'data');
    return socket;
  };
  const [first, second] = [await answered(), await answered()];
  const refused = await open();
  const openedAtMs = performance.now();
  await once(refused.resume(), 'close');
  // And not for want of headers, which is after ten seconds.
  expect(performance.now() - openedAtMs).toBeLessThan(9_000);
  first.destroy();
  await until(async () => (await askOf(api, '/healthz').catch(() => undefined))?.status === 200);
  second.destroy();
  await api.close();
});

test('a connection that a browser opened beforehand does not hold up the end', async () => {
  const api = await apiWithoutTemporal();
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  // By its answer, the server has met the connection before it.
  await askOf(api, '/healthz');
  const isClosed = once(socket, 'close');
  await api.close();
  await isClosed;
}, 5_000);
