import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from '@jest/globals';
import { NamespaceNotFoundError } from '@temporalio/common';
import { EVERYTHING } from '../../src/api/callers.ts';
import { pastTimeParameter } from '../../src/api/operation.ts';
import { JobNotFound } from '../../src/client/calls/errors.ts';
import type { ExportJobs } from '../../src/app/export-jobs.ts';
import { answerWhen } from '../support/patience.ts';
import { answerToBytes, apiWithoutTemporal, askOf, bodyIsGivenUp } from './an-api.ts';
import { afterwards } from '../webhook/a-server.ts';

const api = await apiWithoutTemporal();
const began = performance.now();
/** Headers that do not come to their end, begun first: they are waited for while other tests run. */
const slow = answerToBytes(api, 'GET /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ').then((said) => ({
  said,
  tookMs: performance.now() - began,
}));
afterAll(async () => {
  expect(api.logged).toEqual([]);
  await api.close();
});

const PROBLEM = expect.stringMatching(/^application\/problem\+json/);

test.each([
  ['/v1/jobs', 'DELETE', 'GET, HEAD, POST'],
  ['/healthz', 'POST', 'GET, HEAD'],
])('the path %s refuses %s, and names the methods that it takes', async (path, method, allow) => {
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
  [`/v1/jobs/${'x'.repeat(501)}`, 414, 'BadRequest'],
])('%s is answered %i in the form of all failures', async (path, status, code) => {
  expect(await askOf(api, path)).toMatchObject({
    status,
    headers: { 'content-type': PROBLEM },
    body: { status, code },
  });
});

test('a fault of ours is answered in the same form, without what it says, which the log has', async () => {
  const list = async () => await Promise.reject(new TypeError('of s3cret'));
  const server = await apiWithoutTemporal({}, { jobs: { list } as unknown as ExportJobs }); // No more of it is used.
  try {
    const answer = await askOf(server, '/v1/jobs');
    expect(answer).toMatchObject({ status: 500, headers: { 'content-type': PROBLEM }, body: { code: 'Unexpected' } });
    expect(JSON.stringify(answer)).not.toContain('s3cret');
    expect(server.logged).toEqual([{ err: expect.objectContaining({ message: 'of s3cret' }) }]);
  } finally {
    await server.close();
  }
});

test('the API reports a missing namespace as 503, so callers keep what they have', async () => {
  const missing = async () => await Promise.reject(new NamespaceNotFoundError('nope'));
  const jobs = { list: missing } as unknown as ExportJobs; // No more of it is used.
  const server = await apiWithoutTemporal({}, { jobs });
  afterwards(() => server.close());
  expect(await askOf(server, '/v1/jobs')).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2' },
    body: { code: 'NamespaceNotFoundError', detail: 'Temporal has no namespace "nope".' },
  });
  expect(server.logged).toEqual([]);
});

test.each([
  ['text/plain', {}, 415, 'WrongContentType'],
  ['nonsense', {}, 415, 'WrongContentType'],
  ['application/json', { 'content-encoding': 'br' }, 415, 'WrongContentEncoding', { 'accept-encoding': 'gzip' }],
  ['application/json', { 'content-encoding': 'gzip' }, 400, 'BodyBroken'],
])('a body of %s with %j is answered %i', async (contentType, more, status, code, said: object = {}) => {
  const answer = await askOf(api, '/v1/triggers', { body: '{}', headers: { 'content-type': contentType, ...more } });
  expect(answer).toMatchObject({ status, headers: { 'content-type': PROBLEM, ...said }, body: { code } });
});

test('[S35] a gzip body of some kilobytes that unpacks to more than a body may have is refused', async () => {
  const body = Readable.from([gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))]);
  const answer = await askOf(api, '/v1/triggers', { body, headers: { 'content-encoding': 'gzip' } });
  expect(answer).toMatchObject({ status: 413, body: { code: 'BodyTooLarge' } });
});

