import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ApiServer } from '../../src/api/api-server.ts';
import { answerToBytes, apiWithoutTemporal, askOf } from './an-api.ts';

let api: ApiServer & { readonly logged: readonly object[] };
beforeAll(async () => {
  api = await apiWithoutTemporal();
});
afterAll(async () => {
  expect(api.logged).toEqual([]);
  await api.close();
});

const PROBLEM = expect.stringMatching(/^application\/problem\+json/);
const trigger = { event: 'enter', audience: 'vip', user: '1' };

test.each([
  ['/v1/jobs', 'DELETE', 'GET, HEAD, POST'],
  ['/v1/jobs/crm', 'PUT', 'GET, HEAD, PATCH'],
  ['/v1/triggers', 'GET', 'POST'],
  ['/healthz', 'POST', 'GET, HEAD'],
])('%s is not there for %s, and says what it takes', async (path, method, allow) => {
  const answer = await askOf(api, path, { method });
  expect(answer).toMatchObject({
    status: 405,
    headers: { allow, 'content-type': PROBLEM },
    body: { code: 'WrongMethod' },
  });
});

test.each([
  ['/v1/nothing', 404, 'NoSuchPath'],
  ['/v1/jobs/%zz', 400, 'BadRequest'],
  [`/v1/jobs/${'x'.repeat(600)}`, 414, 'BadRequest'],
])('%s is answered %i in the form of all failures', async (path, status, code) => {
  expect(await askOf(api, path)).toMatchObject({
    status,
    headers: { 'content-type': PROBLEM },
    body: { status, code },
  });
});

test.each([
  ['/v1/triggers?strickt=1', 'strickt'],
  ['/v1/triggers?strict=yes', 'strict'],
  ['/v1/triggers?strict=1&strict=1', 'strict'],
  ['/v1/jobs/crm/triggers?dryRun=1', 'dryRun'],
])('%s is refused, since the parameter would mean nothing, and nothing is sent', async (path, field) => {
  expect(await askOf(api, path, { body: trigger })).toMatchObject({
    status: 422,
    body: { code: 'InvalidRequest', problems: [{ field }] },
  });
});

test.each([
  ['text/plain', {}, 415, 'WrongContentType'],
  ['nonsense', {}, 415, 'WrongContentType'],
  ['application/json', { 'content-encoding': 'br' }, 415, 'WrongContentEncoding'],
  ['application/json', { 'content-encoding': 'gzip' }, 400, 'BodyBroken'],
])('a body of %s with %j is answered %i', async (contentType, more, status, code) => {
  const answer = await askOf(api, '/v1/triggers', { body: '{}', headers: { 'content-type': contentType, ...more } });
  expect(answer).toMatchObject({ status, headers: { 'content-type': PROBLEM }, body: { code } });
});

test('[S35] a gzip body of some kilobytes that unpacks to more than a body may have is refused', async () => {
  const body = Readable.from([gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))]);
  const answer = await askOf(api, '/v1/triggers', { body, headers: { 'content-encoding': 'gzip' } });
  expect(answer).toMatchObject({ status: 413, body: { code: 'BodyTooLarge' } });
});

test('[S35] whoever sends too much is told so before they have sent it all', async () => {
  const blank = Buffer.alloc(64 * 1024, ' ');
  const body = new Readable({
    read() {
      this.push(blank);
    },
  });
  const answer = await askOf(api, '/v1/triggers', { body });
  body.destroy();
  expect(answer).toMatchObject({ status: 413, body: { code: 'BodyTooLarge' } });
});

test('whoever looks for an answer only after sending everything finds it, too', async () => {
  const text = ' '.repeat(12 * 1024 * 1024);
  const { hostname, port } = new URL(api.url);
  const sent = httpRequest({
    hostname,
    port,
    path: '/v1/triggers',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  const answered = once(sent, 'response') as Promise<[{ statusCode: number; resume(): void }]>;
  await new Promise((resolve) => sent.end(text, () => resolve(undefined)));
  const [response] = await answered;
  response.resume();
  expect(response.statusCode).toBe(413);
});

test('[S35] what is not HTTP, and headers that are too large, are answered in the form of all failures', async () => {
  expect(await answerToBytes(api, 'nonsense\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 400 [^]*problem\+json[^]*\r\n\r\n\{"status":400,"code":"BadRequest"/,
  );
  const head = `GET /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
  expect(await answerToBytes(api, head)).toMatch(/^HTTP\/1\.1 431 [^]*"detail":"The headers have more than 16 KiB\."/);
});

test('a caller who goes away in the middle of a body is no fault of ours', async () => {
  const head =
    'POST /v1/triggers HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"event"';
  const { hostname, port } = new URL(api.url);
  const { connect } = await import('node:net');
  const socket = connect(Number(port), hostname);
  socket.write(head, () => setTimeout(() => socket.resetAndDestroy(), 50));
  await once(socket, 'close');
  const counted = await askText('/metrics');
  expect(counted).not.toMatch(/status_class="5xx"/);
});

async function askText(path: string): Promise<string> {
  return await fetch(`${api.url}${path}`).then(async (answer) => await answer.text());
}

test.each([
  ['/v1/jobs?state=runing', 'state', 'This is one of starting, running'],
  ['/v1/dead-letters?user=a&user=b', 'user', 'This is given once.'],
  ['/v1/jobs?limit=1&limit=2', 'limit', 'This is given once.'],
])('%s is refused: what it would find is not what is meant', async (path, field, message) => {
  expect(await askOf(api, path)).toMatchObject({
    status: 422,
    body: { code: 'InvalidRequest', problems: [{ field, message: expect.stringContaining(message) }] },
  });
});

test.each([
  ['redeliver', { confirm: false }, 'confirm', 'There is no such field.'],
  ['redeliver', { forse: true }, 'forse', 'Did you mean "force"?'],
  ['redeliver', { force: 'no' }, 'force', 'This must be true or false.'],
])(
  '%s of a dead letter with %p does nothing, since something else may be meant',
  async (name, body, field, message) => {
    expect(await askOf(api, `/v1/dead-letters/dead-letter-1/${name}`, { body })).toMatchObject({
      status: 422,
      body: { code: 'InvalidRequest', problems: [{ field, message: expect.stringContaining(message) }] },
    });
  },
);

test('discarding a dead letter takes no body, whatever it says', async () => {
  expect(await askOf(api, '/v1/dead-letters/dead-letter-1/discard', { body: { confirm: false } })).toMatchObject({
    status: 400,
    body: { code: 'BodyNotTaken' },
  });
});

test('a misspelt field of a filter is named with what was meant', async () => {
  expect(await askOf(api, '/v1/dead-letters/discard', { body: { jobId: 'crm', dryrun: true } })).toMatchObject({
    status: 422,
    body: { problems: [{ field: 'dryrun', message: 'There is no such field. Did you mean "dryRun"?' }] },
  });
});

test.each(['/v1/triggers', '/v1/jobs'])('an empty body of %s is a missing one', async (path) => {
  expect(await askOf(api, path, { body: '' })).toMatchObject({ status: 400, body: { code: 'NoBody' } });
});
