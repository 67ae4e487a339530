import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, jest, test } from '@jest/globals';
import type { FastifyRequest } from 'fastify';
import { bytesOf } from '../../src/api/bodies.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { ingestsSchema } from '../../src/features/ingests/config.ts';
import { apiWithoutTemporal, askOf, bodyIsGivenUp } from './an-api.ts';

const KEYS: ConfiguredApiKeys = { boss: { hash: `sha256:${'0'.repeat(64)}`, may: ['trigger'] } };
const SECRET = 's3cret-of-twenty-four-letters';
const INGESTS = ingestsSchema.parse({
  signed: { preset: 'segment', signature: { secret: SECRET } },
  other: { preset: 'segment', signature: { secret: SECRET } },
  standard: { preset: 'standard', signature: { secret: `whsec_${Buffer.alloc(24).toString('base64')}` } },
  named: { preset: 'segment', header: { name: 'x-key', value: SECRET } },
});
/** Tells of no change, so nobody has to be asked about it. */
const IGNORED = JSON.stringify({ type: 'track', event: 'Signed up', userId: '1' });
const signed = (body: string | Buffer) => ({
  'x-signature': createHmac('sha1', SECRET).update(body).digest('hex'),
});

const api = await apiWithoutTemporal(KEYS, { ingests: INGESTS });
afterAll(() => api.close());

test.each([
  ['an unknown path', '/v1/nosuch', {}, 404, 'NoSuchPath'],
  ['an unknown path, of whatever type', '/v1/nosuch', { 'content-type': 'image/png' }, 404, 'NoSuchPath'],
  ['a key that is missing', '/v1/triggers', {}, 401, 'NotAuthorized'],
  ['an ingest that is not there', '/v1/ingest/nosuch', {}, 404, 'NoSuchIngest'],
  ['a header that is wrong', '/v1/ingest/named', { 'x-key': 'wrong' }, 401, 'NotTheSender'],
  ['a parameter that is there twice', '/v1/ingest/named?a=1&a=2', { 'x-key': SECRET }, 422, 'InvalidRequest'],
  ['a signature that is missing', '/v1/ingest/signed', {}, 401, 'NotTheSender'],
  ['a time of signing that is missing', '/v1/ingest/standard', {}, 401, 'NotTheSender'],
  ['signing in from elsewhere than the console', '/v1/session', {}, 403, 'NotFromConsole'],
])('[S43] %s is answered before any of the body is read', async (_, path, headers, status, code) => {
  const body = new PassThrough();
  const asked = askOf(api, path, { body, headers });
  // It goes on, and would never end.
  body.write('{');
  expect(await asked).toMatchObject({ status, body: { code } });
  body.end();
});

test("[S43] bodies of unproved callers have a small room of their own, and take none of the others' room", async () => {
  const server = await apiWithoutTemporal(KEYS, { ingests: INGESTS });
  const headers = { 'x-signature': 'wrong' };
  const bodies = Array.from({ length: 3 }, () => new PassThrough());
  // Each path spells the same ingest.
  const paths = ['signed', 'sign%65d', 's%69gned'];
  const asked = bodies.map(async (body, i) => await askOf(server, `/v1/ingest/${paths[i]}`, { body, headers }));
  for (const body of bodies) body.write(Buffer.alloc(4 * 1024 * 1024 - 1, ' '));
  expect(await Promise.any(asked)).toMatchObject({ status: 503, body: { code: 'Busy' } });
  for (const [path, shown] of [
    ['named', { 'x-key': SECRET }],
    ['other', signed(IGNORED)],
  ] as const)
    expect(await askOf(server, `/v1/ingest/${path}`, { body: IGNORED, headers: shown })).toMatchObject({ status: 202 });
  for (const body of bodies) body.destroy();
  await Promise.allSettled(asked);
  await server.close();
});

test('[S43] the unproved body that has been coming longest gives way when the room is taken', async () => {
  const request = () => ({ headers: {}, routeOptions: { config: {} }, params: { ingest: 'held' } });
  const read = async (body: PassThrough) => await bytesOf(request() as unknown as FastifyRequest, body); // What is read of it.
  const [oldest, older, signedOne] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const readings = [read(oldest), read(older)] as const;
  for (const body of [oldest, older]) body.write(Buffer.alloc(4 * 1024 * 1024 - 1024, ' '));
  signedOne.end(Buffer.alloc(2048, ' '));
  const reading = read(signedOne);
  await expect(Promise.race([readings[0], reading])).rejects.toMatchObject({ refusal: { status: 503, code: 'Busy' } });
  expect(await reading).toHaveLength(2048);
  older.end();
  expect(await readings[1]).toHaveLength(4 * 1024 * 1024 - 1024);
});

test('[S43] a body of many small parts takes the room that they need in memory', async () => {
  const body = new PassThrough();
  const request = { headers: {}, routeOptions: { config: {} }, params: { ingest: 'many' } };
  const reading = bytesOf(request as unknown as FastifyRequest, body); // What is read of it.
  for (let i = 0; i < 40_000; i++) body.write(' ');
  await expect(reading).rejects.toMatchObject({ refusal: { status: 503, code: 'Busy' } });
});

test('[S43] the body of an unproved caller is waited for five seconds', async () => {
  await bodyIsGivenUp({ headers: {}, routeOptions: { config: {} }, params: {} }, 5_000);
});

test('[S36] [S43] a signature is over the bytes as they came, and nothing is unpacked before it is right', async () => {
  const post = async (body: Buffer, headers: object) =>
    await askOf(api, '/v1/ingest/signed', {
      body: PassThrough.from([body]),
      headers: { 'content-encoding': 'gzip', ...headers },
    });
  const packed = gzipSync(IGNORED);
  expect(await post(packed, signed(packed))).toMatchObject({ status: 202, body: { ignored: 1 } });
  expect(await post(packed, signed(IGNORED))).toMatchObject({ status: 401 });
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));
  expect(await post(bomb, { 'x-signature': 'wrong' })).toMatchObject({ status: 401 });
  expect(await post(bomb, signed(bomb))).toMatchObject({ status: 413, body: { code: 'BodyTooLarge' } });
});

test('a connection whose body was refused, and came to its end, serves the next request, however late', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { hostname, port } = new URL(api.url);
  const ask = async (path: string, method: string) => {
    const sent = request({ agent, hostname, port, path, method }).end(method === 'POST' ? IGNORED : undefined);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    await once(answer.resume(), 'end');
    return [answer.statusCode, sent.reusedSocket];
  };
  try {
    expect(await ask('/v1/nosuch', 'POST')).toEqual([404, false]);
    jest.advanceTimersByTime(10_000);
    expect(await ask('/healthz', 'GET')).toEqual([200, true]);
  } finally {
    jest.useRealTimers();
    agent.destroy();
  }
});

test('[S43] a connection with many requests at once is ended, and few of them are answered', async () => {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))).on('error', () => undefined);
  socket.write(`GET /openapi.json HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`.repeat(1_000));
  await once(socket, 'close');
  expect(text.split('HTTP/1.1 200').length - 1).toBeLessThanOrEqual(16);
  expect(await askOf(api, '/openapi.json')).toMatchObject({ status: 200 });
});
