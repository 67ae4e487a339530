import { expect, test } from '@jest/globals';
import { signsSeen } from '../../../src/domain/job/giving-up.ts';
import { carriedBytes, carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

const OLD = { events: 4096 };
/** As long as a request of 15 s that a slice has just started may be open, and what a frozen machine may need to notice. */
const OVER_MS = 21_500;

/** A job of which the worker of one slice, the first, is dead, in a run that is to end; and when the job looks for its signs of life first. */
function heldUp(): { readonly job: AJob; readonly diedAt: number } {
  const job = new AJob(2);
  job.signal('in doubt');
  job.cut();
  const diedAt = job.now;
  job.signal('in doubt', 'exit');
  job.facts(OLD);
  const step = job.step();
  job.now = step.kind === 'wait' ? (step.until ?? 0) : 0;
  return { job, diedAt };
}

/** The same, and the job has looked twice. */
function givenUp(): ReturnType<typeof heldUp> {
  const { job, diedAt } = heldUp();
  for (const given of [[], [1]]) {
    expect(job.step().kind).toBe('look-for-signs');
    expect(signsSeen(job.state, [{ sliceId: 1, lastAtMs: diedAt }], job.now)).toEqual(given);
    if (given.length === 0) waitFor(job);
  }
  return { job, diedAt };
}

function waitFor(job: AJob): void {
  const step = job.step();
  if (step.kind !== 'wait' || step.until === undefined) throw new Error(`The job does not wait: ${step.kind}.`);
  job.now = step.until;
}

test('a run that a slice holds up looks for signs of life, and looks again when two heartbeats should have come', () => {
  const { job, diedAt } = heldUp();
  expect(job.step().kind).toBe('look-for-signs');
  expect(job.step().kind).toBe('wait');
  const lookedAt = job.now;
  expect(signsSeen(job.state, [{ sliceId: 1, lastAtMs: diedAt }], job.now)).toEqual([]);
  waitFor(job);
  expect(job.now - lookedAt).toBe(OVER_MS / 4);
  expect(job.step().kind).toBe('look-for-signs');
});

test('a worker that is late by a second or two is not taken for dead, however short requests may be', () => {
  const job = new AJob(1, { requestTimeoutMs: 1_000 });
  job.signal('in doubt');
  job.cut();
  job.facts(OLD);
  waitFor(job);
  const sign = { sliceId: 1, lastAtMs: job.now };
  job.step();
  signsSeen(job.state, [sign], job.now);
  job.now += 3_999;
  expect(signsSeen(job.state, [sign], job.now)).toEqual([]);
  job.now++;
  expect(signsSeen(job.state, [sign], job.now)).toEqual([1]);
});

test('a slice that shows a sign of life between two looks is waited for', () => {
  const { job } = heldUp();
  for (let look = 0; look < 5; look++) {
    expect(job.step().kind).toBe('look-for-signs');
    expect(signsSeen(job.state, [{ sliceId: 1, lastAtMs: job.now }], job.now)).toEqual([]);
    waitFor(job);
  }
});

test('one that no worker has taken yet, or that nobody could look for, is not given up', () => {
  const { job } = heldUp();
  for (const found of [[], undefined, []]) {
    expect(job.step().kind).toBe('look-for-signs');
    expect(signsSeen(job.state, found, job.now)).toEqual([]);
    waitFor(job);
  }
});

test('one without a sign is given up: the run ends, and in the next its person and its permit are taken until it is over', () => {
  const { job, diedAt } = givenUp();
  expect(job.step()).toEqual({ kind: 'continue-as-new' });
  job.state = restoreJob(JSON.parse(JSON.stringify(carryJob(job.state))) as ReturnType<typeof carryJob>);
  job.facts({});
  for (const user of ['1', '2']) job.signal(user);
  expect(job.cut()).toMatchObject([{ permits: 1, triggers: [{ user: '1' }, { user: '2' }] }]);
  // The first is the dead worker's: if it says something after all, that comes too late.
  job.end();
  job.end();
  expect(job.step()).toEqual({ kind: 'wait', until: diedAt + OVER_MS });
  job.now = diedAt + OVER_MS - 1;
  expect(job.cutUsers()).toEqual([]);
  job.now++;
  expect(job.cutMessages()).toEqual(['in doubt enter a', 'in doubt exit a']);
});

test('what its last heartbeat told is settled, and only the rest is in doubt', () => {
  const job = new AJob(1);
  for (const user of ['told', 'not told']) job.signal(user);
  const [slice] = job.cut();
  expect(slice?.triggers).toHaveLength(2);
  job.facts(OLD);
  waitFor(job);
  const sign = { sliceId: 1, lastAtMs: job.now, progress: { delivered: [[0, 0]], failed: [] } };
  job.step();
  signsSeen(job.state, [sign], job.now);
  waitFor(job);
  job.step();
  expect(signsSeen(job.state, [sign], job.now)).toEqual([1]);
  expect(job.status).toMatchObject({ delivered: 1, waiting: 1, inFlight: 1 });
});

test('whoever is in doubt counts for what is carried', () => {
  const job = new AJob(1);
  for (let n = 0; n < 250; n++) expect(job.signal(`${n}`.padEnd(200, 'x'))).toBeUndefined();
  job.cut();
  job.facts(OLD);
  waitFor(job);
  const sign = { sliceId: 1, lastAtMs: job.now };
  for (const _ of [1, 2]) {
    job.step();
    signsSeen(job.state, [sign], job.now);
    job.now += OVER_MS / 4;
  }
  const carried = carriedBytes(carryJob(job.state));
  expect(carried).toBeGreaterThan(100_000);
  expect(estimateBytes(job.state)).toBeGreaterThanOrEqual(carried);
});
