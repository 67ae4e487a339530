import { expect, test } from '@jest/globals';
import { ApiMetrics } from '../../src/api/api-metrics.ts';
import { IngestRecords } from '../../src/api/ingest-records.ts';
import { Ingests } from '../../src/api/ingests.ts';
import { ingestsSchema } from '../../src/config/ingest-config.ts';
import { createLog } from '../../src/worker/log.ts';

/** Ingests, and the lines of their log as it is written. */
function open(configured: object) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) }); // One line, as JSON has it.
  return { ingests: new Ingests(ingestsSchema.parse(configured), log), lines };
}

const proof = { header: { name: 'x', value: 's3cret-of-16-letters' } };
const change = { user: 'u', event: 'enter', audiences: ['vip'] } as const;

test('the log says which ingest has no secret', () => {
  const { lines } = open({ proved: { preset: 'segment', ...proof }, bare: { preset: 'segment' } });
  expect(lines).toEqual([expect.objectContaining({ ingest: 'bare', msg: expect.stringContaining('no signature') })]);
  expect(lines[0]).not.toHaveProperty('omitted');
});

test('of an ingest whose first twenty requests told of nothing the log says so, once', () => {
  const { ingests, lines } = open({
    misspelt: { preset: 'segment', ...proof },
    right: { preset: 'segment', ...proof },
  });
  ingests.heard('right', { changes: [change] });
  for (let i = 0; i < 19; i++) for (const name of ['misspelt', 'right']) ingests.heard(name, { changes: [] });
  expect(lines).toEqual([]);
  for (let i = 0; i < 50; i++) for (const name of ['misspelt', 'right']) ingests.heard(name, { changes: [] });
  expect(lines).toEqual([
    expect.objectContaining({ ingest: 'misspelt', count: 20, msg: expect.stringContaining('tells of a change') }),
  ]);
});

test('what an ingest refuses, and what no running job listens to, the log says once a minute with how much it was', () => {
  const lines: object[] = [];
  let now = 0;
  const log = { warn: (fields: object, message: string) => void lines.push({ ...fields, message }) };
  const records = new IngestRecords(new ApiMetrics(), log, () => now);
  const told = { audiences: ['newslettr'], reason: 'it does not say which audience it is about' };
  const taken = (ingest: string, unmatched: number, refused: number) =>
    records.takenInBy(ingest, { accepted: 1, ignored: 1, unmatched, refused }, told);
  taken('shop', 0, 0);
  expect(lines).toEqual([]);
  for (let i = 0; i < 10; i++) taken('shop', 2, 1);
  taken('crm', 3, 0);
  const unmatched = { audiences: ['newslettr'], message: 'nobody was told, since no running job listens' };
  const refused = { reason: told.reason, message: 'an ingest refused changes' };
  expect(lines.splice(0)).toEqual([
    { ingest: 'shop', count: 2, ...unmatched },
    { ingest: 'shop', count: 1, ...refused },
    { ingest: 'crm', count: 3, ...unmatched },
  ]);
  now = 60_000;
  taken('shop', 2, 0);
  taken('shop', 2, 1);
  expect(lines).toEqual([
    { ingest: 'shop', count: 20, ...unmatched },
    { ingest: 'shop', count: 10, ...refused },
  ]);
});
