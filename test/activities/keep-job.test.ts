import { expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createKeepJob } from '../../src/activities/holders.ts';
import { beginJob, carryJob } from '../../src/domain/job/carrying.ts';
import { jobRecord } from '../domain/job/a-record.ts';
import { RecordedSideWorkflows } from './a-side-workflows.ts';

test('what a job carried is kept under its name, instead of what was kept of it before', async () => {
  const workflows = new RecordedSideWorkflows();
  const carried = carryJob(beginJob(jobRecord(5), 7));
  const by = { workflowId: 'export-job-crm', runId: 'a run' };
  await new MockActivityEnvironment({ workflowExecution: by }).run(createKeepJob(workflows), 'export-job-crm', carried);
  expect(workflows.started).toMatchObject([
    {
      type: 'keptJob',
      workflowId: 'export-job-crm-kept',
      input: { v: 1, jobWorkflowId: 'export-job-crm', carried },
      replaces: true,
      by,
      summary: 'Kept: model',
      memo: { label: 'model', job: 'crm', waiting: 0 },
    },
  ]);
});
