import { expect, test } from '@jest/globals';
import { planLines } from '../../src/cli/render-plan.ts';

test('a warning of a plan is broken where the terminal ends, under its job', () => {
  const warnings = ['This looks like the job "old" under another name. It starts as another job.'];
  expect(planLines([{ jobId: 'new', action: 'create', warnings }], 60)).toEqual([
    'create     new',
    '           Warning: This looks like the job "old" under',
    '           another name. It starts as another job.',
  ]);
});
