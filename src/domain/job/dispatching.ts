import type { Audience } from '../../contract/audience.ts';
import type { ProfileRef } from '../../contract/holder.ts';
import type { DeliverySettings, SliceInput, SliceTrigger } from '../../contract/slice.ts';
import { jsonStringBytes } from '../json.ts';
import { HEARTBEAT_TIMEOUT_MS, SLICES, SLICE_MS, SLICE_TRIGGERS, STALL_MARGIN_MS } from '../limits.ts';
import { audienceById } from '../names.ts';
import { PROFILE_DELAYS_MS } from '../retry.ts';
import { deliverySettings, type Slice } from './job.ts';
import { type Chain, PROFILE_REF_BYTES, acceptedNow, attemptsAt, isFresh } from './queue/chain.ts';
import { type DispatcherState, permitsInUse } from './state.ts';
import {
  batchesOf,
  gather as gatherFrom,
  goesUnfilled,
  liveFrom,
  membersFrom,
  requestsOf,
  triggersOf,
} from './throttles/batching.ts';
import { isRateTaken, pacedSize } from './throttles/request-rate.ts';
import { slicePermits, sliceSize } from './throttles/slice-size.ts';
import { NEVER } from './throttles/throttle.ts';
import { barredUntil, firstsLeft, firstsLeftForMembers, spacedUntil, take } from './throttles/throttles.ts';

/** While live triggers and a backfill are both waiting, one in this many slices goes to the backfill. */
const BACKFILL_EVERY = 4;

/** A slice starts no request later than this: the estimate of its time may be off by half. */
export const SLICE_BUDGET_MS = SLICE_MS * 1.5;

/**
 * How long after a worker's last sign of life, in ms, no request of its slice can be in flight any more. However long the worker is frozen,
 * by then it starts no request and ends open ones.
 */
export function sliceEndsWithinMs(requestTimeoutMs: number): number {
  return SLICE_BUDGET_MS + requestTimeoutMs + STALL_MARGIN_MS;
}

/**
 * After this long without a heartbeat, in ms, the server ends a slice. A slice with a short request timeout is over before a worker counts as silent,
 * and then there is nothing to wait for.
 */
export function silentAfterMs(requestTimeoutMs: number): number {
  return Math.min(HEARTBEAT_TIMEOUT_MS, sliceEndsWithinMs(requestTimeoutMs));
}

// From loose to strict: not `sendsNothing`, `maySend`, `isSending`, `canDispatch`.

/** Whether a job may begin no request at all: then its running slices are cancelled, too. */
export function sendsNothing({ pause, stopping }: DispatcherState): boolean {
  return pause !== undefined || stopping?.waiting === 'keep' || stopping?.waiting === 'discard';
}

/** Whether a job may send at all now, regardless of its endpoint's health. */
export function maySend(state: DispatcherState, now: number): boolean {
  return !sendsNothing(state) && barredUntil(state, now) <= now;
}

/** Whether a job can send as fast as its permits allow: not while its endpoint is unhealthy and being probed. */
export function isSending(state: DispatcherState, now: number): boolean {
  return maySend(state, now) && !state.breaker.isOpen && state.breaker.barredUntil <= now && firstsLeft(state, now) > 0;
}

/** Whether a slice can be dispatched now: the one condition that `dispatchSlice` acts on. */
export function canDispatch(state: DispatcherState, now: number): boolean {
  const { breaker, chains } = state;
  if (!maySend(state, now) || spacedUntil(state, now) > now || isRateTaken(state)) return false;
  if (breaker.isOpen) {
    if (state.slices.size > 0) return false;
    if (breaker.openUntil <= now) return hasProbe(state, now);
    return breaker.freshFrom <= now && chains.live.freshCount > 0 && firstsLeft(state, now) > 0;
  }
  if (breaker.barredUntil > now) return false;
  if (slicesLeft(state) <= 0 || freePermits(state) <= 0) return false;
  // One trigger at a time goes, so there is nothing to wait for.
  if (breaker.isCautious) return liveReady(state, now) > 0 || (members(state, now) > 0 && backfillPermits(state) > 0);
  return mayTakeLive(state, now) || mayTakeMembers(state, now);
}

