import { expect, test } from '@jest/globals';
import { JobFull, JobNotRunning, WorkerFailed } from '../../src/client/errors.ts';

test('a job that did not end in order is to be recovered before it is started again: what it had not delivered would be lost', () => {
  const { message, ended } = new JobNotRunning('vip', 'terminated', { fromOutside: true });
  expect({ message, ended }).toEqual({
    message:
      'The job "vip" is no longer running (terminated). Before you start it again, recover it: triggers recover vip',
    ended: 'terminated',
  });
});

test('one that was stopped is to be started again, or resumed', () => {
  const { message } = new JobNotRunning('vip', 'stopped');
  expect(message).toMatch(/triggers start.*triggers resume vip$/);
  expect(message).not.toContain('recover');
});

test('a job that is full says which, and what the server said', () => {
  expect(new JobFull('vip').message).toMatch(/^The job "vip" takes no more .* processed\. Is a worker running\?/);
  expect(new JobFull('vip', { cause: new Error('limit reached') }).message).toContain('(limit reached)');
});

test('what a worker failed of is said with where that was, and what to do', () => {
  const { message } = new WorkerFailed('q', 'data/members.ndjson cannot be read.');
  expect(message).toMatch(/^A worker of the task queue "q" could not do it: data.* cannot be read\.\n.*try again/);
});
