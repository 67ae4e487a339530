import { expect, test } from '@jest/globals';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

/** So small that a few thousand triggers need holders. */
const SMALL = { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };

/** Stops the job so that it drops what waits, which ends it. */
function discard(job: AJob): void {
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
}

test('triggers that a slice gives back after a stop with discard are dropped, too; delivered ones are not', () => {
  const job = new AJob(1).signals('1', '2', '3');
  job.dispatch();
  stopJob(job.state, 'discard');
  expect(job.step().kind).toBe('wait');
  expect(job.status).not.toHaveProperty('discarded');
  job.end({ 0: { status: 500 } }, [1]);
  expect(job.step()).toEqual({ kind: 'finish' });
  expect(job.status).toMatchObject({ received: 3, delivered: 1, discarded: 2, waiting: 0 });
});

test('a job that discards drops the triggers in its holders, too, and counts them', () => {
  const job = new AJob(4, { serverLimits: SMALL });
  for (let i = 0; i < 6_000; i++) job.signal(`person ${i}`);
  job.dispatch();
  while (job.running.length > 0) job.end({}, [...(job.running[0]?.triggers.keys() ?? [])]);
  expect(job.holders.size).toBeGreaterThan(3);
  const { waiting } = job.status;
  discard(job);
  expect(job.status).toMatchObject({ discarded: waiting, waiting: 0 });
});

test('a job that discards drops members that a backfill has read, too', () => {
  const job = new AJob(1);
  job.backfill(['1', '2', '3']);
  expect(job.status).toMatchObject({ waiting: 3, backfill: { waiting: 3 } });
  discard(job);
  expect(job.status).toMatchObject({ received: 0, discarded: 3, backfill: { state: 'cancelled' } });
});

test('the number of discarded triggers is carried', () => {
  const job = new AJob(1).signals('1');
  discard(job);
  expect(restoreJob(structuredClone(carryJob(job.state)))).toMatchObject({ counters: { discarded: 1 } });
});
