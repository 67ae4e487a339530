import { expect, test } from '@jest/globals';
import { describePerson } from '../../../src/domain/job/describing.ts';
import { forgetPerson, pauseJob, resumeJob } from '../../../src/domain/job/operating.ts';
import { carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

/** So small that a few thousand triggers need holders. */
const SMALL = { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };

/** Sends all that waits; whom it told. */
function drain(job: AJob): string[] {
  const told: string[] = [];
  while (job.status.waiting > 0) {
    job.dispatch();
    if (job.running.length === 0) throw new Error('The job stands still.');
    while (job.running.length > 0) {
      told.push(...(job.running[0]?.triggers.map(({ user }) => user) ?? []));
      job.end();
    }
  }
  return told;
}

/** A paused job that has put most of these people into holders. */
function flooded(count: number): AJob {
  const job = new AJob(4, { serverLimits: SMALL });
  pauseJob(job.state);
  for (let i = 0; i < count; i++) job.signal(`person ${i}`);
  job.dispatch();
  expect(job.holders.size).toBeGreaterThan(3);
  return job;
}

test('what waits for a forgotten person is dropped and counted, and what waits for others is sent', () => {
  const job = new AJob(1);
  for (const user of ['1', '2', '1', '3']) job.signal(user, 'exit', { at: `2026-01-01T00:00:0${user}Z` });
  forgetPerson(job.state, '1');
  expect(drain(job)).toEqual(['2', '3']);
  expect(job.status).toMatchObject({ discarded: 1, delivered: 2, waiting: 0 });
});

test('a trigger in a slice goes on, and is dropped when it is given back and forgotten then', () => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  forgetPerson(job.state, '1');
  expect(describePerson(job.state, '1', job.now)).toMatchObject({ waitingCount: 1, chain: { place: 'running' } });
  job.end({ 0: { status: 503 } });
  expect(job.status).toMatchObject({ delayed: 1 });
  forgetPerson(job.state, '1');
  expect(job.status).toMatchObject({ discarded: 1, waiting: 0, delayed: 0 });
});

test('a member that a backfill has found is not sent', () => {
  const job = new AJob(1);
  job.backfill(['1', '2']);
  forgetPerson(job.state, '1');
  expect(drain(job)).toEqual(['2']);
  expect(describePerson(job.state, '1', job.now)).toMatchObject({ inPages: false });
});

test('a trigger in a holder is dropped when it comes back, also in a later run, and a later one is sent', () => {
  const job = flooded(6_000);
  const forgotten = 'person 4500';
  const heldFor = (user: string) => describePerson(job.state, user, job.now).overflow ?? { first: 0, next: 0 };
  forgetPerson(job.state, forgotten);
  // Nobody who asks is told to look for them there.
  expect(heldFor(forgotten).first).toBe(heldFor(forgotten).next);
  expect(heldFor('person 4501').first).toBeLessThan(heldFor('person 4501').next);
  job.state = restoreJob(structuredClone(carryJob(job.state)));
  for (let i = 6_000; i < 9_000; i++) job.signal(`person ${i}`);
  job.signal(forgotten, 'exit');
  resumeJob(job.state);
  const told = drain(job);
  expect(told).toHaveLength(9_000);
  expect(told.filter((user) => user === forgotten)).toHaveLength(1);
  expect(told.indexOf(forgotten)).toBe(told.length - 1);
  expect(job.status).toMatchObject({ discarded: 1, waiting: 0 });
  expect(carryJob(job.state).overflow).not.toHaveProperty('forgotten');
});

test('only so many people are remembered while holders wait to be read, and their bytes count', () => {
  const job = flooded(6_000);
  const before = estimateBytes(job.state);
  const { overflow } = job.state;
  for (let i = 0; i < 100; i++) forgetPerson(job.state, `nobody ${i}`);
  expect([overflow.mayForget('nobody 7'), overflow.mayForget('another')]).toEqual([true, false]);
  expect(estimateBytes(job.state) - before).toBeGreaterThan(
    JSON.stringify(carryJob(job.state).overflow.forgotten).length,
  );
  resumeJob(job.state);
  drain(job);
  expect(overflow.mayForget('another')).toBe(true);
});
