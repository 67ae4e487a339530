import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { request } from 'undici';
import type { ApiOptions } from '../../src/app/api.ts';
import { TokenBucket } from '../../src/api/limits.ts';
import { ExportJobs } from '../../src/app/export-jobs.ts';
import { apiKeysSchema } from '../../src/config/api-keys.ts';
import { ingestsSchema } from '../../src/features/ingests/config.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of endings.splice(0)) await end();
});

const keysOf = (limits: Readonly<Record<string, object>>) =>
  apiKeysSchema.parse(
    Object.fromEntries(
      Object.entries(limits).map(([name, own]) => [
        name,
        { hash: `sha256:${createHash('sha256').update(name).digest('hex')}`, may: ['read', 'trigger'], limits: own },
      ]),
    ),
  );
const by = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

async function apiWith(limits: Readonly<Record<string, object>>, more: Partial<ApiOptions> = {}) {
  const api = await apiWithoutTemporal(keysOf(limits), more);
  endings.push(() => api.close());
  return api;
}

const TOO_MANY = { status: 429, headers: { 'retry-after': expect.any(String) }, body: { code: 'TooManyRequests' } };

test('ten may come at once, then one every six seconds', () => {
  const bucket = new TokenBucket();
  const now = 1_700_000_000_000;
  const add = (atMs: number) => bucket.add(atMs, 10, 6_000);
  for (let i = 0; i < 10; i++) expect(add(now)).toBeUndefined();
  expect([add(now), add(now + 1500), add(now + 5999)]).toEqual([6, 5, 1]);
  expect([add(now + 6000), add(now + 6000)]).toEqual([undefined, 6]);
  // A night of quiet gives no more than ten.
  const later = now + 8 * 3_600_000;
  for (let i = 0; i < 10; i++) expect(add(later)).toBeUndefined();
  expect(add(later)).toBe(6);
});

test('[S49] a key that asks more often than it may gets 429, also after the configuration is read again; others do not', async () => {
  const limits = { slow: { requestsPerSecond: 0.01 }, other: {} };
  const api = await apiWith(limits);
  expect(await askOf(api, '/v1/ingests', by('slow'))).toMatchObject({ status: 200 });
  expect(await askOf(api, '/v1/ingests', by('slow'))).toMatchObject(TOO_MANY);
  api.replaceKeys(keysOf(limits));
  expect(await askOf(api, '/v1/ingests', by('slow'))).toMatchObject(TOO_MANY);
  for (let i = 0; i < 20; i++) expect(await askOf(api, '/v1/ingests', by('other'))).toMatchObject({ status: 200 });
});

test('[S49] the bodies of a key have no more bytes at a time than it may', async () => {
  const api = await apiWith({ small: { bytesInFlight: 2_000 }, other: {} });
  const triggers = (key: string, length: number) =>
    askOf(api, '/v1/triggers', { ...by(key), body: 'x'.repeat(length) });
  expect(await triggers('small', 3_000)).toMatchObject(TOO_MANY);
  expect(await triggers('other', 3_000)).toMatchObject({ status: 400 });
  expect(await triggers('small', 1_000)).toMatchObject({ status: 400 });
});

test('[S49] a key has no more requests at a time than it may, triggers and streams aside; others ask meanwhile', async () => {
  const counting = countingJobs();
  let answer = (): void => undefined;
  const held = new Promise<void>((resolve) => (answer = resolve));
  counting.jobs.list = async () => {
    await held;
    return [];
  };
  const api = await apiWith({ few: { requestsInFlight: 2 }, other: {} }, { jobs: counting.jobs });
  const list = (key: string) => askOf(api, '/v1/jobs', by(key));
  const refused: unknown[] = [];
  let five: Promise<number>[] = [];
  await new Promise<void>((resolve) => {
    five = Array.from({ length: 5 }, async () => {
      const one = await list('few');
      if (one.status !== 200 && refused.push(one) === 3) resolve();
      return one.status;
    });
  });
  expect(refused).toMatchObject([TOO_MANY, TOO_MANY, TOO_MANY]);
  expect(await askOf(api, '/v1/triggers', { ...by('few'), body: 'no JSON' })).toMatchObject({ status: 400 });
  expect((await streamOf(api.url, 'other')).status).toBe(200);
  const others = list('other');
  answer();
  const statuses = await Promise.all([...five, others.then(({ status }) => status)]);
  expect(statuses.filter((status) => status === 200)).toHaveLength(3);
  expect(await list('few')).toMatchObject({ status: 200 });
});

test('[S49] a body of lines counts as a megabyte for as long as it comes', async () => {
  const api = await apiWith({ small: { bytesInFlight: 1_500_000 }, other: {} });
  const { hostname, port } = new URL(api.url);
  const slow = connect(Number(port), hostname);
  endings.push(() => slow.destroy());
  const lines = { 'content-type': 'application/x-ndjson' };
  const head = ['authorization: Bearer small', 'content-type: application/x-ndjson', 'transfer-encoding: chunked'];
  slow.write(`POST /v1/triggers HTTP/1.1\r\nhost: ${hostname}\r\n${head.join('\r\n')}\r\n\r\n`);
  const send = (key: string) =>
    askOf(api, '/v1/triggers', { body: 'no JSON\n', headers: { ...lines, ...by(key).headers } });
  for (let answer = await send('small'); answer.status !== 429; answer = await send('small'));
  expect(await send('small')).toMatchObject(TOO_MANY);
  expect(await send('other')).not.toMatchObject(TOO_MANY);
  slow.destroy();
  for (let answer = await send('small'); answer.status === 429; answer = await send('small'));
});

