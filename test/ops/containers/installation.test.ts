import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect } from '@jest/globals';
import type { JobStatus } from '../../../src/contract/job-status.ts';
import { answerWhen, until } from '../../support/patience.ts';
import { shellBlocksOf } from '../../docs/pages.ts';
import { Installation, testInContainers } from './installation.ts';

// One installation for all tests of this file, which follow each other: to build and to start it takes minutes.
const installation = await Installation.prepare();
afterAll(() => installation.remove(), 120_000);

const JOB = 'vips-to-the-crm';
/** The image, and what installs its packages from a registry. */
const BUILD_MS = 20 * 60_000;
const IMAGE_BYTES = 350e6;
const NEWER = '99.0.0';
const NETWORK = { allowHttp: true, allowAddresses: ['172.16.0.0/12', '192.168.0.0/16'] };
const SOURCE = { kind: 'file', folder: '/data' };

/** Its line in a page, as it stands there, with its comment. */
function lineOf(page: string, beginning: string): string {
  const lines = shellBlocksOf(page).flatMap(({ text }) => text.split('\n'));
  const line = lines.find((one) => one.startsWith(beginning));
  if (line === undefined) throw new Error(`${page} has no such line: ${beginning}`);
  return line;
}

const configure = (more: object = {}): void =>
  installation.write('ops/worker/triggers.config.json', JSON.stringify({ source: SOURCE, network: NETWORK, ...more }));

/** Once everything that the job accepted is delivered. */
async function settled(): Promise<JobStatus> {
  const status = async () => JSON.parse(await installation.triggers(['status', JOB, '--json'])) as JobStatus;
  return await answerWhen(status, ({ waiting, inFlight }) => waiting === 0 && inFlight === 0, 500);
}

/** How often each of these people came to the receiver. */
async function timesOf(users: readonly string[]): Promise<Record<string, number>> {
  const came = await installation.arrivals();
  return Object.fromEntries(users.map((user) => [user, came.filter((arrival) => arrival.user === user).length]));
}

const each = (users: readonly string[], times: number) => Object.fromEntries(users.map((user) => [user, times]));

const workersReady = async (count: number): Promise<void> =>
  await until(async () => {
    const running = await installation.containers('worker');
    const said = await Promise.all(running.map((id) => installation.run(`docker logs ${id}`)));
    return running.length === count && said.every(({ stdout }) => stdout.includes('Worker ready'));
  }, 500);

testInContainers(
  'the README’s commands build an image of at most 350 MB, and start everything',
  async () => {
    configure();
    await installation.run(lineOf('README.md', 'cp -r examples/data'));
    await installation.run(lineOf('README.md', 'docker compose up --detach --build'));
    await workersReady(1);
    expect(await installation.inspect<number>(installation.image, '.Size')).toBeLessThan(IMAGE_BYTES);
    // The second time there is nothing to do: the one-shot services say so.
    await installation.run(lineOf('README.md', 'docker compose up --detach --build'));
    const namespace = await installation.logs('namespace');
    expect(namespace).toContain('Namespace default is there.');
    expect(namespace).toContain('Search attribute ExportFailure is there.');
  },
  BUILD_MS,
);

