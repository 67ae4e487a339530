import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { isStopped } from '../../../src/domain/job/job.ts';
import { readHolderNow, recallFailed, setHolderAside } from '../../../src/domain/job/holders.ts';
import { stopJob } from '../../../src/domain/job/operating.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { UnreadableHolders } from '../../../src/domain/job/queue/unreadable.ts';
import { AJob } from './a-job.ts';

const PEOPLE = 6_000;
/** So small that they need many holders. */
const SMALL = { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };
const WHY = 'The payload key "2026-05" is not here.';

/** A job with more waiting triggers than its chains take, whose holders in `unreadable` cannot be read. */
class ATroubledJob extends AJob {
  readonly unreadable = new Set<string>();

  override step(): Step {
    for (;;) {
      const step = this.rawStep();
      if (step.kind === 'recall' && this.unreadable.has(step.holder.name))
        recallFailed(this.state, step.holder, WHY, this.now);
      else if (!this.carryOut(step)) return step;
    }
  }

  /** Everybody who was sent something, in that order. */
  readonly sent: string[] = [];

  override end(failed: Parameters<AJob['end']>[0] = {}): void {
    this.sent.push(...(this.running[0]?.triggers.map(({ user }) => user) ?? []));
    super.end(failed);
  }

  /** Sends and lets time pass, for about this long. */
  goOn(ms: number): void {
    for (const until = this.now + ms; this.now < until; this.now += 1000) {
      this.cut();
      while (this.running.length > 0) this.end();
    }
  }
}

function withHolders(unreadable: string): ATroubledJob {
  const job = new ATroubledJob(4, { serverLimits: SMALL });
  job.unreadable.add(unreadable);
  for (let i = 0; i < PEOPLE; i++) job.signal(`person ${String(i).padStart(5, '0')}`);
  job.cut();
  expect(job.holders.size).toBeGreaterThan(3);
  return job;
}

test('what stands before a holder that cannot be read is sent, what stands behind it waits, and people are told which and why', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { sent } = job;
  expect(sent.length).toBeGreaterThan(100);
  expect(job.status.waiting).toBe(PEOPLE - sent.length);
  expect(job.holders.has('2')).toBe(true);
  expect(job.status).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/holder that cannot be read/),
    unreadableHolders: [{ holder: '2', reason: WHY, nextTryAt: expect.any(String) }],
    notices: [expect.stringMatching(/^The holder 2 cannot be read \(The payload key.*--set-aside 2$/)],
  });
  expect(job.alerts.filter(({ kind }) => kind === 'holder-unreadable')).toMatchObject([
    { state: 'began', text: expect.stringMatching(/^The holder 2 cannot be read \(The payload key/) },
  ]);
});

test('it is read again at growing intervals, and once it can be read everything goes on in its order', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { sent } = job;
  job.unreadable.clear();
  job.goOn(700_000);
  expect(sent).toEqual(Array.from({ length: PEOPLE }, (_, i) => `person ${String(i).padStart(5, '0')}`));
  expect(job.status).toMatchObject({ waiting: 0, overflow: 0 });
  expect(job.status).not.toHaveProperty('unreadableHolders');
  expect(job.alerts.filter(({ kind }) => kind === 'holder-unreadable').map(({ state }) => state)).toEqual([
    'began',
    'ended',
  ]);
});

test('a job continues as new though a holder cannot be read, and its next run knows what is wrong', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  job.facts({ events: 1_000_000 });
  expect(job.step()).toEqual({ kind: 'continue-as-new' });
  const before = job.status;
  job.state = restoreJob(structuredClone(carryJob(job.state)));
  expect(job.status).toMatchObject({ waiting: before.waiting, unreadableHolders: before.unreadableHolders });
});

test('set aside, nothing waits for a holder any longer; it keeps its triggers, and read later they are dead letters', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { sent } = job;
  const { length } = job.holders.get('2')?.triggers ?? [];
  expect(setHolderAside(job.state, '3')).toMatch(/not one that could not be read/);
  expect(setHolderAside(job.state, '2')).toBeUndefined();
  job.goOn(100_000);
  expect(sent).toHaveLength(PEOPLE - length);
  expect(job.holders.has('2')).toBe(true);
  expect(job.status).toMatchObject({ waiting: 0, unreadableHolders: [{ holder: '2', isAside: true }] });
  expect(job.alerts.at(-1)).toMatchObject({ kind: 'holder-unreadable', state: 'ended' });

  expect(readHolderNow(job.state, '2', job.now)).toBeUndefined();
  job.goOn(1000);
  expect(job.status.unreadableHolders).toMatchObject([{ holder: '2', isAside: true }]);
  job.unreadable.clear();
  readHolderNow(job.state, '2', job.now);
  job.goOn(1000);
  expect(job.dead).toHaveLength(length);
  expect(job.dead[0]?.failure).toMatchObject({ code: 'HOLDER_SET_ASIDE' });
  expect(job.holders.size).toBe(0);
  expect(job.status).not.toHaveProperty('unreadableHolders');
});

test('a job that delivers what waits keeps a holder that was set aside; one that discards lets it end', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  setHolderAside(job.state, '2');
  job.goOn(100_000);
  stopJob(job.state, 'deliver', job.now + 3_600_000);
  job.step();
  expect(isStopped(job.state)).toBe(true);
  expect(job.holders.has('2')).toBe(true);
  const { stopping: _, ...kept } = structuredClone(carryJob(job.state));
  job.state = restoreJob(kept);
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
  expect(job.holders.size).toBe(0);
});

test('content that no job puts there is no reason to drop it', () => {
  const job = withHolders('none');
  job.holders.set('2', { audiences: [], triggers: [7] } as unknown as Parameters<typeof job.holders.set>[1]);
  job.goOn(60_000);
  expect(job.holders.has('2')).toBe(true);
  expect(job.status.unreadableHolders).toMatchObject([
    { holder: '2', reason: expect.stringMatching(/no job of this release/) },
  ]);
});

test('the intervals double up to ten minutes, and whoever is not remembered is read at the longest', () => {
  const holders = new UnreadableHolders();
  const waits = Array.from({ length: 10 }, () => holders.failed('1', 'x'.repeat(1000), 0) / 1000);
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
  expect(holders.get('1')?.reason).toHaveLength(200);
  for (let i = 2; i <= 50; i++) holders.failed(String(i), 'why', 0);
  expect(holders.failed('51', 'why', 0)).toBe(600_000);
  expect(holders.carry()).toHaveLength(50);
  expect(JSON.stringify(holders.carry()).length).toBeLessThanOrEqual(holders.bytes);
});
