import type { KnownAnswers } from '../../contract/answers.ts';
import type { Audience } from '../../contract/audience.ts';
import type { AddressedAnswer } from '../../contract/dead-letter.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import type { PreparedJob, ServerLimits } from '../../contract/ports.ts';
import type { DeliverySettings, SliceTrigger } from '../../contract/slice.ts';
import type { Calendar } from '../../contract/timing.ts';
import { refuseNewer } from '../errors.ts';
import type { Instant } from '../instant.ts';
import { isRecord, stringifyJson, utf8Bytes } from '../json.ts';
import { isTemplate } from '../message.ts';
import { type Budgets, budgetsOf } from '../limits.ts';
import { type CarriedMeter, Meter } from '../meter.ts';
import { nextChance } from '../random.ts';
import { type CarriedTrend, Trend } from '../trend.ts';
import { Alerts, type CarriedAlerts } from './alerts.ts';
import { BackfillRequests, type CarriedBackfillRequest } from './backfill-requests.ts';
import { BackfillIntake, type CarriedBackfill, type Leaving } from './backfill.ts';
import type { CarriedGathering } from './batching.ts';
import { Breaker, type CarriedBreaker, UNPROVEN } from './breaker.ts';
import { AudienceTable, type CarriedChain, type Chain, type QueuedTrigger } from './chain.ts';
import { Chains } from './chains.ts';
import type { Dropped } from './discarding.ts';
import { DeadLetters, type DeadTrigger } from './dying.ts';
import { type KnownInstants, type NewestChanges, RecentMemory } from './memory.ts';
import { type CarriedLostSlice, carryLost, lostBytes, restoreLost, SliceSigns } from './lost-slices.ts';
import { type CarriedOverflow, Overflow } from './overflow.ts';
import { FIRST_REQUEST_MS } from './pace.ts';
import { parkedHolder, Parking } from './parked-chains.ts';
import type { CarriedQuota } from './quota.ts';
import type { CarriedSpacing } from './request-rate.ts';
import { type CarriedProfileHolders, neededIn, ProfileHolders } from './profile-holders.ts';
import { type UnreadableHolder, UnreadableHolders } from './unreadable.ts';

/** What is recorded of an accepted definition. */
export interface JobRecord {
  readonly subscriptionId: string;
  readonly revision: number;
  readonly definition: JobDefinition;
  /** The audiences listened to. */
  readonly audiences: readonly Audience[];
  /** Audiences listened to before, whose triggers may still be waiting. */
  readonly formerAudiences: readonly Audience[];
  readonly sourceLagMs: number;
  readonly missingSearchAttributes: readonly string[];
  readonly warnings: readonly string[];
  readonly requestTimeoutMs: number;
  /** When something begins and ends by the job's calendar; absent when nothing depends on one. */
  readonly calendar?: Calendar;
  /** When triggers have waited longer than this, in ms, an alert is sent. */
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

/** The settings that the requests of a job are made with. */
export function deliverySettings({
  subscriptionId,
  revision,
  definition,
  requestTimeoutMs,
}: Pick<JobRecord, 'subscriptionId' | 'revision' | 'definition' | 'requestTimeoutMs'>): DeliverySettings {
  return {
    subscriptionId,
    revision,
    webhookUrl: definition.webhookUrl,
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    ...(definition.memberships ? { memberships: true } : {}),
    requestTimeoutMs,
    ...requestOf(definition),
    ...answersOf(definition),
    ...(definition.batch === null ? {} : { batch: { size: definition.batch.size } }),
  };
}

/** What a definition says about its requests; nothing when each is a POST of the default body to one URL, as most are. */
function requestOf(definition: JobDefinition): Pick<DeliverySettings, 'request'> {
  const { label, webhookUrl, method, headers, contentType, body, onEnter, onExit, envelope } = definition;
  const ofEvents = { onEnter: withoutAnswers(onEnter), onExit: withoutAnswers(onExit) };
  const said = definedOf({ method, headers, contentType, body, ...ofEvents, envelope });
  return isTemplate(webhookUrl) || Object.keys(said).length > 0 ? { request: { label, ...said } } : {};
}

/** What of an event is about its requests; null: nothing. */
export function withoutAnswers(own: JobDefinition['onEnter']): JobDefinition['onEnter'] {
  if (own?.answers === undefined) return own;
  const { answers: _, ...requests } = own;
  return Object.keys(requests).length === 0 ? null : requests;
}

function answersOf({ answers, onEnter, onExit }: JobDefinition): KnownAnswers {
  const own = (event: JobDefinition['onEnter']) => (event?.answers == null ? null : { ...answers, ...event.answers });
  const eventAnswers = definedOf({ enter: own(onEnter), exit: own(onExit) });
  return { ...definedOf({ answers }), ...(Object.keys(eventAnswers).length === 0 ? {} : { eventAnswers }) };
}

/** An object without what is null in it. */
function definedOf<T extends object>(of: T): { readonly [Field in keyof T]?: Exclude<T[Field], null> } {
  // Nothing is left of its fields but those that are not null.
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== null)) as {
    readonly [Field in keyof T]?: Exclude<T[Field], null>;
  };
}

