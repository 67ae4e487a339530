import { expect, test } from '@jest/globals';
import { createKeepJob } from '../../src/activities/keep-job.ts';
import { beginJob, carryJob } from '../../src/domain/dispatcher/job-state.ts';
import { jobRecord } from '../domain/dispatcher/a-record.ts';
import { RecordedSideWorkflows } from './a-side-workflows.ts';

test('what a job carried is kept under its name, instead of what was kept of it before', async () => {
  const workflows = new RecordedSideWorkflows();
  const carried = carryJob(beginJob(jobRecord(5), 7));
  await createKeepJob(workflows)('export-job-crm', carried);
  expect(workflows.started).toMatchObject([
    {
      type: 'keptJob',
      workflowId: 'export-job-crm-kept',
      input: { v: 1, jobWorkflowId: 'export-job-crm', carried },
      replaces: true,
      summary: 'Kept: model',
      memo: { label: 'model', job: 'crm', waiting: 0 },
    },
  ]);
});
