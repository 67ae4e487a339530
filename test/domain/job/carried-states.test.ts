import { expect, test } from '@jest/globals';
import type { DeadLetter } from '../../../src/contract/dead-letter.ts';
import type { PackedTriggers } from '../../../src/contract/holder.ts';
import type { WatchState } from '../../../src/contract/watch.ts';
import { describeDeadLetter, redeliveryOf } from '../../../src/domain/dead-letter.ts';
import { NewerState } from '../../../src/domain/errors.ts';
import type { CarriedBackfillRequest } from '../../../src/domain/job/backfill-requests.ts';
import type { CarriedBackfill } from '../../../src/domain/job/backfill.ts';
import type { CarriedBreaker } from '../../../src/domain/job/breaker.ts';
import type { CarriedHead, ParkedTriggers } from '../../../src/domain/job/chain.ts';
import { operateBackfill, resumeJob } from '../../../src/domain/job/operating.ts';
import type { CarriedOverflow } from '../../../src/domain/job/overflow.ts';
import type { CarriedPace } from '../../../src/domain/job/pace.ts';
import {
  type CarriedJob,
  carryJob,
  isCarriedJob,
  recordJob,
  restoreJob,
  setJob,
  type JobRecord,
  type Stopping,
} from '../../../src/domain/job/state.ts';
import { FORM_DEFAULTS } from '../../../src/domain/job-form.ts';
import { parseJson, stringifyJson, utf8Bytes } from '../../../src/domain/json.ts';
import { describeKeptJob, type KeptJob, keptTriggers, resumedJob } from '../../../src/domain/kept-job.ts';
import { describeWatch } from '../../../src/domain/watch.ts';
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
const keptJobs = all.filter(({ name }) => name === 'kept-job.json') as { release: string; state: KeptJob }[];

const DAY_MS = 86_400_000;
/** After everything that was recorded. */
const AFTER = Date.UTC(2100, 0, 1);

/** A job that goes on much later with what one carried; nothing keeps it from sending. */
function goOn({ carried, holders }: RecordedJob): AJob {
  const job = new AJob();
  job.state = restoreJob(resumedJob(carried, 0));
  job.now = AFTER;
  for (const [name, content] of Object.entries(holders)) job.holders.set(name, content);
  resumeJob(job.state);
  operateBackfill(job.state, 'resume');
  return job;
}

/** Delivers all there is, and says how much that was. */
function deliverAll(job: AJob): number {
  const before = job.state.counters.delivered;
  for (let turns = 0; turns < 1_000; turns++) {
    job.cut();
    if (job.running.length > 0) job.end();
    else if (job.status.waiting === 0) break;
    else job.now += job.waitsMs ?? DAY_MS;
  }
  return job.state.counters.delivered - before;
}

test('there are states of a release to hold later code to', () => {
  expect(new Set(jobs.map(({ name }) => name)).size).toBeGreaterThanOrEqual(4);
  expect(keptJobs.length).toBeGreaterThan(0);
});

test.each(jobs)(
  '$name, which a job of $release carried, is described, and all that waits is delivered',
  ({ state }) => {
    expect(isCarriedJob(state.carried)).toBe(true);
    const job = goOn(state);
    const { waiting } = job.status;
    expect(waiting).toBe(keptTriggers(state.carried));
    expect(waiting).toBeGreaterThan(0);
    expect(deliverAll(job)).toBe(waiting);
    expect(job.status).toMatchObject({ waiting: 0, overflow: 0 });
  },
);

test.each(jobs)('$name, which a job of $release carried, is carried on without loss', ({ state: { carried } }) => {
  const again = carryJob(restoreJob(carryJob(restoreJob(carried))));
  expect(keptTriggers(again)).toBe(keptTriggers(carried));
  expect(again).toMatchObject({ job: carried.job, counters: carried.counters, deliveredKeys: carried.deliveredKeys });
});

test.each(keptJobs)('what a job of $release kept is described, and delivered when it is resumed', ({ state }) => {
  expect(describeKeptJob(state, 'kept', 0, undefined).waiting).toBeGreaterThan(0);
  expect(deliverAll(goOn({ carried: state.carried, holders: {} }))).toBe(keptTriggers(state.carried));
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

type Optional<T> = { [Key in keyof T]-?: object extends Pick<T, Key> ? Key : never }[keyof T];
/** Every optional field, by where it is; the compiler asks for those that are added. */
const OPTIONAL: {
  readonly job: Record<Optional<CarriedJob>, true>;
  readonly backfill: Record<Optional<CarriedBackfill>, true>;
  readonly breaker: Record<Optional<CarriedBreaker>, true>;
  readonly pace: Record<Optional<CarriedPace>, true>;
  readonly head: Record<Exclude<Optional<CarriedHead>, 'parked'>, true>;
  readonly parked: Record<Optional<ParkedTriggers>, true>;
  readonly record: Record<Optional<JobRecord>, true>;
  readonly stopping: Record<Exclude<Optional<Stopping>, 'deadlineAt'>, true>;
  readonly overflow: Record<Optional<CarriedOverflow>, true>;
  readonly backfillRequest: Record<Optional<CarriedBackfillRequest>, true>;
} = {
  job: {
    backfill: true,
    backfillRequests: true,
    pause: true,
    stopping: true,
    throttle: true,
    spacing: true,
    quota: true,
    gathering: true,
    breaker: true,
    lastDeliveredAt: true,
    lastFailure: true,
    editProblem: true,
    loss: true,
    alerts: true,
    takenLetters: true,
    unreadable: true,
    trend: true,
    profileHolders: true,
    lostSlices: true,
    newest: true,
  },
  backfill: { requestId: true, expected: true, restarts: true, leftOut: true, difference: true, exitPages: true },
  breaker: { acceptedAt: true, freshFrom: true, isUnproven: true },
  pace: { paused: true, sampleLeft: true },
  // Not `parked`: it says where triggers are.
  head: { failures: true, profileTries: true, notBefore: true, batchMost: true },
  parked: { since: true, profileHolders: true },
  record: { calendar: true },
  // Not `deadlineAt`: with it, it is known when to end.
  stopping: { isPlanned: true },
  overflow: { heldSince: true },
  backfillRequest: { asked: true, ended: true },
};

function omit<T extends object>(value: T, field: string): T {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== field)) as T; // Only what is optional is left out.
}