function mayTakeLive(state: DispatcherState, now: number): boolean {
  return liveReady(state, now) > 0 && liveFrom(state) <= now;
}

function mayTakeMembers(state: DispatcherState, now: number): boolean {
  const count = members(state, now);
  return count > 0 && backfillPermits(state) > 0 && membersFrom(state, count) <= now;
}

/** Notes since when ready triggers wait for a full batch. */
export function gather(state: DispatcherState, now: number): void {
  if (isInBatches(state)) gatherFrom(state, members(state, now), now);
  else state.gathering = undefined;
}

/** When ready triggers go in a batch that is not full, epoch ms; undefined when nothing waits for that. */
export function gatheringUntil(state: DispatcherState, now: number): number | undefined {
  const { live = Infinity, members: ofMembers = Infinity } = gatheringTimes(state, now);
  const until = Math.min(live, ofMembers);
  return until === Infinity ? undefined : until;
}

/** The same for live triggers, and for members. */
export function gatheringTimes(
  state: DispatcherState,
  now: number,
): { readonly live?: number | undefined; readonly members?: number | undefined } {
  const { isOpen, isCautious } = state.breaker;
  if (!isInBatches(state) || isOpen || isCautious || slicesLeft(state) <= 0) return {};
  const count = members(state, now);
  const toCome = (isReady: boolean, from: number) => (isReady && from > now ? from : undefined);
  return {
    live: toCome(liveReady(state, now) > 0 && freePermits(state) > 0, liveFrom(state)),
    members: toCome(count > 0 && backfillPermits(state) > 0, membersFrom(state, count)),
  };
}

function hasProbe(state: DispatcherState, now: number): boolean {
  const { chains } = state;
  if (ready(state, now) > 0) return true;
  // A trigger before its time may be one that the quota has not counted.
  return firstsLeft(state, now) > 0 && chains.delayedCount > 0;
}

/** A slice that was dispatched, and the bytes of its input. */
interface DispatchedSlice {
  readonly input: SliceInput;
  readonly bytes: number;
}

/**
 * Dispatches the next slice. Call only when `canDispatch`. Undefined when it found only members who already have a chain: they were appended to
 * it, so the state has changed all the same.
 */
export function dispatchSlice(state: DispatcherState, now: number): DispatchedSlice | undefined {
  if (state.breaker.isOpen || state.breaker.isCautious) return dispatchProbe(state, now);
  const isBackfill = takesFromBackfill(state, now);
  const free = isBackfill ? backfillPermits(state) : freePermits(state);
  const perSecond = state.job.definition.requestsPerSecond;
  const ready = isBackfill ? members(state, now) : readyLive(state);
  const { permits: mostPermits, requests } =
    perSecond !== null
      ? // Only one slice starts requests at a time, so it can use all permits.
        { permits: free, requests: Math.min(SLICE_TRIGGERS, pacedSize(state, perSecond, now)) }
      : isInBatches(state)
        ? batchesOf(state, { ready, free, slicesLeft: slicesLeft(state) })
        : singlesOf(state, { ready, free, isBackfill });
  const isUnfilled = goesUnfilled(state, isBackfill ? ready : undefined, now);
  const mostFresh = isBackfill ? firstsLeftForMembers(state, now) : firstsLeft(state, now);
  const most = triggersOf(state, requests, ready, isUnfilled);
  const builder = new SliceBuilder(state, most, mostFresh, isBackfill);
  if (isBackfill) {
    state.liveStreak = 0;
    takeMembers(state, builder, now);
  } else {
    state.liveStreak++;
    takeLive(state, builder);
  }
  return finish(state, builder, mostPermits, now, { isBackfill });
}

/** How many requests of one trigger a slice makes, on how many permits. */
function singlesOf(
  state: DispatcherState,
  { ready, free, isBackfill }: { readonly ready: number; readonly free: number; readonly isBackfill: boolean },
): { readonly permits: number; readonly requests: number } {
  const permits = Math.min(slicePermits(free, slicesLeft(state)), free);
  const requests = sliceSize({
    permits,
    freePermits: free,
    allPermits: isBackfill ? mostBackfillPermits(state) : mostPermits(state),
    ready,
    requestMs: state.requestMs,
    running: state.slices.size,
    most: mostSlices(state),
  });
  return { permits, requests };
}