interface Counters {
  received: number;
  delivered: number;
  retried: number;
  rejected: number;
  /** Triggers signalled again while the first was waiting or had just been delivered; they count as received too. */
  repeated: number;
  /** Triggers that became dead letters. */
  deadLetters: number;
  /** Slices of which an attempt failed or may have failed. Where two runs were given the same, the first has no failed attempt to look for. */
  slicesFailed: number;
  /** Triggers that the job does not want, and so left without a request; absent: none. They count as received. */
  filtered?: number;
  /** Triggers that came after a newer one and were dropped; absent: none. They count as received. */
  staleDropped?: number;
  /** What a stop dropped, with the members that a backfill had read; absent: nothing. Nothing is decided by it. */
  discarded?: number;
}

/** Why a job does not send although triggers wait. */
export interface Pause {
  readonly by: 'operator' | 'endpoint';
  /** With `endpoint`: the status at which the job's `answers` have it pause; absent: it was a 410, whatever they say. */
  readonly status?: number;
}

/** How a job ends. */
export interface Stopping {
  /** What becomes of the triggers that wait: sent first, kept for a later resume, or dropped. */
  readonly waiting: 'deliver' | 'keep' | 'discard';
  /** Epoch ms at which what is still waiting is kept. Set with `deliver`. */
  readonly deadlineAt?: number;
  /** True: nobody asked for it, its end (`endsAt`) had come. */
  readonly isPlanned?: true;
}

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

/**
 * The part of a job's state that is plain data, and carried as it is. A new field of this kind stands here and in `PLAIN`, and in `beginJob`
 * where a new job has it. What is added after a release is optional, here and in all that is carried: running jobs do not have it. What
 * cannot be optional needs a new `v`.
 */
interface PlainState {
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
  throttle?: { readonly until: number; readonly streak: number } | undefined;
  /** With a request rate: where the last slice's spacing ended. */
  spacing?: CarriedSpacing | undefined;
  /** With a quota: how much of it is used. */
  quota?: CarriedQuota | undefined;
  /** With batches: since when what is ready waits for more. */
  gathering?: CarriedGathering | undefined;
  lastDeliveredAt?: number | undefined;
  lastFailure?: LastFailure | undefined;
  editProblem?: string | undefined;
  /** What was lost from outside, in words. */
  loss?: string | undefined;
}

