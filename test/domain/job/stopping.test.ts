import { expect, test } from '@jest/globals';
import { instantOf } from '../../../src/domain/instant.ts';
import { isStopped } from '../../../src/domain/job/job.ts';
import { backfillChildGone, runAgain, STOP_DEADLINE_MS, stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

/** Whether the job has stopped by now. */
function stopped(job: AJob): boolean {
  job.step();
  return isStopped(job.state);
}

/** The next run of a job that has stopped. */
function nextRun(job: AJob): AJob {
  expect(job.step()).toEqual({ kind: 'continue-as-new' });
  const next = new AJob(1);
  next.state = restoreJob(structuredClone(carryJob(job.state)));
  next.now = job.now;
  return next.facts({ ageMs: 0 });
}

test('a job that is stopped with keep sends nothing more, and has stopped once its slices are over', () => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  job.signal('2');
  stopJob(job.state, 'keep');
  expect(job.step()).toEqual({ kind: 'wait' });
  expect(job.status.state).toBe('stopping');
  job.end();
  const stopped = nextRun(job);
  expect(stopped.step()).toEqual({ kind: 'wait' });
  expect(stopped.status).toMatchObject({ state: 'stopped', kept: { waiting: 1, keptAt: instantOf(job.now) } });
  runAgain(stopped.state, stopped.now);
  expect(stopped.dispatchedMessages()).toEqual(['2 enter a']);
});

test('a stopped job wakes for nothing, says nothing to its operators, and keeps what comes all the same', () => {
  const job = new AJob(1, { alertBacklogMs: 60_000 }).signals('1');
  job.fail({ status: 500 });
  stopJob(job.state, 'keep');
  const stopped = nextRun(job);
  stopped.signal('late');
  stopped.now += 30 * 24 * 60 * 60_000;
  expect(stopped.step()).toEqual({ kind: 'wait' });
  expect(stopped.alerts).toEqual([]);
  expect(stopped.status.kept?.waiting).toBe(2);
  runAgain(stopped.state, stopped.now);
  expect(stopped.dispatchedUsers().flat().sort()).toEqual(['1', 'late']);
});

test('a stopped job refuses a dead letter, says so, and drops what it keeps when asked to discard', () => {
  const job = new AJob(1).signals('1');
  stopJob(job.state, 'keep');
  const stopped = nextRun(job);
  stopped.redeliver({ audience: 'a'.repeat(32), event: 'enter', at: '2026-01-01T00:00:00Z', redelivery: 1 });
  stopped.step();
  expect(stopped.answered.map(({ answer }) => answer.refusal)).toEqual(['stopped']);
  stopJob(stopped.state, 'discard');
  expect(stopped.step()).toEqual({ kind: 'finish' });
  expect(stopped.status).toMatchObject({ waiting: 0, discarded: 1 });
});

test('a job that sends first keeps what is left at its deadline', () => {
  const job = new AJob(1).signals('1');
  stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
  job.fail({ status: 500 });
  expect(job.status).toMatchObject({ state: 'stopping', reason: expect.stringMatching(/is kept/) });
  job.now += STOP_DEADLINE_MS;
  expect(stopped(job)).toBe(true);
});

test('the deadline is a time to wait for', () => {
  const job = new AJob(1).signals('1');
  stopJob(job.state, 'deliver', job.now + 1000);
  job.dispatch();
  expect(job.waitsMs).toBe(1000);
});

test.each(['deliver', 'keep'] as const)('a stop with discard cannot be changed to %s', (waiting) => {
  const job = new AJob(1).signals('1');
  stopJob(job.state, 'discard');
  stopJob(job.state, waiting);
  expect(job.status).toMatchObject({ state: 'stopping', reason: expect.stringMatching(/will not be sent/) });
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a job that keeps what is waiting leaves its dead letters where they can be decided', () => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  stopJob(job.state, 'keep');
  job.end({ 0: { status: 422 } });
  expect(stopped(job)).toBe(true);
  expect(job.dead).toHaveLength(1);
});

