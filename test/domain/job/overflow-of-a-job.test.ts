import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { pauseJob, resumeJob } from '../../../src/domain/job/operating.ts';
import { carriedBytes, carryJob, estimateBytes } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

const LARGE = { profile: { text: 'x'.repeat(60_000) } };

/** A job that was signalled this many triggers at once, each of its own person. */
function flooded(count: number, more: object = {}): AJob {
  const job = new AJob(4);
  for (let i = 0; i < count; i++) job.signal(`person ${i}`, 'enter', more);
  return job;
}

/** Sends all that waits, with everything going well; whom it told, in that order. */
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

test.each([
  ['100,000 triggers', 100_000, {}],
  ['200 triggers of 60 KB', 200, LARGE],
])('%s at once leave a state that can be carried, and all are sent in their order', (_, count, more) => {
  const job = flooded(count, more);
  pauseJob(job.state);
  job.dispatch();
  expect(carriedBytes(carryJob(job.state))).toBeLessThanOrEqual(job.state.budgets.carryBytes);
  expect(estimateBytes(job.state)).toBeLessThanOrEqual(job.state.budgets.stateBytes);
  expect(job.status).toMatchObject({ waiting: count, received: count });
  expect(job.status.overflow).toBeGreaterThan(count / 2);
  resumeJob(job.state);
  expect(drain(job)).toEqual(Array.from({ length: count }, (__, i) => `person ${i}`));
  expect(job.holders.size).toBe(0);
});

test('a holder weighs no more than a slice', () => {
  const job = flooded(60_000);
  job.dispatch();
  expect(job.holders.size).toBeGreaterThan(5);
  for (const content of job.holders.values())
    expect(Buffer.byteLength(JSON.stringify(content))).toBeLessThanOrEqual(job.state.budgets.sliceBytes);
});

test('millions of waiting triggers cost the job next to nothing', () => {
  const job = flooded(40_000);
  pauseJob(job.state);
  job.dispatch();
  const before = carriedBytes(carryJob(job.state));
  for (let i = 0; i < 100_000; i++) job.signal(`later ${i}`);
  job.dispatch();
  expect(carriedBytes(carryJob(job.state)) - before).toBeLessThan(job.state.budgets.sliceBytes);
});

test('holders that have yet to hear of dropped triggers count in the size of the state', () => {
  const job = flooded(40_000);
  pauseJob(job.state);
  job.dispatch();
  job.state.owedDrops.push(...Array.from({ length: 100_000 }, (_, i) => String(1_000_000 + i)));
  expect(estimateBytes(job.state)).toBeGreaterThanOrEqual(carriedBytes(carryJob(job.state)));
});

test('an ending run starts no work at holders once it fits: results would find it ended, and be replayed', () => {
  const job = flooded(40_000);
  job.dispatch();
  // There is room for another holder's content, and one that was read is to be told so.
  for (let i = 0; i < 4; i++) job.end();
  job.state.owedDrops.push('1000');
  job.facts({ signals: 4000 });
  const filled: Step[] = [];
  let step = job.rawStep();
  for (; step.kind === 'spill'; step = job.rawStep()) {
    filled.push(step);
    job.state.overflow.confirm(step.number);
  }
  // Of what waited behind the chains as long as the run sent on, what is too much is put away first.
  expect(filled.length).toBeGreaterThan(2);
  expect(estimateBytes(job.state)).toBeGreaterThan(job.state.budgets.carryBytes * 0.9);
  expect(step.kind).toBe('continue-as-new');
  job.nextRun();
  job.facts({});
  expect(job.rawStep().kind).toBe('load');
  let next = job.rawStep().kind;
  while (next === 'load') next = job.rawStep().kind;
  expect(next).toBe('drop');
});

test('triggers that arrive while others are spilled go behind them', () => {
  const job = flooded(40_000);
  job.dispatch();
  job.signal('late');
  expect(drain(job).at(-1)).toBe('late');
});

test('a paused job reads nothing back', () => {
  const job = flooded(60_000);
  job.dispatch();
  pauseJob(job.state);
  job.endAll();
  job.dispatch();
  const kept = job.holders.size;
  expect(kept).toBeGreaterThan(20);
  expect(job.rawStep().kind).toBe('wait');
  expect(job.holders.size).toBe(kept);
});

test('a holder that somebody deleted does not stop the job, and the status says what is lost', () => {
  const job = flooded(40_000);
  job.dispatch();
  job.holders.delete('1');
  expect(drain(job).length).toBeLessThan(40_000);
  expect(job.status.notices).toEqual([expect.stringMatching(/holder 1 is gone.*lost/)]);
  expect(job.status.overflow).toBe(0);
});

test('a holder that holds more than was put there hides none of those behind it', () => {
  const job = flooded(40_000);
  job.dispatch();
  const second = job.holders.get('2');
  if (second === undefined) throw new Error('There is no second holder.');
  const strangers = Array.from(
    { length: 30_000 },
    (_, i) => [`stranger ${i}`, ['2026-01-01T00:00:00Z', 0, 1]] as const,
  );
  job.holders.set('1', { ...second, triggers: strangers });
  expect(drain(job)).toContain('person 39999');
});
