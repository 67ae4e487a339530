import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { request } from 'undici';
import type { Api } from '../../src/app/api.ts';
import { ExportJobs } from '../../src/app/export-jobs.ts';
import { type ConfiguredIngests, ingestsSchema } from '../../src/features/ingests/config.ts';
import type { PresetName } from '../../src/features/ingests/presets.ts';
import { apiOf } from '../api/an-api.ts';
import { answerWhen } from '../support/patience.ts';
import { labOfFile } from '../support/lab.ts';
import { triggers } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { afterFile } from '../webhook/a-server.ts';

/** Nobody else's job on this server subscribes to these; each test has one of its own. */
const AUDIENCES = Array.from({ length: 20 }, (_, n) => {
  const mark = randomBytes(4).toString('hex');
  return { id: randomBytes(16).toString('hex'), slug: `own-${n}-${mark}`, name: `Own ${n}`, members: [] };
});
const SECRET = 'sh4red-with-the-sender-only';
const ROBIN = '7076027172059065053';

const faults: object[] = [];
const warnings: object[] = [];
// A job waits some 20 s for the profile of a person that its source does not know.
const profiles = Object.fromEntries([ROBIN, 'before', 'chained'].map((user) => [user, {}]));
const lab = await labOfFile({ receiver: { keepBodies: true }, content: { audiences: AUDIENCES, profiles } });
afterAll(() => expect(faults).toEqual([]));

async function open(ingests: object, client = lab.client): Promise<Api> {
  const { taskQueue } = lab;
  const jobs = client === lab.client ? lab.jobs : new ExportJobs(client, { taskQueue });
  const log = { error: (fields: object) => faults.push(fields), warn: (fields: object) => warnings.push(fields) };
  return await apiOf({ client, jobs, taskQueue }, { ingests: configured(ingests), log });
}

const configured = (ingests: object): ConfiguredIngests => ingestsSchema.parse(ingests);
const api = await open({});
afterFile(() => api.close());

const example = (name: string): string =>
  readFileSync(new URL(`../../examples/ingests/${name}.json`, import.meta.url), 'utf8');

interface Answered {
  readonly status: number;
  readonly retryAfter: unknown;
  readonly body: { readonly [key: string]: unknown };
}