/** A job in the middle of its backfill: of three pages one is read, and one of its members is in a slice. */
function inABackfill(sample?: number): AJob {
  const job = new AJob(1);
  job.backfill(['1', '2'], { last: false, expected: 4, next: { page: 2, audience: 0, after: '2' }, sample });
  job.dispatch();
  return job;
}

/** Goes on with what a job that stopped kept, after `ms`. */
function resumed(job: AJob, ms = 0): AJob {
  while (job.step().kind === 'cancel-backfill');
  const next = nextRun(job);
  next.now += ms;
  runAgain(next.state, next.now);
  return next;
}

test('a job stopped with keep during a backfill keeps the members it has read, and continues from there', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  job.page(2, ['of the child that ends'], { last: false });
  expect(job.status.backfill).toMatchObject({ state: 'kept', taken: 2, delivered: 0, expected: 4 });
  job.end({}, [0, 1]);
  const next = resumed(job, 60 * 60_000);
  expect(next.step()).toMatchObject({ kind: 'start-backfill', n: 1, from: { page: 2, audience: 0, after: '2' } });
  next.page(2, ['3', '4'], { restarts: 1 });
  expect(next.sendAll()).toEqual(['1 enter a', '2 enter a', '3 enter a', '4 enter a']);
  expect(next.status.backfill).toMatchObject({ n: 1, state: 'finished', taken: 4, delivered: 4 });
});

test('a person who left while the job was stopped is not read; a live exit replaces an earlier member', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  job.end({}, [0, 1]);
  const next = resumed(job);
  next.step();
  next.signal('2', 'exit');
  next.page(2, ['4'], { restarts: 1 });
  expect(next.sendAll().sort()).toEqual(['1 enter a', '2 exit a', '4 enter a']);
  expect(next.status.backfill).toMatchObject({ state: 'finished', taken: 3, superseded: 1 });
});

test('a signal before a stop is remembered after it: an older page does not override it', () => {
  const job = inABackfill();
  job.signal('3', 'exit');
  stopJob(job.state, 'keep');
  job.end();
  const next = resumed(job, 1000);
  next.step();
  next.page(2, ['3'], { restarts: 1, readAt: job.now });
  expect(next.sendAll()).not.toContain('3 enter a');
});

test('stopped with deliver, a job sends its backfill to the end before it ends', () => {
  const job = inABackfill();
  stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
  job.end();
  expect(job.step().kind).toBe('wait');
  job.page(2, ['3', '4']);
  expect(job.dispatchedMessages()).toEqual(['3 enter a', '4 enter a']);
  job.end();
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a job keeps the part of its backfill that it could not read before its deadline', () => {
  const job = inABackfill();
  stopJob(job.state, 'deliver', job.now + 1000);
  job.end();
  job.step();
  job.now += 1000;
  expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  expect(resumed(job).step()).toMatchObject({ kind: 'start-backfill', from: { page: 2 } });
});

test.each(['paused', 'lost'])(
  'a %s backfill is not sent when its job stops, and is kept once all else is sent',
  (how) => {
    const job = inABackfill(how === 'paused' ? 2 : undefined);
    if (how === 'lost') backfillChildGone(job.state, 1);
    stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
    expect(job.dispatch()).toEqual([]);
    job.end();
    if (how === 'paused') expect(job.step().kind).toBe('cancel-backfill');
    expect(stopped(job)).toBe(true);
    const next = resumed(job);
    expect(next.status.backfill).toMatchObject({ state: how, taken: 2, delivered: 2, expected: 4 });
  },
);

test('a stopped job that is asked to discard drops the rest of its backfill, too', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  job.end({}, [0, 1]);
  job.step();
  expect(job.status.kept).toBeUndefined();
  const last = nextRun(job);
  expect(last.status.kept).toMatchObject({ waiting: 2, backfill: { n: 1, taken: 2, expected: 4 } });
  stopJob(last.state, 'discard');
  expect(last.step()).toEqual({ kind: 'finish' });
  expect(last.status).toMatchObject({ waiting: 0, backfill: { state: 'cancelled' } });
});
