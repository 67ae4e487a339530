import { beforeEach, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import {
  createAnswerLetters,
  createHolders,
  createKeepDeadLetters,
  SpilledProfileReader,
} from '../../src/activities/holders.ts';
import type { PackedTriggers } from '../../src/contract/holder.ts';
import { undecodable } from '../../src/domain/errors.ts';
import { RecordedSideWorkflows } from './a-side-workflows.ts';
import type { DeliveryTracing } from '../../src/activities/slice-telemetry.ts';
import { readRedelivery, redeliveryOf } from '../../src/domain/job/dead-letter.ts';
import { aDeadLetter } from '../domain/job/a-dead-letter.ts';

const by = { workflowId: 'export-job-a', runId: 'a run' };

let workflows: RecordedSideWorkflows;
let holders: ReturnType<typeof createHolders>;

beforeEach(() => {
  workflows = new RecordedSideWorkflows();
  holders = createHolders(workflows);
});

const contentOf = (count: number): PackedTriggers => ({
  audiences: ['a'],
  triggers: Array.from({ length: count }, (_, i) => [String(i), ['2026-01-01T00:00:00Z', 0, 1]]),
});

test.each([
  [1, '1 waiting trigger of a job'],
  [1640, '1,640 waiting triggers of a job'],
])('%i triggers go to a holder, which replaces only one that keeps something else', async (count, summary) => {
  await new MockActivityEnvironment({ workflowExecution: by }).run(holders.spill, 'holder-1', contentOf(count));
  expect(workflows.started).toEqual([
    { type: 'holder', workflowId: 'holder-1', input: contentOf(count), summary, sleepsDays: 3_650, renews: 'all', by },
  ]);
});

test('a holder that is not known any more has null for content', async () => {
  expect(await holders.load('holder-1')).toBeNull();
});

test.each([undecodable('it is not JSON'), null, 'text', [], { audiences: [] }, { triggers: [] }])(
  'a value that is not content (%j) fails, and is not taken for an empty holder',
  async (input) => {
    workflows.input = input;
    await expect(holders.load('holder-1')).rejects.toThrow('The content of holder-1 cannot be read: it is not');
  },
);

test('an unreadable content is reported with the reason, such as a lost key', async () => {
  workflows.input = undecodable('it is encrypted with the key "k", which is configured as lost');
  await expect(holders.load('holder-1')).rejects.toThrow(/cannot be read: it is encrypted with the key "k".* lost\./);
});

test('a hundred holders are released some at a time', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `holder-${i}`);
  await holders.drop(ids);
  expect([...workflows.dropped].sort()).toEqual([...ids].sort());
  expect(workflows.mostUnderWay).toBe(8);
});

test('a drop that fails fails the activity, so that it is retried', async () => {
  workflows.failing = 'holder-2';
  await expect(holders.drop(['holder-1', 'holder-2', 'holder-3'])).rejects.toThrow('holder-2 fails');
});

test('each dead letter gets a workflow of its own, named by its delivery and redeliveries, some at a time', async () => {
  const workflows = new RecordedSideWorkflows();
  const letters = Array.from({ length: 50 }, (_, i) => aDeadLetter({ deliveryId: `d${i}`, redeliveries: i % 2 }));
  await createKeepDeadLetters(workflows)(letters);
  expect(workflows.started.map(({ workflowId }) => workflowId)).toEqual(
    letters.map(({ deliveryId, redeliveries }) => `dead-letter-${deliveryId}-${redeliveries}`),
  );
  expect(workflows.started[7]).toMatchObject({
    type: 'deadLetter',
    input: letters[7],
    memo: { person: letters[7]?.user },
  });
  expect(workflows.started.every(({ renews }) => renews === 'ended')).toBe(true);
  expect(workflows.mostUnderWay).toBe(8);
});

test('a dead letter is in its trace once it is kept, and not before', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.failing = 'dead-letter-d1-0';
  const told: string[] = [];
  const tracing: DeliveryTracing = {
    sliceBegan: () => {
      throw new Error('No slice is sent here.');
    },
    died: ({ deliveryId }) => told.push(deliveryId),
  };
  const letters = ['d0', 'd1'].map((deliveryId) => aDeadLetter({ deliveryId }));
  await expect(createKeepDeadLetters(workflows, tracing)(letters)).rejects.toThrow('fails');
  expect(told).toEqual(['d0']);
});

test('dead letters get the answer of their job, some at a time; one out of reach fails the activity', async () => {
  const workflows = new RecordedSideWorkflows();
  const answers = Array.from({ length: 50 }, (_, i) => ({
    workflowId: `dead-letter-${i}`,
    answer: { runId: `run ${i}`, question: 1 },
  }));
  await createAnswerLetters(workflows)(answers);
  expect(workflows.answered).toEqual(answers);
  expect(workflows.mostUnderWay).toBe(8);
  workflows.failing = 'dead-letter-7';
  await expect(createAnswerLetters(workflows)(answers)).rejects.toThrow('dead-letter-7 fails');
});