const PLAIN = {
  job: true,
  seed: true,
  lastAt: true,
  counters: true,
  rejects: true,
  nextSliceId: true,
  requestMs: true,
  pause: true,
  stopping: true,
  throttle: true,
  spacing: true,
  quota: true,
  gathering: true,
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
  /** Holders that could not be read; absent: none. */
  readonly unreadable?: readonly UnreadableHolder[];
  /** Absent: no trigger needed any. */
  readonly profileHolders?: CarriedProfileHolders;
  /** Slices that were given up and are not over; absent: none. */
  readonly lostSlices?: readonly CarriedLostSlice[];
  /** Number of the next holder for parked triggers. */
  readonly nextParked: number;
  /** Holders that are no longer needed and have yet to be released. */
  readonly owedReleases: readonly string[];
  /** Dead triggers that are not yet confirmed to be kept. */
  readonly dying: readonly DeadTrigger[];
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
  /** With `stale: "drop"`, the newest changes, those that came first first: membership key and instant. Absent: none. */
  readonly newest?: readonly (readonly [key: string, at: Instant])[];
  readonly breaker?: CarriedBreaker;
  readonly meter: CarriedMeter;
  /** Absent: nothing has happened yet. */
  readonly trend?: CarriedTrend;
  readonly alerts?: CarriedAlerts;
}

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
  /** The rate at which it spaces its requests, if it does. */
  readonly perSecond?: number;
  /** With a quota: when the period began for which its first attempts count, epoch ms. */
  readonly quotaFrom?: number;
  /** Whether it has said that it starts no further request. */
  startsNoMore?: boolean;
  /** Permits it still owns. */
  permits: number;
  /** It was given up (`lost-slices.ts`): until then, something of it may be in flight, epoch ms. Its triggers are not known any more. */
  readonly overAt?: number;
}

/**
 * Everything that a job knows. The functions in the files beside this one change it and do nothing else, so that the workflow, the model
 * test and a recovery follow the same rules. Times are epoch ms and are passed as arguments.
 */
export interface DispatcherState extends PlainState {
  readonly budgets: Budgets;
  /** Bytes of `job` as JSON. */
  jobBytes: number;
  readonly chains: Chains;
  /** What the chains have no room for. */
  readonly overflow: Overflow;
  readonly parking: Parking;
  readonly unreadable: UnreadableHolders;
  readonly profileHolders: ProfileHolders;
  readonly deadLetters: DeadLetters;
  /** The last dead letters that came back, by their first runs: one that asks again is not taken twice. */
  readonly takenLetters: RecentMemory;
  /** What dead letters have yet to be told. Not carried: no run ends before, and one that hears nothing asks again. */
  readonly owedAnswers: AddressedAnswer[];
  /** Whether some of them are on their way. */
  isAnswering: boolean;
  /** Holders that are no longer needed and have yet to be released. */
  owedReleases: string[];
  /** Whether some of them are being released. */
  releasing: boolean;
  /** The last deliveries, as texts: what is signalled again soon afterwards is a repeat. */
  readonly delivered: RecentMemory;
  /** The last live triggers, by person and audience: a page of members that was read before one came is older news about them. */
  readonly arrived: RecentMemory;
  /** With `stale: "drop"`: when the newest change happened that came, by membership key. */
  readonly newest: NewestChanges;
  readonly instants: KnownInstants;
  readonly slices: Map<number, Slice>;
  readonly signs: SliceSigns;
  backfill: BackfillIntake | undefined;
  readonly backfillRequests: BackfillRequests;
  /** A page that the child has yet to be told to read again. */
  pageToReadAgain: number | undefined;
  /** A page that is not expected here: its child, from a job or backfill that is over, is to end. */
  unwantedPage: { readonly n: number; readonly number: number } | undefined;
  /** Who probed the unwell endpoint last. */
  lastProbe: string | undefined;
  /** Number of a backfill whose child is to be cancelled. */
  backfillToCancel: number | undefined;
  /** Slices cut in a row for live triggers while a backfill waits. */
  liveStreak: number;
  /** At which of its ages the run last tried to end (`run-end.ts`); 0: at none. */
  endTried: number;
  /** Until when it cuts no slices for that, epoch ms. */
  endPutOffAt: number | undefined;
  breaker: Breaker;
  /** Deliveries. */
  readonly meter: Meter;
  readonly trend: Trend;
  readonly alerts: Alerts;
  /** Whether the calendar is being read. */
  isReadingCalendar: boolean;
  /** Whether some of the alerts that are owed are being raised. */
  isAlerting: boolean;
  /** Counts changes from outside, so that a stopping job knows whether all of them are in what was kept. */
  changes: number;
  /** `changes` when the state was last kept. */
  keptAtChange: number | undefined;
  /** What a stop dropped in this run, oldest first. */
  readonly dropped: Dropped[];
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
    overflow: { first: 1, next: 1, held: 0, unconfirmed: [], tail: { audiences: [], triggers: [] } },
    nextParked: 1,
    owedReleases: [],
    dying: [],
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
    parking: new Parking(carried.nextParked),
    unreadable: new UnreadableHolders(carried.unreadable),
    profileHolders: new ProfileHolders(neededIn(chains.all(), carried.dying), carried.profileHolders),
    deadLetters: new DeadLetters(carried.dying),
    takenLetters: new RecentMemory(budgets.rememberedLetters, untimed(carried.takenLetters ?? [])),
    owedAnswers: [],
    isAnswering: false,
    owedReleases: [...carried.owedReleases],
    releasing: false,
    delivered: new RecentMemory(budgets.rememberedDeliveries, untimed(carried.deliveredKeys)),
    arrived: new RecentMemory(budgets.rememberedArrivals, carried.arrivals, carried.arrivalsForgottenUntil),
    newest: new Map(carried.newest),
    instants: new WeakMap(),
    slices: restoreLost(carried.lostSlices, chains, carried.job.revision),
    signs: new SliceSigns(),
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
    isReadingCalendar: false,
    isAlerting: false,
    changes: 0,
    keptAtChange: undefined,
    dropped: [],
    // Last, since what stands before a spread is found faster: this is asked for with every trigger.
    ...plainOf(carried),
  };
}

