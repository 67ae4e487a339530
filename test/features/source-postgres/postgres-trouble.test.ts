import { once } from 'node:events';
import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import type { PostgresSourceInput } from '../../../src/features/source-postgres/config.ts';
import type { PostgresSourceOptions } from '../../../src/features/source-postgres/source.ts';
import { answersOf } from '../../../src/sources/source.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { TestPostgres } from '../../support/postgres.ts';
import { makeCertificateAuthority } from '../../webhook/a-certificate-authority.ts';
import { openedPostgres } from './a-postgres-source.ts';

const VIP = 'a'.repeat(32);
const CONTENT = {
  audiences: [{ id: VIP, slug: 'vip', name: 'VIP', members: ['1', '2', '3'] }],
  profiles: { '1': { n: 1 } },
};
const MEMBERS = { ids: ['1', '2', '3'] };
const PASSWORD = 'p@ss/w#rd:s3cret%';

const postgres = await TestPostgres.start();
afterAll(() => postgres.stop());
const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function open(url: string, rest: Partial<PostgresSourceInput> = {}, options: PostgresSourceOptions = {}) {
  const source = await openedPostgres(url, rest, options);
  cleanUps.push(() => source.close());
  return source;
}

/** A connection of the test's own, in which it does things that others notice. */
async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  cleanUps.push(() => client.end());
  return client;
}

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('connections that are ended, whether idle or at work, cost their own call at most', async () => {
  const { url, name } = await postgres.filled(CONTENT);
  const source = await open(url);
  const other = await connected(url);
  const endAll = () =>
    other.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2', [
      name,
      'audience-triggers',
    ]);
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
  expect((await endAll()).rowCount).toBeGreaterThan(0);
  await eventually(async () => expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS));

  await other.query('BEGIN; LOCK TABLE audience_members');
  const waiting = source.members(VIP, undefined, 10);
  waiting.catch(() => undefined);
  await eventually(async () => {
    const { rows } = await other.query(`SELECT 1 FROM pg_locks WHERE NOT granted`);
    expect(rows).toHaveLength(1);
  });
  await endAll();
  await expect(waiting).rejects.toThrow(/the members \(audience_members\): .*It will be asked again/);
  await other.query('ROLLBACK');
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
});

test('a statement that takes too long is ended, and says which setting', async () => {
  const { url } = await postgres.filled(CONTENT);
  const source = await open(url, { statementTimeoutMs: 200 });
  const other = await connected(url);
  await other.query('BEGIN; LOCK TABLE audience_members');
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(/statement timeout.*"statementTimeoutMs"/);
  expect((await source.profiles(['1'])).size).toBe(1);
  await other.query('ROLLBACK');
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
});

test('counting that takes too long leaves sizes out, not audiences', async () => {
  const { url } = await postgres.filled(CONTENT);
  const source = await open(url);
  const other = await connected(url);
  await other.query('BEGIN; LOCK TABLE audience_members');
  const startedAt = performance.now();
  expect(await source.audiences()).toEqual([{ id: VIP, slug: 'vip', name: 'VIP' }]);
  // Any other statement may take ten seconds.
  expect(performance.now() - startedAt).toBeLessThan(9_000);
  // The connection that was in a failed transaction is not used again.
  for (let i = 0; i < 5; i++) expect((await source.profiles(['1'])).size).toBe(1);
});

test('for a minute, audiences are found and sizes known without asking again', async () => {
  const { url } = await postgres.filled(CONTENT);
  const source = await open(url, { statementTimeoutMs: 500 });
  const listed = await source.audiences();
  expect(listed).toEqual([{ id: VIP, slug: 'vip', name: 'VIP', size: 3 }]);
  const other = await connected(url);
  await other.query('BEGIN; LOCK TABLE audience_members');
  expect(await source.audiences()).toEqual(listed);
  await other.query('ROLLBACK; BEGIN; LOCK TABLE audiences');
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
});

test('a server that says nothing more is given up, and asked again by another connection', async () => {
  const { url } = await postgres.filled(CONTENT);
  const line = await aLine(postgres.server.port);
  const source = await open(url.replace(String(postgres.server.port), String(line.port)), { statementTimeoutMs: 100 });
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
  line.isCut = true;
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(/the members \(audience_members\)/);
  await expect(source.profiles(['1'])).rejects.toThrow(/the profiles \(profiles\)/);
  line.isCut = false;
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
});

