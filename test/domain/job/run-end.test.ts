import { expect, test } from '@jest/globals';
import { estimateBytes } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

const OLD = { events: 4096 };
const CONTINUE = { kind: 'continue-as-new' };

/** A job of which one slice does not report, and something waits; its run has grown old. */
function heldUp(): AJob {
  const job = new AJob(2);
  job.dispatchEach(['hangs']);
  job.signal('waits');
  return job;
}

test('an old run dispatches no slice until its running slices have reported, and then ends', () => {
  const job = heldUp().facts(OLD);
  expect(job.step().kind).toBe('wait');
  job.end();
  expect(job.step()).toEqual(CONTINUE);
});

test('an unusually long slice holds up no others: the old run goes on, and ends at the next calm moment', () => {
  const job = heldUp().facts(OLD);
  const step = job.step();
  const until = step.kind === 'wait' ? (step.until ?? Infinity) : 0;
  expect(until - job.now).toBeGreaterThanOrEqual(1_500);
  expect(until - job.now).toBeLessThan(3_000);
  job.now = until - 1;
  expect(job.step().kind).toBe('wait');
  job.now = until;
  expect(job.dispatchedUsers()).toEqual([['waits']]);
  job.signal('comes later');
  expect(job.dispatchedUsers()).toEqual([]);
  job.end();
  expect(job.dispatchedUsers()).toEqual([['comes later']]);
  job.end();
  job.end();
  expect(job.step()).toEqual(CONTINUE);
});

test('the slower the endpoint, the longer an old run waits, but never longer than a slice may take', () => {
  const waited = (requestMs: number): number => {
    const job = heldUp().facts(OLD);
    job.state.requestMs = requestMs;
    const step = job.step();
    return step.kind === 'wait' ? (step.until ?? Infinity) - job.now : 0;
  };
  expect(waited(1_000)).toBe(3_500);
  expect(waited(60_000)).toBe(1_500 + 15_000 + 5_000);
});

test.each([{ events: 8_192 }, { signals: 8_000 }, { historyBytes: 16 * 1024 * 1024 }])(
  'a run of the greatest age (%j) waits for all of its slices',
  (oldest) => {
    const job = heldUp().facts(oldest);
    job.step();
    job.now += 60_000;
    expect(job.step().kind).toBe('wait');
    job.end();
    expect(job.step()).toEqual(CONTINUE);
  },
);

test('triggers that arrive while the end of a run is put off stay in memory, as in a young run', () => {
  const job = heldUp().facts(OLD);
  const step = job.step();
  job.now = (step.kind === 'wait' ? step.until : undefined) ?? 0;
  job.dispatch();
  const profile = { text: 'x'.repeat(60_000) };
  for (let i = 0; i < 40; i++) job.signal(`p${i}`, 'enter', { profile });
  job.step();
  expect(job.holders.size).toBe(0);
  job.facts({ events: 8_192 }).step();
  expect(job.holders.size).toBeGreaterThan(0);
});

test('a run of 256 events and 1.5 s ends in a calm moment if its history is twice its state', () => {
  const job = new AJob(1);
  const bytes = 2 * estimateBytes(job.state);
  expect(job.facts({ events: 255, historyBytes: bytes }).step()).toEqual({ kind: 'wait' });
  expect(job.facts({ events: 256, historyBytes: bytes - 1 }).step()).toEqual({ kind: 'wait' });
  // The server would let the next one wait.
  expect(job.facts({ events: 256, historyBytes: bytes, ageMs: 1_499 }).step()).toEqual({ kind: 'wait' });
  expect(job.facts({ events: 256, historyBytes: bytes, ageMs: 1_500 }).step()).toEqual(CONTINUE);
  // What waits for its next attempt makes more to hand on.
  const waiting = new AJob(1);
  waiting.signal('1', 'enter', { profile: { text: 'x'.repeat(60_000) } });
  waiting.fail({ status: 500 });
  expect(waiting.facts({ events: 256, historyBytes: bytes }).step().kind).toBe('wait');
});

test('a grown run ends when nobody has to wait for it, with or without running slices, and tries once', () => {
  const job = new AJob(3);
  const grown = { events: 256, historyBytes: 10 * estimateBytes(job.state) };
  job.dispatchEach(['hangs']);
  job.signal('waits');
  job.facts(grown);
  // Somebody would have to wait.
  expect(job.dispatchedUsers()).toEqual([['waits']]);
  const step = job.step();
  expect(step.kind).toBe('wait');
  job.signal('comes meanwhile');
  expect(job.step().kind).toBe('wait');
  job.now = (step.kind === 'wait' ? step.until : undefined) ?? 0;
  expect(job.dispatchedUsers()).toEqual([['comes meanwhile']]);
  job.signal('comes later');
  job.end();
  expect(job.dispatchedUsers()).toEqual([['comes later']]);
  // It tries again when it is old.
  job.signal('waits for that');
  expect(job.facts({ events: 4_096 }).step().kind).toBe('wait');
  job.endAll();
  expect(job.step()).toEqual(CONTINUE);
});

test('an ending run waits for its work at holders: a result meanwhile would make the server refuse the end', () => {
  const job = new AJob(1);
  const old = { events: 4_096, historyBytes: 2 ** 22 };
  const step = job.facts({ ...old, atHolders: true }).step();
  const until = step.kind === 'wait' ? (step.until ?? 0) : 0;
  expect(until - job.now).toBeGreaterThanOrEqual(1_500);
  expect(job.facts(old).step()).toEqual(CONTINUE);
});

test('an ending run waits no longer for holders than for slices, since a holder may be unreadable', () => {
  const job = new AJob(1);
  job.facts({ events: 4_096, atHolders: true });
  const step = job.step();
  job.now = step.kind === 'wait' ? (step.until ?? 0) : 0;
  expect(job.step()).toEqual(CONTINUE);
});

test('a run that may end at any calm moment does not end while it has work at holders', () => {
  const job = new AJob(1).facts({ continueSuggested: true, atHolders: true });
  expect(job.step()).toEqual({ kind: 'wait' });
  expect(job.facts({ continueSuggested: true }).step()).toEqual(CONTINUE);
});
