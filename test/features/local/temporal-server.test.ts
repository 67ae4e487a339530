import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import { connect } from '../../support/connection.ts';
import { type LocalTemporal, startLocalTemporal } from '../../../src/features/local/temporal-server.ts';
import { temporal } from '../../support/temporal.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const { cliPath } = temporal;
let folder: string;
let servers: LocalTemporal[];

beforeEach(() => {
  folder = tempFolder();
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

async function start(options: Parameters<typeof startLocalTemporal>[0]): Promise<LocalTemporal> {
  const server = await startLocalTemporal({ cliPath, ...options });
  servers.push(server);
  return server;
}

async function withClient<T>({ address, namespace }: LocalTemporal, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await connect(address);
  try {
    return await use(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await sleep(20);
}

const startArgs = { taskQueue: 'nobody', workflowId: 'kept', args: [] };

test('a database that another server has open is refused, with its address; once that has ended it is not', async () => {
  const dbFile = join(folder, 'temporal.db');
  const first = await start({ dbFile });
  await expect(startLocalTemporal({ cliPath, dbFile })).rejects.toThrow(
    `${dbFile} is in use by the one at ${first.address}`,
  );
  await first.stop();
  await start({ dbFile });
});

test('[S46] every port that the server listens on is one of its places, also those that no option sets', async () => {
  const { pid, places } = await start({});
  const sockets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  const listening = ['tcp', 'tcp6'].flatMap((kind) => readFileSync(`/proc/${pid}/net/${kind}`, 'utf8').split('\n'));
  const ports = listening
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && sockets.includes(`socket:[${inode}]`))
    .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16));
  expect(ports.length).toBeGreaterThan(3);
  const known = places.map((place) => Number(place.split(':')[1]));
  expect(known).toEqual(expect.arrayContaining(ports));
});

test('a new database can be read by nobody else', async () => {
  const dbFile = join(folder, 'temporal.db');
  await start({ dbFile });
  const files = readdirSync(folder).filter((name) => /^temporal\.db(-|$)/.test(name));
  expect(files).toContain('temporal.db-wal');
  for (const name of files) expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0]);
});

test('a workflow that the server accepted is still there after the server was killed', async () => {
  const dbFile = join(folder, 'temporal.db');
  const first = await start({ dbFile });
  await withClient(first, ({ workflow }) => workflow.start('anything', startArgs));
  process.kill(first.pid, 'SIGKILL');
  await first.gone;

  const second = await start({ dbFile });
  const { status } = await withClient(second, ({ workflow }) => workflow.getHandle('kept').describe());
  expect(status.name).toBe('RUNNING');
});

test('stop resolves when the process is gone, also the second time', async () => {
  const server = await start({});
  expect(isAlive(server.pid)).toBe(true);
  await server.stop();
  expect(isAlive(server.pid)).toBe(false);
  await server.stop();
});

test('the web UI and the HTTP API are there only when asked for', async () => {
  const [without, withBoth] = await Promise.all([start({}), start({ ui: true, http: true })]);
  expect([without.uiUrl, without.httpUrl]).toEqual([undefined, undefined]);
  const statuses = await Promise.all(without.places.map((place) => statusOf(`http://${place}/api/v1/system-info`)));
  expect(statuses).not.toContain(200);
  expect(await statusOf(withBoth.uiUrl ?? '')).toBe(200);
  expect(await statusOf(`${withBoth.httpUrl}/api/v1/system-info`)).toBe(200);
});

/** Undefined where nobody speaks HTTP. */
const statusOf = async (url: string): Promise<number | undefined> =>
  await fetch(url).then(
    ({ status }) => status,
    () => undefined,
  );

test('a port that is taken is an error that names it', async () => {
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  const address = squatter.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  await expect(start({ port })).rejects.toMatchObject({
    name: 'LocalTemporalFailed',
    isPortTaken: true,
    message: `The local Temporal server did not start: port ${port} of 127.0.0.1 is taken.`,
  });
  squatter.close();
});

test('another server that answers on the port of the HTTP API is not taken for this one', async () => {
  const other = await start({ http: true });
  await expect(start({ http: Number(new URL(other.httpUrl ?? '').port) })).rejects.toMatchObject({
    name: 'LocalTemporalFailed',
    isPortTaken: true,
  });
});

test('an executable that cannot be run is an error that names it', async () => {
  await expect(start({ cliPath: join(folder, 'temporal') })).rejects.toThrow(/temporal cannot be run/);
});

test('the server dies with the process that started it, even when that is killed', async () => {
  const module = fileURLToPath(new URL('../../../src/features/local/temporal-server.ts', import.meta.url));
  const code = `
    const { startLocalTemporal } = await import(${JSON.stringify(module)});
    console.log((await startLocalTemporal({ cliPath: ${JSON.stringify(cliPath)}, dbFile: 'db' })).pid);`;
  const tsx = import.meta.resolve('tsx');
  const parent = spawn(process.execPath, ['--import', tsx, '--input-type=module', '-e', code], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
  expect(isAlive(Number(line))).toBe(true);
  parent.kill('SIGKILL');
  await untilGone(Number(line));
  expect(existsSync(join(folder, 'db'))).toBe(true);
});
