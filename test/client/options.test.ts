import { expect, test } from '@jest/globals';
import { InvalidFilter, InvalidRequest, InvalidWatch } from '../../src/client/errors.ts';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { jobIdFromLabel, nameJob } from '../../src/client/options.ts';
import { JOB_ID_PATTERN } from '../../src/domain/names.ts';
import { NOBODY } from './an-easy-worker.ts';

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

test.each(['vip-kept', 'vip-backfill-1', 'a-kept-backfill-12'])(
  'no job gets the id %j, whose workflow could stand beside another job, neither by name nor by its label',
  (id) => {
    expect(nameJob({ label: 'VIP' }, id).problems).toMatchObject([{ field: 'id' }]);
    expect(nameJob({ label: id.replaceAll('-', ' ') }, undefined).problems).toMatchObject([{ field: 'id' }]);
  },
);

test.each(['kept', 'vip-kept-well', 'vip-backfill', 'backfill-1', 'vip-backfill-1a'])('%j can be a job id', (id) => {
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
    if (error instanceof InvalidRequest || error instanceof InvalidWatch) return error.problems;
    if (error instanceof InvalidFilter) return [{ field: '', message: error.message }];
    throw error;
  }
  throw new Error(`${name} accepted ${JSON.stringify(args)}.`);
}

test.each<[string, unknown[], string]>([
  ['backfill', ['a', { audience: ['sm'], samples: 1 }], 'audiences'],
  ['stop', ['a', { wating: 'keep' }], 'waiting'],
  ['start', [{}, { jobID: 'x' }], 'jobId'],
  ['sample', [{ jobId: 'a' }, { usr: '1' }], 'user'],
  ['test', [{ jobID: 'a' }, {}], 'jobId'],
  ['push', ['a', [], { patience: 5 }], 'patienceMs'],
  ['publish', [[], { patiencems: 5 }], 'patienceMs'],
  ['trace', ['1', { job: 'a' }], 'jobId'],
  ['attempts', ['a', { faild: true }], 'failed'],
  ['recover', ['a', { onwait: 1 }], 'onWait'],
  ['plan', [{}, { prun: true }], 'prune'],
  ['deadLetters.list', [{ job: 'c' }], 'jobId'],
  ['deadLetters.discard', [{ job: 'c', all: true }], 'jobId'],
  ['deadLetters.redeliver', [{ jobId: 'c' }, { froce: true }], 'force'],
  ['deadLetters.redeliver', [{ audiance: 'c' }, {}], 'audience'],
  ['watches.start', [['vip'], { evryMs: 5_000 }], 'everyMs'],
])('%s names the option that was meant: %j', async (name, args, near) => {
  const problems = await refusalOf(name, ...args);
  expect(problems.map(({ message }) => message).join(' ')).toContain(`Did you mean "${near}"?`);
});

test.each<[string, unknown[]]>([
  ['backfill', ['a', 'cancel']],
  ['backfill', ['a', { audiences: 'vip' }]],
  ['backfill', ['a', { action: 'pause', audiences: ['vip'] }]],
  ['stop', ['a', 'keep']],
  ['stop', ['a', { waiting: 'keep', deadlineMs: 5 }]],
  ['stop', ['a', { deadlineMs: NaN }]],
  ['start', [{}, { jobId: '' }]],
  ['start', [{}, { discardRecoverable: 'true' }]],
  ['sample', [{ jobId: 'a' }, { event: 'left' }]],
  ['sample', [{ jobId: 'a', definition: {} }, {}]],
  ['test', [{}, {}]],
  ['test', ['a', {}]],
  ['plan', [[], {}]],
  ['plan', [{}, { prune: 'yes' }]],
  ['push', ['a', [], { patienceMs: '5m' }]],
  ['push', ['a', [], null]],
  ['trace', ['1', { since: '2h' }]],
  ['trace', ['1', { since: new Date('never') }]],
  ['attempts', ['a', { last: 2.5 }]],
  ['deadLetters.list', [{ jobId: '' }]],
  ['deadLetters.list', [{ olderThan: '7d' }]],
  ['deadLetters.discard', [['a', 'b']]],
  ['deadLetters.discard', [{ jobId: null, all: true }]],
  ['deadLetters.discard', [{ all: 'no' }]],
  ['deadLetters.redeliver', ['a', { force: 'no' }]],
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