/**
 * Dispatches a single trigger, to find out whether an unhealthy endpoint is healthy again, or a new one accepts anything. It prefers a person who
 * has never failed, since the others may be the problem, else the one who failed least.
 */
function dispatchProbe(state: DispatcherState, now: number): DispatchedSlice | undefined {
  const { chains } = state;
  const builder = new SliceBuilder(state, 1, firstsLeft(state, now), false);
  const isNoLetter = ({ triggers }: Chain) => triggers[0]?.redelivery === undefined;
  const fresh = builder.mayTakeFresh ? (chains.live.firstFresh() ?? chains.later.firstFresh(isNoLetter)) : undefined;
  if (fresh === undefined) takePages(state, builder, now);
  if (builder.parts.length > 0) return finish(state, builder, 1, now);
  const chain =
    fresh ?? chains.live.leastFailed(builder.mayTakeFresh) ?? chains.later.leastFailed(builder.mayTakeFresh);
  if (chain !== undefined) {
    builder.take(chain);
    return finish(state, builder, 1, now, { notDueBefore: chain.notBefore });
  }
  if (chains.readyCount > 0) return undefined;
  const early = chains.promoteFirst(state.lastProbe);
  state.lastProbe = early?.user;
  if (early !== undefined) builder.take(early);
  return finish(state, builder, 1, now, early === undefined ? {} : { notDueBefore: early.notBefore });
}

function finish(
  state: DispatcherState,
  builder: SliceBuilder,
  mostPermits: number,
  now: number,
  kind: Pick<Slice, 'notDueBefore' | 'isBackfill'> = {},
): DispatchedSlice | undefined {
  if (builder.parts.length === 0) return undefined;
  // A person is in one request at a time.
  const most = isInBatches(state)
    ? Math.min(builder.parts.length, requestsOf(state, builder.triggers))
    : builder.parts.length;
  const permits = Math.min(mostPermits, most);
  const limits = take(state, builder.freshCount, now);
  const slice: Slice = {
    id: state.nextSliceId++,
    revision: state.job.revision,
    parts: builder.parts,
    triggers: builder.triggers,
    dispatchedPermits: permits,
    permits,
    ...kind,
    limits,
  };
  state.slices.set(slice.id, slice);
  return {
    input: { ...sliceInput(state, slice), settings: builder.settings },
    // The settings go with every slice, and Export Fields can make them long.
    bytes: builder.bytes + state.jobBytes,
  };
}

/** Whether anybody is ready to be sent, regardless of other obstacles. */
export function hasReady(state: DispatcherState, now: number): boolean {
  return ready(state, now) > 0;
}

function ready(state: DispatcherState, now: number): number {
  return liveReady(state, now) + members(state, now);
}

/** Chains with a live trigger that a slice may take. */
function liveReady(state: DispatcherState, now: number): number {
  return firstsLeft(state, now) > 0 ? state.chains.live.size : state.chains.live.retryCount;
}

/** Members that a slice may take: ones waiting for another attempt or given back, and new ones as the backfill's pace allows. */
function members(state: DispatcherState, now: number): number {
  const { chains, backfill, job } = state;
  const { backfillPerSecond } = job.definition;
  const waiting = backfill?.waitingInPages ?? 0;
  const all = chains.later.size + (backfill?.pace.allowed(waiting, backfillPerSecond ?? undefined, now) ?? 0);
  return all === 0 || firstsLeftForMembers(state, now) > 0 ? all : chains.later.retryCount;
}

/** Free permits that a backfill may have; the others are left for live triggers. */
function backfillPermits(state: DispatcherState): number {
  let used = 0;
  for (const slice of state.slices.values()) if (slice.isBackfill === true) used += slice.permits;
  return Math.min(freePermits(state), mostBackfillPermits(state) - used);
}

function mostBackfillPermits(state: DispatcherState): number {
  return Math.min(mostPermits(state), state.job.definition.backfillParallelCount ?? Infinity);
}

function freePermits(state: DispatcherState): number {
  return mostPermits(state) - permitsInUse(state);
}

/** As many as the endpoint's health allows. */
function mostPermits(state: DispatcherState): number {
  return state.breaker.allowedOf(state.job.definition.parallelRequestCount);
}

