import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { confirmHold, holderRead } from '../../../src/domain/job/holders.ts';
import { backfillChildGone, jobKept, STOP_DEADLINE_MS, stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { discardedJob, keptBackfill, resumedJob } from '../../../src/domain/kept-job.ts';
import { AJob } from './a-job.ts';

test('a job that is stopped with keep sends nothing more, keeps its state once its slices are over, and ends', () => {
  const job = new AJob(1);
  job.signal('1');
  job.cut();
  job.signal('2');
  stopJob(job.state, 'keep');
  expect(job.step()).toEqual({ kind: 'wait' });
  job.end();
  const step = job.step();
  expect(step).toMatchObject({ kind: 'keep-job' });
  const kept = carryJob(job.state);
  if (step.kind === 'keep-job') jobKept(job.state, step.changes);
  expect(job.step()).toEqual({ kind: 'finish' });
  const { stopping: _, ...carried } = kept;
  const resumed = new AJob(1);
  resumed.state = restoreJob(structuredClone(carried));
  expect(resumed.cutMessages()).toEqual(['2 enter a']);
});

test('what arrives while the state is being kept is kept as well', () => {
  const job = new AJob(1);
  stopJob(job.state, 'keep');
  const step = job.step();
  if (step.kind !== 'keep-job') throw new Error(`It does ${step.kind}.`);
  job.signal('late');
  jobKept(job.state, step.changes);
  expect(job.step()).toMatchObject({ kind: 'keep-job' });
  expect(JSON.stringify(carryJob(job.state))).toContain('late');
});

test('a job that sends first keeps what is left at its deadline', () => {
  const job = new AJob(1);
  job.signal('1');
  stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
  job.fail({ status: 500 });
  expect(job.status).toMatchObject({ state: 'stopping', reason: expect.stringMatching(/is kept/) });
  job.now += STOP_DEADLINE_MS;
  expect(job.step()).toMatchObject({ kind: 'keep-job' });
});

test('the deadline is a time to wait for', () => {
  const job = new AJob(1);
  job.signal('1');
  stopJob(job.state, 'deliver', job.now + 1000);
  job.cut();
  expect(job.waitsMs).toBe(1000);
});

test.each(['deliver', 'keep'] as const)('what was asked to be discarded is not asked to %s', (waiting) => {
  const job = new AJob(1);
  job.signal('1');
  stopJob(job.state, 'discard');
  stopJob(job.state, waiting);
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a job that keeps what is waiting leaves its dead letters where they can be decided', () => {
  const job = new AJob(1);
  job.signal('1');
  job.cut();
  stopJob(job.state, 'keep');
  job.end({ 0: { status: 422 } });
  expect(job.step()).toMatchObject({ kind: 'keep-job' });
  expect(job.dead).toHaveLength(1);
});

test('a holder that is read while the state is being kept ends only after the state was kept once more', () => {
  const job = new AJob(4);
  for (let i = 0; i < 60_000; i++) job.signal(`person ${i}`);
  let recall: Extract<Step, { kind: 'recall' }> | undefined;
  while (recall === undefined) {
    const step = job.rawStep();
    if (step.kind === 'recall') recall = step;
    else if (step.kind === 'wait') job.end();
    else if (step.kind === 'hold') {
      job.holders.set(step.holder.name, step.content);
      confirmHold(job.state, step.holder);
    }
  }
  while (job.running.length > 0) job.end();
  stopJob(job.state, 'keep');
  const before = job.step();
  if (before.kind !== 'keep-job') throw new Error('It is not kept.');
  holderRead(job.state, recall.holder, job.holders.get(recall.holder.name) ?? null, job.now);
  jobKept(job.state, before.changes);
  const after = job.step();
  expect(after.kind).toBe('keep-job');
  expect(carryJob(job.state).overflow.first).toBe(2);
  if (after.kind === 'keep-job') jobKept(job.state, after.changes);
  expect(job.step()).toEqual({ kind: 'finish' });
});

/** A job in the middle of its backfill: of three pages one is read, and one of its members is in a slice. */
function inABackfill(sample?: number): AJob {
  const job = new AJob(1);
  job.backfill(['1', '2'], { last: false, expected: 4, next: { page: 2, audience: 0, after: '2' }, sample });
  job.cut();
  return job;
}

/** Goes on with what a job that stopped kept, after `ms`. */
function resumed(job: AJob, ms = 0): AJob {
  for (let step = job.step(); step.kind !== 'finish'; step = job.step())
    if (step.kind === 'keep-job') jobKept(job.state, step.changes);
  const next = new AJob(1);
  next.state = restoreJob(resumedJob(structuredClone(carryJob(job.state)), 0));
  next.now = job.now + ms;
  return next;
}

/** Everybody who is sent until nothing is left to do. */
function sentBy(job: AJob): string[] {
  const sent: string[] = [];
  for (let messages = job.cutMessages(); messages.length > 0 || job.running.length > 0; messages = job.cutMessages()) {
    sent.push(...messages);
    if (job.running.length > 0) job.end();
  }
  return sent;
}

test('stopped with keep in the middle of a backfill, a job keeps whom it has read and where it was, and goes on from there', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  job.page(2, ['of the child that ends'], { last: false });
  expect(job.status.backfill).toMatchObject({ state: 'kept', taken: 2, delivered: 0, expected: 4 });
  job.end({}, [0, 1]);
  const next = resumed(job, 60 * 60_000);
  expect(next.step()).toMatchObject({ kind: 'start-backfill', n: 1, from: { page: 2, audience: 0, after: '2' } });
  next.page(2, ['3', '4'], { restarts: 1 });
  expect(sentBy(next)).toEqual(['1 enter a', '2 enter a', '3 enter a', '4 enter a']);
  expect(next.status.backfill).toMatchObject({ n: 1, state: 'finished', taken: 4, delivered: 4 });
});

