import { expect, test } from '@jest/globals';
import { inOwnWords } from '../../src/api/own-words.ts';
import { refusalOf } from '../../src/api/refusal.ts';
import * as errors from '../../src/client/errors.ts';
import { ApiFailure } from '../../src/console/api.ts';
import { inPageWords } from '../../src/console/page-words.ts';
import { failureTexts } from '../api/failure-texts.ts';

const REQUEST = /(?:GET|POST|PATCH|PUT|DELETE) \/v1|force=1/;

test('no text of a failure names a request where there is a button or a page', () => {
  const said = failureTexts().map(inOwnWords);
  expect(said.filter((text) => REQUEST.test(text)).length).toBeGreaterThan(15);
  expect(said.map(inPageWords).filter((text) => REQUEST.test(text))).toEqual([]);
});

test.each<[Error, string]>([
  [new errors.JobNotFound('crn', { near: 'crm' }), 'See all jobs with: the page “Jobs”'],
  [new errors.DeadLetterNotFound('dead-letter-1'), 'See those that do: the page “Dead letters”'],
  [
    new errors.JobKept('a.b-c', { waiting: 2, keptAt: '' }),
    'Resume it with: “Resume” on the page of the job. Or discard what it kept: “Stop” on the page of the job, and “Discard it”',
  ],
  [
    new errors.JobAlreadyRunning('crm'),
    'See it with: the page of the job. Change it with: “Edit” on the page of the job. One that',
  ],
])('%s says what to do on the page', (error, words) => {
  const { status, ...said } = refusalOf(error);
  expect(new ApiFailure(status, said).message).toContain(words);
});

test('each problem says it, too', () => {
  const message = 'To send everybody who is a member now: POST /v1/jobs/{job}/backfill';
  const { problems } = new ApiFailure(422, { code: 'InvalidJob', detail: '', problems: [{ field: 'x', message }] });
  expect(problems).toEqual([
    { field: 'x', message: 'To send everybody who is a member now: “Backfill” on the page of the job' },
  ]);
});
