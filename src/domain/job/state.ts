import type { AddressedAnswer } from '../../contract/dead-letter.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import type { Instant } from '../instant.ts';
import { jsonBytes } from '../json.ts';
import type { Budgets } from '../limits.ts';
import type { Meter, Trend } from '../trend.ts';
import { nextChance } from '../retry.ts';
import type { Alerts } from './alerts.ts';
import type { AuditLog } from './audit-log.ts';
import type { BackfillRequests } from './backfill-requests.ts';
import type { BackfillIntake, Leaving } from './backfill.ts';
import type { Counters, JobRecord, Pause, Slice, Stopping } from './job.ts';
import type { QueuedTrigger } from './queue/chain.ts';
import type { Chains } from './queue/chains.ts';
import type { PendingDeadLetters } from './queue/pending-dead-letters.ts';
import type { RecentMemory, KnownInstants, NewestChanges } from './queue/memory.ts';
import type { Overflow, UnreadableHolder } from './queue/overflow.ts';
import type { ProfileHolders } from './queue/profile-holders.ts';
import type { Step } from './steps.ts';
import type { Breaker } from './throttles/breaker.ts';
import type { ThrottleState } from './throttles/throttles.ts';

/**
 * The part of a job's state that is plain data, and carried as it is. A new field of this kind stands here and in `PLAIN`, and in
 * `beginJob` if a new job has it. Fields added after a release are optional, here and in everything carried: running jobs do not have them.
 * A field that cannot be optional needs a new `v`.
 */
export interface PlainState extends ThrottleState {
  job: JobRecord;
  seed: number;
  lastAt: Instant;
  readonly counters: Counters;
  rejects: readonly { readonly at: string; readonly reason: string }[];
  nextSliceId: number;
  /** How long one request takes, estimated from the last slices, in ms. */
  requestMs: number;
  pause?: Pause | undefined;
  stopping?: Stopping | undefined;
  lastDeliveredAt?: number | undefined;
  lastFailure?: LastFailure | undefined;
  editProblem?: string | undefined;
  /** The loss that somebody caused from outside, for people. */
  loss?: string | undefined;
}

/**
 * The whole state of a job. The functions in the files beside this one only change it, so the workflow, the model test and a recovery
 * follow the same rules. Times are epoch ms and are passed as arguments.
 */
export interface DispatcherState extends PlainState {
  readonly budgets: Budgets;
  /** Bytes of `job` as JSON. */
  jobBytes: number;
  readonly chains: Chains;
  /** The triggers that the chains have no room for. */
  readonly overflow: Overflow;
  /** The oldest holder that could not be read; undefined: none. */
  unreadable: UnreadableHolder | undefined;
  readonly profileHolders: ProfileHolders;
  readonly deadLetters: PendingDeadLetters;
  /** The last dead letters that came back, by their first runs: one that asks again is not taken twice. */
  readonly takenLetters: RecentMemory;
  /** Answers owed to dead letters. Not carried: no run ends before they are sent, and a dead letter without an answer asks again. */
  readonly owedAnswers: AddressedAnswer[];
  /** Holders that are no longer needed and have yet to be dropped. */
  owedDrops: string[];
  /** The last deliveries, as texts: a trigger that is signalled again soon afterwards is a repeat. */
  readonly delivered: RecentMemory;
  /** The last live triggers, by person and audience: a page of members that was read before one came is older news about them. */
  readonly arrived: RecentMemory;
  /** With `stale: "drop"`: when the newest change happened, by membership key. */
  readonly newest: NewestChanges;
  readonly instants: KnownInstants;
  readonly slices: Map<number, Slice>;
  backfill: BackfillIntake | undefined;
  readonly backfillRequests: BackfillRequests;
  /** A page that the child has yet to be told to read again. */
  pageToReadAgain: number | undefined;
  /** A page that is not expected here: its child belongs to a job or backfill that is over, and is to end. */
  unwantedPage: { readonly n: number; readonly number: number } | undefined;
  /** Who probed the unhealthy endpoint last. */
  lastProbe: string | undefined;
  /** Number of a backfill whose child is to be cancelled. */
  backfillToCancel: number | undefined;
  /** Slices dispatched in a row for live triggers while a backfill waits. */
  liveStreak: number;
  /** The age at which the run last tried to end (`run-end.ts`); 0: none. */
  endTried: number;
  /** Until when it dispatches no slices because of that, epoch ms. */
  endPutOffAt: number | undefined;
  breaker: Breaker;
  /** Deliveries. */
  readonly meter: Meter;
  readonly trend: Trend;
  readonly alerts: Alerts;
  readonly audit: AuditLog;
  /** Kinds of steps that run one at a time and are under way: the next one takes all that came meanwhile. */
  readonly underWay: Set<Step['kind']>;
}

/** Puts a checked definition into effect. */
export function setJob(state: DispatcherState, job: JobRecord): void {
  state.job = job;
  state.jobBytes = jsonBytes(job);
  if (job.definition.stale === 'send') state.newest.clear();
}

/** The next number in [0, 1) from the job's own random generator. */
export function drawChance(state: DispatcherState): number {
  const { chance, seed } = nextChance(state.seed);
  state.seed = seed;
  return chance;
}

/** Counts triggers that left the chains, for the present backfill. */
export function countLeft(state: DispatcherState, left: readonly QueuedTrigger[], as: Leaving): void {
  const { backfill } = state;
  const own = left.filter((trigger) => trigger.backfill !== undefined && trigger.backfill === backfill?.n).length;
  if (own > 0) backfill?.settled(own, as);
}

/** Counts triggers that a person dropped. */
export function countDiscarded({ counters }: DispatcherState, count: number): void {
  if (count > 0) counters.discarded = (counters.discarded ?? 0) + count;
}

/** Triggers that wait, including those in running slices, and members that a backfill has read. */
export function waitingTriggers({ chains, overflow, deadLetters, backfill }: DispatcherState): number {
  return chains.triggers + overflow.triggers + deadLetters.size + (backfill?.waitingInPages ?? 0);
}

/** Adds what has just happened to the job's trend. */
export function noteTrend(state: DispatcherState, delivered: number, failed: number, now: number): void {
  state.trend.count(delivered, failed, waitingTriggers(state), now);
}

/** Permits that running slices own. */
export function permitsInUse(state: DispatcherState): number {
  let permits = 0;
  for (const slice of state.slices.values()) permits += slice.permits;
  return permits;
}

/** Whether everybody who could be sent has failed before, so nobody else is tried. */
export function isCrowdedOut({ chains, slices }: DispatcherState): boolean {
  return slices.size === 0 && chains.live.freshCount === 0;
}

/**
 * Bytes that chains may take. A few other people are let in beside those who failed: only others can show whether the endpoint is unhealthy
 * or just does not accept these.
 */
export function chainRoom(state: DispatcherState): number {
  const { chainBytes, sliceBytes } = state.budgets;
  return isCrowdedOut(state) ? chainBytes + 2 * sliceBytes : chainBytes;
}

/** Whether chains may take in more. */
export function hasRoom(state: DispatcherState): boolean {
  return state.chains.bytes < chainRoom(state);
}
