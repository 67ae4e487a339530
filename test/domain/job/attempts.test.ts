import { expect, test } from '@jest/globals';
import { deadLetterOf, redeliveryOf } from '../../../src/domain/job/dead-letter.ts';
import { loseSlice } from '../../../src/domain/job/settling.ts';
import { laneOf, nextAttempt } from '../../../src/domain/slice.ts';
import { AJob } from './a-job.ts';

/** The number of the next request for the first trigger of the next slice. */
function next(job: AJob): number {
  job.now += 24 * 60 * 60_000;
  const [slice] = job.dispatch();
  const [trigger] = slice?.triggers ?? [];
  if (trigger === undefined) throw new Error('A slice was dispatched.');
  return nextAttempt(trigger);
}

test('attempts go on counting over a dead letter and its redelivery, into the next run', () => {
  const job = new AJob(1).signals('1');
  expect(next(job)).toBe(1);
  job.end({ 0: { status: 503 } });
  expect(next(job)).toBe(2);
  job.end({ 0: { status: 422, as: 'given-up' } });
  job.dispatch();
  const [dead] = job.dead;
  if (dead === undefined) throw new Error('It is a dead letter.');
  expect(dead.attempts).toBe(2);
  const letter = deadLetterOf(job.state.job, dead, 'export-job-a', job.now);
  const asking = { workflowId: 'dead-letter-1', runId: 'a run', question: 1 };
  job.redeliver(redeliveryOf(letter, { asking, force: false, isWithdrawn: false }).trigger);
  job.nextRun();
  expect(next(job)).toBe(3);
  job.end({ 0: { status: 422, as: 'given-up' } });
  job.dispatch();
  expect(job.dead.at(-1)).toMatchObject({ attempts: 3 });
});

test('an answer that costs no step of the schedule is an attempt all the same; what made no request is none', () => {
  const job = new AJob(1).signals('1');
  next(job);
  job.end({ 0: { status: 429 } });
  expect(next(job)).toBe(2);
  job.end({ 0: { code: 'SOURCE_UNAVAILABLE' } });
  expect(next(job)).toBe(2);
});

test('a request that a lost worker may have made counts', () => {
  const job = new AJob(1).signals('1');
  job.signal('1', 'exit');
  next(job);
  const [slice] = job.running.splice(0);
  loseSlice(job.state, slice?.sliceId ?? 0, undefined, job.now);
  job.now += 1;
  const [again] = job.dispatch();
  expect(again?.triggers.map(nextAttempt)).toEqual(slice?.triggers.map(() => 2));
});

test.each(['answered', 'lost'])('a batch is an attempt at each trigger of a person in it; its slice was %s', (end) => {
  const job = new AJob(1);
  for (const event of ['enter', 'exit', 'enter'] as const) job.signal('1', event);
  job.signal('2');
  next(job);
  // The third trigger was in no request.
  const refused = { status: 503, durationMs: 1 };
  if (end === 'answered') job.end({ 0: refused, 1: { ...refused, like: 0 } }, [2, 3]);
  else {
    const failed = [
      { index: 0, ...refused },
      { index: 1, like: 0 },
    ];
    loseSlice(job.state, job.running.shift()?.sliceId ?? 0, { delivered: [], failed }, job.now);
  }
  job.now += 24 * 60 * 60_000;
  const numbers = job
    .dispatch()
    .flatMap(({ triggers }) => triggers.filter(({ user }) => user === '1').map(nextAttempt));
  while (numbers.length < 3) {
    job.end();
    numbers.push(
      ...job.dispatch().flatMap(({ triggers }) => triggers.filter(({ user }) => user === '1').map(nextAttempt)),
    );
  }
  expect(numbers).toEqual([2, 2, 1]);
});

test('a member in a slice of live triggers keeps its lane', () => {
  const job = new AJob(1);
  job.backfill(['9']);
  job.signal('9', 'enter', { audience: 'b' });
  const lanes = job.dispatch().flatMap((slice) => slice.triggers.map((trigger) => laneOf(slice, trigger)));
  job.endAll();
  lanes.push(...job.dispatch().flatMap((slice) => slice.triggers.map((trigger) => laneOf(slice, trigger))));
  expect(lanes.toSorted()).toEqual(['backfill', 'live']);
});

test('a live trigger remembers the member that it replaced, until an attempt at it is known', () => {
  const job = new AJob(1);
  job.backfill(['1']);
  job.send({ 0: { status: 503 } });
  job.signal('1', 'exit');
  job.nextRun();
  const [slice] = job.dispatch();
  expect(slice?.triggers).toMatchObject([{ event: 'exit', superseded: { event: 'enter', attempts: 1 } }]);
  job.end({ 0: { status: 503 } });
  job.now += 60_000;
  expect(job.dispatch()[0]?.triggers[0]).not.toHaveProperty('superseded');
});
