import { expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import type { Logger } from 'pino';
import { EVENTS_AHEAD } from '../../src/domain/errors.ts';
import { createLog, isOfEarlyQuery } from '../../src/worker/log.ts';

const SECRET = 's3cret';

/** The line that a call of the log writes. */
function lineOf(write: (log: Logger) => void): { text: string; line: Record<string, unknown> } {
  let text = '';
  write(createLog('debug', { write: (written) => void (text += written) }));
  return { text, line: JSON.parse(text) as Record<string, unknown> }; // One line, as JSON has it.
}

test('ids, kinds and counts are written as they are', () => {
  const fields = {
    workflowId: 'export-job-vip',
    runId: 'r',
    attempt: 2,
    workflowExists: true,
    holders: ['a', 'b'],
    n: 1n,
  };
  const { line } = lineOf((log) => log.warn(fields, 'a message'));
  expect(line).toEqual({ ...fields, n: 1, level: 40, time: expect.any(Number), msg: 'a message' });
});

test('a worker logs its changed configuration: which authorizations it has, and what is wrong', () => {
  const fields = { authorizations: ['crm'], problem: 'The configuration is wrong.' };
  expect(lineOf((log) => log.warn(fields, 'a message')).line).toMatchObject(fields);
});

test('[S23] a field that nobody expects is named, and what it holds is not written', () => {
  const fields = { workflowId: 'w', options: { headers: { authorization: SECRET } }, apiKey: SECRET, gone: undefined };
  const { text, line } = lineOf((log) => log.warn(fields, 'a message'));
  expect(line).toMatchObject({ workflowId: 'w', omitted: ['options', 'apiKey'] });
  expect(text).not.toContain(SECRET);
});

test('[S23] an object under an expected name is not written either', () => {
  const fields = { state: { token: SECRET }, status: [{ token: SECRET }], reason: [[SECRET]], target: () => SECRET };
  const { text, line } = lineOf((log) => log.warn(fields, 'a message'));
  expect(line).toMatchObject({ omitted: ['state', 'status', 'reason', 'target'] });
  expect(text).not.toContain(SECRET);
});

test('a logged error has its name, code, message, stack and causes, but none of its other fields', () => {
  const cause = Object.assign(new TypeError('Invalid URL'), {
    code: 'ERR_INVALID_URL',
    input: `https://example.com/${SECRET}`,
  });
  const error = Object.assign(new Error('It failed.', { cause }), {
    config: { headers: { authorization: SECRET } },
    request: { body: SECRET },
    errors: [new Error(SECRET)],
    code: { text: SECRET },
  });
  const { text, line } = lineOf((log) => log.error({ err: error }, 'a message'));
  expect(line['err']).toEqual({
    name: 'Error',
    message: 'It failed.',
    stack: expect.stringContaining('log.test.ts'),
    cause: { name: 'TypeError', code: 'ERR_INVALID_URL', message: 'Invalid URL', stack: expect.any(String) },
  });
  expect(text).not.toContain(SECRET);
});

test('details of a workflow failure for its client are not logged', () => {
  const failure = ApplicationFailure.nonRetryable('The job cannot run as it is.', 'InvalidJob', [{ token: SECRET }]);
  const { text, line } = lineOf((log) => log.error({ err: failure }, 'a message'));
  expect(line).toMatchObject({ err: { name: 'ApplicationFailure', message: 'The job cannot run as it is.' } });
  expect(text).not.toContain(SECRET);
});

test.each([
  ['an error alone', new Error('It failed.')],
  ['an error of another realm', { err: { name: 'Error', message: 'It failed.', token: SECRET } }],
  ['a text', { err: 'It failed.' }],
])('%s says its message', (_, thrown) => {
  const { text, line } = lineOf((log) => log.error(thrown, 'a message'));
  expect(line).toMatchObject({ err: { message: 'It failed.' } });
  expect(text).not.toContain(SECRET);
});

test('a chain of causes that bites its tail ends, and a text without end is cut', () => {
  const error: Error = new Error('x'.repeat(100_000));
  error.cause = error;
  const { text } = lineOf((log) => log.error({ err: error, reason: 'y'.repeat(100_000) }, 'a message'));
  expect(text.length).toBeLessThan(60_000);
});

test('lines about a query that came too early are told from others: the one of the SDK, and the one of its core', () => {
  expect(isOfEarlyQuery({ runId: 'r', error: new Error(EVENTS_AHEAD), workflowExists: true })).toBe(true);
  expect(isOfEarlyQuery({ failure: `Failure { failure: Some(Failure { message: "${EVENTS_AHEAD}" }) }` })).toBe(true);
  expect(isOfEarlyQuery({ runId: 'r', error: new Error('x is undefined'), workflowExists: true })).toBe(false);
});
