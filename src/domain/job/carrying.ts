import type { Audience } from '../../contract/audience.ts';
import type { CarriedMeter, RecoveryPart } from '../../contract/job-status.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import { refuseNewer } from '../errors.ts';
import type { Instant } from '../instant.ts';
import { isRecord, jsonBytes } from '../json.ts';
import { budgetsOf } from '../limits.ts';
import { Meter, type CarriedTrend, Trend } from '../trend.ts';
import { Alerts, type CarriedAlerts } from './alerts.ts';
import { AuditLog, type CarriedAudit } from './audit-log.ts';
import { BackfillRequests, type CarriedBackfillRequest } from './backfill-requests.ts';
import { BackfillIntake, type CarriedBackfill } from './backfill.ts';
import type { JobRecord } from './job.ts';
import { AudienceTable, type CarriedChain } from './queue/chain.ts';
import { Chains } from './queue/chains.ts';
import { PendingDeadLetters, type DeadTrigger } from './queue/pending-dead-letters.ts';
import { RecentMemory } from './queue/memory.ts';
import { type CarriedOverflow, Overflow, UNREADABLE_BYTES, type UnreadableHolder } from './queue/overflow.ts';
import { type CarriedProfileHolders, ProfileHolders, neededIn } from './queue/profile-holders.ts';
import { type CarriedLostSlice, carryLost, lostBytes, restoreLost } from './quarantine.ts';
import type { DispatcherState, PlainState } from './state.ts';
import { Breaker, type CarriedBreaker, UNPROVEN } from './throttles/breaker.ts';
import { FIRST_REQUEST_MS } from './throttles/slice-size.ts';
import { CARRIED_BY_THROTTLES } from './throttles/throttles.ts';

/**
 * Whether a job's input is what the previous run carried, rather than a definition.
 * @throws NewerState when a newer release carried it.
 */
export function isCarriedJob(input: unknown): input is CarriedJob {
  refuseNewerJob(input);
  return isRecord(input) && input['v'] === 1 && 'chains' in input;
}

/**
 * Refuses a state that this release cannot continue from.
 * @throws NewerState when a newer release carried it.
 */
export function refuseNewerJob(input: unknown): void {
  refuseNewer('The state of this job', input);
}

const PLAIN = {
  ...CARRIED_BY_THROTTLES,
  job: true,
  seed: true,
  lastAt: true,
  counters: true,
  rejects: true,
  nextSliceId: true,
  requestMs: true,
  pause: true,
  stopping: true,
  lastDeliveredAt: true,
  lastFailure: true,
  editProblem: true,
  loss: true,
} as const satisfies Record<keyof PlainState, true>;

/** Everything that a job carries from run to run; plain JSON. */
export interface CarriedJob extends Readonly<PlainState> {
  readonly v: 1;
  /** The audiences that the chains name. */
  readonly audiences: readonly string[];
  readonly chains: readonly CarriedChain[];
  readonly overflow: CarriedOverflow;
  /** The holder that could not be read; absent: none. */
  readonly unreadable?: UnreadableHolder;
  /** Absent: no trigger needed any. */
  readonly profileHolders?: CarriedProfileHolders;
  /** Slices in quarantine; absent: none. */
  readonly lostSlices?: readonly CarriedLostSlice[];
  /** Holders that are no longer needed and have yet to be dropped. */
  readonly owedDrops: readonly string[];
  /** Dead triggers that are not yet confirmed to be kept. */
  readonly deadLetters: readonly DeadTrigger[];
  /** Keys of the last dead letters that came back, oldest first. */
  readonly takenLetters?: readonly string[];
  /** Keys of the last deliveries, oldest first. */
  readonly deliveredKeys: readonly string[];
  readonly backfill?: CarriedBackfill;
  /** Oldest first. */
  readonly backfillRequests?: readonly CarriedBackfillRequest[];
  /** Live arrivals remembered, oldest first: membership key and epoch ms. */
  readonly arrivals: readonly (readonly [key: string, at: number])[];
  /** Epoch ms up to which the memory of live arrivals has lost something. */
  readonly arrivalsForgottenUntil: number;
  /** With `stale: "drop"`, the newest changes, in order of arrival: membership key and instant. Absent: none. */
  readonly newest?: readonly (readonly [key: string, at: Instant])[];
  readonly breaker?: CarriedBreaker;
  readonly meter: CarriedMeter;
  /** Absent: nothing has happened yet. */
  readonly trend?: CarriedTrend;
  readonly alerts?: CarriedAlerts;
  /** Absent: nothing was noted yet. */
  readonly audit?: CarriedAudit;
}

