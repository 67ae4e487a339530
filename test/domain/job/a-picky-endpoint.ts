import type { FailedAttempt, SliceInput } from '../../../src/contract/slice.ts';
import { Breaker, UNPROVEN } from '../../../src/domain/job/throttles/breaker.ts';
import { settleSlice } from '../../../src/domain/job/settling.ts';
import { judge, ROW_LIMITS, VERDICTS } from '../../../src/domain/verdict.ts';
import { AJob } from './a-job.ts';

/** How long each request takes, and what handing a slice out and reporting it takes besides, in ms. */
const REQUEST_MS = 50;
const SLICE_MS = 30;
const BUDGET_MS = 1_500;
const HOUR_MS = 3_600_000;

/** What happens at one time. */
interface Coming {
  readonly atMs: number;
  readonly user: string;
  /** It was a dead letter. */
  readonly isRedelivered?: boolean;
}

export interface Scenario {
  readonly name: string;
  /** Absent: the endpoint has accepted others before. */
  readonly isNew?: boolean;
  readonly comings: readonly Coming[];
  /** What the endpoint answers. */
  readonly answer: (user: string, atMs: number) => number;
  /** Whom it accepts, sooner or later. */
  readonly isDeliverable: (user: string) => boolean;
  /** From when on it accepts them, ms; absent: at once. */
  readonly wellFromMs?: number;
  /** Whose waiting is looked at; default: all who can be delivered. */
  readonly isWatched?: (user: string) => boolean;
}

export interface Outcome {
  readonly name: string;
  /** Of those who can be delivered: how many were, in an hour. */
  readonly delivered: number;
  readonly deliverable: number;
  /** The longest that one of those who are watched waited, from when the endpoint was well, in seconds; Infinity: for more than the hour. */
  readonly longestS: number;
  /** The same of nine in ten. */
  readonly mostS: number;
  /** Dead letters of those who can be delivered. */
  readonly wrongDead: number;
  readonly dead: number;
  /** Requests that delivered nothing. */
  readonly wasted: number;
}

/** Runs a job for an hour of its own time against an endpoint that takes some and refuses others. Nothing in it is by chance. */
export function runAgainst(scenario: Scenario, parallel = 20): Outcome {
  const { name, comings, answer, isDeliverable, wellFromMs = 0, isWatched = isDeliverable } = scenario;
  const job = new AJob(parallel);
  if (scenario.isNew === true) job.state.breaker = new Breaker(UNPROVEN);
  const t0 = job.now;
  const arrivals = [...comings].sort((a, b) => a.atMs - b.atMs);
  const cameMs = new Map<string, number>(comings.map(({ user, atMs }) => [user, atMs]));
  const deliveredMs = new Map<string, number>();
  const running: {
    readonly endMs: number;
    readonly slice: SliceInput;
    readonly failed: FailedAttempt[];
    readonly unsent: number[];
    readonly sendingMs: number;
  }[] = [];
  let wasted = 0;
  const send = (slice: SliceInput): void => {
    const startMs = job.now - t0 + SLICE_MS / 2;
    const lanes = Array.from({ length: slice.permits }, () => startMs);
    const failed: FailedAttempt[] = [];
    const unsent: number[] = [];
    const row = { failed: 0, refused: 0 };
    const blocked = new Set<string>();
    let stopped = false;
    for (const [index, { user }] of slice.triggers.entries()) {
      const lane = lanes.indexOf(Math.min(...lanes));
      const at = lanes[lane] ?? startMs;
      if (stopped || blocked.has(user) || at - startMs >= BUDGET_MS) {
        unsent.push(index);
        blocked.add(user);
        continue;
      }
      lanes[lane] = at + REQUEST_MS;
      const status = answer(user, at);
      if (status < 300) {
        row.failed = row.refused = 0;
        deliveredMs.set(user, at + REQUEST_MS);
        continue;
      }
      wasted++;
      blocked.add(user);
      failed.push({ index, status, durationMs: REQUEST_MS });
      const kind = VERDICTS[judge({ status })].row;
      if (kind !== null && ++row[kind] >= ROW_LIMITS[kind]) stopped = true;
    }
    const endMs = Math.max(...lanes);
    running.push({ endMs: endMs + SLICE_MS / 2, slice, failed, unsent, sendingMs: endMs - startMs });
  };
  for (let turns = 0; turns < 500_000; turns++) {
    for (let next = arrivals[0]; next !== undefined && next.atMs <= job.now - t0; next = arrivals[0]) {
      arrivals.shift();
      if (next.isRedelivered === true) {
        const trigger = { audience: 'a'.repeat(32), event: 'enter', at: '2025-12-01T00:00:00Z', redelivery: 1 };
        job.redeliver(trigger, {
          user: next.user,
          asking: { workflowId: `dead-letter-${next.user}`, runId: next.user, question: 1 },
        });
      } else job.signal(next.user, 'enter', { profile: {} });
    }
    const step = job.step();
    if (step.kind === 'deliver') {
      send(step.slice);
      continue;
    }
    if (step.kind !== 'wait') throw new Error(`The job wants to ${step.kind}.`);
    running.sort((a, b) => a.endMs - b.endMs);
    const times = [running[0]?.endMs, arrivals[0]?.atMs, step.until === undefined ? undefined : step.until - t0];
    const nextMs = Math.min(...times.map((at) => at ?? Infinity));
    if (nextMs > HOUR_MS) break;
    job.now = t0 + Math.max(nextMs, job.now - t0);
    const ended = running[0];
    if (ended === undefined || ended.endMs > nextMs) continue;
    running.shift();
    const { slice, failed, unsent, sendingMs } = ended;
    job.running.splice(
      job.running.findIndex(({ sliceId }) => sliceId === slice.sliceId),
      1,
    );
    settleSlice(job.state, slice.sliceId, { failed, unsent, sendingMs }, job.now);
  }
  const deliverable = [...cameMs.keys()].filter(isDeliverable);
  const waits = deliverable
    .filter(isWatched)
    .map((user) => ((deliveredMs.get(user) ?? Infinity) - Math.max(wellFromMs, cameMs.get(user) ?? 0)) / 1000)
    .sort((a, b) => a - b);
  return {
    name,
    delivered: deliverable.filter((user) => deliveredMs.has(user)).length,
    deliverable: deliverable.length,
    longestS: waits.at(-1) ?? 0,
    mostS: waits[Math.ceil(waits.length * 0.9) - 1] ?? 0,
    wrongDead: job.dead.filter(({ user }) => isDeliverable(user)).length,
    dead: job.dead.length,
    wasted,
  };
}

