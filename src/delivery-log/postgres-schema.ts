import { makeDeeds } from './deeds.ts';
import { ADD_TO_KNOWN, MAKE_INDEXES, type RollupTable } from './log-sql.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Makes the tables, unless they are there. A partition has the deliveries of one day (UTC): its retention drops it whole. */
export const MAKE_TABLES = `
CREATE TABLE IF NOT EXISTS deliveries (
  at timestamptz NOT NULL,
  job_id text NOT NULL,
  delivery_id text COLLATE "C" NOT NULL,
  batch_id text COLLATE "C",
  person text NOT NULL,
  audience text NOT NULL,
  event text NOT NULL,
  trigger_at text NOT NULL,
  attempt integer NOT NULL,
  verdict text NOT NULL,
  status smallint,
  code text,
  duration_ms real NOT NULL,
  request_bytes integer NOT NULL,
  answer text,
  worker text NOT NULL,
  lane text NOT NULL,
  sequence bigint NOT NULL DEFAULT 0,
  exchange text
) PARTITION BY RANGE (at);
-- For a table that 0.2.0 made. Even with IF NOT EXISTS, an ALTER would wait for all readers, and let others wait behind it.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'deliveries'::regclass AND attname = 'sequence') THEN
    ALTER TABLE deliveries ADD COLUMN sequence bigint NOT NULL DEFAULT 0;
  END IF;
END $$;
${MAKE_INDEXES}
CREATE TABLE IF NOT EXISTS delivery_writers (
  writer text PRIMARY KEY,
  began_at timestamptz NOT NULL,
  written_at timestamptz NOT NULL,
  batches bigint NOT NULL,
  rows bigint NOT NULL,
  dropped bigint NOT NULL,
  ended_at timestamptz
);
CREATE TABLE IF NOT EXISTS delivery_minutes (
  job_id text, began bigint, verdict text, outcome text, bucket smallint, count bigint NOT NULL,
  PRIMARY KEY (job_id, began, verdict, outcome, bucket)
);
CREATE INDEX IF NOT EXISTS delivery_minutes_began ON delivery_minutes (began);
CREATE TABLE IF NOT EXISTS delivery_hours (LIKE delivery_minutes INCLUDING ALL);
CREATE TABLE IF NOT EXISTS delivery_days (LIKE delivery_minutes INCLUDING ALL);
${makeDeeds('timestamptz')}`;

/** Rollups as JSON ($1), added to those of a table. */
export function addRollups(table: RollupTable): string {
  return `
INSERT INTO ${table} AS known (job_id, began, verdict, outcome, bucket, count)
SELECT "jobId", began, verdict, outcome, bucket, count FROM json_to_recordset($1::json)
  AS one ("jobId" text, began bigint, verdict text, outcome text, bucket smallint, count bigint)
${ADD_TO_KNOWN}`;
}

/** Workers make tables and partitions one after another. The number is arbitrary; it only has to be the same everywhere. */
export const LOCK_SCHEMA = 'SELECT pg_advisory_xact_lock(7314250911)';

export const PARTITIONS = `
SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'deliveries'::regclass`;

const PREFIX = 'deliveries_';

/** The day of a time, as a partition is named by it: `20261130`. @param at RFC 3339 in UTC. */
export function dayOf(at: string): string {
  return at.slice(0, 10).replaceAll('-', '');
}

export function partitionOf(day: string): string {
  return PREFIX + day;
}

/**
 * The statements that make the partition of a day. Made by itself and then attached, it waits for no reader; `PARTITION OF` would wait for all of
 * them, and let others wait behind it.
 */
export function makePartition(day: string): string[] {
  const from = `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}T00:00:00Z`;
  const to = new Date(Date.parse(from) + DAY_MS).toISOString();
  const name = partitionOf(day);
  return [
    `CREATE TABLE IF NOT EXISTS ${name} (LIKE deliveries INCLUDING INDEXES)`,
    `ALTER TABLE deliveries ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${to}')`,
  ];
}

/** The oldest day that is kept: `2026-11-30`. */
export function firstDay(now: number, retentionDays: number): string {
  return new Date(now - retentionDays * DAY_MS).toISOString().slice(0, 10);
}

/** Returns the partitions that end before the retention begins. */
export function expiredPartitions(names: readonly string[], now: number, retentionDays: number): string[] {
  const first = partitionOf(dayOf(firstDay(now, retentionDays)));
  return names.filter((name) => /^deliveries_\d{8}$/.test(name) && name < first);
}