test('[S35] a body that is too large is refused before all of it was sent', async () => {
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

test('[S35] the bodies of all callers together have room for so much, which they give back', async () => {
  const server = await apiWithoutTemporal();
  const almostAll = gzipSync(Buffer.alloc(4 * 1024 * 1024, ' ')).subarray(0, -8);
  const headers = { 'content-encoding': 'gzip' };
  const bodies = Array.from({ length: 65 }, () => new PassThrough());
  const asked = bodies.map(async (body) => await askOf(server, '/v1/triggers', { body, headers }));
  for (const body of bodies) body.write(almostAll);
  expect(await Promise.any(asked)).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2' },
    body: { code: 'Busy' },
  });
  for (const body of bodies) body.destroy();
  await Promise.allSettled(asked);
  const answer = async () => await askOf(server, '/v1/triggers', { body: ' '.repeat(1024 * 1024) });
  expect((await answerWhen(answer, ({ status }) => status !== 503)).body).toMatchObject({ code: 'NoBody' });
  await server.close();
});

test('a client that reads the answer only after it has sent everything finds it', async () => {
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

test('[S35] a refused client that does not end its body is cut off', async () => {
  const head = `POST /v1/triggers HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${2 ** 30}\r\n\r\n`;
  const began = performance.now();
  expect(await answerToBytes(api, head, Buffer.alloc(5 * 1024 * 1024, ' '))).toMatch(/^HTTP\/1\.1 413 /);
  expect(performance.now() - began).toBeLessThan(20_000);
});

test.each(['application/json', 'application/x-ndjson'])(
  '[S35] a packed body of %s that was refused and breaks off is no fault of ours',
  async (type) => {
    const compare = async (jobId: string, theirs: AsyncIterable<string>): Promise<never> => {
      await theirs[Symbol.asyncIterator]().next();
      throw new JobNotFound(jobId);
    };
    const server = await apiWithoutTemporal({}, { jobs: { compare } as unknown as ExportJobs }); // No more of it is used.
    const [path, status, text] = type.endsWith('x-ndjson')
      ? ['/v1/jobs/crm/reconcile', 404, '1\n'.repeat(1_000_000)]
      : ['/v1/triggers', 413, ' '.repeat(8 * 1024 * 1024)];
    const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\ncontent-encoding: gzip\r\ncontent-length: ${2 ** 30}\r\n\r\n`;
    const said = await answerToBytes(server, head, gzipSync(text).subarray(0, -8));
    expect(said.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect((await askOf(server, '/healthz')).status).toBe(200);
    await server.close();
  },
);

test('[S35] the API answers bytes that are not HTTP, and oversized headers, in the format of all failures', async () => {
  expect(await answerToBytes(api, 'nonsense\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 400 [^]*problem\+json[^]*\r\n\r\n\{"status":400,"code":"BadRequest"/,
  );
  const head = `GET /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
  expect(await answerToBytes(api, head)).toMatch(/^HTTP\/1\.1 431 [^]*"detail":"The headers have more than 16 KiB\."/);
});

test('[S35] a body that does not come to its end is not waited for', async () => {
  await bodyIsGivenUp({ headers: {}, routeOptions: { config: {} }, caller: EVERYTHING }, 30_000);
});

test('a body that is not UTF-8 is refused: a person of another name would be sent', async () => {
  const text = Buffer.from('{"event":"enter","audience":"vip","user":"ü"}', 'latin1');
  const answer = await askOf(api, '/v1/triggers', { body: Readable.from([text]) });
  expect(answer).toMatchObject({ status: 400, headers: { 'content-type': PROBLEM }, body: { code: 'BodyNotText' } });
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

const trigger = { event: 'enter', audience: 'vip', user: '1' };
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();

test.each([
  ['/v1/triggers?strickt=1', trigger, 'strickt', 'Did you mean "strict"?'],
  ['/v1/triggers?strict=1&strict=1', trigger, 'strict', ''],
  ['/v1/jobs?state=runing', undefined, 'state', 'This must be one of starting, running'],
  [`/v1/trace?user=1&since=${TOMORROW}`, undefined, 'since', 'This must be in the past.'],
  [`/v1/dead-letters?newerThan=${TOMORROW}`, undefined, 'newerThan', 'This must be in the past.'],
  ['/v1/dead-letters/dead-letter-1/redeliver', { forse: true }, 'forse', 'Did you mean "force"?'],
  ['/v1/dead-letters/dead-letter-1/redeliver', { force: 'no' }, 'force', 'This must be true or false.'],
  ['/v1/dead-letters/discard', { jobId: 'crm', dryrun: true }, 'dryrun', 'Did you mean "dryRun"?'],
])('%s with %j is refused, since something else may be meant', async (path, body, field, message) => {
  expect(await askOf(api, path, { body })).toMatchObject({
    status: 422,
    body: { code: 'InvalidRequest', problems: [{ field, message: expect.stringContaining(message) }] },
  });
});

test('a time that is a moment ahead is accepted, since the clock of the caller may be', () => {
  const soon = new Date(Date.now() + 10_000).toISOString();
  expect(pastTimeParameter.safeParse(soon).success).toBe(true);
});

test.each(['redeliver', 'discard'])('a filter of dead letters to %s takes times of the past', async (name) => {
  const body = { jobId: 'crm', olderThan: TOMORROW, newerThan: 'yesterday' };
  expect(await askOf(api, `/v1/dead-letters/${name}`, { body })).toMatchObject({
    status: 422,
    body: {
      problems: [
        { field: 'olderThan', message: 'This must be in the past.' },
        { field: 'newerThan', message: 'This must be an RFC 3339 time, such as 2026-11-25T08:30:00Z.' },
      ],
    },
  });
});

test.each([
  ['/v1/watches', { audience: ['vip'], evryMs: 1 }, ['audiences', 'audience', 'evryMs'], 'Did you mean "audiences"?'],
  [
    '/v1/watches',
    { slugs: ['vip'] },
    ['audiences', 'slugs'],
    'The fields are everyMs, existingUsers, largestExitPercent, audiences, reason.',
  ],
  [
    '/v1/test',
    { xyz: 1 },
    ['xyz'],
    'The fields are jobId, definition, user, audience, event, userLegacyMessageFormat, onlyMembers.',
  ],
])('the API answers %s with %j by all fields that the body may have', async (path, body, fields, advice) => {
  const answer = await askOf(api, path, { body });
  expect(answer.status).toBe(422);
  expect(answer.body.problems.map(({ field }) => field)).toEqual(fields);
  expect(JSON.stringify(answer.body.problems)).toContain(JSON.stringify(advice).slice(1, -1));
});

test('discarding a dead letter takes nothing but a reason', async () => {
  expect(await askOf(api, '/v1/dead-letters/dead-letter-1/discard', { body: { confirm: false } })).toMatchObject({
    status: 422,
    body: { code: 'InvalidRequest' },
  });
});

test.each(['/v1/triggers', '/v1/jobs/crm/reconcile', '/v1/jobs', '/v1/session'])(
  'a body of %s that is missing without a word of what it would be is a missing one, too',
  async (path) => {
    const headers = { 'x-triggers-console': '1' };
    expect(await askOf(api, path, { method: 'POST', headers })).toMatchObject({
      status: 400,
      headers: { 'content-type': PROBLEM },
      body: { code: 'NoBody' },
    });
  },
);

test.each(['/v1/triggers', '/v1/jobs'])('an empty body of %s is a missing one', async (path) => {
  expect(await askOf(api, path, { body: '' })).toMatchObject({ status: 400, body: { code: 'NoBody' } });
});

test('[S35] headers that do not come to their end are not waited for', async () => {
  const { said, tookMs } = await slow;
  expect(said).toMatch(/^HTTP\/1\.1 408 [^]*problem\+json[^]*"detail":"The headers did not come within 10 s\."/);
  expect(tookMs).toBeGreaterThan(9_000);
  expect(tookMs).toBeLessThan(20_000);
}, 30_000);