const HELD = { profileRef: [`h${'0'.repeat(15)}`, 1] } as const;

test('a dead letter keeps the profile that its trigger came with itself, since its holder goes', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.input = { profiles: ['{}', '{"n":12345678901234567890}'] };
  const { profile: _, profileBytes: __, ...letter } = aDeadLetter();
  await createKeepDeadLetters(workflows)([{ ...letter, ...HELD }]);
  expect(workflows.started[0]?.input).toEqual({ ...letter, profile: { n: 12345678901234567890n }, profileBytes: 30 });
});

test('a dead letter whose profile is gone says so, comes back without it, and takes none from the source', async () => {
  const workflows = new RecordedSideWorkflows();
  const { profile: _, profileBytes: __, ...letter } = aDeadLetter();
  const lost = { ...letter, ...HELD };
  await createKeepDeadLetters(workflows)([lost]);
  expect(workflows.started[0]?.input).toEqual(lost);
  const asked = redeliveryOf(lost, {
    asking: { workflowId: 'a', runId: 'b', question: 1 },
    force: false,
    isWithdrawn: false,
  });
  const reading = readRedelivery(JSON.parse(JSON.stringify(asked)), 65_536);
  expect(reading).toMatchObject({ ok: true, redelivery: { trigger: HELD } });
});

test('a dead letter whose profile cannot be read at the moment is kept later', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.input = undecodable('it is encrypted');
  await expect(createKeepDeadLetters(workflows)([{ ...aDeadLetter(), ...HELD }])).rejects.toThrow('it is encrypted');
  expect(workflows.started).toEqual([]);
});

const nameOf = (n: number) => `h${String(n).padStart(15, '0')}`;

/** Holders by workflow id, and how often each was read. */
class Holders {
  readonly contents = new Map<string, unknown>();
  readonly reads: string[] = [];
  fails = false;

  async inputOf(workflowId: string): Promise<unknown> {
    this.reads.push(workflowId);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fails) throw new Error('Temporal is away');
    return this.contents.get(workflowId);
  }
}

function withHolders(count: number, textLength = 10): Holders {
  const holders = new Holders();
  for (let n = 0; n < count; n++)
    holders.contents.set(`profiles-crm-${nameOf(n)}`, {
      profiles: [`{"n":${n}}`, `{"t":"${'x'.repeat(textLength)}"}`],
    });
  return holders;
}

test('a profile is found at its place, in the holder of its own job', async () => {
  const holders = withHolders(2);
  const reader = new SpilledProfileReader(holders);
  expect(await reader.read('crm', [nameOf(1), 0])).toBe('{"n":1}');
  // The name of another job's holder is of no use here.
  expect(await reader.read('other', [nameOf(1), 0])).toBeUndefined();
});

test('many who want one holder at a time, or one after another, read it once', async () => {
  const holders = withHolders(1);
  const reader = new SpilledProfileReader(holders);
  await Promise.all(Array.from({ length: 100 }, (_, i) => reader.read('crm', [nameOf(0), i % 2])));
  await reader.read('crm', [nameOf(0), 1]);
  expect(holders.reads).toEqual([`profiles-crm-${nameOf(0)}`]);
});

test('the most recently used contents stay in memory, up to their bytes', async () => {
  const holders = withHolders(3, 400);
  const reader = new SpilledProfileReader(holders, 1000);
  for (const n of [0, 1, 0, 2]) await reader.read('crm', [nameOf(n), 0]);
  expect(holders.reads).toHaveLength(3);
  await reader.read('crm', [nameOf(0), 0]);
  expect(holders.reads).toHaveLength(3);
  await reader.read('crm', [nameOf(1), 0]);
  expect(holders.reads).toHaveLength(4);
});

test('a profile holder that is larger than the cache is still read', async () => {
  const reader = new SpilledProfileReader(withHolders(1, 5_000), 1000);
  expect(await reader.read('crm', [nameOf(0), 1])).toHaveLength(5_008);
});

test('a profile holder that could not be read, or was gone, is asked again', async () => {
  const holders = withHolders(1);
  const reader = new SpilledProfileReader(holders);
  holders.fails = true;
  await expect(reader.read('crm', [nameOf(0), 0])).rejects.toThrow('Temporal is away');
  holders.fails = false;
  expect(await reader.read('crm', [nameOf(0), 0])).toBe('{"n":0}');
  expect(await reader.read('crm', [nameOf(5), 0])).toBeUndefined();
  holders.contents.set(`profiles-crm-${nameOf(5)}`, { profiles: ['{}'] });
  expect(await reader.read('crm', [nameOf(5), 0])).toBe('{}');
});

test('an undecodable profile is not lost: the error says why', async () => {
  const holders = withHolders(0);
  holders.contents.set(`profiles-crm-${nameOf(0)}`, undecodable('it is encrypted with the key "k"'));
  await expect(new SpilledProfileReader(holders).read('crm', [nameOf(0), 0])).rejects.toThrow(
    'encrypted with the key "k"',
  );
});
