import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { writeSampleSource } from '../../demo/sample-data.ts';
import type { WatchStatus } from '../../src/app/export-jobs.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { fromWire, toWire } from '../../src/temporal/codec-server.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { release } from '../../src/config/release.ts';
import { Lab, labOfTest } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import {
  childrenOf,
  isAlive,
  jsonLines,
  Operator,
  type Program,
  startTriggers,
  triggers,
  unwrapped,
} from '../support/triggers-cli.ts';
import { Way } from '../support/way.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';
import { afterwards } from '../webhook/a-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = tempFolder();
const source = join(folder, 'audiences');
const programs: Program[] = [];

const sample = await writeSampleSource(source, { people: 50 });
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});

function start(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Program {
  const program = startTriggers(args, { env });
  programs.push(program);
  return program;
}

interface Ready {
  readonly address: string;
  readonly uiUrl: string;
  readonly httpUrl: string;
  readonly apiUrl: string;
  readonly consoleUrl: string;
  readonly source: string;
}

test('[S46] up starts everything, never sends to its own ports, ends cleanly with Ctrl-C, and resumes the same jobs next time', async () => {
  const db = join(folder, 'deep', 'temporal.db');
  const ports = ['--port', '0', '--ui-port', '0', '--http-port', '0', '--api-port', '0'];
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const receiver = await startRecorder();
  afterwards(() => receiver.close());
  const up = start(['up', '--db', db, ...ports, '--json'], env);
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  const ready = JSON.parse(up.stdout) as Ready;
  expect(ready).toMatchObject({ namespace: 'default', taskQueue: 'audience-triggers', source });
  // Without keys nobody has to sign in.
  expect(ready.consoleUrl).toBe(`${ready.apiUrl}/`);
  expect((await fetch(ready.uiUrl)).status).toBe(200);

  const asOperator = { env: { TEMPORAL_ADDRESS: ready.address } };
  const job = ['--label', 'Told to up', '--audience', 'vip', '--url', receiver.url, '--existing-users'];
  expect(await triggers(['start', ...job], asOperator)).toMatchObject({ code: 0, stderr: '' });
  const members = sample.audiences.find(({ slug }) => slug === 'vip')?.size ?? 0;
  await receiver.ledger.waitFor(({ delivered }) => delivered === members);

  // A job cannot be used to ask what only this machine may ask.
  for (const url of [ready.httpUrl, ready.uiUrl, ready.apiUrl, `http://localhost:${ready.address.split(':')[1]}`]) {
    const { code, stderr } = await triggers(
      ['start', '--label', 'Ours', '--audience', 'vip', '--url', url],
      asOperator,
    );
    expect([url, code, stderr]).toEqual([url, 2, expect.stringContaining('never sends')]);
  }

  const children = await childrenOf(up.pid);
  expect(children.length).toBeGreaterThan(0);
  up.signal('SIGINT');
  const { code, stderr } = await up.end();
  expect(code).toBe(0);
  // Nothing of webpack or of the SDK's own doings; that the backfill is finished may be said before it ends.
  const said = jsonLines<Record<string, unknown>>(stderr);
  expect(said.filter(({ alert }) => alert !== 'backfill-finished')).toEqual([{ msg: 'Starting Temporal …' }]);
  expect(children.filter(isAlive)).toEqual([]);
  await expect(fetch(ready.httpUrl)).rejects.toThrow();

  const again = start(['up', '--db', db, ...ports], env);
  await again.says(({ stdout }) => stdout.includes('Stop everything here with Ctrl-C.\n'));
  expect(again.stdout).toMatch(/^Ready\.\n {2}Console +http:.*\n {2}Temporal +127\.0\.0\.1:\d+, namespace default\n/);
  expect(again.stdout).toContain(`Audiences      ${source}\n`);
  const [, address = ''] = /Temporal +(\S+),/.exec(again.stdout) ?? [];
  const { stdout } = await triggers(['push', '--audience', 'vip', '--exit', '--user', '1', '--json'], {
    env: { TEMPORAL_ADDRESS: address },
  });
  expect(JSON.parse(stdout)).toMatchObject({ jobs: [{ jobId: 'told-to-up', accepted: 1 }] });
  await receiver.ledger.waitFor(({ delivered }) => delivered === members + 1);
  again.signal('SIGTERM');
  expect((await again.end()).code).toBe(0);
});

test('a worker of a deployment says its version, by default the release and a checksum of its workflow code', async () => {
  const name = `cli-${randomUUID()}`;
  const env = { TRIGGERS_SOURCE: source, TRIGGERS_TASK_QUEUE: name, TRIGGERS_DEPLOYMENT_NAME: name };
  const worker = start(['worker'], env);
  await worker.says(({ stdout }) => stdout.endsWith('\n'));
  expect(unwrapped(worker.stdout)).toMatch(
    new RegExp(`release ${release()}\\. Version ${name}:${release()}-[0-9a-f]{12}: Temporal gives it work once`),
  );
  worker.signal('SIGINT');
  expect(await worker.end()).toMatchObject({ code: 0, stderr: '' });
});

test.each([
  ['no source', {}, 2, 'No audience source is configured. Set TRIGGERS_SOURCE'],
  ['no server', { TEMPORAL_ADDRESS: '127.0.0.1:1' }, 1, 'No Temporal server answers at 127.0.0.1:1.'],
  ['no namespace', { TEMPORAL_NAMESPACE: 'nope' }, 1, "Namespace not found: 'nope'. Set TEMPORAL_NAMESPACE"],
])('a worker with %s ends at once and says why', async (what, env, code, why) => {
  const withSource = /^no (?:server|namespace)/.test(what) ? { TRIGGERS_SOURCE: source } : {};
  const ended = await triggers(['worker'], { env: { ...withSource, ...env }, fails: true });
  expect(ended).toMatchObject({ code, stdout: '' });
  expect(unwrapped(ended.stderr)).toContain(why);
});

test('up on a port that is taken says so, and leaves nothing running', async () => {
  const port = new URL(`http://${temporal.address}`).port;
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const up = await triggers(
    ['up', '--db', join(folder, 'taken.db'), '--port', port, '--ui-port', '0', '--http-port', '0', '--api-port', '0'],
    { env, fails: true },
  );
  expect(up.code).toBe(1);
  expect(unwrapped(up.stderr)).toContain(
    `The local Temporal server did not start: port ${port} of 127.0.0.1 is taken. Perhaps another "triggers up" is running.`,
  );
});

test('up whose database is removed says so and ends, since what it accepted then would be lost', async () => {
  const db = join(folder, 'removed.db');
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const up = start(['up', '--db', db, '--port', '0', '--ui-port', '0', '--api-port', '0', '--json'], env);
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  rmSync(db);
  const { code, stderr } = await up.end();
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toContain('removed.db was removed or replaced');
});

test('up with TEMPORAL_ADDRESS starts and stops no server; with keys, its link signs in once with all rights', async () => {
  const config = join(folder, 'with-keys.json');
  const hash = `sha256:${'0'.repeat(64)}`;
  writeFileSync(config, JSON.stringify({ apiKeys: { boss: { hash, may: ['read'] } } }));
  const taskQueue = `cli-up-${randomUUID()}`;
  const env = { TRIGGERS_SOURCE: source, TRIGGERS_TASK_QUEUE: taskQueue };
  const up = start(['up', '--api-port', '0', '--config', config, '--json'], env);
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  const { apiUrl, consoleUrl, ...ready } = JSON.parse(up.stdout) as Readonly<Record<'apiUrl' | 'consoleUrl', string>>;
  expect(ready).toEqual({ address: temporal.address, namespace: 'default', taskQueue, source });
  expect((await fetch(`${apiUrl}/docs`)).headers.get('content-type')).toContain('text/html');
  expect(await (await fetch(`${apiUrl}/readyz`)).json()).toEqual({ ok: true });
  const [page, link] = consoleUrl.split('#token=');
  expect(page).toBe(`${apiUrl}/`);
  const signIn = async () =>
    await fetch(`${apiUrl}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-triggers-console': '1' },
      body: JSON.stringify({ link }),
    });
  const first = await signIn();
  expect([first.status, await first.json()]).toMatchObject([
    200,
    { isOpen: false, may: ['read', 'trigger', 'operate'] },
  ]);
  const cookie = first.headers.get('set-cookie')?.split(';')[0] ?? '';
  expect((await fetch(`${apiUrl}/v1/jobs`, { headers: { cookie } })).status).toBe(200);
  expect((await signIn()).status).toBe(401);
  up.signal('SIGINT');
  expect((await up.end()).code).toBe(0);
  expect((await new Operator(taskQueue).run(['setup'])).code).toBe(0);
});

describe('api', () => {
  test('an API whose Temporal never answers ends within ten seconds, and tells everybody who waits', async () => {
    const lab = await Lab.open();
    const job = await lab.start();
    const way = new Way();
    await way.open();
    const env = { TEMPORAL_ADDRESS: way.address, TRIGGERS_TASK_QUEUE: lab.taskQueue };
    const program = startTriggers(['api', '--port', '0', '--json'], { env });
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    const { apiUrl } = JSON.parse(program.stdout) as { apiUrl: string }; // As `api --json` says it.
    const ask = async (path: string, asked: Parameters<typeof request>[1] = {}): Promise<unknown> => {
      const { statusCode, body } = await request(new URL(path, apiUrl), asked);
      return { status: statusCode, body: await body.json() };
    };
    const trigger = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ audience: 'vip', user: '1', event: 'enter' }),
    } as const;
    // It knows by now what this job subscribes to, so the next trigger waits for the job itself.
    expect(await ask(`/v1/jobs/${job}/triggers`, trigger)).toMatchObject({ status: 202 });
    const stream = await request(new URL(`/v1/jobs/${job}/status/stream`, apiUrl));
    way.silence();
    const waiting = Promise.all([
      ask(`/v1/jobs/${job}/triggers`, trigger),
      ask('/v1/triggers', trigger),
      ask('/v1/jobs/crm/triggers', trigger),
      ask('/v1/jobs/crm/pause', { method: 'POST' }),
      ask('/v1/jobs/crm/status/stream'),
      ask('/v1/overview'),
    ]);
    // All of them are under way once another one, which came after them, is answered.
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
    const askedAt = performance.now();
    program.signal('SIGTERM');
    for (const answer of await waiting) expect(answer).toMatchObject({ status: 503, body: { code: 'Closing' } });
    expect(await stream.body.text()).toContain('event: status');
    expect(await program.end()).toMatchObject({ code: 0, stderr: '' });
    expect(performance.now() - askedAt).toBeLessThan(30_000);
    await way.close();
    await lab.close();
  });

  test('an API whose changed configuration is unusable says so, stays ready, and recovers once it is fixed', async () => {
    const folder = tempFolder();
    const path = join(folder, 'triggers.config.json');
    writeFileSync(path, '{}');
    const program = startTriggers(['api', '--port', '0', '--json'], { env: { TRIGGERS_CONFIG: path } });
    try {
      await program.says(({ stdout }) => stdout.endsWith('\n'));
      const { apiUrl } = JSON.parse(program.stdout) as { apiUrl: string }; // As `api --json` says it.
      const ready = async (): Promise<unknown> => {
        const { statusCode, body } = await request(new URL('/readyz', apiUrl));
        return { status: statusCode, ...((await body.json()) as object) };
      };
      expect(await ready()).toEqual({ status: 200, ok: true });
      writeFileSync(path, '{ "apiKeys": "canary" }');
      const told = await answerWhen(ready, (answer) => JSON.stringify(answer).includes('problem'));
      expect(told).toEqual({ status: 200, ok: true, problem: expect.stringContaining('cannot be used') });
      expect(program.stderr).toContain('the changed configuration cannot be used');
      writeFileSync(path, '{}');
      await answerWhen(ready, (answer) => !JSON.stringify(answer).includes('problem'));
    } finally {
      await program.kill();
    }
  });
});

describe('codec-server', () => {
  const TOKEN = 'a-token-of-the-test';
  const env = { TRIGGERS_CODEC_TOKEN: TOKEN, TRIGGERS_PAYLOAD_KEYS: aPayloadKey('k1') };

  test('the codec server says where it is and never its token, asks for the token, and ends by Ctrl-C', async () => {
    const origin = 'https://temporal.example.com';
    const program = startTriggers(['codec-server', '--port', '0', '--ui-origin', `${origin}/`, '--json'], { env });
    afterwards(() => program.kill());
    await program.says(({ stdout }) => stdout.includes('\n'));
    const { url, uiOrigins } = JSON.parse(program.stdout) as { url: string; uiOrigins: string[] };
    expect(uiOrigins).toEqual([origin]);
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const ask = (path: string) => fetch(`${url}${path}`, { method: 'POST', body: '{}', headers: { origin } });
    expect((await ask('/decode')).status).toBe(401);
    const answer = await ask(`/${TOKEN}/decode`);
    expect({ status: answer.status, allowed: answer.headers.get('access-control-allow-origin') }).toEqual({
      status: 200,
      allowed: origin,
    });
    program.signal('SIGINT');
    const { code, stdout, stderr } = await program.end();
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain(TOKEN);
  });

  test('without keys it unpacks what is packed, and encrypts nothing', async () => {
    const program = startTriggers(['codec-server', '--port', '0', '--json'], {
      env: { TRIGGERS_CODEC_TOKEN: TOKEN, TRIGGERS_PAYLOAD_KEYS: undefined },
    });
    afterwards(() => program.kill());
    await program.says(({ stdout }) => stdout.includes('\n'));
    const { url } = JSON.parse(program.stdout) as { url: string };
    const value = 'x'.repeat(100_000);
    let payloads = [payloadConverter.toPayload(value)];
    for (const codec of dataConverterWith([]).payloadCodecs ?? []) payloads = await codec.encode(payloads);
    const ask = async (path: string, some: typeof payloads) => {
      const answer = await fetch(`${url}/${TOKEN}${path}`, { method: 'POST', body: JSON.stringify(toWire(some)) });
      return fromWire(await answer.text()) ?? [];
    };
    expect((await ask('/decode', payloads)).map((one) => payloadConverter.fromPayload(one))).toEqual([value]);
    const small = [payloadConverter.toPayload('small')];
    expect((await ask('/encode', small)).map((one) => payloadConverter.fromPayload(one))).toEqual(['small']);
  });
});

describe('watch', () => {
  const id = randomUUID().replaceAll('-', '');
  const slug = `slug-${id}`;

  const folder = tempFolder();
  let lab: Lab;
  let operator: Operator;

  beforeAll(async () => {
    const members = Array.from({ length: 40 }, (_, i) => String(i));
    lab = await Lab.open({
      content: { audiences: [{ id, slug, name: 'Of one test', members }] },
      config: { watch: { folder } },
    });
    operator = new Operator(lab.taskQueue);
  });
  afterAll(async () => {
    await lab.close();
  });

  async function listed(isAsWanted: (status: WatchStatus) => boolean): Promise<void> {
    const list = async () => jsonLines<WatchStatus>((await operator.run(['watch', '--list', '--json'])).stdout);
    await answerWhen(list, (all) => all.some((status) => status.audience.id === id && isAsWanted(status)));
  }

  test('a watch from its start to its end: each for people and for machines', async () => {
    const misspelt = await operator.run(['watch', `${slug}s`]);
    expect(misspelt.code).toBe(2);
    expect(unwrapped(misspelt.stderr)).toContain(`Did you mean "${slug}"?`);

    const { stdout } = await operator.run(['watch', slug, '--every', '2h']);
    expect(unwrapped(stdout)).toBe(
      `Watching ${slug} every 2 h. The first round publishes nothing. Follow it with: triggers watch --list`,
    );
    const changed = await operator.json<WatchStatus>(['watch', slug, '--every', '1h', '--largest-exit', '30']);
    expect(changed).toMatchObject({ isNew: false, everyMs: 3_600_000, largestExitPercent: 30 });
    await listed(({ rounds }) => rounds === 1);
    const { stdout: list } = await operator.run(['watch', '--list']);
    expect(list).toContain(
      `${slug} (Of one test)\n  Id            ${id}\n  State         waiting for the next round\n  Members       40\n`,
    );

    expect((await operator.run(['watch', slug, '--accept'])).stdout).toBe(`Nothing is held for ${slug}.\n`);
    for (let user = 0; user < 20; user++) lab.source.exit(id, String(user));
    expect((await operator.run(['watch', slug, '--now'])).stdout).toBe(`Starting a round of ${slug} now.\n`);
    await listed(({ held }) => held?.exits === 20);
    expect((await operator.run(['watch', slug, '--accept'])).stdout).toContain('Accepted: 20 exits from');
    await listed(({ exits }) => exits === 20);

    expect((await operator.run(['watch', slug, '--stop'])).stdout).toBe(`Stopped watching ${slug}.\n`);
    const late = await operator.run(['watch', slug, '--now']);
    expect([late.code, unwrapped(late.stderr)]).toEqual([
      1,
      `The audience "${slug}" is not watched. See all watches: triggers watch --list`,
    ]);
  });

  test('a worker without a folder for snapshots says so before anything is started', async () => {
    const poor = await labOfTest({ content: { audiences: [{ id, slug, name: 'Of one test', members: [] }] } });
    const { code, stderr } = await new Operator(poor.taskQueue).run(['watch', slug]);
    expect([code, unwrapped(stderr)]).toEqual([2, expect.stringContaining('TRIGGERS_WATCH_FOLDER')]);
  });
});
