import type { Audience } from '../../contract/audience.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import type { SliceTrigger } from '../../contract/slice.ts';
import type { Instant } from '../instant.ts';
import { stringifyJson, utf8Bytes } from '../json.ts';
import { type Budgets, budgetsOf } from '../limits.ts';
import { nextChance } from '../random.ts';
import { Alerts } from './alerts.ts';
import { ArrivalMemory } from './arrival-memory.ts';
import { BackfillIntake, type Leaving } from './backfill-intake.ts';
import { Meter } from '../meter.ts';
import { Breaker, UNPROVEN } from './breaker.ts';
import type { CarriedJob, Counters, Pause } from './carried.ts';
import type { JobRecord } from './job-record.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import { RULES } from './carried.ts';
import type { Chain } from './chain.ts';
import { Chains } from './chains.ts';
import { DeadLetters } from './dead-letters.ts';
import { DeliveredMemory } from './delivered-memory.ts';
import { Overflow } from './overflow.ts';
import { FIRST_REQUEST_MS } from './pace.ts';
import { AudienceTable } from './packed.ts';
import { parkedHolder, Parking } from './parking.ts';

/** A running slice: which triggers of which chains went into it, in the order of its input. */
export interface Slice {
  readonly id: number;
  readonly revision: number;
  readonly parts: readonly { readonly chain: Chain; readonly count: number }[];
  readonly triggers: readonly SliceTrigger[];
  readonly cutPermits: number;
  /** For a probe that was not due yet: when it was due, so that failing costs it no step of its schedule. */
  readonly notDueBefore?: number;
  /** Whether it contains members that a backfill found. */
  readonly isBackfill?: boolean;
  /** Permits it still owns. */
  permits: number;
}

/**
 * Everything that a job knows. The functions in the files beside this one change it and do nothing else, so that the workflow, the model
 * test and a recovery follow the same rules. Times are epoch ms and are passed as arguments.
 */
export interface JobState {
  readonly budgets: Budgets;
  job: JobRecord;
  /** Bytes of `job` as JSON. */
  jobBytes: number;
  readonly chains: Chains;
  /** What the chains have no room for. */
  readonly overflow: Overflow;
  readonly parking: Parking;
  readonly deadLetters: DeadLetters;
  /** Holders that are no longer needed and have yet to be released. */
  owedReleases: string[];
  /** Whether some are being told. */
  releasing: boolean;
  readonly delivered: DeliveredMemory;
  readonly slices: Map<number, Slice>;
  backfill: BackfillIntake | undefined;
  /** A page that the child has yet to be told to read again. */
  pageToReadAgain: number | undefined;
  /** A page that is not expected here: its child, from a job or backfill that is over, is to end. */
  unwantedPage: { readonly n: number; readonly number: number } | undefined;
  /** Who probed the unwell endpoint last. */
  lastProbe: string | undefined;
  /** Number of a backfill whose child is to be cancelled. */
  backfillToCancel: number | undefined;
  memory: ArrivalMemory;
  readonly counters: Counters;
  rejects: CarriedJob['rejects'];
  seed: number;
  lastAt: Instant;
  nextSliceId: number;
  /** Slices cut in a row for live triggers while a backfill waits. */
  liveStreak: number;
  /** How long one request takes, estimated from the last slices, in ms. */
  requestMs: number;
  pause: Pause | undefined;
  stopping: CarriedJob['stopping'];
  throttle: CarriedJob['throttle'];
  breaker: Breaker;
  lastDeliveredAt: number | undefined;
  /** Deliveries. */
  readonly meter: Meter;
  lastFailure: LastFailure | undefined;
  editProblem: string | undefined;
  /** What was lost from outside, in words. */
  loss: string | undefined;
  readonly alerts: Alerts;
  /** Whether some are being told. */
  isAlerting: boolean;
  /** Counts changes from outside, so that a stopping job knows whether all of them are in what was kept. */
  changes: number;
  /** `changes` when the state was last kept. */
  keptAtChange: number | undefined;
}

