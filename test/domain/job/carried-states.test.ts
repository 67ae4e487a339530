import { expect, test } from '@jest/globals';
import type { DeadLetter } from '../../../src/contract/dead-letter.ts';
import type { PackedTriggers } from '../../../src/contract/holder.ts';
import type { WatchState } from '../../../src/features/watch/sandbox/watch.ts';
import { describeDeadLetter, redeliveryOf } from '../../../src/domain/job/dead-letter.ts';
import { NewerState } from '../../../src/domain/errors.ts';
import { operateBackfill, resumeJob, runAgain } from '../../../src/domain/job/operating.ts';
import { type CarriedJob, carryJob, isCarriedJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { waitingTriggers } from '../../../src/domain/job/state.ts';
import { parseJson } from '../../../src/domain/json.ts';
import { describeWatch } from '../../../src/features/watch/sandbox/rounds.ts';
import { recordings } from '../../support/recordings.ts';
import { AJob } from './a-job.ts';

/** What a real job carried, and what its holders kept, by name. */
interface RecordedJob {
  readonly carried: CarriedJob;
  readonly holders: Readonly<Record<string, PackedTriggers>>;
}

const all = recordings('carried').map(({ release, name, text }) => ({
  release,
  name,
  state: parseJson(text) as unknown,
}));
const jobs = all.filter(({ name }) => name.startsWith('job-')) as {
  release: string;
  name: string;
  state: RecordedJob;
}[];

const DAY_MS = 86_400_000;
/** After everything that was recorded. */
const AFTER = Date.UTC(2100, 0, 1);

/** A job that goes on much later with what one carried; nothing keeps it from sending. */
function goOn({ carried, holders }: RecordedJob): AJob {
  const job = new AJob();
  job.state = restoreJob(carried);
  job.now = AFTER;
  runAgain(job.state, 0);
  for (const [name, content] of Object.entries(holders)) job.holders.set(name, content);
  resumeJob(job.state);
  operateBackfill(job.state, 'resume');
  return job;
}

/** Delivers all there is, and says how much that was. */
function deliverAll(job: AJob): number {
  const before = job.state.counters.delivered;
  for (let turns = 0; turns < 1_000; turns++) {
    job.dispatch();
    if (job.running.length > 0) job.end();
    else if (job.status.waiting === 0) break;
    else job.now += job.waitsMs ?? DAY_MS;
  }
  return job.state.counters.delivered - before;
}

test('there are states of a release to hold later code to', () => {
  expect(new Set(jobs.map(({ name }) => name)).size).toBeGreaterThanOrEqual(4);
});

test.each(jobs)(
  '$name, which a job of $release carried, is described, and all that waits is delivered',
  ({ state }) => {
    expect(isCarriedJob(state.carried)).toBe(true);
    const job = goOn(state);
    const { waiting } = job.status;
    expect(waiting).toBeGreaterThan(0);
    expect(deliverAll(job)).toBe(waiting);
    expect(job.status).toMatchObject({ waiting: 0, overflow: 0 });
  },
);

test.each(jobs)('$name, which a job of $release carried, is carried on without loss', ({ state: { carried } }) => {
  const restored = restoreJob(carried);
  const again = carryJob(restoreJob(carryJob(restored)));
  expect(waitingTriggers(restoreJob(again))).toBe(waitingTriggers(restored));
  expect(again).toMatchObject({ job: carried.job, counters: carried.counters, deliveredKeys: carried.deliveredKeys });
});

test.each(all.filter(({ name }) => name === 'dead-letter.json'))(
  'a dead letter of $release is described, and can be redelivered',
  ({ state }) => {
    const letter = state as DeadLetter;
    expect(describeDeadLetter(letter, 'waiting', 0, undefined)).toMatchObject({
      user: 'refused',
      audience: { slug: 'vip' },
    });
    const asking = { workflowId: 'dead-letter-1', runId: 'run', question: 1 };
    expect(redeliveryOf(letter, { asking, force: false, isWithdrawn: false })).toMatchObject({
      user: 'refused',
      trigger: { redelivery: 1 },
    });
  },
);

test.each(all.filter(({ name }) => name.startsWith('watch-')))(
  '$name, a watch of $release, is described',
  ({ name, state }) => {
    const phase = name === 'watch-held.json' ? 'held' : 'failing';
    expect(describeWatch(state as WatchState, phase)).toMatchObject({
      state: phase,
      rounds: expect.any(Number),
      audience: { slug: 'watched' },
    });
  },
);

test('a state of a newer version is refused, and not taken for a definition', () => {
  expect(() => isCarriedJob({ v: 2, anything: true })).toThrow(NewerState);
  expect(isCarriedJob({ label: 'A definition', audiences: ['vip'] })).toBe(false);
});
