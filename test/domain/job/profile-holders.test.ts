import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { isStopped } from '../../../src/domain/job/job.ts';
import { ProfileHolders } from '../../../src/domain/job/queue/profile-holders.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob } from '../../../src/domain/job/carrying.ts';
import { DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';
import { SpilledProfile } from '../../../src/domain/trigger.ts';
import { AJob } from './a-job.ts';

const DAY_MS = 86_400_000;
const nameOf = (signal: number) => `h${String(signal).padStart(15, '0')}`;
const spilledIn = (signal: number, place = 0) => ({ profile: new SpilledProfile([nameOf(signal), place]) });

/** A job that writes down what it lets go. */
class AHoldingJob extends AJob {
  readonly dropped: string[] = [];

  protected override carryOut(step: Step): boolean {
    if (step.kind === 'drop') this.dropped.push(...step.holders);
    return super.carryOut(step);
  }
}

/** So small that a handful of triggers is more than a job holds in its own state. */
const small = () => ({ serverLimits: { ...DEFAULT_SERVER_LIMITS, payloadBytes: 16 * 1024 } });

test('a slice is given the holder and the place of a profile', () => {
  const job = new AHoldingJob();
  job.signal('1', 'enter', spilledIn(1, 7));
  expect(job.dispatch()[0]?.triggers).toEqual([expect.objectContaining({ user: '1', profileRef: [nameOf(1), 7] })]);
});

test('a profile holder is dropped once all its triggers are sent, and not before', () => {
  const job = new AHoldingJob(2);
  job.signal('1', 'enter', spilledIn(1, 0));
  job.signal('2', 'enter', spilledIn(1, 1));
  job.send();
  job.dispatch();
  if (job.running.length > 0) {
    expect(job.dropped).toEqual([]);
    job.end();
  }
  job.dispatch();
  expect(job.dropped).toEqual([nameOf(1)]);
});

test('while somebody else waits, unneeded profile holders are dropped where the run ends', () => {
  const job = new AHoldingJob(1);
  job.signal('fails', 'enter', spilledIn(1));
  job.fail({ status: 500 });
  job.signal('well', 'enter', spilledIn(2));
  job.sendAll();
  expect(job.dropped).toEqual([]);
  job.facts({ continueSuggested: true });
  expect(job.step().kind).toBe('continue-as-new');
  job.nextRun();
  job.facts({});
  job.dispatch();
  expect(job.dropped).toEqual([nameOf(2)]);
  job.now += DAY_MS / 24;
  job.sendAll();
  expect(job.dropped).toEqual([nameOf(2), nameOf(1)]);
});

test('a holder whose other triggers wait behind the chains is kept for them', () => {
  const job = new AHoldingJob(1, small());
  let users = 0;
  while (job.state.overflow.isEmpty) job.signal(`${users++}`, 'enter', spilledIn(1, users));
  for (let i = 0; i < 100; i++) job.signal(`${users++}`, 'enter', spilledIn(2, i));
  job.nextRun();
  const told: string[] = [];
  for (job.dispatch(); job.running.length > 0; job.dispatch()) {
    const waiting = job.running.flatMap(({ triggers }) => triggers.flatMap(({ profileRef }) => profileRef?.[0] ?? []));
    for (const name of waiting) expect(job.dropped).not.toContain(name);
    told.push(...waiting);
    job.end();
  }
  expect(told).toHaveLength(users);
  expect([...job.dropped].filter((name) => name.startsWith('h')).sort()).toEqual([nameOf(1), nameOf(2)]);
});

test('a trigger that the job does not want needs no profile any more', () => {
  const job = new AHoldingJob();
  job.state.job = { ...job.state.job, definition: { ...job.state.job.definition, events: ['enter'] } };
  job.signal('1', 'exit', spilledIn(1));
  job.signal('2', 'enter', { ...spilledIn(2), audience: 'unknown' });
  job.dispatch();
  expect(job.dropped).toEqual([nameOf(1), nameOf(2)]);
});

test.each(['deliver', 'discard'] as const)('a job that ends (%s) leaves none behind', (waiting) => {
  const job = new AHoldingJob();
  job.signal('1', 'enter', spilledIn(1));
  if (waiting === 'deliver') job.sendAll();
  stopJob(job.state, waiting, job.now + DAY_MS);
  expect(job.step().kind).toBe('finish');
  expect(job.dropped).toEqual([nameOf(1)]);
});

test('a job that keeps what waits keeps its profiles', () => {
  const job = new AHoldingJob();
  job.signal('1', 'enter', spilledIn(1));
  stopJob(job.state, 'keep');
  job.step();
  expect(isStopped(job.state)).toBe(true);
  expect(job.dropped).toEqual([]);
});

test('a rejected trigger behind others does not change which profile holder went last into the chains', () => {
  const job = new AHoldingJob(1, small());
  let users = 0;
  while (job.state.overflow.isEmpty) job.signal(`${users++}`, 'enter', spilledIn(1, users));
  job.signal('unwanted', 'enter', { ...spilledIn(2), audience: 'unknown' });
  expect(carryJob(job.state).profileHolders).toMatchObject({ last: nameOf(1) });
});

const enter = (holders: ProfileHolders, signal: number) => holders.enters({ profileRef: [nameOf(signal), 0] });
const none: ReadonlySet<string> = new Set();

test('while others wait behind the chains, the last profile holder is kept, over the end of a run, too', () => {
  const holders = new ProfileHolders([]);
  enter(holders, 1);
  expect(holders.takeUnneeded(none, true)).toEqual([]);
  enter(holders, 2);
  expect(holders.takeUnneeded(none, true)).toEqual([nameOf(1)]);
  const next = new ProfileHolders([], holders.carry(true));
  expect(next.takeUnneeded(none, true)).toEqual([]);
  enter(next, 3);
  expect(next.takeUnneeded(none, true)).toEqual([nameOf(2)]);
  expect(next.takeUnneeded(none, false)).toEqual([nameOf(3)]);
});

test('no slice needs more than eight holders', () => {
  const job = new AHoldingJob(1000);
  for (let i = 0; i < 40; i++) job.signal(`${i}`, 'enter', spilledIn(i));
  const needs = job.dispatch().map(({ triggers }) => new Set(triggers.map(({ profileRef }) => profileRef?.[0])).size);
  expect(Math.max(...needs)).toBeLessThanOrEqual(8);
});