function untimed(keys: readonly string[]): [key: string, at: number][] {
  return keys.map((key) => [key, 0]);
}

/** The state as plain JSON. Of running slices, only those that were given up are carried as such. */
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
    nextParked: state.parking.next,
    ...(state.unreadable.bytes === 0 ? {} : { unreadable: state.unreadable.carry() }),
    ...(profileHolders === undefined ? {} : { profileHolders }),
    ...(lostSlices.length === 0 ? {} : { lostSlices }),
    // A run that is ended from outside does not learn whether what it was parking arrived, so that is included here as well.
    owedReleases: [...state.owedReleases, ...[...state.parking.leaving.keys()].map(parkedHolder)],
    dying: state.deadLetters.carry(),
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
  };
}

/** The fields of `PLAIN` that are set, so that nobody else changes them. */
function plainOf(from: PlainState): PlainState {
  const set = Object.entries(from).filter(([name, value]) => name in PLAIN && value !== undefined);
  // With these names and values, it is one again.
  return { ...(Object.fromEntries(set) as unknown as PlainState), counters: { ...from.counters } };
}

/** Puts a checked definition into effect. */
export function setJob(state: DispatcherState, job: JobRecord): void {
  state.job = job;
  state.jobBytes = jsonBytes(job);
  if (job.definition.stale === 'send') state.newest.clear();
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
export function estimateBytes(state: DispatcherState): number {
  return (
    state.budgets.fixedBytes +
    state.jobBytes +
    state.chains.bytes +
    state.overflow.bytes +
    state.deadLetters.bytes +
    state.unreadable.bytes +
    state.profileHolders.bytes +
    state.owedReleases.length * OWED_BYTES +
    lostBytes(state.slices) +
    (state.backfill?.waitingBytes ?? 0) +
    state.trend.bytes +
    state.backfillRequests.bytes +
    state.arrived.size * 40 +
    state.newest.size * 56 +
    (state.delivered.size + state.takenLetters.size) * 21
  );
}

/** An estimate of what remains of that after what is waiting behind the chains has been put into holders, as happens before a run ends. */
export function stayingBytes(state: DispatcherState): number {
  return estimateBytes(state) - state.overflow.surplusBytes;
}

/** The next number in [0, 1) from the job's own random generator. */
export function drawChance(state: DispatcherState): number {
  const { chance, seed } = nextChance(state.seed);
  state.seed = seed;
  return chance;
}

/** Triggers left the chains: counts those of the present backfill there. */
export function countLeft(state: DispatcherState, left: readonly QueuedTrigger[], as: Leaving): void {
  const { backfill } = state;
  const own = left.filter((trigger) => trigger.backfill !== undefined && trigger.backfill === backfill?.n).length;
  if (own > 0) backfill?.settled(own, as);
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
