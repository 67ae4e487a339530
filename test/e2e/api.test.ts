import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as requestOf } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Api } from '../../src/app/api.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { newApiKey } from '../../src/config/references.ts';
import { type Answered, apiOf, askOf, type Question } from '../api/an-api.ts';
import { answerWhen } from '../support/patience.ts';
import { labOfFile, NEWS, VIP } from '../support/lab.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';

/** Nobody else's job on this server subscribes to it. */
const OWN = { id: randomBytes(16).toString('hex'), slug: `own-${randomBytes(4).toString('hex')}`, name: 'Own' };
/** Nobody subscribes to it at first. */
const LATE = { id: randomBytes(16).toString('hex'), slug: `late-${randomBytes(4).toString('hex')}`, name: 'Late' };
/** What the API called a fault of its own. */
const unexpected: object[] = [];
const lab = await labOfFile({
  receiver: { keepBodies: true },
  content: { audiences: [VIP, NEWS, OWN, LATE].map((one) => ({ ...one, members: [] })) },
});
afterAll(() => expect(unexpected).toEqual([]));

const openApi = async (keys: ConfiguredApiKeys = {}, host = '127.0.0.1') =>
  await apiOf(lab, { keys, host }, (fields) => unexpected.push(fields));
const api = await openApi();
afterFile(() => api.close());

const ask = async (path: string, { server = api, ...question }: Question & { server?: Api } = {}): Promise<Answered> =>
  await askOf(server, path, question);

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');