/** The state of a new job. */
export function beginJob(job: JobRecord, seed: number): DispatcherState {
  return restoreJob({
    v: 1,
    job,
    seed,
    lastAt: '',
    audiences: [],
    chains: [],
    overflow: { first: 1, next: 1, spilled: 0, unconfirmed: [], tail: { audiences: [], triggers: [] } },
    owedDrops: [],
    deadLetters: [],
    deliveredKeys: [],
    arrivals: [],
    arrivalsForgottenUntil: 0,
    counters: { received: 0, delivered: 0, retried: 0, rejected: 0, repeated: 0, deadLetters: 0, slicesFailed: 0 },
    rejects: [],
    nextSliceId: 1,
    requestMs: FIRST_REQUEST_MS,
    breaker: UNPROVEN,
    meter: new Meter().carry(),
  });
}

/** The record of a job whose definition was checked. */
export function recordJob(
  subscriptionId: string,
  prepared: Extract<PreparedJob, { ok: true }>,
  before?: JobRecord,
): JobRecord {
  const audiences = prepared.audiences.map(({ id, slug, name }): Audience => ({ id, slug, name }));
  const former = [...(before?.audiences ?? []), ...(before?.formerAudiences ?? [])];
  return {
    subscriptionId,
    revision: (before?.revision ?? 0) + 1,
    definition: prepared.definition,
    audiences,
    formerAudiences: former
      .filter(
        ({ id }, index) =>
          !audiences.some((now) => now.id === id) && former.findIndex((one) => one.id === id) === index,
      )
      .slice(0, MAX_FORMER_AUDIENCES),
    sourceLagMs: prepared.sourceLagMs,
    missingSearchAttributes: prepared.missingSearchAttributes,
    warnings: prepared.warnings,
    requestTimeoutMs: prepared.requestTimeoutMs,
    ...(prepared.calendar === undefined ? {} : { calendar: prepared.calendar }),
    alertBacklogMs: prepared.alertBacklogMs,
    serverLimits: prepared.serverLimits,
  };
}

const MAX_FORMER_AUDIENCES = 100;

/** The state that a run was given. */
export function restoreJob(carried: CarriedJob): DispatcherState {
  const chains = new Chains();
  chains.restore(carried.chains, carried.audiences);
  const budgets = budgetsOf(carried.job.serverLimits);
  return {
    budgets,
    jobBytes: jsonBytes(carried.job),
    chains,
    overflow: new Overflow(budgets.sliceBytes, carried.overflow),
    unreadable: carried.unreadable,
    profileHolders: new ProfileHolders(neededIn(chains.all(), carried.deadLetters), carried.profileHolders),
    deadLetters: new PendingDeadLetters(carried.deadLetters),
    takenLetters: new RecentMemory(budgets.rememberedLetters, untimed(carried.takenLetters ?? [])),
    owedAnswers: [],
    owedDrops: [...carried.owedDrops],
    delivered: new RecentMemory(budgets.rememberedDeliveries, untimed(carried.deliveredKeys)),
    arrived: new RecentMemory(budgets.rememberedArrivals, carried.arrivals, carried.arrivalsForgottenUntil),
    newest: new Map(carried.newest),
    instants: new WeakMap(),
    slices: restoreLost(carried.lostSlices, chains, carried.job.revision),
    backfill: carried.backfill === undefined ? undefined : new BackfillIntake(carried.backfill),
    backfillRequests: new BackfillRequests(carried.backfillRequests),
    pageToReadAgain: undefined,
    unwantedPage: undefined,
    lastProbe: undefined,
    backfillToCancel: undefined,
    liveStreak: 0,
    endTried: 0,
    endPutOffAt: undefined,
    breaker: new Breaker(carried.breaker),
    meter: new Meter(carried.meter),
    trend: new Trend(carried.trend),
    alerts: new Alerts(carried.alerts),
    audit: new AuditLog(budgets, carried.audit),
    underWay: new Set(),
    // Last, since fields before a spread are found faster, and they are read with every trigger.
    ...plainOf(carried),
  };
}

