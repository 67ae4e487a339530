import { expect, test } from '@jest/globals';
import {
  InvalidJob,
  JobAlreadyRunning,
  JobFull,
  JobKept,
  JobNotFound,
  JobNotRunning,
  JobRecoverable,
  NoWorker,
  PushInterrupted,
  TriggersError,
} from '../../src/client/errors.ts';
import type { Remedy } from '../../src/domain/remedy.ts';

const LEFT = {
  ended: 'terminated',
  kept: false,
  waiting: 8,
  backfill: false,
  aside: 0,
  letters: 0,
  recoverableUntil: '2026-11-30T14:10:42.283000000Z',
};
const actions = ({ remedies }: { readonly remedies: readonly Remedy[] }) => remedies.map(({ action }) => action);

test.each([
  ['kept', 'resume'],
  ['recoverable', 'recover'],
  [undefined, 'start'],
] as const)('a job that is not running and has left %s says to %s it', (left, action) => {
  expect(new JobNotRunning('vip', 'stopped', { left }).remedies).toEqual([{ action, job: 'vip' }]);
});

test('a job whose definition is wrong is to be started again, whatever it left', () => {
  expect(actions(new JobNotRunning('vip', 'failed', { left: 'recoverable', why: 'Its label is missing.' }))).toEqual([
    'start',
  ]);
});

test('each failure says what to do as data, best first', () => {
  expect(actions(new JobNotFound('vip'))).toEqual(['listJobs']);
  expect(actions(new JobAlreadyRunning('vip'))).toEqual(['status', 'edit']);
  expect(actions(new JobKept('vip', { waiting: 1, keptAt: '' }))).toEqual(['resume', 'discard']);
  expect(actions(new JobRecoverable('vip', LEFT))).toEqual(['recover', 'discardRecoverable']);
  expect(actions(new JobFull('vip'))).toEqual(['startWorker']);
  expect(actions(new NoWorker('q', undefined, 10_000))).toEqual(['startWorker']);
});

test('where something else is kept besides, a job is recovered first, and then discarded', () => {
  expect(actions(new JobRecoverable('vip', LEFT, { besideKept: true }))).toEqual(['recover', 'discard']);
});

test('a push that ended early says what helps against its cause', () => {
  expect(actions(new PushInterrupted('vip', 1, 0, new JobFull('vip')))).toEqual(['startWorker']);
  expect(actions(new PushInterrupted('vip', 1, 0, new Error('gone')))).toEqual([]);
});

test('an error has the data of its class', () => {
  expect(new JobRecoverable('vip', LEFT)).toMatchObject({ jobId: 'vip', ...LEFT, besideKept: false });
  expect(new InvalidJob([{ field: 'label', message: 'It is missing.' }])).toMatchObject({
    message: 'The job was not accepted:\n  label: It is missing.',
    headline: 'The job was not accepted:',
  });
  expect(new JobFull('vip', { cause: new Error('limit reached') })).toBeInstanceOf(TriggersError);
});
