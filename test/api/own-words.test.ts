import { expect, test } from '@jest/globals';
import { inOwnWords } from '../../src/api/own-words.ts';
import { problem, refusalOf } from '../../src/api/refusal.ts';
import * as errors from '../../src/client/errors.ts';
import { failureTexts } from './failure-texts.ts';

/** What only whoever runs the workers can do. */
const NOBODYS_REQUEST = /triggers (?:worker|up|setup)\b|temporal operator .*/g;
/** `triggers list`, in a sentence, and `--option`. */
const COMMAND = /(?:[:"(] ?|[:"(])triggers [a-z]|triggers [a-z]+(?:-[a-z]+)* [A-Z]|['"`\s(]--[a-z]{2}[^.]/;

test('no text of a failure names a command or an option where there is a request', () => {
  const all = failureTexts();
  expect(all.filter((text) => COMMAND.test(text)).length).toBeGreaterThan(20);
  const left = all.map((text) => inOwnWords(text).replaceAll(NOBODYS_REQUEST, '')).filter((text) => COMMAND.test(text));
  expect(left).toEqual([]);
});

test.each<[Error, string]>([
  [new errors.JobNotFound('crn', { near: 'crm' }), 'See all jobs with: GET /v1/jobs'],
  [new errors.JobNotRunning('crm', 'it was stopped'), 'Start it again with: POST /v1/jobs'],
  [
    new errors.JobNotRunning('crm', 'stopped', { left: 'kept' }),
    'goes on with what it kept after: POST /v1/jobs/crm/resume',
  ],
  [new errors.JobNotRunning('a.b-c', 'x', { left: 'recoverable' }), 'recover it: POST /v1/jobs/a.b-c/recover'],
  [new errors.JobAlreadyRunning('crm'), 'See it with: GET /v1/jobs/crm. Change it with: PATCH /v1/jobs/crm. One that'],
  [
    new errors.JobKept('crm', { waiting: 2, keptAt: '' }),
    'Resume it with: POST /v1/jobs/crm/resume. Or discard what it kept: POST /v1/jobs/crm/stop with {"waiting":"discard"}',
  ],
  [new errors.WatchNotFound('vip'), 'See those that are: GET /v1/watches'],
  [new errors.DeadLetterNotFound('dead-letter-1'), 'See those that do: GET /v1/dead-letters'],
  [
    new errors.DifferenceDoubtful({ theirs: 0, members: 5, both: 0, enters: 5, exits: 0 }, ['empty']),
    'If it is right all the same, say so: force=1',
  ],
])('%s says what to do over HTTP', (error, words) => {
  const { body } = problem(refusalOf(error));
  expect(body).toMatchObject({ code: error.name, detail: expect.stringContaining(words) });
});

test('each problem of a definition says it, too', () => {
  const message =
    'This can only be given when a job is started. To send everybody who is a member now: triggers backfill';
  const { body } = problem(refusalOf(new errors.InvalidJob([{ field: 'existingUsers', message }], { isEdit: true })));
  expect(body).toMatchObject({
    problems: [{ field: 'existingUsers', message: expect.stringMatching(/: POST \/v1\/jobs\/\{job\}\/backfill$/) }],
  });
});