function untimed(keys: readonly string[]): [key: string, at: number][] {
  return keys.map((key) => [key, 0]);
}

/** The state as plain JSON. Only slices in quarantine are carried as slices. */
export function carryJob(state: DispatcherState): CarriedJob {
  const breaker = state.breaker.carry();
  const trend = state.trend.carry();
  const table = new AudienceTable();
  const chains = state.chains.carry(table);
  const profileHolders = state.profileHolders.carry(!state.overflow.isEmpty);
  const lostSlices = carryLost(state.slices);
  return {
    v: 1,
    ...plainOf(state),
    audiences: table.ids,
    chains,
    overflow: state.overflow.carry(),
    ...(state.unreadable === undefined ? {} : { unreadable: state.unreadable }),
    ...(profileHolders === undefined ? {} : { profileHolders }),
    ...(lostSlices.length === 0 ? {} : { lostSlices }),
    owedDrops: state.owedDrops,
    deadLetters: state.deadLetters.carry(),
    takenLetters: state.takenLetters.carryKeys(),
    deliveredKeys: state.delivered.carryKeys(),
    ...(state.backfill === undefined ? {} : { backfill: state.backfill.carry() }),
    backfillRequests: state.backfillRequests.carry(),
    arrivals: state.arrived.carry(),
    arrivalsForgottenUntil: state.arrived.forgottenUntil,
    ...(state.newest.size === 0 ? {} : { newest: [...state.newest] }),
    ...(breaker === undefined ? {} : { breaker }),
    meter: state.meter.carry(),
    ...(trend === undefined ? {} : { trend }),
    alerts: state.alerts.carry(),
    audit: state.audit.carry(),
  };
}

/** A copy of the fields of `PLAIN` that are set, so nobody else changes them. */
function plainOf(from: PlainState): PlainState {
  const set = Object.entries(from).filter(([name, value]) => name in PLAIN && value !== undefined);
  // With these names and values, it is one again.
  return { ...(Object.fromEntries(set) as unknown as PlainState), counters: { ...from.counters } };
}

/** The size of `carryJob` as JSON in bytes, measured. */
export function carriedBytes(carried: CarriedJob): number {
  return jsonBytes(carried);
}

// "1234567890",
const OWED_BYTES = 13;

/** A cheap estimate of `carriedBytes`; never much below it. */
export function estimateBytes(state: DispatcherState): number {
  return (
    state.budgets.fixedBytes +
    state.jobBytes +
    state.chains.bytes +
    state.overflow.bytes +
    state.deadLetters.bytes +
    (state.unreadable === undefined ? 0 : UNREADABLE_BYTES) +
    state.profileHolders.bytes +
    state.owedDrops.length * OWED_BYTES +
    lostBytes(state.slices) +
    (state.backfill?.waitingBytes ?? 0) +
    state.trend.bytes +
    state.audit.bytes +
    state.backfillRequests.bytes +
    state.arrived.size * 40 +
    state.newest.size * 56 +
    (state.delivered.size + state.takenLetters.size) * 21
  );
}

/** An estimate of `carriedBytes` after the triggers behind the chains have been put into holders, as happens before a run ends. */
export function stayingBytes(state: DispatcherState): number {
  return estimateBytes(state) - state.overflow.surplusBytes;
}

/** The state that the run of a terminated job had reached, according to itself. */
export interface RecoveryState {
  /** How many of the run's arrivals are in it, oldest first; a signal with many triggers is that many arrivals. */
  readonly admitted: number;
  /** Ids of the slices in flight, whose outcome it does not know: their triggers are carried as waiting. */
  readonly running: readonly number[];
  readonly carried: CarriedJob;
}

/**
 * Returns one part of a state that is too large for one answer.
 *
 * @param payloadBytes most bytes of one payload.
 */
export function partOf(text: string, part: unknown, payloadBytes: number): RecoveryPart {
  // This many characters fit, even when each takes three bytes and is escaped.
  const length = Math.floor(payloadBytes / 7);
  const from = typeof part === 'number' && part > 0 ? part * length : 0;
  return { v: 1, text: text.slice(from, from + length), parts: Math.ceil(text.length / length) };
}
