import { expect, test } from '@jest/globals';
import type { Step } from '../../../src/domain/job/steps.ts';
import { loadFailed } from '../../../src/domain/job/holders.ts';
import { retryNow, stopJob } from '../../../src/domain/job/operating.ts';
import { readingFailed, UNREADABLE_BYTES, type UnreadableHolder } from '../../../src/domain/job/queue/overflow.ts';
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
      if (step.kind === 'load' && this.unreadable.has(String(step.number)))
        loadFailed(this.state, step.number, WHY, this.now);
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
      this.dispatch();
      this.endAll();
    }
  }
}

function withHolders(unreadable: string): ATroubledJob {
  const job = new ATroubledJob(4, { serverLimits: SMALL });
  job.unreadable.add(unreadable);
  for (let i = 0; i < PEOPLE; i++) job.signal(`person ${String(i).padStart(5, '0')}`);
  job.dispatch();
  expect(job.holders.size).toBeGreaterThan(3);
  return job;
}

test('triggers before an unreadable holder are sent, those behind it wait, and operators learn which and why', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { sent } = job;
  expect(sent.length).toBeGreaterThan(100);
  expect(job.status.waiting).toBe(PEOPLE - sent.length);
  expect(job.holders.has('2')).toBe(true);
  expect(job.status).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/holder that cannot be read/),
    unreadableHolder: { holder: '2', reason: WHY, nextTryAt: expect.any(String) },
    notices: [
      expect.stringMatching(/^The holder 2 cannot be read \(The payload key.*delete its workflow holder-.*-2: /),
    ],
  });
  expect(job.alerts.filter(({ kind }) => kind === 'holder-unreadable')).toMatchObject([
    { state: 'began', text: expect.stringMatching(/^The holder 2 cannot be read \(The payload key/) },
  ]);
});

test('an unreadable holder is read again, and once it can be read everything continues in order', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { sent } = job;
  job.unreadable.clear();
  job.goOn(700_000);
  expect(sent).toEqual(Array.from({ length: PEOPLE }, (_, i) => `person ${String(i).padStart(5, '0')}`));
  expect(job.status).toMatchObject({ waiting: 0, overflow: 0 });
  expect(job.status).not.toHaveProperty('unreadableHolder');
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
  job.nextRun();
  expect(job.status).toMatchObject({ waiting: before.waiting, unreadableHolder: before.unreadableHolder });
});

test('a holder with foreign content is not dropped', () => {
  const job = withHolders('none');
  job.holders.set('2', { audiences: [], triggers: [7] } as unknown as Parameters<typeof job.holders.set>[1]);
  job.goOn(60_000);
  expect(job.holders.has('2')).toBe(true);
  expect(job.status.unreadableHolder).toMatchObject({
    holder: '2',
    reason: expect.stringMatching(/no job of this release/),
  });
});

test('an operator who tries now has it read at once', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  job.unreadable.clear();
  retryNow(job.state, job.now);
  job.goOn(1000);
  expect(job.status).not.toHaveProperty('unreadableHolder');
});

test('a deleted holder is reported with its loss, and the other triggers are sent', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  const { length } = job.holders.get('2')?.triggers ?? [];
  job.holders.delete('2');
  job.unreadable.clear();
  job.goOn(700_000);
  expect(job.sent).toHaveLength(PEOPLE - length);
  expect(job.status).toMatchObject({ waiting: 0, notices: [expect.stringMatching(/^The holder 2 is gone/)] });
});

test('a job that discards what waits lets a holder end that cannot be read', () => {
  const job = withHolders('2');
  job.goOn(60_000);
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
  expect(job.holders.size).toBe(0);
});

test('the intervals double up to ten minutes', () => {
  let holder: UnreadableHolder | undefined;
  const waits = Array.from(
    { length: 10 },
    () => (holder = readingFailed(holder, 1, 'x'.repeat(1000), 0)).retryAt / 1000,
  );
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
  expect(holder?.reason).toHaveLength(200);
  expect(JSON.stringify(holder).length).toBeLessThanOrEqual(UNREADABLE_BYTES);
});

test('the oldest of several unreadable holders counts', () => {
  const third = readingFailed(undefined, 3, 'No key.', 0);
  const second = readingFailed(third, 2, 'No key.', 10);
  expect(second).toMatchObject({ number: 2, since: 10, tries: 1 });
  expect(readingFailed(second, 3, 'No key.', 20)).toBe(second);
});
