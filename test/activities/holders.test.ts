import { beforeEach, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createHolders } from '../../src/activities/holders.ts';
import type { PackedTriggers } from '../../src/contract/holder.ts';
import { undecodable } from '../../src/domain/errors.ts';
import { RecordedSideWorkflows } from './a-side-workflows.ts';

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
  await new MockActivityEnvironment({ workflowExecution: by }).run(holders.hold, 'holder-1', contentOf(count));
  expect(workflows.started).toEqual([
    { type: 'holder', workflowId: 'holder-1', input: contentOf(count), summary, sleeps: true, renews: 'all', by },
  ]);
});

test('a holder that is not known any more has null for content', async () => {
  expect(await holders.recall('holder-1')).toBeNull();
});

test.each([undecodable('it is not JSON'), null, 'text', [], { audiences: [] }, { triggers: [] }])(
  'what is no content (%j) fails, rather than being taken for no triggers',
  async (input) => {
    workflows.input = input;
    await expect(holders.recall('holder-1')).rejects.toThrow('The content of holder-1 cannot be read: it is not');
  },
);

test('why a content cannot be read is said: a key that is lost, say', async () => {
  workflows.input = undecodable('it is encrypted with the key "k", which is configured as lost');
  await expect(holders.recall('holder-1')).rejects.toThrow(/cannot be read: it is encrypted with the key "k".* lost\./);
});

test('a hundred holders are let go some at a time', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `holder-${i}`);
  await holders.release(ids);
  expect([...workflows.released].sort()).toEqual([...ids].sort());
  expect(workflows.mostUnderWay).toBe(8);
});

test('a release that fails fails the activity, so that it is tried again', async () => {
  workflows.failing = 'holder-2';
  await expect(holders.release(['holder-1', 'holder-2', 'holder-3'])).rejects.toThrow('holder-2 fails');
});