test('a server that accepts and says nothing is given up in time, by every method', async () => {
  const server = createServer();
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const port = await listen(server);
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const source = await open(`postgres://app:s3cret@127.0.0.1:${port}/crm`, { connectTimeoutMs: 150, poolSize: 2 });
  const startedAt = performance.now();
  const calls = [
    source.audiences(),
    source.members(VIP, undefined, 10),
    source.isMember(VIP, '1'),
    ...Array.from({ length: 20 }, () => source.profiles(['1'])),
  ];
  for (const call of await Promise.allSettled(calls)) {
    expect(call).toMatchObject({ status: 'rejected', reason: { name: 'SourceError' } });
    expect(String(call.status === 'rejected' && call.reason)).not.toContain('s3cret');
  }
  expect(performance.now() - startedAt).toBeLessThan(20_000);
});

test('a server that is away when the source opens is reported, and serves once it is there', async () => {
  const { url } = await postgres.filled(CONTENT);
  await postgres.server.stop();
  const problems: string[] = [];
  const source = await open(url, {}, { onProblem: (text) => problems.push(text) });
  expect(problems).toEqual([expect.stringMatching(/about its tables: .*ECONNREFUSED.*It will be asked again/)]);
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(
    /127\.0\.0\.1:\d+\/test_\d+\).*ECONNREFUSED.*asked again/,
  );
  await postgres.server.startAgain();
  expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
  await postgres.server.restart();
  await eventually(async () => expect((await source.profiles(['1'])).size).toBe(1));
});

test('a server that has answered and is away does not show that it answers, and does once it is back', async () => {
  const { url } = await postgres.filled(CONTENT);
  const source = await open(url);
  await answersOf(source);
  await postgres.server.stop();
  await expect(answersOf(source)).rejects.toThrow(/gave no answer about whether it is there: /);
  await postgres.server.startAgain();
  await eventually(() => answersOf(source));
});

test('the source reports a mistake at the first answer of a server that was away', async () => {
  const { url } = await postgres.filled(CONTENT);
  await postgres.server.stop();
  const source = await open(url, { profiles: { table: 'people' } });
  await postgres.server.startAgain();
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(/\(people\): relation "people" does not exist/);
});

test('it only reads: a query that writes is refused, and nothing is written', async () => {
  const database = await postgres.filled(CONTENT);
  await database.query(`CREATE TABLE seen (who text);
    CREATE FUNCTION note(who text) RETURNS boolean VOLATILE LANGUAGE sql AS 'INSERT INTO seen VALUES (who); SELECT true'`);
  const queries = {
    audiences: 'SELECT * FROM audiences',
    members: 'SELECT user_id AS "user" FROM audience_members WHERE audience_id = $1 AND note(user_id)',
    profiles: 'SELECT user_id AS "user", profile FROM profiles',
  };
  const source = await open(database.url, { queries });
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(/read-only transaction.*only reads/);
  expect(await database.query('SELECT * FROM seen')).toEqual([]);
  const several = { ...queries, profiles: 'SELECT 1); DELETE FROM profiles; SELECT (2' };
  await expect(open(database.url, { queries: several })).rejects.toThrow(/queries\.profiles.*multiple commands/);
  expect(await database.query('SELECT count(*)::int AS n FROM profiles')).toEqual([{ n: 1 }]);
});

test('a role that may not read gets an error that names what it lacks', async () => {
  const database = await postgres.filled(CONTENT);
  await database.query('CREATE ROLE blind LOGIN; GRANT SELECT ON audiences, profiles TO blind');
  const opened = open(database.url.replace('postgres:postgres@', 'blind@'));
  await expect(opened).rejects.toThrow(/permission denied for table audience_members.*needs SELECT/);
});