const SECRET = 'a secret of at least 24 characters';
const ingests = ingestsSchema.parse({
  limited: { preset: 'segment', signature: { secret: SECRET }, limits: { requestsPerSecond: 0.01 } },
  headed: { preset: 'segment', header: { name: 'x-key', value: SECRET }, limits: { requestsPerSecond: 0.01 } },
  hightouch: { preset: 'hightouch', signature: { secret: SECRET, header: 'x-signature' } },
  slow: {
    header: { name: 'x-key', value: SECRET },
    expressions: { user: 'who', event: '$contains(who, /^(a+)+$/) ? "enter" : "exit"', audience: '"vip"' },
  },
});
const signature = (kind: 'sha1' | 'sha256', body: string) => createHmac(kind, SECRET).update(body).digest('hex');

test.each([
  ['limited', { 'x-signature': signature('sha1', '[]') }],
  ['headed', { 'x-key': SECRET }],
])(
  '[S49] the ingest %s takes no more requests than it may; those that prove nothing do not count',
  async (name, headers) => {
    const api = await apiWith({}, { ingests });
    const send = (proof: object) => askOf(api, `/v1/ingest/${name}`, { body: '[]', headers: proof });
    for (let i = 0; i < 5; i++) expect(await send({})).toMatchObject({ status: 401 });
    expect(await send(headers)).toMatchObject({ status: 202 });
    expect(await send(headers)).toMatchObject(TOO_MANY);
  },
);

test.each(['event=exit', 'audience=newsletter', 'at=2026-11-25T08:30:00Z'])(
  '[S36] a signed body is not accepted with another %s in the URL, which its signature does not cover',
  async (query) => {
    const api = await apiWith({}, { ingests });
    const body = JSON.stringify({ user_id: 'u', event: 'enter' });
    const headers = { 'x-signature': signature('sha256', body) };
    expect(await askOf(api, `/v1/ingest/hightouch?${query}`, { body, headers })).toMatchObject({
      status: 422,
      body: { code: 'InvalidRequest' },
    });
  },
);

test('[S38] a catastrophic expression is bad data, also where it takes longer than a sender may wait for Temporal', async () => {
  const api = await apiWith({}, { ingests });
  const cpuUsage = process.cpuUsage.bind(process);
  // It gets a fifth of a processor.
  const fifth = (ms: number): number => ms / 5;
  jest.spyOn(process, 'cpuUsage').mockImplementation((before) => {
    const { user, system } = cpuUsage(before);
    return { user: fifth(user), system: fifth(system) };
  });
  const body = { who: `${'a'.repeat(40)}!` };
  expect(await askOf(api, '/v1/ingest/slow', { body, headers: { 'x-key': SECRET } })).toMatchObject({
    status: 422,
    body: { code: 'BadData' },
  });
});

/** Jobs whose status is another one each time. `asked` counts. */
function countingJobs(): { readonly jobs: ExportJobs; asked: number } {
  const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });
  endings.push(() => client.connection.close());
  const counting = { jobs: new ExportJobs(client), asked: 0 };
  counting.jobs.status = async () =>
    await Promise.resolve({ state: 'running', delivered: ++counting.asked } as unknown as JobStatus);
  return counting;
}

/** Opens a stream. Resolves with its status, and a function that waits for so many events. */
async function streamOf(url: string, key: string) {
  const answer = await request(`${url}/v1/jobs/crm/status/stream`, by(key));
  let text = '';
  answer.body.on('data', (chunk: Buffer) => (text += chunk.toString())).on('error', () => undefined);
  endings.push(() => answer.body.destroy());
  return {
    status: answer.statusCode,
    headers: answer.headers,
    end: () => answer.body.destroy(),
    events: async (count: number): Promise<void> => {
      while (text.split('event: status').length <= count) await once(answer.body, 'data');
    },
  };
}

test('[S49] all who watch a job, with whatever key, ask it once a second together', async () => {
  const counting = countingJobs();
  const api = await apiWith({ a: {}, b: {} }, { jobs: counting.jobs });
  const streams = await Promise.all(Array.from({ length: 40 }, (_, i) => streamOf(api.url, i % 2 === 0 ? 'a' : 'b')));
  await Promise.all(streams.map(({ events }) => events(3)));
  // Each of forty would have asked three times.
  expect(counting.asked).toBeGreaterThanOrEqual(3);
  expect(counting.asked).toBeLessThanOrEqual(6);
});

test('[S49] a key has at most as many streams as it may; one that ends makes room, and other keys have their own', async () => {
  const api = await apiWith({ few: { streams: 2 }, other: {} }, { jobs: countingJobs().jobs });
  const [first] = [await streamOf(api.url, 'few'), await streamOf(api.url, 'few')];
  expect(await streamOf(api.url, 'few')).toMatchObject({ status: 429, headers: { 'retry-after': '2' } });
  expect(await streamOf(api.url, 'other')).toMatchObject({ status: 200 });
  first.end();
  for (let status = 429; status !== 200;) ({ status } = await streamOf(api.url, 'few'));
});

test('[S43] a connection without a request ends after ten seconds, with 408; one between requests lives on', async () => {
  const api = await apiWith({});
  const { hostname, port } = new URL(api.url);
  const open = (text: string): { readonly socket: Socket; readonly read: () => string } => {
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    if (text !== '') socket.write(text);
    endings.push(() => socket.destroy());
    return { socket, read: () => answer };
  };
  const used = open('GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  const unused = [open(''), open('\r\n'), open('GET /')];
  await Promise.all(unused.map(({ socket }) => once(socket, 'close')));
  for (const { read } of unused) expect(read()).toContain('408');
  expect(used.read()).toContain('200');
  expect(used.socket.closed).toBe(false);
}, 20_000);
