import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { defaultFailureConverter } from '@temporalio/common';
import { JobNotFound, JobNotRunning, RequestRefused } from '../../../src/client/errors.ts';
import { orTooLate, withBackfillTrouble } from '../../../src/client/jobs/stopped-jobs.ts';
import { GRPC } from '../../../src/client/server-errors.ts';
import type { BackfillStatus } from '../../../src/contract/job-status.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { aStatus } from '../../cli/a-status.ts';
import { serverError } from '../recorded-job.ts';

const DOWN = { message: 'https://people.example.com did not give members: HTTP 503.', applicationFailureInfo: {} };
const LATE = { message: 'activity StartToClose timeout', timeoutFailureInfo: { timeoutType: 1 } };

const BACKFILL: BackfillStatus = {
  n: 2,
  state: 'running',
  at: '2026-11-25T11:00:00.000000000Z',
  audiences: ['vip'],
  taken: 0,
  delivered: 0,
  superseded: 0,
  deadLetters: 0,
  waiting: 0,
  ratePerSecond: 0,
};

/** What is said of a backfill whose child has these activities under way; an error, when the server has none. */
async function troubleIn(
  child: readonly object[] | Error,
  { state = 'running', of = 'RUNNING' }: { state?: BackfillStatus['state']; of?: string } = {},
): Promise<string | undefined> {
  const asked: string[] = [];
  const getHandle = (workflowId: string) => ({
    describe: async () => {
      asked.push(workflowId);
      if (child instanceof Error) throw child;
      return await Promise.resolve({ status: { name: of }, raw: { pendingActivities: child } });
    },
  });
  const loadedDataConverter = { payloadConverter, failureConverter: defaultFailureConverter, payloadCodecs: [] };
  // All of a client that the asking uses.
  const client = { options: { loadedDataConverter }, workflow: { getHandle } } as unknown as Client;
  const status = aStatus({ backfill: { ...BACKFILL, state } });
  const said = await withBackfillTrouble(client, status);
  expect(asked).toEqual(state === 'running' || state === 'paused' ? ['export-job-vip-to-crm-backfill-2'] : []);
  const { trouble, ...rest } = said.backfill ?? {};
  expect({ ...said, backfill: rest }).toEqual(status);
  return trouble;
}

const reading = (attempt: number, lastFailure?: object) => ({
  activityType: { name: 'listMembers' },
  attempt,
  lastFailure: lastFailure ?? null,
});

test('a source that fails is reported with how often, and why the last time', async () => {
  expect(await troubleIn([reading(2, DOWN)])).toBe(
    'The source failed once when it was asked for the next members; it is asked again at least every minute. The last time: https://people.example.com did not give members: HTTP 503.',
  );
  expect(await troubleIn([reading(8, DOWN)])).toContain('failed 7 times in a row when');
  // An operator may have had the attempts counted anew.
  expect(await troubleIn([reading(1, DOWN)])).toContain('failed once when');
  expect(await troubleIn([reading(3, DOWN)], { state: 'paused' })).toContain('HTTP 503');
});

test('one that does not answer at all is said in words', async () => {
  expect(await troubleIn([reading(2, LATE)])).toMatch(/The last time: there was no answer within a minute\.$/);
});

test('there is none while the source answers, nor of what does not keep the backfill from reading', async () => {
  expect(await troubleIn([])).toBeUndefined();
  expect(await troubleIn([reading(1)])).toBeUndefined();
  expect(await troubleIn([{ ...reading(2, DOWN), activityType: { name: 'countMembers' } }])).toBeUndefined();
});

test('there is none of a child that has ended or is not there, and of a backfill that is over nobody is asked', async () => {
  expect(await troubleIn([reading(2, DOWN)], { of: 'TERMINATED' })).toBeUndefined();
  expect(await troubleIn(serverError(GRPC.NOT_FOUND))).toBeUndefined();
  expect(await troubleIn([reading(2, DOWN)], { state: 'finished' })).toBeUndefined();
  expect(await troubleIn([reading(2, DOWN)], { state: 'cancelled' })).toBeUndefined();
});

test('who decides about what a job kept, and finds it gone, is told that somebody else was faster', () => {
  expect(orTooLate('vip', new JobNotRunning('vip', 'stopped', { left: 'kept' }))).toEqual(expect.any(RequestRefused));
});

test.each([
  new JobNotRunning('vip', 'stopped'),
  new JobNotRunning('vip', 'terminated', { left: 'recoverable' }),
  new JobNotFound('vip'),
])('where nothing had been kept, that is said: %s', (error) => {
  expect(orTooLate('vip', error)).toBe(error);
});
