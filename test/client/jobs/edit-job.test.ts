import { expect, test } from '@jest/globals';
import { changesOf, stillSentOf } from '../../../src/client/jobs/edit-job.ts';
import { aStatus } from '../../cli/a-status.ts';

test('an edit says which fields are different now, in the order of the form', () => {
  const before = aStatus({ parallelRequestCount: 5, label: 'VIP' });
  const after = aStatus({ parallelRequestCount: 50, label: 'VIP to CRM', exportFields: ['email'] });
  expect(changesOf(before, after, {})).toEqual([
    { field: 'label', from: 'VIP', to: 'VIP to CRM' },
    { field: 'exportFields', from: before.exportFields, to: ['email'] },
    { field: 'parallelRequestCount', from: 5, to: 50 },
  ]);
});

test('a webhook URL that was named is said to be changed though it looks the same: only its origin is shown', () => {
  const status = aStatus({});
  expect(changesOf(status, status, { webhookUrl: 'https://hooks.example.com/other' })).toEqual([
    { field: 'webhookUrl', from: status.webhookUrl, to: status.webhookUrl },
  ]);
  expect(changesOf(status, status, { label: status.label })).toEqual([]);
});

test('an edit that takes an audience away says that what waits about it is still sent', () => {
  const before = aStatus({ waiting: 1200 });
  const [first, ...others] = before.audiences;
  expect(stillSentOf(before, others)).toContain(`1,200 waiting triggers stay with the job: those about ${first?.slug}`);
  expect(stillSentOf(before, before.audiences)).toBeUndefined();
  expect(stillSentOf(aStatus({ waiting: 0 }), others)).toBeUndefined();
});
