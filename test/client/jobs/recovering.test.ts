import { expect, test } from '@jest/globals';
import type { SliceInput } from '../../../src/contract/slice.ts';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import type { Arrival } from '../../../src/domain/job/steps.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { recoverJob, type Remains } from '../../../src/client/jobs/recovering.ts';
import { carryJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from '../../domain/job/a-job.ts';

/** The job goes on after its run was ended from outside. */
function recover(job: AJob, remains: Partial<Remains> = {}, backfillGone = false): void {
  const carried = JSON.parse(JSON.stringify(carryJob(job.state)));
  job.state = recoverJob({ carried, ends: [], arrivals: [], ...remains }, backfillGone, job.now);
  job.running.length = 0;
}

const delivered = { failed: [], unsent: [], sendingMs: 5 };
const arrival = (user: string, event: TriggerEvent): Arrival => ({
  kind: 'trigger',
  raw: { user, audience: 'a' },
  event,
});

/** Two slices in flight: of person 1, and of person 2 with an exit behind. */
function twoSlicesInFlight(): { job: AJob; slices: SliceInput[] } {
  const job = new AJob(2).signals('1');
  const slices = job.dispatch();
  job.signal('2');
  slices.push(...job.dispatch());
  job.signal('2', 'exit');
  expect(slices.map(({ triggers }) => triggers.map(({ user }) => user))).toEqual([['1'], ['2']]);
  return { job, slices };
}

test('triggers in flight with unknown outcome are sent again, before those that stood behind them', () => {
  const { job } = twoSlicesInFlight();
  recover(job);
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '2 enter a', '2 exit a']);
});

test('triggers that a slice delivered after the last task of the run are not sent again', () => {
  const { job, slices } = twoSlicesInFlight();
  recover(job, { ends: slices.slice(1).map((slice) => ({ slice, end: { kind: 'reported', report: delivered } })) });
  expect(job.status).toMatchObject({ delivered: 1, waiting: 2 });
  expect(job.dispatchedMessages().toSorted()).toEqual(['1 enter a', '2 exit a']);
});

test('triggers that a slice could not deliver wait for their next attempt', () => {
  const { job, slices } = twoSlicesInFlight();
  const report = { ...delivered, failed: [{ index: 0, status: 500, verdict: 'transient', durationMs: 1 } as const] };
  recover(job, { ends: slices.slice(1).map((slice) => ({ slice, end: { kind: 'reported', report } })) });
  expect(job.dispatchedMessages()).toEqual(['1 enter a']);
  expect(job.status).toMatchObject({ delayed: 1, waiting: 3 });
});

test('a report of a slice that does not fit what waits changes nothing: its triggers are sent again', () => {
  const { job, slices } = twoSlicesInFlight();
  const [slice] = slices as [SliceInput];
  const triggers = slice.triggers.map((trigger) => ({ ...trigger, at: '2020-01-01T00:00:00Z' }));
  recover(job, { ends: [{ slice: { ...slice, triggers }, end: { kind: 'reported', report: delivered } }] });
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '2 enter a', '2 exit a']);
});

test('signals that the ended run had not taken come behind, in order, with the time of their signal', () => {
  const { job } = twoSlicesInFlight();
  const at = job.now + 1000;
  recover(job, {
    arrivals: [
      { arrival: arrival('3', 'enter'), at },
      { arrival: { kind: 'unknown', name: 'entre' }, at },
      { arrival: { kind: 'permits', raw: { sliceId: 1, left: 0 } }, at },
      { arrival: arrival('2', 'enter'), at: at + 1 },
      { arrival: arrival('3', 'exit'), at: at + 2 },
    ],
  });
  expect(job.status).toMatchObject({ received: 6, rejected: 1 });
  const sent = job.dispatch().flatMap(({ triggers }) => triggers);
  expect(sent.map(({ user, event }) => `${user} ${event}`)).toEqual([
    '1 enter',
    '2 enter',
    '2 exit',
    '2 enter',
    '3 enter',
    '3 exit',
  ]);
  expect(sent.slice(-3).map((trigger) => Date.parse(trigger.at) - at)).toEqual([1, 0, 2]);
});

test.each(['deliver', 'keep', 'discard'] as const)('a job that was to stop (%s) goes on to stop', (waiting) => {
  const { job } = twoSlicesInFlight();
  stopJob(job.state, waiting, job.now + 1000);
  const { stopping } = job.state;
  recover(job);
  expect(job.state.stopping).toEqual(stopping);
});

test('a job that had stopped stays so, and keeps what it kept', () => {
  const job = new AJob(1).signals('u');
  stopJob(job.state, 'keep');
  job.step();
  expect(job.status).toMatchObject({ state: 'stopped', kept: { waiting: 1 } });
  recover(job);
  expect(job.status).toMatchObject({ state: 'stopped', kept: { waiting: 1 } });
});

test('a backfill whose child is gone is read on from where the job had come', () => {
  const job = new AJob(1);
  job.backfill(['m1', 'm2'], { last: false });
  job.dispatch();
  job.page(2, ['m3'], { last: false, next: { page: 3, audience: 0, after: 'm3' } });
  recover(job, {}, true);
  expect(job.rawStep()).toMatchObject({ kind: 'start-backfill', from: { page: 3, audience: 0, after: 'm3' } });
});

test('a backfill whose child still runs is left to it', () => {
  const job = new AJob(1);
  job.backfill(['m1'], { last: false });
  job.dispatch();
  recover(job, {}, false);
  expect(job.rawStep()).toMatchObject({ kind: 'deliver' });
});

test('a backfill that was read to its end needs no child any more', () => {
  const job = new AJob(1);
  job.backfill(['m1']);
  job.dispatch();
  recover(job, {}, true);
  expect(job.dispatchedMessages()).toEqual(['m1 enter a']);
  job.end();
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 1 });
});