test('a password is in no error, whether it is right or wrong, in the URL or beside it', async () => {
  const database = await postgres.filled(CONTENT);
  await database.query(`CREATE ROLE locked LOGIN PASSWORD '${PASSWORD}'; GRANT pg_read_all_data TO locked`);
  await changeServerFile('pg_hba.conf', (text) => `host all locked 127.0.0.1/32 scram-sha-256\n${text}`);
  await database.query('SELECT pg_reload_conf()');
  const url = (password: string) => database.url.replace('postgres:postgres@', `locked:${password}@`);
  const right = encodeURIComponent(PASSWORD);
  for (const source of [await open(url(right)), await open(url('other'), { password: PASSWORD })])
    expect(await source.members(VIP, undefined, 10)).toEqual(MEMBERS);
  const errors = await Promise.all([
    open(url('s3cret')).catch(String),
    open(url(right), { password: 's3cret' }).catch(String),
    open(url(right).replace(/\/\w+$/, '/nowhere')).catch(String),
    open(url(right), { profiles: { table: 'people' } }).catch(String),
  ]);
  expect(errors).toEqual([
    expect.stringMatching(/password authentication failed for user "locked".*Correct the user name and password/),
    expect.stringMatching(/password authentication failed/),
    expect.stringMatching(/database "nowhere" does not exist/),
    expect.stringMatching(/relation "people" does not exist/),
  ]);
  for (const error of errors) expect(error).not.toMatch(/s3cret|p@ss|p%40ss/);
});

test('no error quotes what stands in a row', async () => {
  const database = await postgres.database();
  await database.query(`CREATE TABLE raw (audience text, who text, n text); INSERT INTO raw VALUES ('vip', 'linnea@example.com', 'x');
    CREATE VIEW audience_members AS SELECT audience AS audience_id, who::int AS user_id FROM raw;
    CREATE TABLE profiles (user_id text, profile jsonb)`);
  const source = await open(database.url, { audiences: null });
  const id = (await source.audiences())[0]?.id ?? '';
  const error = await source.members(id, undefined, 10).catch((error: unknown) => error);
  expect(error).toMatchObject({
    message: expect.stringMatching(/a value does not fit its type \(SQLSTATE 22P02\)/),
  });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('linnea');
});

test('TLS is verified: by an authority that is named, for the host that is named, and not otherwise', async () => {
  const { url } = await postgres.filled(CONTENT);
  const authority = makeCertificateAuthority();
  const { certificate, key } = authority.issue({ names: ['127.0.0.1'] });
  await changeServerFile('server.crt', () => certificate);
  await changeServerFile('server.key', () => key);
  await changeServerFile('postgresql.auto.conf', (text) => `${text}\nssl = on\n`);
  await postgres.server.restart();
  const certificateAuthorities = [authority.certificate];
  const inUse = async (source: { isMember(audience: string, user: string): Promise<boolean> }) => {
    expect(await source.isMember(VIP, '1')).toBe(true);
    const other = await connected(url);
    const { rows } = await other.query<{ ssl: boolean }>(
      `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'audience-triggers' AND datname = current_database()`,
    );
    return rows.map(({ ssl }) => ssl).at(-1);
  };
  expect(await inUse(await open(url, { certificateAuthorities }))).toBe(true);
  expect(await inUse(await open(`${url}?sslmode=no-verify`))).toBe(true);
  const unverified = await open(`${url}?sslmode=require`);
  await expect(unverified.isMember(VIP, '1')).rejects.toThrow(/name its authority in "certificateAuthorities"/);
  const misnamed = await open(url.replace('127.0.0.1', 'localhost'), { certificateAuthorities });
  await expect(misnamed.isMember(VIP, '1')).rejects.toThrow(/does not match certificate.*The certificate is verified/);
});

/** A file of the server's own, readable to nobody else. */
async function changeServerFile(name: string, change: (text: string) => string): Promise<void> {
  const { dataFolder } = postgres.server;
  const path = join(dataFolder, name);
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // It is a new one.
  }
  writeFileSync(path, change(text), { mode: 0o600 });
  const { uid, gid } = statSync(dataFolder);
  chownSync(path, uid, gid);
}

/** Tries again until it holds: connections end a moment after the server has said so. */
async function eventually(holds: () => Promise<void>): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await holds();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A line to a server that can be cut without either end noticing. Connections made while it is cut are whole. */
async function aLine(to: number): Promise<{ readonly port: number; isCut: boolean }> {
  const sockets: Socket[] = [];
  const line = { port: 0, isCut: false };
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    sockets.push(near, far);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      if (!line.isCut) near.write(bytes);
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  });
  line.port = await listen(server);
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return line;
}
