import { expect, test } from '@jest/globals';
import { JOB_FIELDS } from '../../src/contract/export-job.ts';
import { namesUnder, readPage } from './pages.ts';

test('the table of the form has every field, and no other', () => {
  expect(namesUnder(readPage('docs/jobs.md'), /\| field +\| what it is.*\|/).toSorted()).toEqual(JOB_FIELDS.toSorted());
});