async function post(path: string, body: string, headers: object = {}, server = api): Promise<Answered> {
  const answer = await request(`${server.url}/v1/ingest/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    retryAfter: answer.headers['retry-after'],
    body: JSON.parse(text) as Answered['body'],
  };
}

/** An ingest that is served, and the job that subscribes to what its senders call `vip`. */
async function served(number: number, config: object, names: readonly string[] = ['vip']) {
  const audience = AUDIENCES[number]!;
  const job = await lab.start({ audiences: [audience.slug], parallelRequestCount: 5 });
  const name = `ingest-${number}`;
  const audiences = Object.fromEntries(names.map((one) => [one, audience.slug]));
  api.replaceIngests(configured({ [name]: { audiences, ...config } }));
  // Which jobs listen is known a second or so after their start.
  await lab.listedWhen(job);
  return { name, job, slug: audience.slug };
}

/** What arrived about an audience: `enter 7076027172059065053`, in order of the text. */
const told = (slug: string): string[] =>
  lab.receiver.ledger.entries
    .flatMap(({ message }) => (message?.slug === slug ? [`${message.event} ${message.user}`] : []))
    .toSorted();

async function arrived(slug: string, count: number): Promise<string[]> {
  await answerWhen(
    () => told(slug).length,
    (length) => length >= count,
  );
  return told(slug);
}

const hmac = (algorithm: string, text: string): string => createHmac(algorithm, SECRET).update(text).digest('hex');
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
const KIM = '3318840061257794210';
const SAM = '12645278470990184693';

interface Case {
  readonly preset: PresetName;
  readonly file: string;
  readonly proof: object;
  readonly shown: (text: string) => object;
  readonly query?: string;
  readonly names?: readonly string[];
  readonly answer?: object;
  readonly told: readonly string[];
}

/** Each place where the proof stands; test/features/ingests/presets.test.ts and signature.test.ts have all senders. */
const PROVED: readonly Case[] = [
  {
    preset: 'segment',
    file: 'segment',
    proof: { signature: { secret: SECRET } },
    shown: (text) => ({ 'x-signature': hmac('sha1', text) }),
    told: [`enter ${ROBIN}`],
  },
  {
    preset: 'lytics',
    file: 'lytics-legacy',
    proof: { parameter: { name: 'key', value: SECRET } },
    shown: () => ({}),
    query: `?key=${SECRET}`,
    names: ['VIP customers'],
    told: [`exit ${SAM}`],
  },
  {
    preset: 'mixpanel',
    file: 'mixpanel',
    proof: { basic: { username: 'mixpanel', password: SECRET } },
    shown: () => basic(`mixpanel:${SECRET}`),
    names: ['VIPs'],
    answer: { action: 'add_members', status: 'success' },
    told: [`enter ${KIM}`, `enter ${ROBIN}`],
  },
  {
    preset: 'hightouch',
    file: 'hightouch',
    proof: { header: { name: 'authorization', value: `Bearer ${SECRET}` } },
    shown: () => ({ authorization: `Bearer ${SECRET}` }),
    query: '?event=enter&audience=vip',
    told: [`enter ${KIM}`, `enter ${ROBIN}`],
  },
];

describe('from a body to the receiver', () => {
  test.each(PROVED.map((one, number) => [one.file, number, one] as const))(
    '[S36] %s: only a request that proves its sender is accepted and sent on',
    async (_, number, { preset, file, proof, shown, query = '', names, answer = {}, told }) => {
      const { name, slug } = await served(number, { preset, ...proof }, names);
      const text = example(file);
      const path = `${name}${query}`;
      const wrong = query.includes(SECRET) ? `${name}?key=wrong` : path;
      expect(await post(wrong, text, { authorization: 'Bearer wrong' })).toMatchObject({
        status: 401,
        body: { code: 'NotTheSender' },
      });
      const answered = await answerWhen(
        async () => await post(path, text, shown(text)),
        ({ status, body }) => status !== 202 || body['unmatched'] === 0,
        1100,
      );
      expect(answered).toMatchObject({ status: 202, body: { accepted: told.length, refusedCount: 0, ...answer } });
      expect(await arrived(slug, told.length)).toEqual(told);
    },
  );

  test('by expressions, with a profile that comes along', async () => {
    const expressions = {
      each: 'people',
      user: 'who',
      event: 'in',
      audience: '$body.list',
      at: '$body.sent',
      profile: 'fields',
      id: 'id',
    };
    const { name, slug } = await served(11, { expressions });
    const answered = await answerWhen(
      async () => await post(name, example('any').replace('m-81', randomBytes(4).toString('hex'))),
      ({ body }) => body['unmatched'] === 0,
      1100,
    );
    expect(answered).toMatchObject({ status: 202, body: { accepted: 2 } });
    expect(await arrived(slug, 2)).toEqual([`enter ${ROBIN}`, `exit ${KIM}`]);
    const bodies = lab.receiver.ledger.entries.filter(({ message }) => message?.slug === slug).map(({ body }) => body);
    expect(bodies.join()).toMatch(/"plan":"pro"/);
  });

  test('an ingest reads messages of our own jobs as triggers for another job, with the same time', async () => {
    const { name, slug } = await served(12, { preset: 'standard' });
    const first = AUDIENCES[13]!;
    api.replaceIngests(configured({ [name]: { preset: 'standard', audiences: { [first.id]: slug } } }));
    const sending = await lab.start({ audiences: [first.slug], webhookUrl: `${api.url}/v1/ingest/${name}` });
    // Until it is known that a job listens, what comes is answered and counted, and goes nowhere.
    await answerWhen(
      async () => await post(name, JSON.stringify({ event: 'enter', user: 'before', audience: first.id, profile: {} })),
      ({ body }) => body['unmatched'] === 0,
      1100,
    );
    const at = '2026-11-27T08:30:00.000000007Z';
    await lab.jobs.enter(sending, { audience: first.slug, user: 'chained', at, profile: { plan: 'pro' } });
    expect(await arrived(slug, 2)).toEqual(['enter before', 'enter chained']);
    expect(lab.receiver.ledger.entries.find(({ message }) => message?.user === 'chained')?.body).toContain(at);
  });
});

describe('repeats and refusals', () => {
  test('a repeat by its message id is one trigger, also when its body is not the same any more', async () => {
    const { name, job } = await served(14, { preset: 'mixpanel', audience: AUDIENCES[14]!.slug });
    const page = (about: string) =>
      example('mixpanel').replace('9d0a6f', `session-${job}`).replace('"mixpanel_cohort_description": ""', about);
    const first = await answerWhen(
      async () => await post(name, page('"x": 1').replace(`session-${job}`, randomBytes(4).toString('hex'))),
      ({ body }) => body['unmatched'] === 0,
      1100,
    );
    expect(first).toMatchObject({ status: 202, body: { accepted: 2 } });
    const before = (await lab.jobs.status(job)).received;
    const both = await Promise.all([post(name, page('"x": 1')), post(name, page('"x": 2'))]);
    expect(both.map(({ status, body }) => [status, body['accepted']])).toEqual([
      [202, 2],
      [202, 2],
    ]);
    expect(await post(name, page('"x": 3'))).toEqual(both[0]);
    expect((await lab.jobs.status(job)).received).toBe(before + 2);
  });

  test('an ingest sends another change under a used message id, and marks a repeat of the last one', async () => {
    const { name, job, slug } = await served(16, { preset: 'hightouch' });
    const change = async (query: string, user: string) => {
      const answer = await request(`${api.url}/v1/ingest/${name}?audience=vip&${query}`, {
        method: 'POST',
        headers: { 'idempotency-key': `always-${job}` },
        body: JSON.stringify({ user_id: user }),
      });
      const { accepted } = (await answer.body.json()) as { accepted: number }; // As an ingest answers.
      return { accepted, isReplayed: answer.headers['idempotency-replayed'] };
    };
    await answerWhen(
      async () => await change('event=enter', 'first'),
      ({ accepted }) => accepted === 1,
      1100,
    );
    const sent = { accepted: 1, isReplayed: undefined };
    expect(await change('event=exit', 'first')).toEqual(sent);
    expect(await change('event=exit', 'other')).toEqual(sent);
    expect(await change('event=exit', 'other')).toEqual({ accepted: 1, isReplayed: 'true' });
    expect(await change('event=enter', 'first')).toEqual(sent);
    expect(await arrived(slug, 4)).toEqual(['enter first', 'enter first', 'exit first', 'exit other']);
  });

  test('a parameter that the URL has twice is refused, also the one that shows the sender', async () => {
    const proof = { parameter: { name: 'key', value: SECRET } };
    api.replaceIngests(configured({ rows: { preset: 'hightouch', ...proof } }));
    for (const query of [`key=${SECRET}&key=x`, `key=${SECRET}&event=enter&event=exit`])
      expect(await post(`rows?audience=nobody-listens&${query}`, '{"id":1}')).toMatchObject({
        status: 422,
        body: { code: 'InvalidRequest', detail: expect.stringContaining('twice') },
      });
  });

  test('an ingest with jobs takes nothing while one of them is not running, and refuses changes unmatched by them', async () => {
    const { name, job, slug } = await served(18, { preset: 'hightouch' });
    const rows = async (query: string) => await post(`${name}?event=enter&${query}`, '{"user_id":"kept"}');
    const jobs = (...ids: string[]) =>
      api.replaceIngests(configured({ [name]: { preset: 'hightouch', audiences: { vip: slug }, jobs: ids } }));
    jobs(job, 'not-started-yet');
    const refused = await answerWhen(
      async () => await rows('audience=vip'),
      ({ body }) => String(body['detail']).includes('not-started-yet'),
      1100,
    );
    expect(refused).toMatchObject({ status: 503, retryAfter: '5', body: { code: 'JobNotRunning' } });
    jobs(job);
    expect(await rows('audience=vipp')).toMatchObject({ status: 200, body: { accepted: 0, refusedCount: 1 } });
    await lab.jobs.stop(job, { waiting: 'keep' });
    // What comes while it stops is kept.
    const away = await answerWhen(
      async () => await rows('audience=vip'),
      ({ status }) => status !== 202,
    );
    expect(away).toMatchObject({ status: 503, body: { code: 'JobNotRunning' } });
    await lab.jobs.resume(job);
    await answerWhen(
      async () => await rows('audience=vip'),
      ({ status, body }) => status === 202 && body['accepted'] === 1,
      1100,
    );
    expect(await arrived(slug, 1)).toContain('enter kept');
  });

  test('a last refusal repeats neither a parameter of anybody nor a key of the data', async () => {
    api.replaceIngests(configured({ quiet: { preset: 'hightouch' } }));
    await post('quiet?free-advert=1&free-advert=2', '{}');
    const lastRefusal = async () =>
      (await (await request(`${api.url}/v1/ingests`)).body.text()).split('lastRefusal')[1];
    expect(await lastRefusal()).toContain('twice');
    expect(await lastRefusal()).not.toContain('advert');
    await post('quiet', '{"sam@example.com":1,"sam@example.com":2}');
    expect(await lastRefusal()).toContain('twice');
    expect(await lastRefusal()).not.toContain('sam@');
  });

  test('a body that says another charset than UTF-8 is refused', async () => {
    api.replaceIngests(configured({ strict: { preset: 'segment' } }));
    const latin = { 'content-type': 'application/json; charset=latin1' };
    expect(await post('strict', '{}', latin)).toMatchObject({ status: 415, body: { code: 'WrongContentType' } });
    const utf8 = { 'content-type': 'application/json; charset="UTF-8"' };
    expect((await post('strict', '{}', utf8)).status).toBe(202);
  });

  test.each([
    ['no JSON', '{"type":', 'not JSON'],
    ['nobody', '{"type":"track","event":"Audience Entered","properties":{"audience_key":"vip"}}', 'who'],
  ])('%s is 422 with the reason, and 200 for a sender that would send it for ever', async (_, body, reason) => {
    api.replaceIngests(
      configured({ strict: { preset: 'segment' }, lenient: { preset: 'segment', badDataStatus: 200 } }),
    );
    expect(await post('strict', body)).toMatchObject({
      status: 422,
      body: { code: 'BadData', accepted: 0, refusedCount: 1, refused: [{ reason: expect.stringContaining(reason) }] },
    });
    expect((await post('strict', body)).body['detail']).toMatch(/[^.]\. Do not send it again as it is\.$/);
    expect(await post('lenient', body)).toMatchObject({ status: 200, body: { accepted: 0, refusedCount: 1 } });
  });

  test('the good part of a batch is accepted; an audience without a job is counted, and is no error', async () => {
    api.replaceIngests(configured({ batch: { preset: 'segment' } }));
    const call = JSON.parse(example('segment')) as { userId: unknown };
    const good = {
      ...call,
      messageId: randomBytes(4).toString('hex'),
      properties: { audience_key: 'nobody-listens' },
      context: {},
    };
    expect(await post('batch', JSON.stringify({ batch: [good, 7] }))).toMatchObject({
      status: 207,
      body: { accepted: 0, unmatched: 1, refusedCount: 1, refused: [{ index: 1 }], ignored: 0 },
    });
    expect(await post('batch', JSON.stringify(good))).toMatchObject({ status: 202, body: { unmatched: 1 } });
    const metrics = await (await request(`${api.url}/metrics`)).body.text();
    expect(metrics).toMatch(/triggers_api_ingest_triggers_total\{ingest="batch",outcome="unmatched"\} 2/);
    expect(metrics).toMatch(/triggers_api_ingest_triggers_total\{ingest="batch",outcome="refused"\} 1/);
    expect(metrics).toMatch(/triggers_api_ingest_requests_total\{ingest="strict",outcome="refused"\} \d/);
    expect(metrics).toMatch(/triggers_api_ingest_requests_total\{ingest="ingest-0",outcome="unproved"\} 1/);
  });

  test('an ingest uses the audience name that a job subscribes to, and sends an unmatched trigger when repeated', async () => {
    const { slug } = AUDIENCES[15]!;
    api.replaceIngests(configured({ names: { preset: 'segment' } }));
    const call = JSON.parse(example('segment')) as object;
    const personas = { computation_class: 'audience', computation_key: slug, computation_id: 'aud_15' };
    const text = JSON.stringify({
      ...call,
      messageId: `m-${slug}`,
      context: { personas },
      properties: { audience_key: 'theirs' },
    });
    expect(await post('names', text)).toMatchObject({ status: 202, body: { accepted: 0, unmatched: 1 } });
    const job = await lab.start({ audiences: [slug] });
    const answered = await answerWhen(
      async () => await post('names', text),
      ({ body }) => body['unmatched'] === 0,
      1100,
    );
    expect(answered).toMatchObject({ status: 202, body: { accepted: 1, jobs: { [job]: 1 } } });
    expect(await arrived(slug, 1)).toEqual([`enter ${ROBIN}`]);
  });

  test('while Temporal is away, the answer is 503 within two seconds or so', async () => {
    // Something takes the connection, and says nothing.
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo; // It listens at a port.
    const sockets = new Set<Socket>();
    silent.on('connection', (socket) => sockets.add(socket));
    const connection = Connection.lazy({ address: `127.0.0.1:${port}`, interceptors: [] });
    const server = await open({ segment: { preset: 'segment' } }, new Client({ connection }));
    try {
      const began = performance.now();
      expect(await post('segment', example('segment'), {}, server)).toMatchObject({
        status: 503,
        retryAfter: expect.stringMatching(/^\d+$/),
        body: { code: 'ServerUnreachable' },
      });
      expect(performance.now() - began).toBeGreaterThan(1_900);
      // And not when a call to Temporal ends otherwise, after ten.
      expect(performance.now() - began).toBeLessThan(9_000);
    } finally {
      await server.close();
      await connection.close();
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});

test('ingest try names an audience that no running job subscribes to, if Temporal answers', async () => {
  const { slug } = AUDIENCES[17]!;
  const folder = tempFolder();
  const config = join(folder, 'triggers.config.json');
  writeFileSync(config, JSON.stringify({ ingests: { segment: { preset: 'segment', audiences: { vip: slug } } } }));
  const tried = async () =>
    await triggers(['ingest', 'try', 'segment', '--json'], {
      env: { TRIGGERS_CONFIG: config, TRIGGERS_TASK_QUEUE: lab.taskQueue },
      stdin: example('segment'),
    });
  // It asks Temporal for no longer than a moment.
  const unmatched = await answerWhen(tried, ({ stdout }) => stdout.includes('"unmatched"'), 1100);
  expect([unmatched.code, JSON.parse(unmatched.stdout)]).toEqual([0, expect.objectContaining({ unmatched: [slug] })]);
  expect(unmatched.stderr).toContain(`No running job subscribes to "${slug}"`);
  await lab.start({ audiences: [slug] });
  const heard = await answerWhen(tried, ({ stdout }) => stdout.includes('"unmatched":[]'), 1100);
  expect(heard.stderr).toBe('');
});

describe('access', () => {
  /** Other tests subscribe to `vip`, on the same server. */
  const elsewhere = { audiences: { vip: 'nobody-listens' } };

  test('an ingest that is not configured does not exist', async () => {
    expect(await post('other', '{}')).toMatchObject({ status: 404, body: { code: 'NoSuchIngest' } });
  });

  test('[S37] without a secret: this machine only, no page of another site, nothing that was passed on; and a warning', async () => {
    api.replaceIngests(configured({ open: { preset: 'segment', ...elsewhere } }));
    expect(warnings).toContainEqual({ ingest: 'open' });
    expect((await post('open', example('segment'))).status).toBe(202);
    for (const headers of [
      { host: 'hooks.example.com' },
      { origin: 'https://evil.example.com' },
      { 'x-forwarded-for': '203.0.113.9' },
      { forwarded: 'for=203.0.113.9' },
      { via: '1.1 proxy' },
      { 'x-real-ip': '203.0.113.9' },
      { 'x-forwarded-host': 'hooks.example.com' },
      { 'x-forwarded-proto': 'https' },
      { 'cf-connecting-ip': '203.0.113.9' },
      { 'true-client-ip': '203.0.113.9' },
      { 'x-client-ip': '203.0.113.9' },
    ])
      expect((await post('open', example('segment'), headers)).status).toBe(403);
  });

  test('without a secret, and without API keys, HTTP/1.0 is refused: a proxy that adds nothing speaks it', async () => {
    api.replaceIngests(configured({ open: { preset: 'segment', ...elsewhere } }));
    const { host, port, hostname } = new URL(api.url);
    const raw = async (text: string): Promise<string> => {
      const socket = connect(Number(port), hostname);
      socket.end(text);
      let said = '';
      for await (const chunk of socket) said += String(chunk);
      return said;
    };
    const head = `HTTP/1.0\r\nhost: ${host}\r\nconnection: close\r\n`;
    const body = example('segment');
    const length = `content-length: ${Buffer.byteLength(body)}`;
    expect(await raw(`POST /v1/ingest/open ${head}${length}\r\n\r\n${body}`)).toMatch(/ 403 [^]*IngestIsOpen/);
    expect(await raw(`GET /v1/jobs ${head}\r\n`)).toMatch(/ 403 [^]*PassedOn/);
  });

  test('with a secret, it may be asked by any name, as behind a proxy', async () => {
    api.replaceIngests(configured({ proved: { preset: 'segment', signature: { secret: SECRET }, ...elsewhere } }));
    const text = example('segment');
    const headers = { host: 'hooks.example.com', 'x-forwarded-for': '203.0.113.9', 'x-signature': hmac('sha1', text) };
    expect((await post('proved', text, headers)).status).toBe(202);
    expect(warnings).not.toContainEqual({ ingest: 'proved' });
  });
});