function slicesLeft(state: DispatcherState): number {
  return mostSlices(state) - state.slices.size;
}

function mostSlices(state: DispatcherState): number {
  return Math.min(state.job.definition.parallelRequestCount, SLICES);
}

function takesFromBackfill(state: DispatcherState, now: number): boolean {
  if (!mayTakeMembers(state, now)) return false;
  // A backfill gets only those first attempts that live triggers leave, where their number is limited.
  const isTurn = firstsLeft(state, now) === NEVER && state.liveStreak >= BACKFILL_EVERY - 1;
  return isTurn || !mayTakeLive(state, now);
}

function isInBatches({ job }: DispatcherState): boolean {
  return job.definition.batch !== null;
}

/** Ready live triggers: with batches all of them, else people, since only the first trigger of each matters. */
function readyLive(state: DispatcherState): number {
  const { chains } = state;
  return isInBatches(state) ? Math.max(chains.live.size, chains.liveTriggers(SLICE_TRIGGERS)) : chains.live.size;
}

/** A slice while it is being dispatched. */
class SliceBuilder {
  readonly parts: { chain: Chain; count: number }[] = [];
  readonly triggers: SliceTrigger[] = [];
  bytes = 0;
  readonly #state: DispatcherState;
  readonly #most: number;
  readonly settings: DeliverySettings;
  readonly #isInBatches: boolean;
  readonly #mostFresh: number;
  readonly #isBackfill: boolean;
  readonly #profileHolders = new Set<string>();
  /** First attempts, which count towards a quota. */
  freshCount = 0;

  /**
   * @param mostFresh the most first attempts that it may have.
   * @param isBackfill whether it is a slice of members.
   */
  constructor(state: DispatcherState, most: number, mostFresh: number, isBackfill: boolean) {
    this.#state = state;
    this.settings = deliverySettings(state.job);
    this.#most = most;
    this.#isInBatches = isInBatches(state);
    this.#mostFresh = mostFresh;
    this.#isBackfill = isBackfill;
  }

  /** Whether the quota allows another first attempt. */
  get mayTakeFresh(): boolean {
    return this.freshCount < this.#mostFresh;
  }

  get isFull(): boolean {
    return this.triggers.length >= this.#most;
  }

