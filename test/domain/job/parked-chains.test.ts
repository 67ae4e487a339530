import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { holderRead } from '../../../src/domain/job/holders.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { carriedBytes, carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob, failForEach } from './a-job.ts';

const LARGE = { profile: { text: 'x'.repeat(60_000) } };
const MINUTE = 60_000;

/** A job of which the first message to each of so many people failed, next to others that arrived. */
function withFailing(people: number): AJob {
  const job = new AJob(1);
  failForEach(job, people, LARGE);
  return job;
}

test('held triggers that take too much of the state are kept by holders, those due last first', () => {
  const job = withFailing(12);
  const { chains, budgets } = job.state;
  expect(chains.heldBytes).toBeLessThanOrEqual(budgets.heldBytes);
  expect(job.holders.size).toBeGreaterThan(5);
  expect(job.status).toMatchObject({ held: 12, waiting: 12, overflow: job.holders.size });
  const parked = [...chains.held()].filter((chain) => chain.parked !== undefined);
  const others = [...chains.held()].filter((chain) => chain.parked === undefined);
  expect(parked).toHaveLength(job.holders.size);
  expect(Math.min(...others.map(({ notBefore }) => notBefore))).toBeLessThan(
    Math.max(...parked.map(({ notBefore }) => notBefore)),
  );
});

test('parked triggers are sent when they are due, before what came later for that person', () => {
  const job = withFailing(12);
  for (let i = 0; i < 12; i++) job.signal(`failing ${i}`, 'exit');
  expect(job.cutMessages()).toEqual([]);
  job.now += MINUTE;
  const told: string[] = [];
  while (job.status.waiting > 0) {
    told.push(...job.cutMessages());
    while (job.running.length > 0) job.end();
  }
  for (let i = 0; i < 12; i++)
    expect(told.filter((message) => message.startsWith(`failing ${i} `))).toEqual([
      `failing ${i} enter a`,
      `failing ${i} exit a`,
    ]);
  expect(job.holders.size).toBe(0);
});

test('parked triggers live through the end of a run', () => {
  const job = withFailing(12);
  const before = carryJob(job.state);
  expect(carriedBytes(before)).toBeLessThan(job.state.budgets.carryBytes);
  job.state = restoreJob(structuredClone(before));
  expect(carryJob(job.state)).toEqual(before);
  job.now += MINUTE;
  while (job.status.waiting > 0) {
    job.cut();
    while (job.running.length > 0) job.end();
  }
  expect(job.status.delivered).toBe(12 + 24);
});

test('a trigger signalled again while the first is parked is sent once', () => {
  const job = new AJob(1);
  const trigger = { at: '2026-01-01T00:00:00Z', profile: { text: 'x'.repeat(60_000) } };
  for (let i = 0; i < 12; i++) {
    job.signal(`failing ${i}`, 'enter', trigger);
    job.signal('fine');
    job.cut();
    while (job.running.length > 0) {
      const index = job.running[0]?.triggers.findIndex(({ user }) => user.startsWith('failing')) ?? -1;
      job.end(index < 0 ? {} : { [index]: { status: 500 } });
      job.cut();
    }
  }
  for (let i = 0; i < 12; i++) job.signal(`failing ${i}`, 'enter', trigger);
  job.now += MINUTE;
  while (job.status.waiting > 0) {
    job.cut();
    while (job.running.length > 0) job.end();
  }
  expect(job.status).toMatchObject({ delivered: 24, repeated: 12, received: 36 });
});

test('discarding drops what is parked too, and its holders end', () => {
  const job = withFailing(12);
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
  expect(job.holders.size).toBe(0);
});

test('however many parked people are due at once, no more is read than the state has room for', () => {
  const job = new AJob(1);
  const { chains, budgets } = job.state;
  const audience = 'a'.repeat(32);
  for (let i = 0; i < 30; i++) {
    for (const at of ['2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'])
      chains.addLive(`failing ${i}`, {
        audience,
        event: 'enter',
        at,
        profile: JSON.stringify(LARGE.profile),
        profileBytes: 60_011,
      });
    const chain = chains.get(`failing ${i}`);
    if (chain === undefined) throw new Error('Nobody waits.');
    chains.startRunning(chain, 2);
    chains.hold(chain, job.now + 1000 + i);
    job.step();
  }
  expect(chains.parkedCount).toBeGreaterThan(20);
  for (let i = 0; i < 2400; i++) job.signal(`small ${i}`);
  job.now += MINUTE;
  const steps: Step[] = [];
  for (let step = job.rawStep(); step.kind !== 'wait'; step = job.rawStep()) steps.push(step);
  for (const step of steps)
    if (step.kind === 'recall') holderRead(job.state, step.holder, job.holders.get(step.holder.name) ?? null, job.now);
  expect(chains.bytes).toBeLessThanOrEqual(budgets.chainBytes);
});

test('a holder of parked triggers weighs no more than a slice, however long the id of the person', () => {
  const job = new AJob(1);
  const user = '漢'.repeat(255);
  for (let i = 0; i < 600; i++) job.signal(user);
  job.cut();
  job.end(
    { 0: { status: 500 } },
    Array.from({ length: 599 }, (_, i) => i + 1),
  );
  job.cut();
  expect(job.holders.size).toBe(1);
  for (const content of job.holders.values())
    expect(Buffer.byteLength(JSON.stringify(content))).toBeLessThanOrEqual(job.state.budgets.sliceBytes);
});

test('a person whose parked triggers are lost continues with what came later, on a schedule of its own', () => {
  const job = withFailing(12);
  const parked = [...job.state.chains.held()].find((chain) => chain.parked !== undefined);
  if (parked === undefined) throw new Error('Nobody is parked.');
  job.signal(parked.user, 'exit');
  job.holders.delete(`p${parked.parked?.number}`);
  job.now += MINUTE;
  const told: string[] = [];
  while (job.status.waiting > 0) {
    told.push(...job.cutMessages());
    while (job.running.length > 0) job.end();
  }
  expect(told).toContain(`${parked.user} exit a`);
  expect(told).not.toContain(`${parked.user} enter a`);
  expect(job.status.retried).toBe(11);
  expect(job.status.notices).toEqual([expect.stringMatching(/is gone.*lost/)]);
});