/** `GET /v1/jobs/{job}`, and so on, as the tables of docs/api.md have them: a name alone, and one behind …, stand for the path before. */
function documentedPaths(): string[] {
  const cells = [...page('api').matchAll(/^\| (`(?:GET|POST|PATCH|DELETE) [^|]*)\|/gm)].map(([, cell = '']) => cell);
  return cells.flatMap((cell) => {
    let method = '';
    let base = '';
    return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => {
      if (/=|^\?/.test(text) && !text.includes('/')) return [];
      const [, verb, path = text] = /^(GET|POST|PATCH|DELETE) (.*)$/.exec(text) ?? [];
      method = verb ?? method;
      const bare = path.replace(/\?.*$/, '');
      const full = bare.startsWith('…')
        ? base.replace(/\/(redeliver|discard)$/, '') + bare.slice(1)
        : bare.startsWith('/')
          ? bare
          : base.replace(/[^/]*$/, bare);
      if (!bare.startsWith('…')) base = full;
      return full.startsWith('/v1/') ? [`${method} ${full}`] : [];
    });
  });
}

const NDJSON = { 'content-type': 'application/x-ndjson' };
let people = 0;
const person = (): string => `api-${++people}`;
const enter = (user: string, more: object = {}) => ({ event: 'enter', audience: 'vip', user, profile: {}, ...more });

const arrivedFor = (user: string) => lab.receiver.ledger.entries.filter(({ message }) => message?.user === user);

describe('triggers', () => {
  test('one trigger is answered 202 when Temporal has it, and is delivered, with all digits of its numbers', async () => {
    const job = await lab.start();
    const user = person();
    const text = `{"event":"enter","audience":"vip","user":"${user}","profile":{"n":12345678901234567890}}`;
    expect(await ask(`/v1/jobs/${job}/triggers`, { body: text })).toMatchObject({
      status: 202,
      body: { accepted: 1, refusedCount: 0, refused: [] },
    });
    await lab.arrives(user);
    expect(arrivedFor(user).map(({ body }) => body)).toEqual([expect.stringContaining('12345678901234567890')]);
  });

  test('the API names a wrong trigger by its index and accepts the rest; with strict, it accepts nothing', async () => {
    const job = await lab.start();
    const [first, last] = [person(), person()];
    const body = [enter(first), { ...enter(person()), user: 7 }, enter(person(), { audience: 'vipp' }), enter(last)];
    const strict = await ask(`/v1/jobs/${job}/triggers?strict=1`, { body });
    expect(strict).toMatchObject({ status: 422, body: { code: 'InvalidTrigger', accepted: 0, refusedCount: 2 } });
    const some = await ask(`/v1/jobs/${job}/triggers`, { body });
    expect(some).toMatchObject({ status: 207, body: { accepted: 2, refusedCount: 2 } });
    expect(some.body.refused).toEqual([
      { index: 1, reason: expect.stringContaining('"user" must be a string') },
      { index: 2, reason: expect.stringMatching(/does not subscribe to "vipp". Did you mean "vip"/) },
    ]);
    await lab.arrives(last);
    expect([arrivedFor(first).length, arrivedFor(last).length]).toEqual([1, 1]);
  });

  test('NDJSON of any length is taken in order, and what is no trigger is named by its line', async () => {
    const job = await lab.start({ parallelRequestCount: 20 });
    const people = Array.from({ length: 300 }, () => person());
    function* lines() {
      for (let round = 0; round < 10; round++)
        for (const user of people)
          yield `${JSON.stringify({ ...enter(user), event: round % 2 === 0 ? 'enter' : 'exit' })}\n`;
      yield '\n{"event":\n';
    }
    const answer = await ask(`/v1/jobs/${job}/triggers`, { body: Readable.from(lines()), headers: NDJSON });
    expect(answer).toMatchObject({
      status: 207,
      body: { accepted: 3000, refusedCount: 1, refused: [{ index: 3001 }] },
    });
    await lab.statusWhen(job, ({ delivered, waiting }) => delivered === 3000 && waiting === 0);
    for (const user of people) {
      const events = lab.receiver.ledger.entries.filter(({ message }) => message?.user === user);
      expect(events.map(({ message }) => message?.event)).toEqual(
        Array.from({ length: 10 }, (_, round) => (round % 2 === 0 ? 'enter' : 'exit')),
      );
    }
  });

  test('the API answers 422 when it accepts no trigger, also if one of them is only unmatched', async () => {
    const body = [enter(person(), { audience: 'nobody-subscribes' }), { ...enter(person()), user: 7 }];
    expect(await ask('/v1/triggers', { body })).toMatchObject({
      status: 422,
      body: { code: 'InvalidTrigger', accepted: 0, unmatched: 1, refusedCount: 1, refused: [{ index: 1 }] },
    });
  });

  test('an unmatched trigger is sent when it is repeated with its Idempotency-Key, since a job may have begun', async () => {
    const { slug } = LATE;
    const headers = { 'idempotency-key': slug };
    const user = person();
    const body = enter(user, { audience: slug });
    expect(await ask('/v1/triggers', { headers, body })).toMatchObject({ status: 202, body: { unmatched: 1 } });
    await lab.start({ audiences: [slug] });
    await answerWhen(
      async () => await ask('/v1/triggers', { headers, body }),
      ({ body }) => body.accepted === 1,
      1100,
    );
    await lab.arrives(user);
    expect(arrivedFor(user)).toHaveLength(1);
  });

  test('without a job each goes to every job that listens; what nobody subscribes to is counted', async () => {
    const jobs = [await lab.start({ audiences: [OWN.slug] }), await lab.start({ audiences: [OWN.slug, 'vip'] })];
    const body = [
      enter(person(), { audience: OWN.slug }),
      enter(person(), { audience: OWN.id }),
      enter(person(), { audience: `nobody-${OWN.slug}` }),
    ];
    const answer = await answerWhen(
      async () => await ask('/v1/triggers', { body: body.map((one) => ({ ...one, at: '2026-01-01T00:00:00Z' })) }),
      // The list of jobs may turn old between two names of a request: then only the later one finds the jobs.
      ({ body: { jobs: counts } }) => Object.values(counts).filter((count) => count === 2).length === jobs.length,
      1100,
    );
    expect(answer).toMatchObject({ status: 202, body: { accepted: 2, unmatched: 1 } });
    expect(answer.body.jobs).toEqual(Object.fromEntries(jobs.map((job) => [job, 2])));
  });

  test('an Idempotency-Key makes a repeat harmless, also of triggers without a time', async () => {
    const job = await lab.start();
    const user = person();
    const headers = { 'idempotency-key': `key-${user}` };
    const first = await ask(`/v1/jobs/${job}/triggers`, { body: enter(user), headers });
    const again = await ask(`/v1/jobs/${job}/triggers`, { body: enter(user), headers });
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(await ask(`/v1/jobs/${job}/triggers`, { body: enter(person()), headers })).toMatchObject({
      status: 422,
      body: { code: 'IdempotencyKeyReused' },
    });
    await lab.statusWhen(job, ({ delivered, waiting }) => delivered === 1 && waiting === 0);
    expect((await lab.jobs.status(job)).received).toBe(1);
  });

  test('a stream is done again under its key, and another one under the same key is done, too', async () => {
    const job = await lab.start();
    const [first, second] = [person(), person()];
    const headers = { ...NDJSON, 'idempotency-key': `stream-${first}` };
    for (const user of [first, first, second])
      expect(await ask(`/v1/jobs/${job}/triggers`, { body: JSON.stringify(enter(user)), headers })).toMatchObject({
        status: 202,
        body: { accepted: 1 },
      });
    await lab.arrives(second);
    await lab.statusWhen(job, ({ waiting }) => waiting === 0);
    expect([arrivedFor(first).length, arrivedFor(second).length]).toEqual([1, 1]);
  });

  test('the API names overlong lines and lines that are not UTF-8 by index, and accepts the others', async () => {
    const job = await lab.start();
    const [first, last] = [person(), person()];
    const line = (user: string) => Buffer.from(`${JSON.stringify(enter(user))}\n`);
    const broken = Buffer.concat([
      Buffer.from('{"event":"enter","audience":"vip","user":"u'),
      Buffer.from([0xe9]),
      Buffer.from('"}\n'),
    ]);
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    function* parts() {
      yield line(first);
      yield broken; // Another person would be told of.
      for (let i = 0; i < 256; i++) yield mebibyte;
      yield Buffer.from('\n');
      yield line(last);
    }
    const before = process.memoryUsage().rss;
    const answer = await ask(`/v1/jobs/${job}/triggers`, { body: Readable.from(parts()), headers: NDJSON });
    expect(answer).toMatchObject({ status: 207, body: { accepted: 2, refusedCount: 2 } });
    expect(answer.body.refused).toEqual([
      { index: 1, reason: 'it is not UTF-8' },
      { index: 2, reason: 'it is longer than 1048576 bytes' },
    ]);
    // Far less than was sent: what was read is not kept. How soon Node takes its buffers back differs by line.
    expect(process.memoryUsage().rss - before).toBeLessThan(192 * 1024 * 1024);
    await lab.arrives(last);
    expect([arrivedFor(first).length, arrivedFor(last).length]).toEqual([1, 1]);
  });

  test('bodies packed with gzip are taken, JSON as well as NDJSON', async () => {
    const job = await lab.start();
    const [one, other] = [person(), person()];
    const packed = { 'content-encoding': 'gzip' };
    const json = Readable.from([gzipSync(JSON.stringify(enter(one)))]);
    expect((await ask(`/v1/jobs/${job}/triggers`, { body: json, headers: packed })).status).toBe(202);
    const lines = Readable.from([gzipSync(`${JSON.stringify(enter(other))}\n`.repeat(1))]);
    expect((await ask(`/v1/jobs/${job}/triggers`, { body: lines, headers: { ...NDJSON, ...packed } })).status).toBe(
      202,
    );
    await lab.arrives(one);
    await lab.arrives(other);
  });

  test('a slow stream is taken line by line, before its end', async () => {
    const job = await lab.start();
    const user = person();
    const body = new PassThrough();
    const answer = ask(`/v1/jobs/${job}/triggers`, { body, headers: NDJSON });
    body.write(`${JSON.stringify(enter(user))}\n`);
    await lab.arrives(user);
    body.end();
    expect(await answer).toMatchObject({ status: 202, body: { accepted: 1 } });
  });

  test('a list that is too long, and a body that is no form, are refused', async () => {
    const job = await lab.start();
    expect(await ask(`/v1/jobs/${job}/triggers`, { body: Array.from({ length: 10_001 }, () => 0) })).toMatchObject({
      status: 413,
    });
    for (const body of ['null', '5', '[]', '"x"'])
      expect(await ask(`/v1/jobs/${job}`, { method: 'PATCH', body })).toMatchObject({
        status: 422,
        body: { code: 'InvalidRequest' },
      });
  });

  test('the API says that a job does not exist, or has ended', async () => {
    expect(await ask('/v1/jobs/nix/triggers', { body: enter('a') })).toMatchObject({
      status: 404,
      body: { code: 'JobNotFound' },
    });
    const job = await lab.start();
    await lab.jobs.stop(job, { waiting: 'discard' });
    await answerWhen(
      () => lab.jobs.isRunning(job),
      (runs) => !runs,
    );
    expect(await ask(`/v1/jobs/${job}/triggers`, { body: enter('a') })).toMatchObject({
      status: 409,
      body: { code: 'JobNotRunning' },
    });
  });

  test.each([
    ['{"a":', 400, 'NotJson'],
    ['{"event":"enter","event":"exit","audience":"vip","user":"a"}', 400, 'KeyTwice'],
    ['7', 422, 'InvalidTrigger'],
  ])('a body %s is refused with %i %s', async (body, status, code) => {
    const job = await lab.start();
    expect(await ask(`/v1/jobs/${job}/triggers`, { body })).toMatchObject({ status, body: { code } });
  });
});

describe('jobs', () => {
  test('a job is checked, started, seen, changed, paused, resumed and stopped', async () => {
    const definition = { label: 'By API', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    const wrong = await ask('/v1/jobs?validateOnly=1', { body: { ...definition, labl: 'x', audiences: ['vipp'] } });
    expect(wrong).toMatchObject({ status: 422, body: { code: 'InvalidJob' } });
    expect(wrong.body.problems.map(({ field }: { field: string }) => field)).toEqual(expect.arrayContaining(['labl']));
    const right = await ask('/v1/jobs?validateOnly=1', { body: definition });
    expect(right).toMatchObject({ status: 200, body: { ok: true } });
    const id = person();
    const started = await ask(`/v1/jobs?id=${id}`, { body: definition });
    expect(started).toMatchObject({ status: 201, body: { jobId: id } });
    expect(await ask(`/v1/jobs?id=${id}`, { body: definition })).toMatchObject({
      status: 409,
      body: { code: 'JobAlreadyRunning' },
    });
    expect(await ask(`/v1/jobs?validateOnly=1&id=${id}`, { body: definition })).toMatchObject({
      status: 409,
      body: { code: 'JobAlreadyRunning' },
    });
    const only = `/v1/jobs/${id}?validateOnly=1`;
    lab.source.enter(NEWS.id, 'a-reader');
    lab.source.setProfile('a-reader', { email: 'a@example.com' });
    expect(await ask(only, { method: 'PATCH', body: { parallelRequestCount: 0, labl: 'x' } })).toMatchObject({
      status: 422,
      body: { code: 'InvalidJob', problems: [{ field: 'labl' }, { field: 'parallelRequestCount' }] },
    });
    expect(await ask(only, { method: 'PATCH', body: { audiences: ['news'], exportFields: ['nix'] } })).toMatchObject({
      status: 200,
      body: { warnings: [expect.stringContaining('nix')], audiences: [{ slug: 'news' }] },
    });
    expect(await ask(`/v1/jobs/${id}`)).toMatchObject({ body: { revision: 1, audiences: [{ slug: 'vip' }] } });
    const changed = await ask(`/v1/jobs/${id}`, { method: 'PATCH', body: { parallelRequestCount: 7 } });
    expect(changed).toMatchObject({
      status: 200,
      body: { changes: [{ field: 'parallelRequestCount', from: 5, to: 7 }] },
    });
    expect(await ask(`/v1/jobs/${id}/pause`, { method: 'POST' })).toMatchObject({
      status: 200,
      body: { state: 'paused' },
    });
    expect(await ask(`/v1/jobs/${id}/resume`, { method: 'POST' })).toMatchObject({ status: 200 });
    expect(await ask(`/v1/jobs/${id}`)).toMatchObject({ status: 200, body: { parallelRequestCount: 7 } });
    // What it would be started with again, with the whole URL.
    const { body: whole } = await ask(`/v1/jobs/${id}/definition`);
    expect(whole).toEqual({ ...definition, parallelRequestCount: 7 });
    expect(await ask('/v1/jobs?validateOnly=1', { body: whole })).toMatchObject({ status: 200 });
    const listed = await answerWhen(
      async () => await ask(`/v1/jobs?label=by%20api&limit=1`),
      ({ body: { jobs } }) => jobs.length === 1,
    );
    expect(listed.body.jobs).toMatchObject([{ jobId: id }]);
    // All words, in the id, the label or an audience's slug; the states of all of them, in whichever state is asked for.
    const { body: searched } = await ask(`/v1/jobs?search=${encodeURIComponent(`vip ${id}`)}&state=stopped`);
    expect(searched.jobs).toEqual([]);
    expect(Object.values(searched.states)).toEqual([1]);
    expect((await ask(`/v1/jobs?search=${encodeURIComponent(`vop ${id}`)}`)).body).toEqual({ jobs: [], states: {} });
    expect(await ask(`/v1/jobs/${id}/stop`, { body: { waiting: 'discard' } })).toMatchObject({ status: 200 });
    expect(await ask(`/v1/jobs/${id}/stop`, { body: { wating: 'discard' } })).toMatchObject({
      status: 422,
      body: { code: 'InvalidRequest', problems: [{ field: 'wating' }] },
    });
  });

  test('audiences, fields, authorizations, a rendered request, attempts and a trace are answered', async () => {
    const user = person();
    lab.source.enter(VIP.id, user);
    lab.source.setProfile(user, { email: 'a@example.com' });
    const job = await lab.start();
    expect(await ask('/v1/audiences')).toMatchObject({
      status: 200,
      body: { audiences: expect.arrayContaining([expect.objectContaining({ slug: 'vip' })]) },
    });
    expect(await ask('/v1/audiences/vip/fields')).toMatchObject({
      status: 200,
      body: { fields: expect.arrayContaining(['email']) },
    });
    expect(await ask('/v1/audiences/vipp/fields')).toMatchObject({
      status: 404,
      body: { code: 'NoSuchAudience', detail: expect.stringContaining('Did you mean "vip"?') },
    });
    expect(await ask('/v1/authorizations')).toMatchObject({ status: 200 });
    expect(await ask('/v1/render', { body: { jobId: job, user } })).toMatchObject({
      status: 200,
      body: { request: { method: 'POST' } },
    });
    await ask(`/v1/jobs/${job}/triggers`, { body: enter(user) });
    await lab.arrives(user);
    await answerWhen(
      async () => await ask(`/v1/jobs/${job}/trend`),
      ({ body }) => body.hour.some(({ delivered }) => delivered === 1),
    );
    await answerWhen(
      async () => await ask(`/v1/jobs/${job}/attempts?last=5`),
      ({ body }) => body.attempts.length === 1,
    );
    expect((await ask(`/v1/trace?user=${user}&jobId=${job}`)).body.events.length).toBeGreaterThan(0);
  });

  test.each([
    ['/v1/jobs?limt=3', 'limt'],
    ['/v1/dead-letters?olderThan=yesterday', 'olderThan'],
    ['/v1/trace', 'user'],
  ])('%s is refused, and the parameter is named', async (path, field) => {
    expect(await ask(path)).toMatchObject({ status: 422, body: { code: 'InvalidRequest', problems: [{ field }] } });
  });
});

describe('keys', () => {
  const { secret, hash } = newApiKey();
  const key = (more: Omit<ConfiguredApiKeys[string], 'hash'>) => ({ hash, ...more });
  const bearer = { authorization: `Bearer ${secret}` };

  test('[S32] without keys it listens on this machine only', async () => {
    await expect(openApi({}, '0.0.0.0')).rejects.toThrow(/There are no API keys/);
  });

  test('[S32] without keys a page that asks by another name, or from another site, is refused', async () => {
    expect(await ask('/v1/jobs', { headers: { host: 'evil.example.com' } })).toMatchObject({ status: 403 });
    expect(await ask('/v1/jobs', { headers: { 'sec-fetch-site': 'cross-site' } })).toMatchObject({ status: 403 });
    for (const origin of ['http://evil.example.com', 'null', 'http://127.0.0.1:1'])
      expect(await ask('/v1/jobs', { headers: { origin } })).toMatchObject({ status: 403 });
    expect(await ask('/v1/jobs', { headers: { origin: api.url } })).toMatchObject({ status: 200 });
  });

  test('[S34] a key for one job shows and sends nothing of others, not even by a definition of its own', async () => {
    const [job, other] = [await lab.start(), await lab.start()];
    const server = await openApi({ crm: key({ may: ['read', 'operate'], jobs: [job] }) });
    afterwards(() => server.close());
    const as = async (path: string, body: object, more: object = {}) =>
      (await ask(path, { headers: bearer, server, body, ...more })).status;
    const definition = { label: 'Mine', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    expect(await as('/v1/render', { definition })).toBe(403);
    expect(await as('/v1/test', { definition })).toBe(403);
    expect(await as('/v1/render', { jobId: other })).toBe(403);
    expect(await as(`/v1/jobs?id=${person()}`, definition)).toBe(403);
    expect(await as(`/v1/jobs/${other}`, { label: 'x' }, { method: 'PATCH' })).toBe(403);
    expect(await as('/v1/dead-letters/discard', { jobId: other, dryRun: true })).toBe(403);
    expect(await as('/v1/dead-letters/discard', { jobId: job, dryRun: true })).toBe(200);
  });

  test('a decision about another number of dead letters than expected is refused, also where there are none', async () => {
    const discard = async (more: object) =>
      await ask('/v1/dead-letters/discard', { body: { jobId: await lab.start(), ...more } });
    expect(await discard({ expected: 5 })).toMatchObject({ status: 409, body: { code: 'NotAsExpected' } });
    expect(await discard({ dryRun: true })).toMatchObject({ status: 200, body: { extent: { letters: 0 } } });
  });

  test('a key for jobs of which none runs gets that as the reason, not that no job subscribes', async () => {
    const server = await openApi({ crm: key({ may: ['trigger'], jobs: ['crmm'] }) });
    afterwards(() => server.close());
    expect(await ask('/v1/triggers', { headers: bearer, server, body: enter(person()) })).toMatchObject({
      status: 409,
      body: { code: 'JobNotRunning', detail: expect.stringContaining('"crmm"') },
    });
  });

  test('[S34] a key may what it says, and nothing else', async () => {
    const job = await lab.start();
    const other = await lab.start();
    const server = await openApi({ crm: key({ may: ['trigger'], jobs: [job], audiences: ['vip'] }) });
    afterwards(() => server.close());
    const as = async (path: string, more: object = {}) =>
      (await ask(path, { headers: bearer, server, ...more })).status;
    expect((await ask('/v1/jobs', { server })).status).toBe(401);
    expect((await ask('/v1/jobs', { server, headers: { authorization: `Bearer ${secret}x` } })).status).toBe(401);
    expect(await as(`/v1/jobs/${job}`)).toBe(403);
    expect(await as(`/v1/jobs/${other}`)).toBe(403);
    expect(await as(`/v1/jobs/${job}/triggers`, { body: enter(person()) })).toBe(202);
    expect(await as(`/v1/jobs/${job}/triggers`, { body: enter(person(), { audience: 'news' }) })).toBe(422);
    expect(await as(`/v1/jobs/${other}/triggers`, { body: enter(person()) })).toBe(403);
    expect(await as(`/v1/jobs/${job}/pause`, { method: 'POST' })).toBe(403);
    expect(await as('/v1/trace?user=a')).toBe(403);
    expect((await lab.jobs.status(other)).received).toBe(0);
    // A key that may only see a job does not see where it sends.
    server.replaceKeys({ crm: key({ may: ['read'] }) });
    expect(await as(`/v1/jobs/${job}`)).toBe(200);
    expect(await as(`/v1/jobs/${job}/definition`)).toBe(403);
  });
});

test('docs/api.md has every path that there is, and docs/metrics.md every metric, and neither has others', async () => {
  const { body } = await ask('/openapi.json');
  const there = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(there.sort()).toEqual(documentedPaths().sort());
  const scraped = await request(`${api.url}/metrics`).then(async ({ body: text }) => await text.text());
  const names = [...scraped.matchAll(/^# TYPE (triggers_api_\w+)/gm)].map(([, name]) => name);
  const documented = [...page('metrics').matchAll(/^\| `(triggers_api_\w+)/gm)].map(([, name]) => name);
  expect(new Set(names)).toEqual(new Set(documented));
  expect(scraped).toContain('triggers_api_triggers_total{outcome="accepted"}');
});

test('a closing API still answers requests that have begun', async () => {
  const job = await lab.start();
  const server = await openApi();
  const user = person();
  const headers = { 'content-type': 'application/json', expect: '100-continue' };
  const asked = requestOf(`${server.url}/v1/jobs/${job}/triggers`, { method: 'POST', headers });
  const answered = once(asked, 'response');
  asked.flushHeaders();
  // It has begun: from here on it waits for the body.
  await once(asked, 'continue');
  const closed = server.close();
  asked.end(JSON.stringify(enter(user)));
  const [answer] = (await answered) as [IncomingMessage];
  expect(answer.statusCode).toBe(202);
  answer.resume();
  await closed;
  await lab.arrives(user);
});