testInContainers('the image has all that its programs load, and is of the release', async () => {
  const inImage = async (args: string) => await installation.run(`docker run --rm ${args}`);
  const { version } = JSON.parse(readFileSync(join(installation.folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect((await inImage(`${installation.image} --version`)).stdout.trim()).toBe(version);
  // Native code, of which the image has that of its own system alone; the worker and the API load the rest.
  const open = "import('libsql').then(({ default: D }) => new D(':memory:').prepare('SELECT 1').get())";
  for (const script of [open, "import('@platformatic/kafka')"])
    await inImage(`--entrypoint node ${installation.image} -e "${script}"`);
  const codecServer = '--detach --no-deps --env TRIGGERS_CODEC_TOKEN=0123456789abcdef worker codec-server';
  const { stdout: id } = await installation.run(`docker compose run ${codecServer}`);
  await until(async () => (await installation.run(`docker logs ${id}`)).stdout.includes('ready'), 500);
  await installation.run(`docker rm --force ${id}`);
});

testInContainers(
  'no container has a capability that it does not need, and ours can write to nothing but watches',
  async () => {
    for (const service of ['temporal', 'worker', 'schema', 'namespace', 'postgresql']) {
      const [id = ''] = await installation.containers(service, { all: true });
      const kept = await installation.inspect<string[] | null>(id, '.HostConfig.CapDrop');
      const options = await installation.inspect<string[]>(id, '.HostConfig.SecurityOpt');
      expect({ service, kept, options }).toEqual({
        service,
        kept: service === 'postgresql' ? null : ['ALL'],
        options: ['no-new-privileges:true'],
      });
    }
    const { stdout } = await installation.run(
      'docker compose exec worker sh -c "id -u; grep -E Cap...: /proc/1/status"',
    );
    expect(stdout).toMatch(/^1000\n/);
    expect(stdout.match(/Cap\w+:\t0{16}$/gm)).toHaveLength(5);
    const touch = (path: string) => installation.run(`docker compose exec worker touch ${path}`);
    await expect(touch('/app/x')).rejects.toThrow('Read-only file system');
    await touch('/watch/x');
  },
);

testInContainers(
  'a job that is started on this machine sends members and triggers to a receiver in another container',
  async () => {
    const file = JSON.parse(readFileSync(join(installation.folder, 'examples/job.json'), 'utf8')) as object;
    installation.write('job.json', JSON.stringify({ ...file, webhookUrl: 'http://receiver:9000/hook' }));
    await installation.triggers(['start', join(installation.folder, 'job.json')]);
    const { stdout } = await installation.run(lineOf('README.md', 'docker compose exec worker'));
    expect(stdout).toContain(JOB);
    await installation.enter(JOB, ['live']);
    const members = ['7076027172059065053', '12645278470990184693', '3318840061257794210'];
    await until(async () => (await installation.arrivals()).length >= 4, 500);
    await settled();
    expect(await timesOf([...members, 'live'])).toEqual(each([...members, 'live'], 1));
  },
);

testInContainers('a consumer in a container sends the changes of a table in another one', async () => {
  const psql = 'docker compose exec -T postgresql psql --username temporal --set ON_ERROR_STOP=1 --dbname';
  await installation.run(`${psql} temporal --command 'CREATE DATABASE shop'`);
  await installation.run(`${psql} shop <examples/postgres/outbox.sql`);
  configure({ outbox: { url: 'postgres://temporal:temporal@postgresql/shop?sslmode=disable' } });
  const { stdout: id } = await installation.run('docker compose run --detach --no-deps worker consume outbox');
  const row =
    "INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'bought', 'enter', '{}')";
  await installation.run(`${psql} shop --command "${row}"`);
  await until(async () => (await timesOf(['bought']))['bought'] === 1, 500);
  await installation.run(`docker rm --force ${id}`);
});

testInContainers('more workers share the jobs until the next up, and WORKER_COUNT holds for each', async () => {
  await installation.run(lineOf('README.md', 'docker compose up --detach --scale worker=3'));
  await workersReady(3);
  // As Prometheus finds them.
  const lookUp = "require('dns').promises.resolve4('worker').then((all) => console.log(all.length))";
  const { stdout } = await installation.run(`docker compose exec receiver node -e "${lookUp}"`);
  expect(stdout).toBe('3\n');
  const users = Array.from({ length: 200 }, (_, i) => `shared-${i}`);
  await installation.enter(JOB, users);
  await until(async () => Object.values(await timesOf(users)).every((times) => times > 0), 500);
  await settled();
  expect(await timesOf(users)).toEqual(each(users, 1));
  installation.write('.env', 'WORKER_COUNT=2\n');
});

testInContainers(
  'the API refuses to start without a key, and takes another key from the configuration while it runs',
  async () => {
    const newKey = async () => {
      const { stdout, stderr } = await installation.run(lineOf('docs/api.md', 'docker compose run'));
      const hash = /sha256:\w+/.exec(stderr)?.[0];
      return { key: stdout.trim(), apiKey: { hash, may: ['read'] } };
    };
    const statusWith = async (key: string) => {
      const headers = { authorization: `Bearer ${key}` };
      return await fetch(`${installation.api}/v1/jobs`, { headers }).then(
        ({ status }) => status,
        () => 0,
      );
    };
    await installation.run(lineOf('docs/api.md', 'docker compose --profile api up'));
    await until(async () => (await installation.logs('api')).includes('There are no API keys'), 500);

    const first = await newKey();
    configure({ apiKeys: { first: first.apiKey } });
    await installation.run(lineOf('README.md', 'docker compose --profile api up'));
    await answerWhen(
      () => statusWith(first.key),
      (status) => status === 200,
      500,
    );
    await workersReady(2);
    const second = await newKey();
    configure({ apiKeys: { second: second.apiKey } });
    await answerWhen(
      () => statusWith(second.key),
      (status) => status === 200,
      500,
    );
    expect(await statusWith(first.key)).toBe(401);
  },
);

testInContainers('Temporal’s web UI shows the namespace', async () => {
  await installation.run(lineOf('README.md', 'docker compose --profile ui up'));
  const ask = async (path: string) =>
    await fetch(`${installation.ui}${path}`).then(
      (answer) => answer.text(),
      () => '',
    );
  await answerWhen(
    () => ask('/api/v1/namespaces/default'),
    (text) => /"name": *"default"/.test(text),
    500,
  );
  expect(await ask('/')).toContain('<!doctype html>');
});

testInContainers('a stop lets requests in flight end, and nothing is sent twice', async () => {
  const users = ['slow-1', 'slow-2', 'slow-3'];
  await installation.enter(JOB, users);
  await until(async () => Object.values(await timesOf(users)).some((times) => times > 0), 100);
  const answered = await installation.arrivals('answered');
  expect(answered.filter(({ user }) => users.includes(user))).toEqual([]);
  await installation.run('docker compose stop worker');
  const ended = await Promise.all(
    (await installation.containers('worker', { all: true })).map((id) => installation.inspect(id, '.State.ExitCode')),
  );
  expect(ended).toEqual([0, 0]);
  await installation.enter(JOB, ['meanwhile']);
  await installation.run('docker compose up --detach');
  await until(async () => (await timesOf(['meanwhile']))['meanwhile'] === 1, 500);
  await settled();
  expect(await timesOf([...users, 'meanwhile'])).toEqual(each([...users, 'meanwhile'], 1));
});

testInContainers('a database that is killed comes back by itself, and delivery goes on', async () => {
  const users = Array.from({ length: 300 }, (_, i) => `killed-${i}`);
  const [database = ''] = await installation.containers('postgresql');
  const pid = await installation.inspect<number>(database, '.State.Pid');
  await installation.enter(JOB, users.slice(0, 200));
  // A container that sees all processes of the engine's machine.
  const kill = `--pid host --user root --entrypoint sh ${installation.image} -c "kill -9 ${pid}"`;
  await installation.run(`docker run --rm ${kill}`);
  await until(async () => (await installation.inspect<number>(database, '.RestartCount')) === 1, 500);
  await installation.enter(JOB, users.slice(200));
  await until(async () => Object.values(await timesOf(users)).every((times) => times > 0), 500);
  expect(await settled()).toMatchObject({ rejected: 0 });
});

testInContainers('after a restart of the machine, when all start at once, delivery goes on', async () => {
  // The last to start gets another address than before.
  const names = ['worker', 'postgresql', 'temporal'];
  const ids = (await Promise.all(names.map((name) => installation.containers(name)))).flat();
  await installation.run(`docker kill ${ids.join(' ')}`);
  for (const id of ids) await installation.run(`docker start ${id}`);
  await installation.enter(JOB, ['restarted']);
  await until(async () => ((await timesOf(['restarted']))['restarted'] ?? 0) > 0, 500);
  // It does not look for its former self.
  expect(await installation.logs('temporal')).not.toContain('unable to bootstrap ringpop');
});

testInContainers(
  'a newer release takes over by up, sends nothing twice, and loses nothing',
  async () => {
    const [id = ''] = await installation.containers('worker');
    installation.write('.env', 'WORKER_COUNT=2\nCOMPOSE_PROFILES=api\n');
    for (const path of ['package.json', 'package-lock.json']) {
      const text = readFileSync(join(installation.folder, path), 'utf8');
      installation.write(path, text.replace(/"version": "[^"]*"/, `"version": "${NEWER}"`));
    }
    const users: string[] = [];
    const over = new AbortController();
    const pushing = (async () => {
      for (let i = 0; !over.signal.aborted; i++) {
        await installation.enter(JOB, [`upgraded-${i}`]);
        users.push(`upgraded-${i}`);
      }
    })();
    try {
      await installation.run(lineOf('README.md', 'docker compose up --detach --build'));
      await workersReady(2);
    } finally {
      over.abort();
      await pushing;
    }
    expect(await installation.containers('worker')).not.toContain(id);
    expect(await installation.logs('worker')).toContain(`release ${NEWER}`);
    const { stdout } = await installation.run('docker compose exec api node lib/app/main.js --version');
    expect(stdout).toBe(`${NEWER}\n`);
    await until(async () => Object.values(await timesOf(users)).every((times) => times > 0), 500);
    await settled();
    expect(await timesOf(users)).toEqual(each(users, 1));
  },
  BUILD_MS,
);
