// npx tsx chaos/outbox.ts [--rows 100000] [--from 0.1.0: every other consumer] : an application commits changes to an outbox by several connections
// while its consumers are killed. All must arrive, each person's in the order of their commits. Then the time from a commit to its POST. One JSON line
// on standard output.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { findPostgres, Postgres } from '../demo/postgres-server.ts';
import { idleLatencies, openConsumerStage, verdictOf } from './consumer-stage.ts';
import { killAtRandom, rowsLeft, type Victim, writeChanges } from './outbox-ledger.ts';
import { mainsByTurns, Program } from './program.ts';
import { optionsOf } from './options.ts';

const values = optionsOf('npx tsx chaos/outbox.ts', { rows: 100_000, people: 2_000, consumers: 3, from: '' });
const rows = values.rows;
const nextMain = await mainsByTurns(values.from);
let consumers: readonly Victim[] = [];
const folder = mkdtempSync(join(tmpdir(), 'outbox-chaos-'));
const server = await Postgres.start(await findPostgres(folder), folder);
const url = server.urlOf('postgres');
const database = new Client({ connectionString: url });
await database.connect();
await database.query(readFileSync(new URL('../examples/postgres/outbox.sql', import.meta.url), 'utf8'));
const stage = await openConsumerStage(folder, { outbox: { url, jobs: ['chaos'] } });
const { receiver, env } = stage;
try {
  await stage.startJob();
  const people = Array.from({ length: values.people }, (_, i) => `p${i}`);
  const beganAt = performance.now();
  let committed: ReadonlyMap<string, number> | undefined;
  const writing = writeChanges(url, { people, rows, connections: 4 }).then((counts) => (committed = counts));
  const { kills, alive } = await killAtRandom(
    async () => await Program.start(['consume', 'outbox', '--json'], env, nextMain()),
    values.consumers,
    async () => committed !== undefined && (await rowsLeft(url)) === 0,
  );
  consumers = alive;
  const counts = await writing;
  const verdict = await verdictOf(receiver, counts);
  const seconds = Math.round((performance.now() - beganAt) / 1000);
  const latenciesMs = await idleLatencies(receiver, commit);
  console.log(JSON.stringify({ rows, seconds, kills, ...verdict, idleCommitToPostMs: latenciesMs }));
} finally {
  await Promise.all(consumers.map(async (consumer) => await consumer.kill()));
  await stage.close();
  await database.end();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function commit(user: string): Promise<number> {
  await database.query(
    `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', $1, 'enter', '{}')`,
    [user],
  );
  return Date.now();
}
