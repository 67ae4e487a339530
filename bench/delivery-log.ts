import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { optionsOf } from '../chaos/options.ts';
import { findPostgres, Postgres } from '../demo/postgres-server.ts';
import type { DeliveryFilter } from '../src/features/delivery-log/delivery.ts';
import { openDeliveryReader, openDeliveryStore } from '../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../src/temporal/sealed-text.ts';
import { openBenchStage } from './stage.ts';
import { aDelivery } from '../test/features/delivery-log/a-delivery.ts';

// How long the questions of people take in a delivery log of many rows, 30 days of 20 jobs: npm run log-bench -- --rows 10000000

const DAYS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;
const PEOPLE = 500_000;
const ASKED = 40;
const JOBS = 20;

// Few jobs have most of the rows; one row in fifty failed.
const ROWS_OF_A_DAY = `
INSERT INTO deliveries (at, job_id, delivery_id, person, audience, event, trigger_at, attempt, verdict, status, code,
  duration_ms, request_bytes, answer, worker, lane)
SELECT at, 'job-' || job, md5(person || at::text), person, 'a' || (n % 30),
  CASE WHEN n % 3 = 0 THEN 'exit' ELSE 'enter' END, at::text, 1,
  CASE WHEN f = 0 THEN 'refused' WHEN f = 1 THEN 'transient' ELSE 'delivered' END,
  CASE WHEN f = 0 THEN 422 WHEN f = 1 AND n % 7 > 0 THEN 503 WHEN f = 1 THEN NULL ELSE 200 END,
  CASE WHEN f = 1 AND n % 7 = 0 THEN 'ECONNRESET' END,
  round(exp(random() * 8)), 900, CASE WHEN f < 2 THEN '{"error":"no such list"}' END, '1@bench', 'live'
FROM (
  SELECT n, $2::timestamptz + n * interval '1 day' / $1 AS at, floor(power(random(), 3) * ${JOBS})::int AS job,
    'p' || floor(random() * ${PEOPLE})::int AS person, floor(random() * 100)::int AS f
  FROM generate_series(0, $1::int - 1) AS n
) AS one`;

const { rows } = optionsOf('npm run log-bench --', { rows: 10_000_000 });
const perDay = Math.ceil(rows / DAYS);
const folder = mkdtempSync(join(tmpdir(), 'delivery-log-'));
const server = await Postgres.start(await findPostgres(folder), folder);
const database = new Client({ connectionString: server.urlOf('postgres') });
await database.connect();
const place = {
  url: server.urlOf('postgres'),
  certificateAuthorities: [],
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 60_000,
};
const now = Date.now();
const reader = openDeliveryReader(place, sealingWith([]));
try {
  await fill();
  await ask();
  await trace();
} finally {
  await reader.close();
  await database.end();
  await server.stop();
  rmSync(folder, { recursive: true });
}

async function fill(): Promise<void> {
  const store = openDeliveryStore({ ...place, retentionDays: 3_650 }, 'bench');
  const days = Array.from({ length: DAYS }, (_, day) => now - (DAYS - day) * DAY_MS);
  const rows = days.flatMap((at) => [at, at + DAY_MS - 1].map((ms) => aDelivery({ at: new Date(ms).toISOString() })));
  await store.write({ number: 1, rows, dropped: 0 });
  await store.close();
  for (const began of days) await database.query(ROWS_OF_A_DAY, [perDay, new Date(began).toISOString()]);
  for (const [table, seconds, since] of [
    ['delivery_hours', 3_600, days[0]],
    ['delivery_days', 86_400, days[0]],
    ['delivery_minutes', 60, now - 8 * DAY_MS],
  ] as const)
    await database.query(rollupsInto(table, seconds), [new Date(since ?? now).toISOString()]);
  await database.query('VACUUM ANALYZE deliveries, delivery_days, delivery_hours, delivery_minutes');
  const { rows: sizes } = await database.query<{ size: string }>(
    "SELECT pg_size_pretty(sum(pg_total_relation_size(inhrelid))) AS size FROM pg_inherits WHERE inhparent = 'deliveries'::regclass",
  );
  console.info(`${perDay * DAYS} rows take ${sizes[0]?.size}.`);
}

