import { POSTGRES } from './postgres-sql.ts';
import { DEEDS, DELIVERIES, INDEX_DEEDS, INDEX_DELIVERIES, makeTable, ROLLUP, ROLLUP_KEY, WRITERS } from './tables.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Makes the tables, unless they are there, in the order in which a batch locks them: otherwise a worker that begins and one that writes could wait for each
 * other. A partition has the deliveries of one day (UTC): its retention drops it whole.
 */
export const MAKE_TABLES = `
${makeTable(POSTGRES, 'deliveries', DELIVERIES)} PARTITION BY RANGE (at);
-- For a table that 0.2.0 made. Even with IF NOT EXISTS, an ALTER would wait for all readers, and let others wait behind it.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'deliveries'::regclass AND attname = 'sequence') THEN
    ALTER TABLE deliveries ADD COLUMN sequence ${DELIVERIES['sequence']};
  END IF;
END $$;
${INDEX_DELIVERIES};
${makeTable(POSTGRES, 'delivery_writers', WRITERS)};
${makeTable(POSTGRES, 'delivery_minutes', ROLLUP, ROLLUP_KEY)};
CREATE INDEX IF NOT EXISTS delivery_minutes_began ON delivery_minutes (began);
CREATE TABLE IF NOT EXISTS delivery_hours (LIKE delivery_minutes INCLUDING ALL);
CREATE TABLE IF NOT EXISTS delivery_days (LIKE delivery_minutes INCLUDING ALL);
${makeTable(POSTGRES, 'deeds', DEEDS)};
${INDEX_DEEDS}`;

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
