import { expect, test } from '@jest/globals';
import { confirmHold, holderRead } from '../../../src/domain/dispatcher/holders.ts';
import { carryJob, restoreJob } from '../../../src/domain/dispatcher/job-state.ts';
import { jobKept, STOP_DEADLINE_MS, stopJob } from '../../../src/domain/dispatcher/operating.ts';
import type { Step } from '../../../src/domain/dispatcher/steps.ts';
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
  holderRead(job.state, recall.holder, job.holders.get(recall.holder.name) ?? null);
  jobKept(job.state, before.changes);
  const after = job.step();
  expect(after.kind).toBe('keep-job');
  expect(carryJob(job.state).overflow.first).toBe(2);
  if (after.kind === 'keep-job') jobKept(job.state, after.changes);
  expect(job.step()).toEqual({ kind: 'finish' });
});
