import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { InvalidFilter, InvalidRequest } from '../../../src/client/calls/errors.ts';
import { ClientClosed, ExportJobs } from '../../../src/app/export-jobs.ts';
import { jobIdFromLabel, nameJob } from '../../../src/client/calls/options.ts';
import { JOB_ID_PATTERN } from '../../../src/domain/names.ts';
import { clientWith, NOBODY } from '../an-easy-worker.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { Watches } from '../../../src/features/watch/watches.ts';
import { serverError } from '../recorded-job.ts';

test.each([
  ['VIP to CRM', 'vip-to-crm'],
  ['  Über-Kunden → Café!  ', 'uber-kunden-cafe'],
  ['a'.repeat(200), 'a'.repeat(100)],
  [`${'a'.repeat(99)} b`, 'a'.repeat(99)],
])('the label %j becomes the id %j', (label, id) => {
  expect(jobIdFromLabel(label)).toBe(id);
  expect(id).toMatch(JOB_ID_PATTERN);
});

test('a label without letters or digits makes no id', () => {
  expect(jobIdFromLabel('→ ★')).toBeUndefined();
});

test.each(['vip-backfill-1', 'a-kept-backfill-12'])(
  'no job gets the id %j, whose workflow could stand beside another job, neither by name nor by its label',
  (id) => {
    expect(nameJob({ label: 'VIP' }, id).problems).toMatchObject([{ field: 'id' }]);
    expect(nameJob({ label: id.replaceAll('-', ' ') }, undefined).problems).toMatchObject([{ field: 'id' }]);
  },
);

test.each(['vip-kept', 'vip-backfill', 'backfill-1', 'vip-backfill-1a'])('%j can be a job id', (id) => {
  expect(nameJob({ label: 'VIP' }, id)).toEqual({ jobId: id, problems: [] });
});

const jobs = new ExportJobs(NOBODY);

/** The methods, as a program that is not compiled against their types calls them. */
const call = (name: string, ...args: unknown[]): unknown => {
  const [part, method] = name.includes('.') ? name.split('.') : [undefined, name];
  const target: object = part === undefined ? jobs : Reflect.get(jobs, part);
  return Reflect.apply(Reflect.get(target, method ?? ''), target, args);
};

async function refusalOf(name: string, ...args: unknown[]): Promise<readonly { field: string; message: string }[]> {
  try {
    const answer = call(name, ...args);
    if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
      for await (const _ of answer as AsyncIterable<unknown>) break;
    else await answer;
  } catch (error) {
    if (error instanceof InvalidRequest) return error.problems;
    if (error instanceof InvalidFilter) return [{ field: '', message: error.message }];
    throw error;
  }
  throw new Error(`${name} accepted ${JSON.stringify(args)}.`);
}

test.each<[string, unknown[], string]>([
  ['backfill', ['a', { audience: ['sm'], samples: 1 }], 'audiences'],
  ['push', ['a', [], { patience: 5 }], 'patienceMs'],
  ['deadLetters.list', [{ job: 'c' }], 'jobId'],
  ['watches.start', [['vip'], { evryMs: 5_000 }], 'everyMs'],
])('%s names the option that was meant: %j', async (name, args, near) => {
  const problems = await refusalOf(name, ...args);
  expect(problems.map(({ message }) => message).join(' ')).toContain(`Did you mean "${near}"?`);
});

test.each<[string, unknown[]]>([
  ['backfill', ['a', 'cancel']],
  ['backfill', ['a', { action: 'pause', audiences: ['vip'] }]],
  ['stop', ['a', { waiting: 'keep', deadlineMs: 5 }]],
  ['start', [{}, { jobId: '' }]],
  ['sample', [{ jobId: 'a', definition: {} }, {}]],
  ['test', [{}, {}]],
  ['plan', [[], {}]],
  ['push', ['a', [], null]],
  ['trace', ['1', { since: new Date('never') }]],
  ['attempts', ['a', { last: 2.5 }]],
  ['deadLetters.list', [{ jobId: '' }]],
  ['deadLetters.discard', [['a', 'b']]],
  ['watches.start', ['vip', {}]],
  ['watches.start', [[], {}]],
  ['watches.start', [['vip', ''], {}]],
])('%s refuses %j before anybody is asked', async (name, args) => {
  expect((await refusalOf(name, ...args)).length).toBeGreaterThan(0);
});