/** What is carried, without one optional field of one of its parts. */
const WITHOUT: { readonly [Part in keyof typeof OPTIONAL]: (carried: CarriedJob, field: string) => CarriedJob } = {
  job: omit,
  backfill: (carried, field) =>
    carried.backfill === undefined ? carried : { ...carried, backfill: omit(carried.backfill, field) },
  breaker: (carried, field) =>
    carried.breaker === undefined ? carried : { ...carried, breaker: omit(carried.breaker, field) },
  pace: (carried, field) =>
    carried.backfill === undefined
      ? carried
      : { ...carried, backfill: { ...carried.backfill, pace: omit(carried.backfill.pace, field) } },
  head: (carried, field) => ({
    ...carried,
    chains: carried.chains.map(([user, triggers, more]) => [user, triggers, omit(more ?? {}, field)] as const),
  }),
  parked: (carried, field) => ({
    ...carried,
    chains: carried.chains.map(([user, triggers, more = {}]) => {
      const parked = more.parked === undefined ? {} : { parked: omit(more.parked, field) };
      return [user, triggers, { ...more, ...parked }] as const;
    }),
  }),
  record: (carried, field) => ({ ...carried, job: omit(carried.job, field) }),
  stopping: (carried, field) =>
    carried.stopping === undefined ? carried : { ...carried, stopping: omit(carried.stopping, field) },
  overflow: (carried, field) => ({ ...carried, overflow: omit(carried.overflow, field) }),
  backfillRequest: (carried, field) =>
    carried.backfillRequests === undefined
      ? carried
      : { ...carried, backfillRequests: carried.backfillRequests.map((request) => omit(request, field)) },
};
const parts = Object.keys(OPTIONAL) as (keyof typeof OPTIONAL)[];
const optional = parts.flatMap((part) => Object.keys(OPTIONAL[part]).map((field) => [part, field] as const));

test.each(optional)('a release that did not know "%s.%s" carried no less: a job goes on without it', (part, field) => {
  for (const { state } of jobs) {
    const job = goOn({ ...state, carried: WITHOUT[part](state.carried, field) });
    const { waiting } = job.status;
    expect(waiting).toBeGreaterThan(0);
    expect(deliverAll(job)).toBe(waiting);
  }
});

test.each(Object.entries(FORM_DEFAULTS))(
  'a job that was carried before the form had "%s" goes on with its default, also after an edit that an older worker checked',
  (field, byDefault) => {
    for (const { state } of jobs) {
      const { job } = state.carried;
      const older = { ...job, definition: omit(job.definition, field) };
      const going = goOn({ ...state, carried: { ...state.carried, job: older } });
      expect(going.state.job.definition).toMatchObject({ ...older.definition, [field]: byDefault });
      // A replay counts the bytes that the older release counted.
      expect(going.state.jobBytes).toBe(utf8Bytes(stringifyJson(older)));
      expect(carryJob(going.state).job.definition).toHaveProperty(field, byDefault);
      setJob(going.state, { ...older, revision: 2 });
      expect(going.state.job.definition).toMatchObject({ ...older.definition, [field]: byDefault });
      expect(deliverAll(going)).toBe(keptTriggers(state.carried));
    }
  },
);

test('an edit keeps what a later release has more in the form', () => {
  for (const { state } of jobs) {
    const { job } = state.carried;
    const before = { ...job, definition: { ...job.definition, later: 'kept', label: 'Before' } };
    const prepared = { ...job, ok: true as const, definition: { ...job.definition, label: 'After' } };
    const sized = prepared.audiences.map((audience) => ({ ...audience, windowMinutes: 60 }));
    const { definition } = recordJob('5'.repeat(32), { ...prepared, audiences: sized }, before);
    expect(definition).toEqual({ ...job.definition, later: 'kept', label: 'After' });
  }
});

test('what a later release adds is no obstacle to this one', () => {
  for (const { state } of jobs) {
    const carried = { ...state.carried, added: { later: [1] }, job: { ...state.carried.job, added: true } };
    expect(keptTriggers(carryJob(restoreJob(carried)))).toBe(keptTriggers(state.carried));
  }
});

test('a state of a newer version is refused, and not taken for a definition', () => {
  expect(() => isCarriedJob({ v: 2, anything: true })).toThrow(NewerState);
  expect(isCarriedJob({ label: 'A definition', audiences: ['vip'] })).toBe(false);
});
