// npx tsx chaos/outbox.ts [--rows 100000] : an application commits changes to an outbox by several connections while its consumers are killed.
// All must arrive, each person's in the order of their commits. Then the time from a commit to its POST. One JSON line on standard output.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { findPostgres, Postgres } from '../demo/postgres-server.ts';
import { ExportJobs } from '../src/client/export-jobs.ts';
import { startReceiver } from '../src/local/receiver.ts';
import { startLocalTemporal } from '../src/local/temporal-server.ts';
import { judgeChanges, killAtRandom, rowsLeft, type Victim, writeChanges } from './outbox-ledger.ts';
import { Program } from './program.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    people: { type: 'string', default: '2000' },
    consumers: { type: 'string', default: '3' },
  },
});
const rows = Number(values.rows);
/** Longest wait for the last arrival. */
const LONGEST_MS = 600_000;
let consumers: readonly Victim[] = [];
const folder = mkdtempSync(join(tmpdir(), 'outbox-chaos-'));
const server = await Postgres.start(await findPostgres(folder), folder);
const temporal = await startLocalTemporal({ dbFile: join(folder, 'temporal.db') });
const receiver = await startReceiver({ keepBodies: true });
const url = server.urlOf('postgres');
const database = new Client({ connectionString: url });
await database.connect();
await database.query(readFileSync(new URL('../examples/postgres/outbox.sql', import.meta.url), 'utf8'));
const configFile = join(folder, 'triggers.config.json');
const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
const source = { kind: 'file', folder: join(folder, 'source') };
mkdirSync(join(source.folder, 'audiences'), { recursive: true });
writeFileSync(join(source.folder, 'profiles.ndjson'), '');
writeFileSync(
  join(source.folder, 'audiences', 'vip.ndjson'),
  `${JSON.stringify({ audience: { id: 'ab'.repeat(16), name: 'VIP' } })}\n`,
);
writeFileSync(configFile, JSON.stringify({ source, network, outbox: { url, jobs: ['chaos'] } }));
const env = { ...process.env, TRIGGERS_CONFIG: configFile, TEMPORAL_ADDRESS: temporal.address };
const worker = await Program.start(['worker', '--json'], env);
const jobs = await ExportJobs.connect({
  connection: { connectionOptions: { address: temporal.address }, namespace: temporal.namespace },
});
try {
  await jobs.start(
    { label: 'Chaos', audiences: ['vip'], webhookUrl: receiver.url, authorization: null, parallelRequestCount: 50 },
    { jobId: 'chaos' },
  );
  const people = Array.from({ length: Number(values.people) }, (_, i) => `p${i}`);
  const beganAt = performance.now();
  let committed: ReadonlyMap<string, number> | undefined;
  const writing = writeChanges(url, { people, rows, connections: 4 }).then((counts) => (committed = counts));
  const { kills, alive } = await killAtRandom(
    async () => await Program.start(['consume', 'outbox', '--json'], env),
    Number(values.consumers),
    async () => committed !== undefined && (await rowsLeft(url)) === 0,
  );
  consumers = alive;
  const counts = await writing;
  // Judged now and then only: this process is the endpoint, too.
  const giveUpAt = performance.now() + LONGEST_MS;
  while (judgeChanges(receiver.ledger.entries, counts).lost > 0 && performance.now() < giveUpAt) await sleep(2_000);
  const seconds = Math.round((performance.now() - beganAt) / 1000);
  const verdict = judgeChanges(receiver.ledger.entries, counts);
  const latenciesMs = await idleLatencies();
  console.log(JSON.stringify({ rows, seconds, kills, ...verdict, idleCommitToPostMs: latenciesMs }));
} finally {
  await Promise.all(consumers.map(async (consumer) => await consumer.kill()));
  await jobs.close();
  await worker.kill();
  await database.end();
  await temporal.stop();
  await receiver.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** From a commit to the arrival of its request, one at a time. */
async function idleLatencies(): Promise<{ readonly p50: number; readonly p99: number }> {
  const found: number[] = [];
  for (let i = 0; i < 200; i++) {
    await sleep(100);
    const user = `alone-${i}`;
    await database.query(
      `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', $1, 'enter', '{}')`,
      [user],
    );
    const committedAt = Date.now();
    const of = ({ message }: { readonly message: { readonly user: string } | undefined }): boolean =>
      message?.user === user;
    await receiver.ledger.waitFor(({ entries }) => entries.slice(-5).some(of));
    found.push((receiver.ledger.entries.findLast(of)?.arrivedAtMs ?? NaN) - committedAt);
  }
  found.sort((a, b) => a - b);
  return { p50: found[99] ?? NaN, p99: found[197] ?? NaN };
}
