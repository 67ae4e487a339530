import type { Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { judge } from '../../src/domain/verdict.ts';
import { type HttpAttempt } from '../../src/webhook/attempt.ts';
import { type LookUp, NetworkPolicy } from '../../src/network/network-policy.ts';
import { closing, startRawServer } from './a-server.ts';
import { aPoster, aReceiver, attemptOf, onThisMachine } from './an-attempt.ts';

const BODY = '{"a":1}';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
const FORGED = 'HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n';
const DELIVERED = { ok: true, status: 200 };

/** A server that keeps its connections and leaves each request to `answer`; `n` counts them from 0, over all connections. */
async function startAnswering(answer: (socket: Socket, n: number) => void) {
  let requests = 0;
  const server = await startRawServer((socket) => {
    answer(socket, requests++);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (!text.endsWith(BODY)) return;
      text = '';
      answer(socket, requests++);
    });
  });
  return { ...server, requests: () => requests };
}

test.each([
  ['a second whole answer', OK + FORGED],
  [
    'an answer in the surplus of a body that exceeds its length',
    `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno${FORGED}`,
  ],
  ['a body with length 0', `HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nsurplus`],
  ['an answer after the last chunk', `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${FORGED}`],
])('[S17] after an endpoint sent %s, the next request still gets its own answer', async (_, first) => {
  const server = await startAnswering((socket, n) => socket.write(n === 0 ? first : OK));
  const poster = aPoster();
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
  expect(server.connections.size).toBe(2);
});

test('[S17] a body after a 204 is ignored, and does not answer the next request', async () => {
  const server = await startAnswering((socket, n) =>
    socket.write(n === 0 ? `HTTP/1.1 204 No Content\r\ncontent-length: 50\r\n\r\n${FORGED}` : OK),
  );
  const poster = aPoster();
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject({ ok: true, status: 204 });
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
});

test('[S17] an answer without a request closes the idle connection', async () => {
  const server = await startAnswering((socket, n) => {
    socket.write(OK);
    if (n === 0) setTimeout(() => socket.write(FORGED), 50);
  });
  const poster = aPoster();
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
  await closing(server.connections);
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
});

test.each([
  ['and says so', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'],
  ['as in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n'],
])(
  'an endpoint that closes the connection after each answer, %s, gets each request once, over a new connection',
  async (_, answer) => {
    const server = await startAnswering((socket) => socket.end(answer));
    const poster = aPoster();
    for (let i = 0; i < 5; i++) expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
    expect([server.requests(), server.connections.size]).toEqual([5, 5]);
  },
);

test('an endpoint that closes an idle connection does not make an attempt fail', async () => {
  const server = await startAnswering((socket) => socket.write(OK));
  const poster = aPoster();
  for (let i = 0; i < 3; i++) {
    expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
    for (const socket of server.connections) socket.end();
    await closing(server.connections);
  }
  expect([server.requests(), server.connections.size]).toEqual([3, 3]);
});

test('a kept connection that breaks during a request makes the attempt fail as transient, and nothing resends it', async () => {
  const server = await startAnswering((socket, n) => (n % 2 === 0 ? socket.write(OK) : socket.destroy()));
  const poster = aPoster();
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
  const attempt = await attemptOf(poster, server.url, [], BODY);
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^(UND_ERR_SOCKET|ECONNRESET|EPIPE)$/) });
  expect(attempt.ok ? '' : judge(attempt)).toBe('transient');
  expect(await attemptOf(poster, server.url, [], BODY)).toMatchObject(DELIVERED);
  expect(server.requests()).toBe(3);
});

test('an answer that comes before the request was read counts', async () => {
  const server = await startRawServer((socket) => {
    socket.pause();
    socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno');
  });
  const attempt = await attemptOf(aPoster(), server.url, [], Buffer.alloc(16 * 1024 * 1024));
  expect(attempt).toMatchObject({ ok: false, status: 413, answer: 'no' });
});

test('[S17] cookies are not kept', async () => {
  const receiver = await aReceiver({
    keepBodies: true,
    answer: () => ({ status: 200, headers: { 'set-cookie': 'session=1; Path=/' } }),
  });
  const poster = aPoster();
  for (let i = 0; i < 3; i++) await attemptOf(poster, receiver.url, [], BODY);
  expect(receiver.ledger.entries.map(({ headers }) => headers?.['cookie'])).toEqual([undefined, undefined, undefined]);
});