test('who left while the job was kept is not read afterwards; who was read before is replaced by the live trigger that says so', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  job.end({}, [0, 1]);
  const next = resumed(job);
  next.step();
  next.signal('2', 'exit');
  next.page(2, ['4'], { restarts: 1 });
  expect(sentBy(next).sort()).toEqual(['1 enter a', '2 exit a', '4 enter a']);
  expect(next.status.backfill).toMatchObject({ state: 'finished', taken: 3, superseded: 1 });
});

test('what is signalled before a stop is remembered beyond it: a page that is older does not contradict it', () => {
  const job = inABackfill();
  job.signal('3', 'exit');
  stopJob(job.state, 'keep');
  job.end();
  const next = resumed(job, 1000);
  next.step();
  next.page(2, ['3'], { restarts: 1, readAt: job.now });
  expect(sentBy(next)).not.toContain('3 enter a');
});

test('stopped with deliver, a job sends its backfill to the end before it ends', () => {
  const job = inABackfill();
  stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
  job.end();
  expect(job.step().kind).toBe('wait');
  job.page(2, ['3', '4']);
  expect(job.cutMessages()).toEqual(['3 enter a', '4 enter a']);
  job.end();
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('what a job could not read of its backfill before its deadline is kept', () => {
  const job = inABackfill();
  stopJob(job.state, 'deliver', job.now + 1000);
  job.end();
  job.step();
  job.now += 1000;
  expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  expect(resumed(job).step()).toMatchObject({ kind: 'start-backfill', from: { page: 2 } });
});

test.each(['paused', 'lost'])(
  'a %s backfill is not sent because its job stops, but kept as soon as all else is sent',
  (how) => {
    const job = inABackfill(how === 'paused' ? 2 : undefined);
    if (how === 'lost') backfillChildGone(job.state, 1);
    stopJob(job.state, 'deliver', job.now + STOP_DEADLINE_MS);
    expect(job.cut()).toEqual([]);
    job.end();
    if (how === 'paused') expect([job.step().kind, job.step().kind]).toEqual(['cancel-backfill', 'keep-job']);
    else expect(job.step().kind).toBe('keep-job');
    const next = resumed(job);
    expect(next.status.backfill).toMatchObject({ state: how, taken: 2, delivered: 2, expected: 4 });
  },
);

test('a kept job that is discarded drops the rest of its backfill, too', () => {
  const job = inABackfill();
  stopJob(job.state, 'keep');
  job.end({}, [0, 1]);
  while (job.step().kind !== 'keep-job');
  const last = new AJob(1);
  last.state = restoreJob(discardedJob(structuredClone(carryJob(job.state))));
  expect(last.step()).toEqual({ kind: 'finish' });
  expect(last.status).toMatchObject({ waiting: 0, backfill: { state: 'cancelled' } });
});

test('a kept job says what it kept of a backfill', () => {
  const job = inABackfill();
  expect(keptBackfill(carryJob(job.state))).toEqual({ n: 1, taken: 2, expected: 4 });
  job.page(2, ['3', '4']);
  expect(sentBy(job)).toHaveLength(2);
  expect(keptBackfill(carryJob(job.state))).toBeUndefined();
});
