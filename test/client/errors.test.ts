import { expect, test } from '@jest/globals';
import {
  JobAlreadyRunning,
  JobFull,
  JobNotRunning,
  JobRecoverable,
  NoWorker,
  WorkerFailed,
} from '../../src/client/errors.ts';

test.each([
  [
    'did not end in order is to be recovered before it is started again: what it had not delivered would be lost',
    new JobNotRunning('vip', 'terminated', { left: 'recoverable' }),
    'The job "vip" is no longer running (terminated). Before you start it again, recover it: triggers recover vip',
  ],
  [
    'has kept what waited is to be resumed: nothing else starts under its id',
    new JobNotRunning('vip', 'stopped', { left: 'kept' }),
    'The job "vip" is no longer running (stopped). It goes on with what it kept after: triggers resume vip',
  ],
  [
    'kept nothing is to be started again: there is nothing to resume',
    new JobNotRunning('vip', 'stopped'),
    'The job "vip" is no longer running (stopped). It kept nothing. Start it again with: triggers start',
  ],
])('a job that is not running and %s', (_, { message }, text) => {
  expect(message).toBe(text);
});

test('of a job that runs already only that is said which helps whoever wanted to start or resume it', () => {
  const { message } = new JobAlreadyRunning('vip');
  expect(message).toMatch(/triggers status vip\. .*triggers edit vip …\. .* needs another id\.$/);
  expect(message).not.toContain('--id');
});

test('until when a job can be recovered is said as a person reads it, and kept as it was', () => {
  const recoverableUntil = '2026-11-30T14:10:42.283000000Z';
  const left = {
    ended: 'terminated',
    kept: false,
    waiting: 8,
    backfill: false,
    aside: 0,
    letters: 0,
    recoverableUntil,
  };
  const error = new JobRecoverable('vip', left);
  expect(error.message).toContain('Until 2026-11-30 14:10:42 UTC you can');
  expect(error).toMatchObject({ recoverableUntil });
});

test('a job that is full says which, and what the server said', () => {
  expect(new JobFull('vip').message).toMatch(/^The job "vip" takes no more .* processed\. Is a worker running\?/);
  expect(new JobFull('vip', { cause: new Error('limit reached') }).message).toContain('(limit reached)');
});

test('what a worker failed of is said with where that was, and what to do', () => {
  const { message } = new WorkerFailed('q', 'data/members.ndjson cannot be read.');
  expect(message).toMatch(/^A worker of the task queue "q" could not do it: data.* cannot be read\.\n.*try again/);
});

test('where a worker was seen a moment ago, it is not said that one has to be started', () => {
  expect(new NoWorker('q', undefined, 10_000).message).toMatch(/^No worker polls the task queue "q"\. Start one with/);
  expect(new NoWorker('q', 1_000, 10_000).message).toMatch(
    /^No worker .*seen 1 s ago\)\. If it .* ask again\. If not,/,
  );
});
