import { expect, test } from '@jest/globals';
import type { PackedTriggers } from '../../../src/contract/holder.ts';
import { unpackTriggers } from '../../../src/domain/job/queue/chain.ts';
import { describePerson } from '../../../src/domain/job/describing.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

/** So small that a few thousand triggers need holders. */
const SMALL = { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };
const at = '2026-01-01T00:00:00Z';

/** Stops the job so that it drops what waits, which ends it. What its holders kept, also once they have ended. */
function discard(job: AJob): ReadonlyMap<string, PackedTriggers> {
  const kept = new Map(job.holders);
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
  return kept;
}

/** What a trace says was dropped of a person's: what the job lists, and what its holders held. */
function droppedOf(job: AJob, user: string, holders: ReadonlyMap<string, PackedTriggers> = new Map()): string[] {
  const { discarded = [] } = describePerson(job.state, user, job.now);
  return discarded.flatMap(({ triggers, holders: names }) => [
    ...triggers.map(({ event, audience, at: of }) => `${event} ${audience} ${of}`),
    ...names.flatMap((name) =>
      unpackTriggers(holders.get(name) ?? { audiences: [], triggers: [] })
        .filter((one) => one.user === user)
        .map(({ trigger }) => `${trigger.event} in holder ${name}`),
    ),
  ]);
}

/** All would take seconds. */
const everyTenth = (people: readonly string[]) => people.filter((_, i) => i % 10 === 0);

test('what a stop drops is counted, and of each person it is known what it was, and when', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', { at });
  job.signal('1', 'exit', { at });
  job.signal('2', 'enter', { at });
  expect(describePerson(job.state, '1', job.now)).not.toHaveProperty('discarded');
  discard(job);
  expect(job.status).toMatchObject({ received: 3, discarded: 3, delivered: 0, waiting: 0 });
  expect(droppedOf(job, '1')).toEqual([`enter a ${at}`, `exit a ${at}`]);
  expect(describePerson(job.state, '2', job.now).discarded).toMatchObject([
    { at: '2026-01-01T00:00:00.000000000Z', count: 1, holders: [] },
  ]);
  expect(droppedOf(job, 'stranger')).toEqual([]);
});

test('a job that drops nothing says nothing of it', () => {
  const job = new AJob(1);
  job.signal('1');
  job.cut();
  job.end();
  discard(job);
  expect(job.status).not.toHaveProperty('discarded');
  expect(describePerson(job.state, '1', job.now).discarded).toEqual([]);
});

test('what a slice gives back after the stop is dropped too; what it delivered is not', () => {
  const job = new AJob(1);
  for (const user of ['1', '2', '3']) job.signal(user, 'enter', { at });
  job.cut();
  stopJob(job.state, 'discard');
  expect(job.step().kind).toBe('wait');
  expect(job.status).not.toHaveProperty('discarded');
  job.end({ 0: { status: 500 } }, [1]);
  expect(job.step()).toEqual({ kind: 'finish' });
  expect(job.status).toMatchObject({ delivered: 1, discarded: 2 });
  expect([droppedOf(job, '1'), droppedOf(job, '2'), droppedOf(job, '3')]).toEqual([
    [`enter a ${at}`],
    [`enter a ${at}`],
    [],
  ]);
});

test('what waits outside of the job’s state is dropped with it: nobody is missing, and nobody is told twice', () => {
  const job = new AJob(4, { serverLimits: SMALL });
  const people = Array.from({ length: 6_000 }, (_, i) => `person ${i}`);
  for (const user of people) job.signal(user, 'enter', { at });
  job.cut();
  while (job.running.length > 0) job.end({}, [...(job.running[0]?.triggers.keys() ?? [])]);
  expect(job.holders.size).toBeGreaterThan(3);
  const { waiting } = job.status;
  const holders = discard(job);
  expect(job.status).toMatchObject({ discarded: waiting, waiting: 0 });
  const dropped = everyTenth(people).map((user) => droppedOf(job, user, holders));
  expect(dropped.filter(({ length }) => length !== 1)).toEqual([]);
  expect(dropped.flat().some((one) => one.includes('in holder'))).toBe(true);
});

test('what may be in a holder or not, since its start was not answered, is told once', () => {
  const job = new AJob(4, { serverLimits: SMALL });
  const people = Array.from({ length: 3_000 }, (_, i) => `person ${i}`);
  for (const user of people) job.signal(user, 'enter', { at });
  const step = job.rawStep();
  if (step.kind !== 'hold') throw new Error(`It does ${step.kind}.`);
  job.holders.set(String(step.number), step.content);
  job.state.overflow.holdFailed(step.number);
  const holders = discard(job);
  for (const user of everyTenth(people)) expect(droppedOf(job, user, holders)).toHaveLength(1);
});

test('members that a backfill has read are dropped as well, as what they would have been sent', () => {
  const job = new AJob(1);
  job.backfill(['1', '2', '3']);
  expect(job.status).toMatchObject({ waiting: 3, backfill: { waiting: 3 } });
  discard(job);
  expect(job.status).toMatchObject({ received: 0, discarded: 3, backfill: { state: 'cancelled' } });
  expect(describePerson(job.state, '2', job.now).discarded).toMatchObject([
    { triggers: [{ event: 'enter', audience: 'a', backfill: 1 }] },
  ]);
});

test('the number is carried, and what was dropped is not', () => {
  const job = new AJob(1);
  job.signal('1');
  discard(job);
  const carried = carryJob(job.state);
  expect(carried).not.toHaveProperty('dropped');
  expect(restoreJob(structuredClone(carried))).toMatchObject({ counters: { discarded: 1 }, dropped: [] });
});