/** The state of a new job. */
export function beginJob(job: JobRecord, seed: number): JobState {
  return restoreJob({
    v: 1,
    rules: RULES,
    job,
    seed,
    lastAt: '',
    audiences: [],
    chains: [],
    overflow: { first: 1, next: 1, held: 0, unconfirmed: [], tail: { audiences: [], triggers: [] } },
    nextParked: 1,
    owedReleases: [],
    dying: [],
    deliveredKeys: [],
    arrivals: [],
    arrivalsForgottenUntil: 0,
    counters: { received: 0, delivered: 0, retried: 0, rejected: 0, repeated: 0, deadLetters: 0 },
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
    alertBacklogMs: prepared.alertBacklogMs,
    serverLimits: prepared.serverLimits,
  };
}

const MAX_FORMER_AUDIENCES = 100;

/** The state that a run was given. */
export function restoreJob(carried: CarriedJob): JobState {
  const chains = new Chains();
  chains.restore(carried.chains, carried.audiences);
  const budgets = budgetsOf(carried.job.serverLimits);
  return {
    budgets,
    job: carried.job,
    jobBytes: jsonBytes(carried.job),
    chains,
    overflow: new Overflow(budgets.sliceBytes, carried.overflow),
    parking: new Parking(carried.nextParked),
    deadLetters: new DeadLetters(carried.dying),
    owedReleases: [...carried.owedReleases],
    releasing: false,
    delivered: new DeliveredMemory(carried.deliveredKeys, budgets.rememberedDeliveries),
    slices: new Map(),
    backfill: carried.backfill === undefined ? undefined : new BackfillIntake(carried.backfill),
    pageToReadAgain: undefined,
    unwantedPage: undefined,
    lastProbe: undefined,
    backfillToCancel: undefined,
    memory: new ArrivalMemory(carried.arrivals, carried.arrivalsForgottenUntil, budgets.rememberedArrivals),
    counters: { ...carried.counters },
    rejects: carried.rejects,
    seed: carried.seed,
    lastAt: carried.lastAt,
    nextSliceId: carried.nextSliceId,
    liveStreak: 0,
    requestMs: carried.requestMs,
    pause: carried.pause,
    stopping: carried.stopping,
    throttle: carried.throttle,
    breaker: new Breaker(carried.breaker),
    lastDeliveredAt: carried.lastDeliveredAt,
    meter: new Meter(carried.meter),
    lastFailure: carried.lastFailure,
    editProblem: carried.editProblem,
    loss: carried.loss,
    alerts: new Alerts(carried.alerts),
    isAlerting: false,
    changes: 0,
    keptAtChange: undefined,
  };
}

/** What the next run is given. Only a state without running slices can be carried. */
export function carryJob(state: JobState): CarriedJob {
  const breaker = state.breaker.carry();
  const table = new AudienceTable();
  const chains = state.chains.carry(table);
  return {
    v: 1,
    rules: RULES,
    job: state.job,
    seed: state.seed,
    lastAt: state.lastAt,
    audiences: table.ids,
    chains,
    overflow: state.overflow.carry(),
    nextParked: state.parking.next,
    // A run that is ended from outside does not learn whether what it was parking arrived, so that is included here as well.
    owedReleases: [...state.owedReleases, ...[...state.parking.leaving.keys()].map(parkedHolder)],
    dying: state.deadLetters.carry(),
    deliveredKeys: state.delivered.carry(),
    ...(state.backfill === undefined ? {} : { backfill: state.backfill.carry() }),
    arrivals: state.memory.carry(),
    arrivalsForgottenUntil: state.memory.forgottenUntil,
    counters: { ...state.counters },
    meter: state.meter.carry(),
    rejects: state.rejects,
    nextSliceId: state.nextSliceId,
    requestMs: state.requestMs,
    ...(state.pause === undefined ? {} : { pause: state.pause }),
    ...(state.stopping === undefined ? {} : { stopping: state.stopping }),
    ...(state.throttle === undefined ? {} : { throttle: state.throttle }),
    ...(breaker === undefined ? {} : { breaker }),
    ...(state.lastDeliveredAt === undefined ? {} : { lastDeliveredAt: state.lastDeliveredAt }),
    ...(state.lastFailure === undefined ? {} : { lastFailure: state.lastFailure }),
    ...(state.editProblem === undefined ? {} : { editProblem: state.editProblem }),
    ...(state.loss === undefined ? {} : { loss: state.loss }),
    alerts: state.alerts.carry(),
  };
}

/** Puts a checked definition into effect. */
export function setJob(state: JobState, job: JobRecord): void {
  state.job = job;
  state.jobBytes = jsonBytes(job);
}

function jsonBytes(value: object): number {
  return utf8Bytes(stringifyJson(value));
}

/** The size of `carryJob` as JSON in bytes, measured. */
export function carriedBytes(carried: CarriedJob): number {
  return jsonBytes(carried);
}

// "1234567890",
const OWED_BYTES = 13;

/** A cheap estimate of what `carriedBytes` would measure; never much below it. */
export function estimateBytes(state: JobState): number {
  return (
    state.budgets.fixedBytes +
    state.jobBytes +
    state.chains.bytes +
    state.overflow.bytes +
    state.deadLetters.bytes +
    state.owedReleases.length * OWED_BYTES +
    (state.backfill?.waitingBytes ?? 0) +
    state.memory.size * 40 +
    state.delivered.size * 21
  );
}

/** An estimate of what remains of that after what is waiting behind the chains has been put into holders, as happens before a run ends. */
export function stayingBytes(state: JobState): number {
  return estimateBytes(state) - state.overflow.surplusBytes;
}

/** The next number in [0, 1) from the job's own random generator. */
export function drawChance(state: JobState): number {
  const { chance, seed } = nextChance(state.seed);
  state.seed = seed;
  return chance;
}

/** Triggers left the chains: counts those of the present backfill there. */
export function countLeft(state: JobState, left: readonly QueuedTrigger[], as: Leaving): void {
  const { backfill } = state;
  const own = left.filter((trigger) => trigger.backfill !== undefined && trigger.backfill === backfill?.n).length;
  if (own > 0) backfill?.settled(own, as);
}

/** Permits that running slices own. */
export function permitsInUse(state: JobState): number {
  let permits = 0;
  for (const slice of state.slices.values()) permits += slice.permits;
  return permits;
}
