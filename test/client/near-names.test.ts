import { expect, test } from '@jest/globals';
import { JobNotFound } from '../../src/client/calls/errors.ts';
import type { ExportJobs } from '../../src/app/export-jobs.ts';
import { withNearName } from '../../src/client/near-names.ts';

const known = [{ jobId: 'k1' }];
// Only its names are looked at.
const jobs = { list: () => Promise.resolve(known) } as unknown as Pick<ExportJobs, 'list' | 'deadLetters'>;
const isLogged = (jobId: string) => Promise.resolve(jobId === 'k3');

test('a job that Temporal has forgotten is not taken for a mistyped one, but its deliveries are named', async () => {
  const told = await withNearName(new JobNotFound('k3'), jobs, () => true, isLogged);
  expect(told).toMatchObject({ jobId: 'k3', near: undefined, remedies: [{ action: 'logged', job: 'k3' }] });
});

test('a job that nobody knows is taken for a mistyped one, also while the log does not answer', async () => {
  const away = () => Promise.reject(new Error('The log is away.'));
  for (const logged of [isLogged, away])
    expect(await withNearName(new JobNotFound('k2'), jobs, () => true, logged)).toMatchObject({
      near: 'k1',
      remedies: [{ action: 'listJobs' }],
    });
});

test('a caller who may not know of a job does not learn that the log knows it', async () => {
  const told = await withNearName(new JobNotFound('k3'), jobs, () => false, isLogged);
  expect(told).toMatchObject({ near: undefined, remedies: [{ action: 'listJobs' }] });
});
