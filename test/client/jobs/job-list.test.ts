import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { type JobSummary, withNumbers } from '../../../src/client/jobs/job-list.ts';
import { aStatus } from '../../cli/a-status.ts';

const jobs = (count: number): JobSummary[] =>
  Array.from({ length: count }, (_, i) => ({
    jobId: `job-${i}`,
    workflowId: `export-job-job-${i}`,
    taskQueue: 'ours',
    state: 'running',
    running: true,
    startedAt: new Date(),
  }));

// All of a client that is used here.
const client = {
  workflow: { getHandle: () => ({ query: () => Promise.resolve(aStatus()) }) },
  withDeadline: (_: number, call: () => unknown) => call(),
} as unknown as Client;

test('an overview says which jobs were not asked among so many, so that nobody takes them for silent', async () => {
  const found = await withNumbers(client, [
    ...jobs(501),
    ...jobs(1).map((job) => ({ ...job, workflowId: 'ended', running: false })),
  ]);
  const isAnswered = ({ numbers, isNotAsked }: (typeof found)[number]): boolean =>
    numbers !== undefined && isNotAsked === undefined;
  expect(found.slice(0, 500).every(isAnswered)).toBe(true);
  expect(found[500]).toMatchObject({ jobId: 'job-500', isNotAsked: true });
  expect(found[500]).not.toHaveProperty('numbers');
  expect(found[501]).not.toHaveProperty('isNotAsked');
});

test('nor when there was no time to ask them', async () => {
  expect(await withNumbers(client, jobs(2), { lookMs: 0 })).toMatchObject([{ isNotAsked: true }, { isNotAsked: true }]);
});
