import { expect, test } from '@jest/globals';
import { prepare } from '../../src/client/jobs/ask-worker.ts';
import type { JobDefinitionInput } from '../../src/contract/export-job.ts';
import { mistakesWith, RIGHT } from '../contract/a-mistake.ts';
import { anEasyWorker } from './an-easy-worker.ts';

const MISTAKES = Object.keys(RIGHT).flatMap((field) => mistakesWith(field as keyof JobDefinitionInput));

test('no mistake with any field is forgiven, however easily the worker is pleased', async () => {
  let tried = 0;
  for (const { field, definition, kind, near } of MISTAKES) {
    if (definition === undefined) continue;
    const { client } = anEasyWorker();
    const prepared = await prepare(client, 'queue', definition);
    expect({ kind, field, definition, ok: prepared.ok }).toEqual({ kind, field, definition, ok: false });
    if (near !== undefined)
      expect(JSON.stringify(prepared)).toContain(JSON.stringify(`Did you mean "${near}"?`).slice(1, -1));
    tried += 1;
  }
  expect(tried).toBeGreaterThan(250);
});

test('[S22] what is unknown or misspelt stays in the client', async () => {
  for (const { field, definition, kind } of MISTAKES) {
    if (definition === undefined || (kind !== 'unknown' && kind !== 'misspelt')) continue;
    const { client, told } = anEasyWorker();
    await prepare(client, 'queue', definition);
    for (const one of told) expect(one).not.toHaveProperty([field]);
  }
});
