import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { CSV_HEAD } from '../../../src/features/delivery-log/delivery-csv.ts';
import { MAKE_TABLES } from '../../../src/features/delivery-log/postgres-schema.ts';
import { DELIVERY_FIELDS } from '../../../src/features/delivery-log/tables.ts';

test('programs that read the log as CSV, or by SQL, find the columns of 0.2.0 where they were', () => {
  expect(CSV_HEAD).toBe(
    'at,jobId,deliveryId,batchId,user,audience,event,triggerAt,attempt,verdict,status,code,durationMs,requestBytes,answer,worker,lane',
  );
  expect(MAKE_TABLES).toContain(
    'deliveries (at timestamptz NOT NULL, job_id text NOT NULL, delivery_id text COLLATE "C" NOT NULL, ' +
      'batch_id text COLLATE "C", person text NOT NULL, audience text NOT NULL, event text NOT NULL, ' +
      'trigger_at text NOT NULL, attempt integer NOT NULL, verdict text NOT NULL, status smallint, code text, ' +
      'duration_ms real NOT NULL, request_bytes integer NOT NULL, answer text, worker text NOT NULL, lane text NOT NULL, ' +
      'sequence bigint NOT NULL DEFAULT 0, exchange text) PARTITION BY RANGE (at)',
  );
});

test('a worker that makes the tables locks them in the order of a batch, so that neither waits for the other forever', () => {
  const indexed = [...MAKE_TABLES.matchAll(/INDEX IF NOT EXISTS \w+ ON (\w+)/g)].map(([, table]) => table);
  expect([...new Set(indexed)]).toEqual(['deliveries', 'delivery_minutes', 'deeds']);
});

test('docs/delivery-log.md has each attribute that a collector gets', () => {
  const page = readFileSync(new URL('../../../docs/delivery-log.md', import.meta.url), 'utf8');
  const attributes = DELIVERY_FIELDS.flatMap(({ otlp }) => otlp ?? []);
  expect(attributes).toHaveLength(DELIVERY_FIELDS.length - 1);
  for (const attribute of attributes) expect(page).toContain(`\`${attribute}\``);
});
