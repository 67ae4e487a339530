import { expect, test } from '@jest/globals';
import { BackfillIntake } from '../../src/domain/job/backfill.ts';
import { beginJob, type CarriedJob, carryJob } from '../../src/domain/job/carrying.ts';
import {
  describeKeptJob,
  discardedJob,
  keepsNothing,
  keptAside,
  keptJobDetails,
  keptJobPresentation,
  keptTriggers,
  resumedJob,
} from '../../src/domain/kept-job.ts';
import { jobRecord } from './job/a-record.ts';

const empty = carryJob(beginJob(jobRecord(5), 7));
const AT = '2026-01-01T00:00:00.000000000Z';
const keptOf = (carried: CarriedJob) => ({ v: 1, jobWorkflowId: 'export-job-crm', carried }) as const;

test('every place is counted where a trigger may wait', () => {
  expect(keptTriggers(empty)).toBe(0);
  const enter = [AT, 0, 1] as const;
  const chains: CarriedJob = {
    ...empty,
    chains: [
      ['a', [enter, enter]],
      ['b', [enter], { failures: 1, parked: { number: 1, count: 10, bytes: 1000, since: 0 } }],
    ],
  };
  expect(keptTriggers(chains)).toBe(13);
  const tail = { audiences: ['a'], triggers: [['c', enter] as const, ['d', enter] as const] };
  expect(keptTriggers({ ...empty, overflow: { ...empty.overflow, held: 1000, tail } })).toBe(1002);
  const dead = {
    user: 'e',
    trigger: { audience: 'a', event: 'enter', at: AT },
    failure: { at: AT },
    attempts: 1,
  } as const;
  expect(keptTriggers({ ...empty, dying: [dead] })).toBe(1);
  const backfill = { pages: [{ number: 1, audience: 'a', ids: ['f', 'g'] }] } as unknown as CarriedJob['backfill'] &
    object; // Only its pages matter here.
  expect(keptTriggers({ ...empty, backfill })).toBe(2);
});

test('holders that were set aside are counted by themselves, since nothing waits for them', () => {
  const unreadable = { reason: 'no key', since: 1, tries: 3, retryAt: 2 };
  const aside = { ...unreadable, name: '2', isAside: true } as const;
  const carried: CarriedJob = { ...empty, unreadable: [aside, { ...unreadable, name: '3' }] };
  expect([keptAside(carried), keptTriggers(carried), keptAside(empty)]).toEqual([1, 0, 0]);
});

test('a job keeps nothing when nobody waits, is still to be read, or is in a holder that was set aside', () => {
  const enter = [AT, 0, 1] as const;
  const aside = { name: '2', reason: 'no key', since: 1, tries: 3, retryAt: 2, isAside: true } as const;
  const backfill = BackfillIntake.begin({ n: 1, audiences: ['a'], at: AT, now: 0 }).carry();
  expect(keepsNothing(empty)).toBe(true);
  expect(keepsNothing({ ...empty, pause: { by: 'operator' }, stopping: { waiting: 'keep' } })).toBe(true);
  expect(keepsNothing({ ...empty, chains: [['a', [enter]]] })).toBe(false);
  expect(keepsNothing({ ...empty, unreadable: [aside] })).toBe(false);
  expect(keepsNothing({ ...empty, backfill })).toBe(false);
});

test('resumed it stops no more, and stays paused if it was', () => {
  const stopped: CarriedJob = { ...empty, stopping: { waiting: 'keep' }, pause: { by: 'operator' } };
  expect(resumedJob(stopped, 0)).toEqual({ ...empty, pause: { by: 'operator' } });
});

test('when discarded it begins as a job that was asked to stop and drop what is waiting', () => {
  const stopped: CarriedJob = { ...empty, stopping: { waiting: 'keep', deadlineAt: 1 } };
  expect(discardedJob(stopped)).toEqual({ ...empty, stopping: { waiting: 'discard' } });
});

test('lists show whose it is, what is waiting and since when, with attributes where the namespace has them', () => {
  const now = Date.UTC(2026, 0, 1);
  const { summary, memo, attributes } = keptJobPresentation(keptOf(empty), now);
  expect(summary).toBe('Kept: model');
  expect(memo).toMatchObject({ label: 'model', job: 'crm', waiting: 0, keptAt: AT });
  expect(attributes.map(({ key, value }) => [key.name, value])).toEqual([
    ['ExportJobId', 'crm'],
    ['ExportJobStatus', 'kept'],
    ['ExportAudiences', ['a'.repeat(16), 'b'.repeat(16)]],
  ]);
  const lacking = { ...empty, job: { ...empty.job, missingSearchAttributes: ['ExportPerson'] } };
  expect(keptJobPresentation(keptOf(lacking), now).attributes).toEqual([]);
});

test('people read what they can do, and why it was not started', () => {
  const kept = describeKeptJob(keptOf(empty), 'kept', Date.UTC(2026, 0, 1), undefined);
  expect(keptJobDetails(kept).split('\n').slice(4)).toEqual([
    '| State | Stopped; everything that was waiting is kept. Signal "resume" to run it again from there, or "discard" to drop it. |',
    '| Job | crm |',
    '| Waiting | 0 |',
    '| Kept at | 2026-01-01 00:00:00 UTC |',
  ]);
  expect(keptJobDetails({ ...kept, notice: 'It runs.' })).toContain('\n| Not started | It runs. |\n');
});
