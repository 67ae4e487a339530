import { expect, test } from '@jest/globals';
import { Client, type ConnectionLike } from '@temporalio/client';
import proto from '@temporalio/proto';
import { type JobSummary, listJobs, withNumbers } from '../../../src/client/jobs/job-list.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../../src/domain/names.ts';
import { aStatus } from '../../cli/a-status.ts';

const { WorkflowExecutionInfo } = proto.temporal.api.workflow.v1;

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

/** What the server says of a run of the job `vip`. */
const aRun = (status: 'RUNNING' | 'CONTINUED_AS_NEW' | 'COMPLETED') =>
  WorkflowExecutionInfo.fromObject({
    execution: { workflowId: jobWorkflowId('vip'), runId: status },
    type: { name: EXPORT_JOB },
    taskQueue: 'ours',
    status: `WORKFLOW_EXECUTION_STATUS_${status}`,
    startTime: { seconds: 1 },
    historyLength: 1,
  });

/** The jobs of a client whose server lists these runs, and has this one as the last. */
async function listed(runs: readonly object[], last: object, areRunning: boolean): Promise<JobSummary[]> {
  const workflowService = {
    listWorkflowExecutions: ({ query }: { query: string }) =>
      Promise.resolve({ executions: query.includes(EXPORT_JOB) ? runs : [] }),
    describeWorkflowExecution: () => Promise.resolve({ workflowExecutionInfo: last }),
  };
  // All of a connection that is used here.
  const connection = { workflowService, plugins: [] } as unknown as ConnectionLike;
  return await listJobs(new Client({ connection }), { areRunning });
}

test.each([true, false])(
  'a job that has just begun another run is among those that are listed, though the server does not list that yet (only the running: %s)',
  async (areRunning) => {
    const jobs = await listed([aRun('CONTINUED_AS_NEW'), aRun('CONTINUED_AS_NEW')], aRun('RUNNING'), areRunning);
    expect(jobs).toMatchObject([{ jobId: 'vip', running: true }]);
  },
);

test('one that has ended in that run is not', async () => {
  expect(await listed([aRun('CONTINUED_AS_NEW')], aRun('COMPLETED'), true)).toEqual([]);
});