/** A number from 0 to 99 for each person, always the same. */
function lotOf(user: string): number {
  let hash = 7;
  for (let i = 0; i < user.length; i++) hash = (Math.imul(hash ^ user.charCodeAt(i), 0x01000193) >>> 3) ^ hash;
  return (Math.imul(hash, 0x9e3779b1) >>> 7) % 100;
}

function people(count: number, what: string, fromMs = 0, everyMs = 0): Coming[] {
  return Array.from({ length: count }, (_, i) => ({ user: `${what} ${i}`, atMs: fromMs + i * everyMs }));
}

/** An endpoint that answers so to this share of people for good, in percent. */
function refusing(percent: number, status: number, more: Partial<Scenario> = {}): Scenario {
  const isDeliverable = (user: string) => user.startsWith('live') || lotOf(user) >= percent;
  return {
    name: `${percent} % get ${status} for good`,
    comings: [...people(1000, 'burst'), ...people(150, 'live', 10_000, 2_000)],
    answer: (user) => (isDeliverable(user) ? 200 : status),
    isDeliverable,
    ...more,
  };
}

/** One that answers so to everybody for a while. */
function downFor(minutes: number, status: number): Scenario {
  const wellFromMs = minutes * 60_000;
  return {
    name: `everybody gets ${status} for ${minutes} min`,
    comings: [...people(5000, 'burst'), ...people(900, 'live', 0, 2_000)],
    answer: (_, atMs) => (atMs < wellFromMs ? status : 200),
    isDeliverable: () => true,
    wellFromMs,
  };
}

const isLive = (user: string) => user.startsWith('live');
/** Everybody else is refused, always. */
const onlyLive = (status: number): Pick<Scenario, 'answer' | 'isDeliverable'> => ({
  answer: (user) => (isLive(user) ? 200 : status),
  isDeliverable: isLive,
});

export const SCENARIOS: readonly Scenario[] = [
  ...[5, 25, 50, 75, 95].map((percent) => refusing(percent, 422)),
  ...[50, 75, 95].map((percent) => refusing(percent, 422, { name: `new, ${percent} % get 422 for good`, isNew: true })),
  {
    name: '500 accepted, then 60 get 422, then 40 accepted',
    comings: [...people(500, 'live'), ...people(60, 'bad', 10_000), ...people(40, 'live late', 12_000)],
    ...onlyLive(422),
  },
  {
    name: '500 redelivered, half get 422, beside live',
    comings: [
      ...people(500, 'burst').map((one) => ({ ...one, isRedelivered: true })),
      ...people(150, 'live', 0, 1_000),
    ],
    answer: (user) => (isLive(user) || lotOf(user) >= 50 ? 200 : 422),
    isDeliverable: (user) => isLive(user) || lotOf(user) >= 50,
    isWatched: isLive,
  },
  {
    name: '500 redelivered, all get 422, beside live',
    comings: [
      ...people(500, 'burst').map((one) => ({ ...one, isRedelivered: true })),
      ...people(15, 'live', 0, 10_000),
    ],
    ...onlyLive(422),
  },
  {
    name: '5 of 41 get 500 for good, then live',
    comings: [...people(36, 'live'), ...people(5, 'bad'), ...people(60, 'live late', 10_000, 7_000)],
    ...onlyLive(500),
  },
  ...[5, 25, 50, 75].map((percent) => refusing(percent, 500)),
  ...[25, 50].map((percent) => refusing(percent, 404)),
  downFor(10, 422),
  downFor(10, 500),
  {
    name: 'new, everybody gets 422 for ever',
    isNew: true,
    comings: [...people(1000, 'burst')],
    answer: () => 422,
    isDeliverable: () => false,
  },
  {
    name: 'everybody gets 422 for ever',
    comings: [...people(1000, 'burst'), ...people(600, 'later', 0, 5_000)],
    answer: () => 422,
    isDeliverable: () => false,
  },
  {
    name: 'everybody gets 500 for ever',
    comings: [...people(1000, 'burst'), ...people(600, 'later', 0, 5_000)],
    answer: () => 500,
    isDeliverable: () => false,
  },
];
