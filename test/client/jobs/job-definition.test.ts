import { expect, test } from '@jest/globals';
import { partForWorkers, withHeldBack, prepare } from '../../../src/client/jobs/job-definition.ts';
import { checkJobDefinition, type JobDefinitionInput } from '../../../src/contract/export-job.ts';
import type { PreparedJob } from '../../../src/contract/ports.ts';
import { mistakesWith, RIGHT } from '../../contract/a-mistake.ts';
import { anEasyWorker } from '../an-easy-worker.ts';

const GOOD = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://a.example/', authorization: null };

function partOf(definition: unknown) {
  const checked = checkJobDefinition(definition);
  if (checked.ok) throw new Error('There is nothing wrong with it.');
  const { part, problems } = partForWorkers(definition, checked.problems);
  return { part, fields: problems.map(({ field }) => field) };
}

test('[S22] a URL with a password never leaves the client, which reports the mistake itself', () => {
  const { webhookUrl: _, ...rest } = GOOD;
  expect(partOf({ ...GOOD, webhookUrl: 'https://me:s3cret@a.example/' })).toEqual({
    part: rest,
    fields: ['webhookUrl'],
  });
});

test('[S22] a field that does not exist never leaves the client: it may be where somebody put a secret', () => {
  const definition = { ...GOOD, headers: { authorization: 'Bearer s3cret' }, secret: 's3cret' };
  expect(partOf(definition)).toEqual({ part: GOOD, fields: ['headers.authorization', 'secret'] });
});

test.each(['label.secret', 'authorization.bearer', 'audiences[0]'])(
  '[S22] a field whose name is written like a part of a field never leaves the client, %s',
  (field) => {
    expect(partOf({ ...GOOD, [field]: 's3cret' })).toEqual({ part: GOOD, fields: [field] });
  },
);

test.each([{ bearer: 's3cret' }, 's3cret'.repeat(20), ''])(
  '[S22] an impossible name of an authorization never leaves the client: it may be the secret itself',
  (authorization) => {
    const { authorization: _, ...rest } = GOOD;
    expect(partOf({ ...GOOD, authorization })).toEqual({ part: rest, fields: ['authorization'] });
  },
);

test('the client leaves all other mistakes for the worker to report, since it knows more', () => {
  const definition = { ...GOOD, label: '', audiences: ['vip', 7] };
  expect(partOf(definition)).toEqual({ part: definition, fields: [] });
});

test.each(['text', null, ['s3cret'], 7])('the client asks no worker about %j', (definition) => {
  expect(partOf(definition)).toEqual({ part: undefined, fields: [''] });
});

test('a worker that accepts the rest does not make a wrong definition right: held-back fields are still reported', () => {
  const liked = {
    ok: true,
    definition: { ...GOOD, exportFields: [], existingUsers: false, userLegacyMessageFormat: false },
    audiences: [],
    warnings: [],
  } as unknown as PreparedJob;
  const unknown = { field: 'exportField', message: 'There is no such field. Did you mean "exportFields"?' };
  expect(withHeldBack([unknown], liked)).toEqual({ ok: false, problems: [unknown] });
  expect(withHeldBack([], liked)).toBe(liked);
});

/** The first mistake of each kind with each field; test/contract/export-job.test.ts tries all mistakes. */
const MISTAKES = Object.keys(RIGHT).flatMap((field) => {
  const all = mistakesWith(field as keyof JobDefinitionInput); // A key of RIGHT.
  return all.filter(({ kind }, i) => kind !== 'twice' && kind !== all[i - 1]?.kind);
});

test('[S22] no mistake with any field is forgiven, however easily the worker is pleased; what is unknown or misspelt stays here', async () => {
  for (const { field, definition, kind, near } of MISTAKES) {
    const { client, told } = anEasyWorker();
    const prepared = await prepare(client, 'queue', definition);
    expect({ kind, field, definition, ok: prepared.ok }).toEqual({ kind, field, definition, ok: false });
    if (near !== undefined)
      expect(JSON.stringify(prepared)).toContain(JSON.stringify(`Did you mean "${near}"?`).slice(1, -1));
    if (kind === 'unknown' || kind === 'misspelt') for (const one of told) expect(one).not.toHaveProperty([field]);
  }
  expect(MISTAKES.length).toBeGreaterThan(100);
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

test('the client refuses a value that JSON cannot carry, and sends none of it: null would often mean none', async () => {
  for (const [i, field] of Object.keys(RIGHT).entries()) {
    const { client, told } = anEasyWorker();
    const value = LOST[i % LOST.length];
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
])('the client refuses such a value in deeper places, too: %s', async (field, wrong) => {
  const { client } = anEasyWorker();
  const prepared = await prepare(client, 'queue', { ...RIGHT, ...wrong });
  expect(prepared.ok ? [] : prepared.problems.map((problem) => problem.field)).toEqual([field]);
});

test('the client refuses circular definitions and class instances, but takes objects without a prototype and undefined fields', async () => {
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
