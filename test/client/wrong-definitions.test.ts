import { expect, test } from '@jest/globals';
import { prepare } from '../../src/client/jobs/worker-rpc.ts';
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

/** Values that JSON leaves out, or writes as something else. */
const LOST = [
  NaN,
  Infinity,
  5n,
  () => 5,
  Symbol('5'),
  new Date(),
  new Map([['x-list', '7']]),
  new Headers({ 'x-list': '7' }),
];

test('what JSON cannot carry is refused by its field, whichever that is, before anybody is told: null would often mean none', async () => {
  for (const field of Object.keys(RIGHT))
    for (const value of LOST) {
      const { client, told } = anEasyWorker();
      const prepared = await prepare(client, 'queue', { ...RIGHT, [field]: value });
      const named = prepared.ok ? [] : prepared.problems.map((problem) => problem.field.replace(/[.[].*$/, ''));
      expect({ field, value, named }).toEqual({ field, value, named: expect.arrayContaining([field]) });
      for (const one of told) expect(one).not.toHaveProperty([field]);
    }
});

test.each([
  ['quietHours.days[1]', { quietHours: { ...RIGHT.quietHours, days: ['mon', undefined] } }],
  ['batch.afterMs', { batch: { size: 5, afterMs: NaN } }],
  ['onEnter.headers', { onEnter: { headers: new Map() } }],
  ['onEnter.method', { onEnter: { method: () => 'PUT' } }],
  ['exportFields[1].as', { exportFields: ['a', { field: 'b', as: new Date() }] }],
])('nor is it taken where it stands deeper: %s', async (field, wrong) => {
  const { client } = anEasyWorker();
  const prepared = await prepare(client, 'queue', { ...RIGHT, ...wrong });
  expect(prepared.ok ? [] : prepared.problems.map((problem) => problem.field)).toEqual([field]);
});

test('a definition that is no plain object, or contains itself, is refused; one without a prototype, and fields that are undefined, are not', async () => {
  class Job {
    readonly label = 'A job';
    get audiences() {
      return ['vip'];
    }
    readonly webhookUrl = RIGHT.webhookUrl;
    readonly authorization = null;
  }
  const { client, told } = anEasyWorker();
  expect(await prepare(client, 'queue', new Job())).toMatchObject({ ok: false, problems: [{ field: '' }] });
  const around: Record<string, unknown> = { ...RIGHT };
  around['description'] = around;
  expect(await prepare(client, 'queue', around)).toMatchObject({ ok: false, problems: [{ field: 'description' }] });
  expect(JSON.stringify(told)).not.toContain('description');
  const bare: unknown = Object.assign(Object.create(null), RIGHT, { requestsPerSecond: undefined });
  expect(await prepare(client, 'queue', bare)).toMatchObject({ ok: true });
});