  /** Takes as many of a chain's oldest triggers as fit; returns false when not even the first one does. */
  take(chain: Chain): boolean {
    let count = 0;
    for (const trigger of chain.triggers) {
      const inlineBytes = trigger.profileBytes === undefined ? 0 : PROFILE_KEY_BYTES + trigger.profileBytes;
      const profileBytes = trigger.profileRef === undefined ? inlineBytes : PROFILE_REF_BYTES;
      const failures: Pick<SliceTrigger, 'failures'> =
        count === 0 && chain.failures > 0 ? { failures: chain.failures } : {};
      const most =
        count === 0 && this.#isInBatches && chain.batchMost !== undefined ? { batchMost: chain.batchMost } : {};
      const more =
        profileBytes +
        ('batchMost' in most ? SLICE_BATCH_MOST_BYTES : 0) +
        (trigger.redelivery === undefined ? 0 : REDELIVERY_BYTES) +
        (trigger.replay === undefined ? 0 : REPLAY_BYTES) +
        ('failures' in failures ? FAILURES_BYTES : 0);
      const bytes = SLICE_TRIGGER_BYTES + jsonStringBytes(chain.user) + trigger.at.length + more;
      const fits = this.bytes + bytes <= this.#state.budgets.sliceBytes || this.triggers.length === 0;
      const fresh = isFresh(chain, count);
      if (this.isFull || !fits || (fresh && !this.mayTakeFresh) || !this.#takesFrom(trigger.profileRef)) break;
      if (fresh) this.freshCount++;
      const { audience, event, at, profile, profileRef, backfill, replay, redelivery, superseded } = trigger;
      const attempts = attemptsAt(chain, count);
      // A person unknown to the source is sent without a profile: after a few tries, or at once for an exit.
      const optional = event === 'exit' || (count === 0 && chain.profileTries >= PROFILE_DELAYS_MS.length);
      this.triggers.push({
        user: chain.user,
        audience,
        event,
        at,
        ...(profile === undefined ? {} : { profile }),
        ...(profileRef === undefined ? {} : { profileRef }),
        ...(optional ? { profileOptional: true } : {}),
        ...(replay === undefined ? {} : { replay }),
        ...(redelivery === undefined ? {} : { redelivery }),
        // These three are not in `bytes`, which decide where a slice ends: runs of older builds are replayed.
        ...(backfill === undefined || this.#isBackfill ? {} : { member: true }),
        ...(attempts === (failures.failures ?? 0) ? {} : { attempts }),
        ...(superseded === undefined ? {} : { superseded }),
        ...failures,
        ...most,
      });
      this.bytes += bytes;
      count++;
    }
    if (count === 0) return false;
    this.#state.chains.startRunning(chain, count);
    this.parts.push({ chain, count });
    return true;
  }

  /** Whether it may need another profile holder. */
  #takesFrom(profileRef: ProfileRef | undefined): boolean {
    if (profileRef === undefined || this.#profileHolders.has(profileRef[0])) return true;
    if (this.#profileHolders.size >= MOST_PROFILE_HOLDERS) return false;
    this.#profileHolders.add(profileRef[0]);
    return true;
  }
}

/** Most profile holders that one slice needs: each may be a megabyte that its worker reads before it sends. */
const MOST_PROFILE_HOLDERS = 8;

// [,199,"",{"profileOptional":true}], as it is packed.
const SLICE_TRIGGER_BYTES = 36;
const PROFILE_KEY_BYTES = 11;
// "replay":true,
const REPLAY_BYTES = 14;
// "redelivery":, and any number that there is.
const REDELIVERY_BYTES = 30;
// "batchMost":1000,
const SLICE_BATCH_MOST_BYTES = 17;
// "failures":12,
const FAILURES_BYTES = 14;

/** Takes live triggers. A recovering endpoint is tested with those that have never failed, since it may be unable to accept others. */
function takeLive({ chains: { live }, breaker }: DispatcherState, builder: SliceBuilder): void {
  takeChains(builder, () => {
    const fresh = builder.mayTakeFresh && breaker.isRecovering ? live.firstFresh() : undefined;
    return fresh ?? live.first(builder.mayTakeFresh);
  });
}

/** Takes members that a slice gave back, then those of pages. */
function takeMembers(state: DispatcherState, builder: SliceBuilder, now: number): void {
  if (takeChains(builder, () => state.chains.later.first(builder.mayTakeFresh))) takePages(state, builder, now);
}

/** Takes one chain after another; returns false when one did not fit. */
function takeChains(builder: SliceBuilder, next: () => Chain | undefined): boolean {
  for (let chain = next(); chain !== undefined && !builder.isFull; chain = next()) {
    if (!builder.take(chain)) return false;
  }
  return true;
}

function takePages(state: DispatcherState, builder: SliceBuilder, now: number): void {
  const { backfill, chains } = state;
  const perSecond = state.job.definition.backfillPerSecond ?? undefined;
  if (backfill === undefined) return;
  let allowed = backfill.pace.allowed(backfill.waitingInPages, perSecond, now);
  while (
    !builder.isFull &&
    builder.mayTakeFresh &&
    builder.bytes < state.budgets.sliceBytes - MEMBER_BYTES &&
    allowed-- > 0
  ) {
    const member = backfill.shift(perSecond, now);
    if (member === undefined) return;
    const waits = chains.get(member.user) !== undefined;
    const trigger = backfill.triggerOf(member);
    const chain = chains.addFromBackfill(member.user, { ...trigger, ...acceptedNow(trigger.at, now) });
    // A person who is already waiting keeps their place; this trigger is appended to their chain.
    if (!waits) builder.take(chain);
  }
}

const MEMBER_BYTES = 1000;

function sliceInput(state: DispatcherState, slice: Slice): Omit<SliceInput, 'settings'> {
  const named = new Set(slice.triggers.map(({ audience }) => audience));
  const audiences = [...named]
    .map((id) => audienceById(state.job, id))
    .filter((one): one is Audience => one !== undefined);
  return {
    sliceId: slice.id,
    ...(slice.isBackfill === true ? { kind: 'backfill' } : {}),
    permits: slice.permits,
    budgetMs: SLICE_BUDGET_MS,
    ...slice.limits,
    audiences,
    triggers: slice.triggers,
  };
}
