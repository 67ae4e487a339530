import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { JobStatus } from '../../../src/contract/job-status.ts';
import { EXPORT_JOB } from '../../../src/domain/names.ts';
import { JobPoller } from '../../../src/features/metrics/job-poller.ts';
import { aStatus } from '../../cli/a-status.ts';

const { WorkflowExecutionInfo } = proto.temporal.api.workflow.v1;

interface Told {
  readonly jobs: readonly string[];
  readonly unanswered: number;
}

/** Jobs that are asked by a poller, a clock that stands unless it is set, and what the poller told. */
class Stage {
  atMs = 0;
  lists = 0;
  asked: string[] = [];
  /** Epoch ms until which each answer was waited for. */
  readonly deadlines: number[] = [];
  readonly polled: Told[] = [];
  answer: (jobId: string) => Promise<JobStatus> = (jobId) => Promise.resolve(aStatus({ jobId }));
  readonly poller: JobPoller;

  constructor(jobs: readonly string[], most = 100) {
    const executions = jobs.map((workflowId) =>
      WorkflowExecutionInfo.fromObject({
        execution: { workflowId, runId: 'its only one' },
        type: { name: EXPORT_JOB },
        taskQueue: 'a-queue',
        status: 'WORKFLOW_EXECUTION_STATUS_RUNNING',
        startTime: { seconds: 1 },
      }),
    );
    const listWorkflowExecutions = () => {
      this.lists++;
      return Promise.resolve({ executions });
    };
    const getHandle = (jobId: string) => ({
      query: async () => {
        this.asked.push(jobId);
        return await this.answer(jobId);
      },
    });
    const withDeadline = async <T>(deadline: number, call: () => Promise<T>): Promise<T> => {
      this.deadlines.push(deadline);
      return await call();
    };
    this.poller = new JobPoller({
      // All of a client that a poller uses.
      client: {
        connection: { workflowService: { listWorkflowExecutions }, plugins: [] },
        options: { namespace: 'default', loadedDataConverter: { payloadCodecs: [] } },
        workflow: { getHandle },
        withDeadline,
      } as unknown as Client,
      taskQueue: 'a-queue',
      most,
      polled: (statuses, unanswered) => this.polled.push({ jobs: statuses.map(({ jobId }) => jobId), unanswered }),
      now: () => this.atMs,
    });
  }
}

test('jobs are asked no more often than every 30 s, however often somebody scrapes', async () => {
  const stage = new Stage(['a']);
  for (const atMs of [0, 1, 29_999]) {
    stage.atMs = atMs;
    await stage.poller.look();
  }
  expect(stage.polled).toEqual([{ jobs: ['a'], unanswered: 0 }]);
  stage.atMs = 30_000;
  await stage.poller.look();
  expect(stage.polled).toHaveLength(2);
});

test('a job is not asked twice at a time: a second look waits for the first', async () => {
  const stage = new Stage(['a']);
  let tell: (status: JobStatus) => void = () => undefined;
  stage.answer = () => new Promise((resolve) => (tell = resolve));
  void stage.poller.look();
  while (stage.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stage.atMs = 100_000;
  const looked = stage.poller.look();
  tell(aStatus());
  await looked;
  expect([stage.lists, stage.polled.length]).toEqual([1, 1]);
});

test('each job has two seconds to answer, and one that does not is counted', async () => {
  const stage = new Stage(['a', 'b', 'c']);
  stage.answer = (jobId) =>
    jobId === 'b' ? Promise.reject(new Error('the deadline is over')) : Promise.resolve(aStatus({ jobId }));
  const before = Date.now();
  await stage.poller.look();
  const after = Date.now();
  expect(stage.polled).toEqual([{ jobs: ['a', 'c'], unanswered: 1 }]);
  expect(stage.deadlines).toHaveLength(3);
  for (const deadline of stage.deadlines) {
    expect(deadline).toBeGreaterThanOrEqual(before + 2_000);
    expect(deadline).toBeLessThanOrEqual(after + 2_000);
  }
});

test('a look lasts 20 s at most, and counts jobs not asked by then as not answering', async () => {
  const stage = new Stage(['a', 'b', 'c', 'd', 'e']);
  stage.atMs = 7;
  stage.answer = (jobId) => {
    // The first two do not answer until just before its end and at it.
    stage.atMs = jobId === 'a' ? 20_006 : 20_007;
    return Promise.resolve(aStatus({ jobId }));
  };
  await stage.poller.look();
  expect(stage.asked).toEqual(['a', 'b']);
  expect(stage.polled).toEqual([{ jobs: ['a', 'b'], unanswered: 3 }]);
});

test('a closed poller asks no further job, and a worker that shuts down does not wait for the whole look', async () => {
  const stage = new Stage(['a', 'b', 'c']);
  let tell: (status: JobStatus) => void = () => undefined;
  stage.answer = () => new Promise((resolve) => (tell = resolve));
  void stage.poller.look();
  while (stage.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const closed = stage.poller.close();
  tell(aStatus({ jobId: 'a' }));
  await closed;
  stage.atMs = 30_000;
  await stage.poller.look();
  expect(stage.asked).toEqual(['a']);
  expect(stage.polled).toEqual([{ jobs: ['a'], unanswered: 2 }]);
});

test('no more jobs are asked than are wanted, those first by id', async () => {
  const stage = new Stage(['c', 'a', 'b'], 2);
  await stage.poller.look();
  expect(stage.asked).toEqual(['a', 'b']);
  expect(stage.polled).toEqual([{ jobs: ['a', 'b'], unanswered: 1 }]);
});
