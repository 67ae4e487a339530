import { expect, test } from '@jest/globals';
import { carriedBytes, carryJob, estimateBytes } from '../../../src/domain/job/carrying.ts';
import { silentAfterMs } from '../../../src/domain/job/dispatching.ts';
import { endQuarantines, hasLostBefore, reclaimSlice, type SilentSlice } from '../../../src/domain/job/quarantine.ts';
import { HEARTBEAT_TIMEOUT_MS } from '../../../src/domain/limits.ts';
import { AJob } from './a-job.ts';

const OLD = { events: 4096 };
/** As long as a request of 15 s that a slice has just started may be open, and what a frozen machine may need to notice. */
const OVER_MS = 21_500;

/** The server has ended a slice of the job; default: the first. */
function reclaim(job: AJob, lost: Partial<SilentSlice> = {}, sliceId = 1): void {
  const { requestTimeoutMs } = job.state.job;
  reclaimSlice(
    job.state,
    sliceId,
    { details: undefined, isSilent: true, requestTimeoutMs, delaysLost: true, ...lost },
    job.now,
  );
}

/** A job whose first slice was reclaimed from a dead worker, in a run that is to end. */
function reclaimed(): { readonly job: AJob; readonly diedAt: number } {
  const job = new AJob(2);
  job.dispatchEach(['in doubt']);
  const diedAt = job.now;
  job.signal('in doubt', 'exit');
  job.facts(OLD);
  job.now += HEARTBEAT_TIMEOUT_MS;
  expect(job.step().kind).toBe('wait');
  reclaim(job);
  return { job, diedAt };
}

test('a run may end once its silent slice is reclaimed; the next keeps person and permit until it is over', () => {
  const { job, diedAt } = reclaimed();
  expect(job.step()).toEqual({ kind: 'continue-as-new' });
  job.nextRun();
  job.facts({});
  for (const user of ['1', '2']) job.signal(user);
  expect(job.dispatch()).toMatchObject([{ permits: 1, triggers: [{ user: '1' }, { user: '2' }] }]);
  // The first is the dead worker's: a late report of it changes nothing.
  job.end();
  job.end();
  expect(job.step()).toEqual({ kind: 'wait', until: diedAt + OVER_MS });
  job.now = diedAt + OVER_MS - 1;
  expect(job.dispatchedUsers()).toEqual([]);
  job.now++;
  expect(job.dispatchedMessages()).toEqual(['in doubt enter a', 'in doubt exit a']);
});

test('a run that was put off ends after its slice was reclaimed, although others run meanwhile', () => {
  const job = new AJob(2);
  job.dispatchEach(['in doubt']);
  job.facts(OLD);
  expect(job.step().kind).toBe('wait');
  job.now += HEARTBEAT_TIMEOUT_MS;
  job.signal('other');
  expect(job.dispatchedUsers()).toEqual([['other']]);
  reclaim(job);
  job.signal('another');
  expect(job.dispatchedUsers()).toEqual([]);
  job.running.shift();
  job.end();
  expect(job.step()).toEqual({ kind: 'continue-as-new' });
});

test('a slice that ran for too long may have sent a heartbeat just now: it is over later', () => {
  const job = new AJob(1);
  job.dispatchEach(['in doubt']);
  reclaim(job, { isSilent: false });
  expect(job.waitsMs).toBe(OVER_MS);
});

test('with a short request timeout a slice is silent no later than it is over, so its triggers go back at once', () => {
  const job = new AJob(1, { requestTimeoutMs: 1_000 });
  job.dispatchEach(['in doubt']);
  const overAfterMs = 7_500;
  expect(silentAfterMs(1_000)).toBe(overAfterMs);
  job.now += overAfterMs;
  reclaim(job);
  expect(job.dispatchedUsers()).toEqual([['in doubt']]);
});

test('the last heartbeat of a silent slice settles what it reported, and only the rest is in doubt', () => {
  const job = new AJob(1).signals('told', 'not told');
  const [slice] = job.dispatch();
  expect(slice?.triggers).toHaveLength(2);
  reclaim(job, { details: { delivered: [[0, 0]], failed: [] } });
  expect(job.status).toMatchObject({ delivered: 1, waiting: 1, inFlight: 1 });
});

test('people in quarantine count for what is carried', () => {
  const job = new AJob(1);
  for (let n = 0; n < 250; n++) expect(job.signal(`${n}`.padEnd(200, 'x'))).toBeUndefined();
  job.dispatch();
  reclaim(job);
  const carried = carriedBytes(carryJob(job.state));
  expect(carried).toBeGreaterThan(100_000);
  expect(estimateBytes(job.state)).toBeGreaterThanOrEqual(carried);
});

function passWait(job: AJob): number {
  const waitsMs = job.waitsMs ?? NaN;
  job.now += waitsMs;
  return waitsMs;
}

/** Loses the next slice as soon as it is dispatched. Returns how long its people wait after its quarantine, in ms. */
function lose(job: AJob, lost: Partial<SilentSlice> = {}): number {
  const [slice] = job.dispatch();
  job.running.length = 0;
  reclaim(job, { isSilent: false, ...lost }, slice?.sliceId);
  passWait(job);
  endQuarantines(job.state, job.now);
  return job.state.chains.delayedCount > 0 ? passWait(job) : 0;
}

test('people whose slices are lost in a row wait ever longer, up to half an hour; the first loss costs nothing', () => {
  const job = new AJob(1).signals('ends its worker');
  const waits = [1, 2, 3, 4, 5, 6, 7, 8].map(() => lose(job));
  const [first, ...others] = waits.map((ms) => ms / 1000);
  expect(first).toBe(0);
  for (const [place, seconds] of [5, 30, 120, 600, 1800, 1800, 1800].entries()) {
    expect(others[place]).toBeGreaterThanOrEqual(seconds * 0.8);
    expect(others[place]).toBeLessThanOrEqual(seconds * 1.2);
  }
  expect(job.dispatchedUsers()).toEqual([['ends its worker']]);
});

test('an attempt that has an outcome ends the row of losses, and others are not delayed by it', () => {
  const job = new AJob(1).signals('unlucky');
  lose(job);
  expect(hasLostBefore(job.state, 2)).toBe(false);
  job.dispatch();
  expect(hasLostBefore(job.state, 2)).toBe(true);
  job.end({ 0: { status: 500 } });
  passWait(job);
  expect(lose(job)).toBe(0);
  job.signal('other');
  expect(job.dispatchedUsers()).toEqual([['unlucky', 'other']]);
});

test('the next run knows how many slices in a row were lost', () => {
  const job = new AJob(1).signals('ends its worker');
  lose(job);
  job.nextRun();
  job.dispatch();
  reclaim(job, { isSilent: false }, 2);
  // The quarantine is carried with its delay, too.
  job.nextRun();
  job.running.length = 0;
  passWait(job);
  expect(job.dispatchedUsers()).toEqual([]);
  job.nextRun();
  expect(job.waitsMs).toBeGreaterThan(0);
  expect(job.state.chains.get('ends its worker')).toMatchObject({ place: 'delayed', losses: 2 });
});

test('a run that a release before 0.2.0 decided sends again at once', () => {
  const job = new AJob(1).signals('ends its worker');
  expect([1, 2, 3].map(() => lose(job, { delaysLost: false }))).toEqual([0, 0, 0]);
});