test('[S17] requests to one host never go to another, even at the same address and the same time', async () => {
  const ports = new Map<string, Set<unknown>>();
  const receiver = await aReceiver({
    keepBodies: true,
    answer: (_, { headers: { host = '' }, socket }) => {
      ports.set(host, (ports.get(host) ?? new Set()).add(socket.remotePort));
      return undefined;
    },
  });
  const poster = aPoster({ lookUp: onThisMachine });
  const hosts = ['a.example', 'b.example', 'c.example'];
  for (let i = 0; i < 5; i++) {
    const one = (host: string) => attemptOf(poster, `http://${host}:${receiver.port}/`, ['x-secret', host], BODY);
    await Promise.all(hosts.map(one));
  }
  expect(receiver.ledger.entries).toHaveLength(15);
  for (const { headers } of receiver.ledger.entries)
    expect(headers?.['host']).toBe(`${String(headers?.['x-secret'])}:${receiver.port}`);
  const all = [...ports.values()].flatMap((used) => [...used]);
  expect(new Set(all).size).toBe(all.length);
});

/** How much later than its deadline a request may end on a busy machine. */
const LATE_MS = 10_000;

test.each([
  ['its own deadline when that is shorter', 20_000, 200],
  ["the worker's deadline when its own is longer", 200, 20_000],
])('[S14] a request ends at %s', async (_, timeoutMs, mostMs) => {
  const { url } = await aReceiver({ answer: () => 'hang' });
  const attempt = await attemptOf(aPoster({ timeoutMs }), url, [], '{}', mostMs);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeGreaterThanOrEqual(200);
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('requests with different deadlines each end at their own, in whatever order they were started', async () => {
  const { url } = await aReceiver({ answer: () => 'hang' });
  const poster = aPoster();
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

const lookUps: (() => void)[] = [];
/** Answers after the test: else closing would wait for it. */
const silentLookUp: LookUp = (_, __, callback) => lookUps.push(() => callback(new Error('over'), []));

test.each<[string, (port: string) => string, LookUp | undefined]>([
  ['the name is still being looked up', (port) => `http://hook.example:${port}/`, silentLookUp],
  ['TLS is still being agreed on', (port) => `https://127.0.0.1:${port}/`, undefined],
  ['the answer is still to come', (port) => `http://127.0.0.1:${port}/`, undefined],
])('[S14] the deadline holds while %s', async (_, urlOf, lookUp) => {
  const server = await startRawServer(() => undefined);
  const poster = aPoster(lookUp === undefined ? {} : { lookUp });
  const attempt = await attemptOf(poster, urlOf(server.url.port), [], '{}', 200);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
  for (const answer of lookUps.splice(0)) answer();
});

test('[S14] [S28] the worker sends nothing over a connection that opens after the deadline, and ends the attempt only once', async () => {
  const receiver = await aReceiver();
  let find = (): void => undefined;
  const late: LookUp = (_, __, callback) => (find = () => callback(null, [{ address: '127.0.0.1', family: 4 }]));
  const poster = aPoster({ lookUp: late });
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
  const poster = aPoster({ policy: new NetworkPolicy(rules) });
  const attempt = await attemptOf(poster, 'http://127.0.0.1:9/', [], '{}', 200);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeLessThan(200 + LATE_MS);
});

test('[S14] the worker gives up in time on a proxy whose answer trickles in, and closes its connection', async () => {
  const drips = await startRawServer((socket) => {
    socket.write('HTTP/1.1 200 ');
    const timer = setInterval(() => socket.write('O'), 50);
    socket.once('close', () => clearInterval(timer));
  });
  const proxy = `http://127.0.0.1:${drips.url.port}`;
  const rules = { allowHttp: true, allowAddresses: ['127.0.0.1'], allowPorts: ['1-65535'], proxy };
  const poster = aPoster({ timeoutMs: 500, policy: new NetworkPolicy(rules) });
  expect(await attemptOf(poster, 'http://127.0.0.1:9/', [], '{}', 200)).toMatchObject({ code: 'REQUEST_TIMEOUT' });
  await poster.close();
  await closing(drips.connections);
});
