import { expect, test } from '@jest/globals';
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