async function ask(): Promise<void> {
  const hour = () => new Date(now - Math.random() * (DAYS - 1) * DAY_MS);
  const person = () => `p${Math.floor(Math.random() * PEOPLE)}`;
  const job = () => `job-${Math.floor(Math.random() ** 3 * JOBS)}`;
  const id = async () => (await reader.find({ until: hour().toISOString() }, 1)).rows[0]?.deliveryId ?? '';
  const questions: Record<string, () => DeliveryFilter> = {
    'the newest': () => ({}),
    'of a job': () => ({ jobId: job() }),
    'of a person': () => ({ user: person() }),
    'failed of a job': () => ({ jobId: job(), verdict: 'failed' }),
    'of a job with a status': () => ({ jobId: job(), status: 422 }),
    'with a rare code': () => ({ code: 'ECONNRESET' }),
    'a rare code of a job': () => ({ jobId: job(), code: 'ECONNRESET' }),
    'slower than 5 s': () => ({ slowerThanMs: 5_000 }),
    'slower than 5 s of a job': () => ({ jobId: job(), slowerThanMs: 5_000 }),
    'exits about an audience': () => ({ audience: 'a7', event: 'exit' }),
    'of an hour': () => {
      const since = hour();
      return { since: since.toISOString(), until: new Date(since.getTime() + 3_600_000).toISOString() };
    },
    'of a job before a time': () => ({ jobId: job(), until: hour().toISOString() }),
    'nothing that fits': () => ({ jobId: job(), code: 'NONE' }),
  };
  for (const [name, filter] of Object.entries(questions)) await timed(name, () => reader.find(filter(), 50));
  const ids = await Promise.all(Array.from({ length: ASKED }, id));
  let n = 0;
  await timed('by webhook-id', () => reader.attempts(ids[n++ % ids.length] ?? ''));
  await timed('by its first 12 digits', () => reader.attempts((ids[n++ % ids.length] ?? '').slice(0, 12)));
  const span = (days: number) => ({
    since: new Date(now - days * DAY_MS).toISOString(),
    until: new Date(now).toISOString(),
  });
  for (const days of [1 / 24, 1, 7, 30]) {
    await timed(`counts of a job, ${days === 1 / 24 ? 'an hour' : `${days} days`}`, () =>
      reader.stats({ jobId: job(), ...span(days) }),
    );
    await timed(`counts of all, ${days === 1 / 24 ? 'an hour' : `${days} days`}`, () => reader.stats(span(days)));
  }
}

/** A person's trace, which also asks the running jobs. */
async function trace(): Promise<void> {
  const stage = await openBenchStage({
    people: 1_000,
    kept: 0,
    workers: 1,
    source: 'file',
    isOnCluster: false,
    isPlain: true,
  });
  try {
    for (let n = 0; n < JOBS; n++) await stage.start({}, `job-${n}`);
    // Until the server lists them all.
    while ((await stage.jobs.list()).length < JOBS) await sleep(100);
    for (const round of ['first', 'second', 'third'])
      await timed(`a person's trace, ${round} round`, async () => {
        const user = `p${Math.floor(Math.random() * PEOPLE)}`;
        for await (const _ of stage.jobs.trace(user, { log: reader }));
      });
  } finally {
    await stage.close();
  }
}

async function timed(name: string, read: () => Promise<unknown>): Promise<void> {
  const tookMs: number[] = [];
  for (let n = 0; n < ASKED; n++) {
    const startedAt = performance.now();
    await read();
    tookMs.push(performance.now() - startedAt);
  }
  tookMs.sort((a, b) => a - b);
  const shown = (share: number): string => `${(tookMs[Math.ceil(share * ASKED) - 1] ?? 0).toFixed(1)} ms`.padStart(12);
  console.info(`${name.padEnd(30)} p50 ${shown(0.5)}  p95 ${shown(0.95)}  worst ${shown(1)}`);
}

function rollupsInto(table: string, seconds: number): string {
  return `
INSERT INTO ${table}
SELECT job_id, floor(extract(epoch FROM at) / ${seconds})::bigint * ${seconds} AS began, verdict,
  coalesce(status::text, code), greatest(0, round(4 * log(2, duration_ms::numeric))) AS bucket, count(*)
FROM deliveries WHERE at >= $1 GROUP BY 1, 2, 3, 4, 5 ON CONFLICT DO NOTHING`;
}