test('a client with misspelt options is not made: it would take the default task queue, or encrypt nothing', async () => {
  const wrong = { taskQeue: 'mine', payloadKey: ['k'] } as object;
  expect(() => new ExportJobs(NOBODY, wrong)).toThrow('Did you mean "taskQueue"?');
  await expect(ExportJobs.connect(wrong)).rejects.toThrow('Did you mean "payloadKeys"?');
  const connection = { connectionOptions: {}, namespce: 'mine' };
  await expect(ExportJobs.connect({ connection } as object)).rejects.toThrow('Did you mean "namespace"?');
});

test('an unanswered watch names its own task queue, and not that of the client', async () => {
  const handle = {
    query: () => Promise.reject(serverError(GRPC.DEADLINE_EXCEEDED)),
    describe: () => Promise.resolve({ taskQueue: 'theirs', status: { name: 'RUNNING' } }),
  };
  const asked = new Watches({ open: () => clientWith(handle), taskQueue: 'ours' }).startRound('ab'.repeat(16));
  await expect(asked).rejects.toMatchObject({ name: 'NoWorker', taskQueue: 'theirs' });
});

const NOT_ASKED: ReadonlySet<string> = new Set(['constructor', 'close']);

test('every call of a closed client is refused as closed', async () => {
  const jobs = new ExportJobs(new Proxy({} as Client, { get: () => () => 'not closed' })); // Never asked.
  await jobs.close();
  const asked = [jobs, jobs.deadLetters, jobs.watches].flatMap((one: object) =>
    methodsOf(one).map((name) => ({ name, ask: async () => await closedCall(one, name) })),
  );
  expect(asked.length).toBeGreaterThan(25);
  for (const { name, ask } of asked)
    expect({ name, error: await ask().catch((error: unknown) => error) }).toEqual({ name, error: new ClientClosed() });
});

/** The names of its methods, inherited ones too. */
function methodsOf(one: object): readonly string[] {
  const prototype: unknown = Object.getPrototypeOf(one);
  if (prototype === Object.prototype || typeof prototype !== 'object' || prototype === null) return [];
  const own = Object.entries(Object.getOwnPropertyDescriptors(prototype));
  const named = own.flatMap(([name, { value }]) => (typeof value === 'function' && !NOT_ASKED.has(name) ? [name] : []));
  return [...named, ...methodsOf(prototype)];
}

async function closedCall(one: object, name: string): Promise<unknown> {
  const method: unknown = Reflect.get(one, name);
  if (typeof method !== 'function') throw new Error(`${name} is no method`);
  const answer: unknown = Reflect.apply(method, one, one instanceof ExportJobs ? ofJobs(name) : ofOthers(name));
  if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
    for await (const _ of answer as AsyncIterable<unknown>) break; // All streams of ours are of that kind.
  return await answer;
}

/** As `compare` gives it. */
const DIFFERENCE = {
  id: '0d5e0ffa-0c0b-4c1e-9a51-6a2f0c9e7d41',
  audience: { id: 'a', slug: 'vip', name: 'Vip' },
  first: { enters: ['1'], exits: [] },
  theirs: 10,
  members: 11,
  both: 10,
  enters: 1,
  exits: 0,
};

function ofJobs(name: string): readonly unknown[] {
  if (name === 'publish') return [[{ audience: 'vip', user: 'u1', event: 'enter' }]];
  if (name === 'plan') return [{ job: {} }];
  if (name === 'overview') return [];
  if (name === 'reconcile' || name === 'forget') return ['job', DIFFERENCE];
  if (name === 'replay') {
    const replay = { until: '2026-01-01T00:00:00Z', enters: 1, exits: 0 };
    return ['job', { id: DIFFERENCE.id, audiences: ['a'], replay, enters: 1, exits: 0 }];
  }
  return name === 'sample' || name === 'test' ? [{ jobId: 'job' }] : ['job', {}];
}

function ofOthers(name: string): readonly unknown[] {
  if (name === 'start') return [['vip']];
  return ['list', 'waiting', 'undecided'].includes(name) ? [{}] : ['one'];
}
