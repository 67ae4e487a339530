import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type SampleSource, writeSampleSource } from '../../demo/sample-data.ts';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { startReceiver } from '../../src/local/receiver.ts';
import { release } from '../../src/worker/release.ts';
import { temporal } from '../support/temporal.ts';
import {
  childrenOf,
  isAlive,
  Operator,
  type Program,
  startTriggers,
  triggers,
  unwrapped,
} from '../support/triggers-cli.ts';

let folder: string;
let source: string;
let sample: SampleSource;
const programs: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-worker-test-'));
  source = join(folder, 'audiences');
  sample = await writeSampleSource(source, { people: 50 });
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});
afterAll(() => rmSync(folder, { recursive: true }));

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
  readonly source: string;
}

test('[S46] up brings everything up in one go, sends to none of its own ports, ends with Ctrl-C and leaves nothing running; the next one goes on with the same jobs', async () => {
  const db = join(folder, 'deep', 'temporal.db');
  const ports = ['--port', '0', '--ui-port', '0', '--http-port', '0', '--api-port', '0'];
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const receiver = await startReceiver();
  try {
    const up = start(['up', '--db', db, ...ports, '--json'], env);
    await up.says(({ stdout }) => stdout.endsWith('\n'));
    const ready = JSON.parse(up.stdout) as Ready;
    expect(ready).toMatchObject({ namespace: 'default', taskQueue: 'audience-triggers', source });
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
    const said = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
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
  } finally {
    await receiver.close();
  }
});

test('a worker that is asked to end lets its requests in flight end, and the next one sends the rest: nothing twice', async () => {
  const taskQueue = `cli-worker-${randomUUID()}`;
  const config = join(folder, 'this-machine.json');
  writeFileSync(config, JSON.stringify({ network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] } }));
  const env = { TRIGGERS_SOURCE: source, TRIGGERS_TASK_QUEUE: taskQueue, TRIGGERS_CONFIG: config };
  const receiver = await startReceiver({ delayMs: 300 });
  const jobs = await ExportJobs.connect({
    connection: { connectionOptions: { address: temporal.address }, namespace: temporal.namespace },
    taskQueue,
  });
  try {
    const first = start(['worker', '--json'], env);
    await first.says(({ stdout }) => stdout.endsWith('\n'));
    expect(JSON.parse(first.stdout)).toEqual({
      address: temporal.address,
      namespace: 'default',
      taskQueue,
      release: release(),
    });
    const definition = { label: 'Ends in peace', audiences: ['vip'], webhookUrl: receiver.url, authorization: null };
    const { jobId } = await jobs.start(definition, { jobId: taskQueue });
    const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
    await jobs.push(
      jobId,
      users.map((user) => ({ event: 'exit', audience: 'vip', user })),
    );
    await receiver.ledger.waitFor(({ delivered }) => delivered >= 5 && receiver.inFlight > 0);

    first.signal('SIGTERM');
    expect(await first.end()).toMatchObject({ code: 0, stderr: '' });
    expect(receiver.inFlight).toBe(0);
    expect(receiver.ledger.summary().delivered).toBeLessThan(users.length);

    const second = start(['worker'], env);
    await second.says(({ stdout }) => stdout.startsWith(`Worker ready: ${temporal.address}, namespace default`));
    await receiver.ledger.waitFor(({ delivered }) => delivered === users.length);
    second.signal('SIGINT');
    expect(await second.end()).toMatchObject({ code: 0, stderr: '' });
    expect(receiver.ledger.summary()).toMatchObject({ requests: users.length, duplicates: 0 });
  } finally {
    await jobs.close();
    await receiver.close();
  }
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
  const ended = await start(['worker'], { ...withSource, ...env }).end();
  expect(ended).toMatchObject({ code, stdout: '' });
  expect(unwrapped(ended.stderr)).toContain(why);
});

test('up on a port that is taken says so, and leaves nothing running', async () => {
  const port = new URL(`http://${temporal.address}`).port;
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const up = await triggers(
    ['up', '--db', join(folder, 'taken.db'), '--port', port, '--ui-port', '0', '--http-port', '0', '--api-port', '0'],
    { env },
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

test('up with the server of TEMPORAL_ADDRESS starts none, and ends alone', async () => {
  const taskQueue = `cli-up-${randomUUID()}`;
  const up = start(['up', '--api-port', '0', '--json'], { TRIGGERS_SOURCE: source, TRIGGERS_TASK_QUEUE: taskQueue });
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  const { apiUrl, consoleUrl, ...ready } = JSON.parse(up.stdout) as {
    readonly apiUrl: string;
    readonly consoleUrl: string;
  };
  // Without keys nobody has to sign in.
  expect(consoleUrl).toBe(`${apiUrl}/`);
  expect(ready).toEqual({ address: temporal.address, namespace: 'default', taskQueue, source });
  expect((await fetch(`${apiUrl}/docs`)).headers.get('content-type')).toContain('text/html');
  expect(await (await fetch(`${apiUrl}/readyz`)).json()).toEqual({ ok: true });
  up.signal('SIGINT');
  expect((await up.end()).code).toBe(0);
  expect((await new Operator(taskQueue).run(['setup'])).code).toBe(0);
});

test('up with keys prints a link that signs in once, and may do everything', async () => {
  const config = join(folder, 'with-keys.json');
  const hash = `sha256:${'0'.repeat(64)}`;
  writeFileSync(config, JSON.stringify({ apiKeys: { boss: { hash, may: ['read'] } } }));
  const env = { TRIGGERS_SOURCE: source, TRIGGERS_TASK_QUEUE: `cli-up-${randomUUID()}` };
  const up = start(['up', '--api-port', '0', '--config', config, '--json'], env);
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  const { apiUrl, consoleUrl } = JSON.parse(up.stdout) as Readonly<Record<'apiUrl' | 'consoleUrl', string>>;
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
});
