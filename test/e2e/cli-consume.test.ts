import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import { judgeChanges, killAtRandom, rowsLeft, writeChanges } from '../../chaos/outbox-ledger.ts';
import { readExposition } from '../support/exposition.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { type TestDatabase, TestPostgres } from '../support/postgres.ts';
import { temporal } from '../support/temporal.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';
import { aWayTo } from '../support/silent-way.ts';

let lab: Lab;
let postgres: TestPostgres;
let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'consume-test-'));
  [lab, postgres] = await Promise.all([Lab.open({ receiver: { keepBodies: true } }), TestPostgres.start()]);
  database = await postgres.withOutbox();
});
afterAll(async () => {
  await Promise.all([lab.close(), postgres.stop()]);
  rmSync(folder, { recursive: true });
});

async function consumer(jobs: readonly string[], options: readonly string[] = [], more: object = {}): Promise<Program> {
  const file = join(folder, 'triggers.config.json');
  writeFileSync(file, JSON.stringify({ outbox: { url: '${env:DATABASE_URL}', jobs } }));
  const env = { TRIGGERS_CONFIG: file, TRIGGERS_TASK_QUEUE: lab.taskQueue, DATABASE_URL: database.url, ...more };
  const program = startTriggers(['consume', 'outbox', '--json', ...options], { env });
  await program.says(({ stdout }) => stdout.endsWith('\n'));
  return program;
}

test('whatever is committed is told, in order per person, although consumers are killed at random', async () => {
  const job = await lab.start({ parallelRequestCount: 50 });
  const people = Array.from({ length: 200 }, (_, i) => `consumed-${i}`);
  let writing: ReturnType<typeof writeChanges> | undefined;
  let isWritten = false;
  const { kills, alive } = await killAtRandom(
    async () => await consumer([job]),
    2,
    async () => {
      // Not before both consumers run: on a fast machine one would be done before the other began.
      writing ??= writeChanges(database.url, { people, rows: 6_000, connections: 4 }).finally(() => (isWritten = true));
      return isWritten && (await rowsLeft(database.url)) === 0;
    },
  );
  const counts = (await writing) ?? new Map<string, number>();
  await until(() => judgeChanges(lab.receiver.ledger.entries, counts).lost === 0);
  await Promise.all(alive.map((program) => program.kill()));
  expect(kills).toBeGreaterThan(0);
  expect(judgeChanges(lab.receiver.ledger.entries, counts)).toMatchObject({ arrived: 6_000, lost: 0, outOfOrder: 0 });
});

test('a consumer says how it is, names no person, ends in peace, and its metrics are those of the page', async () => {
  const job = await lab.start();
  const program = await consumer([job], ['--port', '0']);
  await database.query(
    `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'canary-1', 'enter', '{}')`,
  );
  await lab.arrives('canary-1');
  const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string }; // As `consume --json` says it.
  const get = async (path: string): Promise<string> => {
    const { statusCode, body } = await request(new URL(path, metricsUrl));
    return `${statusCode} ${await body.text()}`;
  };
  expect(await get('/healthz')).toBe('200 {"ok":true}\n');
  expect(await get('/readyz')).toBe('200 {"ok":true}\n');
  await until(async () => (await get('/metrics')).includes('triggers_consumer_triggers_total{outcome="accepted"} 1\n'));
  const text = await get('/metrics');
  const exposed = [...readExposition(text.slice(4)).keys()];
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const documented = Array.from(page.matchAll(/^\| `(triggers_(?:consumer|outbox)_\w+)`/gm), ([, name = '']) => name);
  expect(documented.toSorted()).toEqual(exposed.toSorted());
  program.signal('SIGTERM');
  const { code, stderr } = await program.end();
  expect([code, stderr]).toEqual([0, '']);
  expect(text).not.toContain('canary-1');
});

test('while Temporal takes connections and never answers, it ends within ten seconds, too', async () => {
  const { host, port, silence, close } = await aWayTo(temporal.address);
  const job = await lab.start();
  const program = await consumer([job], ['--port', '0'], { TEMPORAL_ADDRESS: `${host}:${port}` });
  const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string }; // As `consume --json` says it.
  silence();
  await database.query(
    `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'silent-1', 'enter', '{}')`,
  );
  const ready = async (): Promise<number> => {
    const { statusCode, body } = await request(new URL('/readyz', metricsUrl));
    await body.dump();
    return statusCode;
  };
  await until(async () => (await ready()) === 503);
  const askedAt = performance.now();
  program.signal('SIGTERM');
  expect((await program.end()).code).toBe(0);
  expect(performance.now() - askedAt).toBeLessThan(10_000);
  close();
  expect(await database.query(`DELETE FROM audience_changes WHERE user_id = 'silent-1' RETURNING id`)).toHaveLength(1);
});

test('without an outbox in the configuration it says what is missing', async () => {
  const { code, stderr } = await startTriggers(['consume', 'outbox']).end();
  expect([code, stderr]).toEqual([2, expect.stringContaining('No outbox is configured')]);
});
