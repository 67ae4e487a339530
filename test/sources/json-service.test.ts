import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { JsonService, type JsonServiceOptions, lookUpEach } from '../../src/sources/json-service.ts';
import { KnownAudiences } from '../../src/sources/known-audiences.ts';
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

test.each<[what: string, first: Answered, status: number]>([['503', { status: 503, text: '' }, 503]])(
  'it asks no third time after %s twice',
  async (_, answer, status) => {
    const server = await startJsonServer(() => answer);
    expect((await ask(serviceAt(server.url))).status).toBe(status);
    expect(server.asked).toHaveLength(2);
  },
);

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
  expect(performance.now() - startedAt).toBeLessThan(20_000);
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

test('a service that is away is reported without the path and the headers of the request', async () => {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  const error = await ask(serviceAt(`http://127.0.0.1:${port}`), '/people/a@example.com').catch(String);
  expect(error).toMatch(/did not give a thing: connection refused/);
  expect(error).not.toMatch(/a@example|s3cret/);
});

const VIP = { id: 'a'.repeat(32) };
const NEW = { id: 'b'.repeat(32) };

test('the list is asked for once for all who want it at the same time', async () => {
  let reads = 0;
  const known = new KnownAudiences('It', async () => (reads++, [VIP]));
  expect(await Promise.all([known.list(), known.list(), known.find(VIP.id)])).toEqual([[VIP], [VIP], VIP]);
  expect(reads).toBe(1);
  await known.list();
  expect(reads).toBe(2);
});

test('the source trusts a known audience for a minute, and asks for an unknown one at once', async () => {
  let nowMs = 0;
  let reads = 0;
  let audiences = [VIP];
  const known = new KnownAudiences(
    'It',
    async () => (reads++, audiences),
    () => nowMs,
  );
  await known.find(VIP.id);
  nowMs = 59_000;
  await known.find(VIP.id);
  expect(reads).toBe(1);
  audiences = [NEW];
  expect(await known.find(NEW.id)).toBe(NEW);
  await expect(known.find(VIP.id)).rejects.toThrow(/^It has no audience with the id a+\./);
  audiences = [];
  nowMs = 200_000;
  await expect(known.find(NEW.id)).rejects.toThrow(/no audience/);
});

test('after a failure the list is asked for again', async () => {
  const answers = [Promise.reject(new Error('down')), Promise.resolve([VIP])];
  const known = new KnownAudiences('It', async () => (await answers.shift()) ?? []);
  await expect(known.list()).rejects.toThrow('down');
  expect(await known.list()).toEqual([VIP]);
});

const tooSlow = (reason: string): Error => new Error(reason);

test('after one has failed no other is begun, and the failure is reported at once', async () => {
  const begun: number[] = [];
  let endSecond: () => void = () => undefined;
  const lookUp = async (item: number): Promise<void> => {
    begun.push(item);
    if (item === 1) throw new Error('down');
    await new Promise<void>((resolve) => (endSecond = resolve));
  };
  const all = lookUpEach({ items: [1, 2, 3, 4], atOnce: 2, budgetMs: 60_000, lookUp, tooSlow });
  await expect(all).rejects.toThrow('down');
  endSecond();
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toEqual([1, 2]);
});

test('all are looked up, so many at once and no more', async () => {
  let open = 0;
  let most = 0;
  const done: number[] = [];
  const items = Array.from({ length: 20 }, (_, i) => i);
  const lookUp = async (item: number): Promise<void> => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setImmediate(resolve));
    open--;
    done.push(item);
  };
  await lookUpEach({ items, atOnce: 3, budgetMs: 60_000, lookUp, tooSlow });
  expect([most, done.toSorted((a, b) => a - b)]).toEqual([3, items]);
});

test('when the time is over before all were begun, it says how far it came', async () => {
  const lookUp = async (): Promise<void> => undefined;
  const all = lookUpEach({ items: [1, 2], atOnce: 2, budgetMs: 0, lookUp, tooSlow });
  await expect(all).rejects.toThrow('only 0 of 2 in 0 s');
});
