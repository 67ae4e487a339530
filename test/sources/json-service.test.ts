import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { JsonService, type JsonServiceOptions } from '../../src/sources/json-service.ts';
import { afterwards, listen, startRawServer } from '../webhook/a-server.ts';
import { type Answered, startJsonServer } from './a-json-server.ts';

const SECRET = 's3cret';

function serviceAt(url: string, more: Partial<JsonServiceOptions> = {}): JsonService {
  const headers = { authorization: SECRET };
  const service = new JsonService({ url, headers, timeoutMs: 5000, network: {}, ...more });
  afterwards(() => service.close());
  return service;
}

const ask = (service: JsonService, path = '/a?b=1') => service.ask({ what: 'a thing', path });

test('integers keep their digits, and a byte order mark is no part of the JSON', async () => {
  const { url } = await startJsonServer(() => ({ text: '\uFEFF{"id":7076027172059065053}' }));
  expect((await ask(serviceAt(url))).body).toEqual({ id: 7_076_027_172_059_065_053n });
});

test('any status is an answer, and what is not JSON has no body', async () => {
  const { url } = await startJsonServer(() => ({ status: 404, text: '{"a":' }));
  expect(await ask(serviceAt(url))).toEqual({ status: 404, body: undefined, link: undefined });
});

test('text that is not UTF-8 is not JSON', async () => {
  const { url } = await startJsonServer(() => ({ text: Buffer.from('"\xff"', 'latin1') }));
  expect((await ask(serviceAt(url))).body).toBeUndefined();
});

test('a body is POSTed as JSON', async () => {
  const { url, asked } = await startJsonServer(() => ({ json: 1 }));
  await serviceAt(url).ask({ what: 'a thing', path: '/x', body: '{"ids":["1"]}' });
  expect(asked[0]).toMatchObject({
    method: 'POST',
    body: '{"ids":["1"]}',
    headers: { 'content-type': 'application/json' },
  });
});

test('a header of the configuration is sent instead of ours, however it is spelt; compressed answers cannot be asked for', async () => {
  const { url, asked } = await startJsonServer(() => ({ json: 1 }));
  await ask(serviceAt(url, { headers: { Accept: 'application/vnd.api+json', 'Accept-Encoding': 'gzip' } }));
  expect(asked[0]?.headers).toMatchObject({ accept: 'application/vnd.api+json', 'accept-encoding': 'identity' });
});

test('redirects are answers like others: nothing is asked elsewhere', async () => {
  const elsewhere = await startJsonServer(() => ({ json: 1 }));
  const { url } = await startJsonServer(() => ({ status: 302, text: '', headers: { location: elsewhere.url } }));
  expect((await ask(serviceAt(url))).status).toBe(302);
  expect(elsewhere.asked).toEqual([]);
});

test.each<[what: string, first: Answered, waitMs: number]>([
  ['503', { status: 503, text: '' }, 200],
  ['429 without a time', { status: 429, text: '' }, 900],
  ['429 with one', { status: 429, text: '', headers: { 'retry-after': '2' } }, 1900],
  ['an end of the connection', { breaks: true }, 200],
])('after %s it asks once more', async (_, first, waitMs) => {
  const server = await startJsonServer(() => ({ json: 'done' }));
  server.before.push(() => first);
  const startedAt = performance.now();
  expect((await ask(serviceAt(server.url))).body).toBe('done');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(waitMs);
});

test.each<[what: string, first: Answered, status: number]>([
  ['503', { status: 503, text: '' }, 503],
  ['500', { status: 500, text: '' }, 500],
])('it asks no third time after %s twice', async (_, answer, status) => {
  const server = await startJsonServer(() => answer);
  expect((await ask(serviceAt(server.url))).status).toBe(status);
  expect(server.asked).toHaveLength(2);
});

test.each<[what: string, answer: Answered]>([
  ['what will be refused again', { status: 400, text: '' }],
  ['a wait beyond its time', { status: 429, text: '', headers: { 'retry-after': '60' } }],
])('it does not ask again after %s', async (_, answer) => {
  const server = await startJsonServer(() => answer);
  expect((await ask(serviceAt(server.url))).status).toBe(answer.status);
  expect(server.asked).toHaveLength(1);
});

test('one time holds for asking, waiting and asking again, and for an answer that drips', async () => {
  const server = await startJsonServer(() => ({ hangs: true }));
  server.before.push(() => ({ status: 503, text: '' }));
  const startedAt = performance.now();
  await expect(ask(serviceAt(server.url, { timeoutMs: 700 }))).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
  const dripping = await startRawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
    const timer = setInterval(() => socket.write(' '), 20);
    socket.on('close', () => clearInterval(timer));
  });
  const drip = ask(serviceAt(dripping.url.href, { timeoutMs: 700 }));
  await expect(drip).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
  expect(performance.now() - startedAt).toBeLessThan(3000);
});

test('an answer that is too long is not read to its end', async () => {
  let sent = 0;
  const { url } = await startRawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    const more = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, ' '))) sent += 65_536;
    };
    socket.on('drain', more);
    more();
  });
  await expect(ask(serviceAt(url.href, { maxAnswerBytes: 2 * 1024 * 1024 }))).rejects.toMatchObject({
    code: 'ANSWER_TOO_LONG',
    message: expect.stringMatching(
      /^http:\/\/127\.0\.0\.1:\d+ did not give a thing: the answer has more than 2048 KiB\.$/,
    ),
  });
  expect(sent).toBeLessThan(50 * 1024 * 1024);
});

test('a service that is not there is told without the path and the headers of what was asked', async () => {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  const error = await ask(serviceAt(`http://127.0.0.1:${port}`), '/people/a@example.com').catch(String);
  expect(error).toMatch(/did not give a thing: connection refused/);
  expect(error).not.toMatch(/a@example|s3cret/);
});
