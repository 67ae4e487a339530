import type { LastFailure } from '../../contract/job-status.ts';
import type { JudgedAttempt, SliceProgress, SliceReport } from '../../contract/slice.ts';
import { deliveryText, membershipText } from '../delivery-id.ts';
import { instantOf } from '../instant.ts';
import { definedOf } from '../json.ts';
import { WORKER_FAULT_DELAY_MS, PROFILE_DELAYS_MS, SOURCE_DELAY_MS, retryDelayMs, spread } from '../retry.ts';
import { readProgress, readReport, readSpacing } from '../slice.ts';
import { ATTEMPT_CODES, VERDICTS, wasRequested } from '../verdict.ts';
import { maySend } from './dispatching.ts';
import type { Slice } from './job.ts';
import { attemptsAt, type Chain, type QueuedTrigger } from './queue/chain.ts';
import { type DispatcherState, chainRoom, countLeft, drawChance, isCrowdedOut, noteTrend } from './state.ts';
import { endpointAsksToWait } from './throttles/asked-wait.ts';
import { batchSize } from './throttles/batching.ts';
import { spacingEnded } from './throttles/request-rate.ts';
import { updateRequestMs } from './throttles/slice-size.ts';
import { settled as settledThrottles } from './throttles/throttles.ts';

/**
 * Settles a slice that ended: removes its delivered triggers; the rest waits as the verdicts say. A report in which the outcome of any
 * trigger is uncertain delivers none: all go back, and wait for a while, since the next report of that worker would be no better.
 *
 * @param raw the result of `deliver`; it is read completely before anything changes.
 * @returns whether it could be read.
 */
export function settleSlice(state: DispatcherState, sliceId: number, raw: unknown, now: number): boolean {
  const slice = state.slices.get(sliceId);
  if (slice === undefined || slice.overAt !== undefined) return true;
  const report = readReport(raw, slice.triggers.length);
  settle(state, slice, report ?? unclearReport(slice), now, report === undefined);
  return report !== undefined;
}

/** The report for a slice without a readable one: the first trigger of each person failed for a reason of ours, and no other was sent. */
function unclearReport({ parts, triggers }: Slice): SliceReport<JudgedAttempt> {
  const failed: JudgedAttempt[] = [];
  let index = 0;
  for (const { count } of parts) {
    failed.push({ index, code: ATTEMPT_CODES.reportUnreadable, verdict: 'worker-fault', durationMs: 0 });
    index += count;
  }
  const heads = new Set(failed.map((attempt) => attempt.index));
  return { failed, unsent: [...triggers.keys()].filter((place) => !heads.has(place)), sendingMs: 0 };
}

/** @param isUnclear whether requests may have been made for triggers that are unsent in the report. */
function settle(
  state: DispatcherState,
  slice: Slice,
  report: SliceReport<JudgedAttempt>,
  now: number,
  isUnclear: boolean,
): void {
  const { isUnproven } = state.breaker;
  const failed = new Map(report.failed.map((one) => [one.index, isUnproven ? one : judgedForProven(one)]));
  const unsent = new Set(report.unsent);
  state.slices.delete(slice.id);
  if (isUnclear || report.failed.length > 0) state.counters.slicesFailed++;
  const isCurrent = slice.revision === state.job.revision;
  const isProofOfLife = isCurrent && failed.size + unsent.size < slice.triggers.length;
  const settling = {
    slice,
    now,
    failed,
    unsent,
    halved: new Map(report.halved?.map(([place, most]) => [place, most])),
    isUnclear,
    chances: new Map<number, number>(),
    shared: requestSizes(report.failed),
    worker: report.worker,
  };
  const refused = new Set(
    report.halved?.flatMap(([place, , isUnrequested]) => (isUnrequested === true ? [] : [place])),
  );
  const isRequested = (index: number): boolean => {
    const attempt = failed.get(index);
    if (isUnclear || refused.has(index) || isUnclearAttempt(attempt)) return true;
    return attempt === undefined ? !unsent.has(index) : wasRequested(attempt);
  };
  settledThrottles(state, { slice, report, isProofOfLife, wasRequested: isRequested }, now);
  const parts = partsOf(settling);
  const delivered = parts.reduce((sum, part) => sum + part.delivered, 0);
  if (delivered > 0) state.lastDeliveredAt = now;
  // An answer to a batch counts once, however many people it is about.
  const failures = parts.flatMap(({ chain, delivered: before, attempt }) => {
    if (attempt === undefined || attempt.like !== undefined) return [];
    const isRedelivered = slice.triggers[attempt.index]?.redelivery !== undefined;
    const isAgain = isRedelivered || (before === 0 && chain.failures > 0);
    return [{ user: chain.user, verdict: attempt.verdict, isAgain, isRedelivered }];
  });
  const size = batchSize(state);
  // Before the failures are settled: only this tells whether a refusal is about one payload or about everybody.
  if (isCurrent && delivered + failures.length > 0) {
    state.breaker.learn(
      { delivered: Math.ceil(delivered / size), failures },
      state.job.definition.parallelRequestCount,
      now,
      drawChance(state),
    );
  }
  const { backfill } = state;
  const before = backfill?.counts.delivered ?? 0;
  for (const part of parts) settlePart(state, settling, part);
  state.meter.count(delivered, now);
  backfill?.meter.count(backfill.counts.delivered - before, now);
  noteTrend(state, delivered, failures.length, now);
  // If a slice spaced its requests, its time says nothing about how long they take.
  if (slice.limits.pace !== undefined) return;
  state.requestMs = updateRequestMs(
    state.requestMs,
    slice.dispatchedPermits,
    report.requests ?? delivered + report.failed.length,
    report.sendingMs,
  );
}

/** This alone is judged here: once the endpoint has accepted others, a template that fails for one person is about that person alone. */
function judgedForProven(attempt: JudgedAttempt): JudgedAttempt {
  const isTemplate = attempt.status === undefined && attempt.code === ATTEMPT_CODES.templateFailed;
  return isTemplate ? { ...attempt, verdict: 'unsendable' } : attempt;
}

/** Whether a request may have been made, though it is not known. */
function isUnclearAttempt(attempt: JudgedAttempt | undefined): boolean {
  return attempt?.code === ATTEMPT_CODES.reportUnreadable;
}

/** The outcome of one chain in a slice. */
interface SettledPart {
  readonly chain: Chain;
  /** How many of its oldest triggers were in the slice. */
  readonly count: number;
  /** How many of these were delivered. */
  readonly delivered: number;
  /** The place of the next one in the slice. */
  readonly next: number;
  /** The attempt at the next one, if it was made and failed. */
  readonly attempt: JudgedAttempt | undefined;
  /** The most triggers in the next batch of that one, if its last batch was refused. */
  readonly batchMost: number | undefined;
}

/** The slice that is being settled. Its triggers are named by their places. */
interface Settling {
  readonly slice: Slice;
  readonly now: number;
  readonly failed: ReadonlyMap<number, JudgedAttempt>;
  readonly unsent: ReadonlySet<number>;
  readonly halved: ReadonlyMap<number, number>;
  /** Whether requests may have been made for triggers that are unsent in the report. */
  readonly isUnclear: boolean;
  /** The spread of the next attempts after failed requests, by the first trigger of each request: a failed batch comes back as one. */
  readonly chances: Map<number, number>;
  /** How many triggers each failed request was about, by its first. */
  readonly shared: ReadonlyMap<number, number>;
  /** The worker of the slice, where it is known. */
  readonly worker?: string | undefined;
}

function requestSizes(failed: readonly JudgedAttempt[]): ReadonlyMap<number, number> {
  const sizes = new Map<number, number>();
  for (const { index, like = index } of failed) sizes.set(like, (sizes.get(like) ?? 0) + 1);
  return sizes;
}

function partsOf({ slice, failed, unsent, halved }: Settling): SettledPart[] {
  let index = 0;
  return slice.parts.map(({ chain, count }) => {
    const stop = firstNotDelivered(index, count, failed, unsent);
    const end = index + count;
    const attempt = stop < end ? failed.get(stop) : undefined;
    const delivered = stop - index;
    index = end;
    return { chain, count, delivered, next: stop, attempt, batchMost: halved.get(stop) };
  });
}

function settlePart(state: DispatcherState, settling: Settling, part: SettledPart): void {
  const { chain, delivered, attempt, batchMost } = part;
  const isRequested = delivered > 0 || (attempt !== undefined && wasRequested(attempt));
  if (chain.failures > 0 && isRequested) state.counters.retried++;
  for (let i = 0; i < delivered; i++) deliveredHead(state, chain, settling.now);
  countAttempts(state, settling, part);
  if (batchMost !== undefined) state.chains.limitBatch(chain, batchMost);
  if (attempt === undefined) state.chains.stopRunning(chain);
  else settleFailure(state, settling, chain, attempt);
  // An enter of a backfill is last in its chain, however far it had got.
  countLeft(state, state.chains.putLiveFirst(chain) ?? [], 'superseded');
}

/** Counts the requests for undelivered triggers of a chain: each that was made, or may have been. A batch may have several of them. */
function countAttempts({ chains }: DispatcherState, { failed, isUnclear }: Settling, part: SettledPart): void {
  const { chain, count, delivered, next, attempt: first } = part;
  for (let place = 0; place < count - delivered; place++) {
    const attempt = failed.get(next + place);
    if (attempt !== undefined) {
      const isKnown = !isUnclearAttempt(attempt);
      chains.countAttempt(chain, place, !isKnown || wasRequested(attempt), isKnown);
    } else if (first === undefined && isUnclear) chains.countAttempt(chain, place, true, false);
  }
}

/**
 * Settles a slice whose activity failed for good, which an endpoint cannot cause. Its triggers go back, except the ones that its last
 * heartbeat reports as settled.
 *
 * @param details of that heartbeat; if they cannot be read, nothing is known to be settled.
 */
export function loseSlice(state: DispatcherState, sliceId: number, details: unknown, now: number): void {
  const slice = state.slices.get(sliceId);
  if (slice === undefined || slice.overAt !== undefined) return;
  const progress = readProgress(details, slice.triggers.length);
  const { failed = [], halved } = progress ?? {};
  const settled = settledPlaces(progress);
  const unsent = [...slice.triggers.keys()].filter((index) => !settled.has(index));
  settle(state, slice, { failed, unsent, sendingMs: 0, ...(halved === undefined ? {} : { halved }) }, now, true);
}

/** The places in a slice whose outcome a heartbeat reports. */
export function settledPlaces({ delivered, failed }: SliceProgress = { delivered: [], failed: [] }): Set<number> {
  const settled = new Set(failed.map(({ index }) => index));
  for (const [first, last] of delivered) for (let index = first; index <= last; index++) settled.add(index);
  return settled;
}

/** Takes back permits from a running slice, which starts no further request. A repeat has no effect, since `left` is how many it keeps. */
export function returnPermits(state: DispatcherState, raw: unknown, now: number): undefined {
  if (typeof raw !== 'object' || raw === null) return;
  const { sliceId, left, spacing } = raw as { sliceId?: unknown; left?: unknown; spacing?: unknown };
  const slice = typeof sliceId === 'number' ? state.slices.get(sliceId) : undefined;
  if (slice === undefined || slice.overAt !== undefined || typeof left !== 'number' || !(left >= 0)) return;
  slice.permits = Math.min(slice.permits, left);
  const end = readSpacing(spacing);
  if (end !== undefined) spacingEnded(state, slice, end, now);
  else if (slice.limits.pace === undefined) slice.startsNoMore = true;
}

function firstNotDelivered(
  from: number,
  count: number,
  failed: ReadonlyMap<number, JudgedAttempt>,
  unsent: ReadonlySet<number>,
): number {
  let index = from;
  while (index < from + count && !failed.has(index) && !unsent.has(index)) index++;
  return index;
}

function deliveredHead(state: DispatcherState, chain: Chain, now: number): void {
  const trigger = state.chains.settleHead(chain);
  state.counters.delivered++;
  if (trigger === undefined) return;
  const { backfill, arrived } = state;
  // A page of a replay that was read just before is older news about them.
  if (backfill?.instead.replay !== undefined && backfill.expectsPages && trigger.backfill !== backfill.n)
    arrived.remember(membershipText(chain.user, trigger.audience), now);
  if (trigger.backfill === undefined) rememberDelivery(state, chain.user, trigger);
  else countLeft(state, [trigger], 'delivered');
}

function settleFailure(state: DispatcherState, settling: Settling, chain: Chain, attempt: JudgedAttempt): void {
  const { slice, now, worker } = settling;
  const { verdict } = attempt;
  chain.losses = 0;
  if (VERDICTS[verdict].isShown) state.lastFailure = { ...failureOf(attempt, now), ...definedOf({ worker }) };
  const current = slice.revision === state.job.revision;
  switch (verdict) {
    case 'transient':
    case 'misconfigured':
      if (slice.notDueBefore !== undefined && slice.notDueBefore > now) {
        state.chains.delay(chain, slice.notDueBefore);
        return;
      }
      retryOrDeadLetter(state, settling, chain, attempt);
      return;
    case 'refused':
      // An endpoint that refuses everybody is wrongly configured, so its triggers are kept rather than given up. An endpoint that has never
      // accepted any may be, too.
      if (state.breaker.isOpen || state.breaker.isUnproven) retryOrDeadLetter(state, settling, chain, attempt);
      else deadLetterHead(state, chain, attempt, now);
      return;
    case 'skipped':
      skip(state, chain);
      return;
    case 'given-up':
    case 'unsendable':
      deadLetterHead(state, chain, attempt, now);
      return;
    case 'throttled':
      if (current) endpointAsksToWait(state, attempt.retryAfterMs, now);
      state.chains.stopRunning(chain);
      return;
    case 'endpoint-gone':
      if (current) pauseByEndpoint(state, undefined, now);
      state.chains.stopRunning(chain);
      return;
    case 'pausing':
      if (current) pauseByEndpoint(state, attempt.status, now);
      state.chains.stopRunning(chain);
      return;
    case 'source':
      state.chains.delay(chain, now + spread(SOURCE_DELAY_MS, drawChance(state)));
      return;
    case 'profile-missing':
      chain.profileTries++;
      state.chains.delay(chain, now + (PROFILE_DELAYS_MS[chain.profileTries - 1] ?? 0));
      return;
    case 'worker-fault':
      state.chains.delay(chain, now + spread(WORKER_FAULT_DELAY_MS, drawChance(state)));
      return;
  }
}

/** Delays a chain until its oldest trigger's next attempt; after the end of the schedule, that trigger becomes a dead letter. */
function retryOrDeadLetter(
  state: DispatcherState,
  { now, chances, shared }: Settling,
  chain: Chain,
  attempt: JudgedAttempt,
): void {
  const { index, like = index } = attempt;
  const chance = chances.get(like) ?? drawChance(state);
  chances.set(like, chance);
  const others = shared.get(like) ?? 1;
  const { retryFor } = state.job.definition;
  // An edit of the schedule may have made an attempt together with others the last one: then one more follows, alone.
  const soonMs = others > 1 ? retryDelayMs(1, chance, retryFor) : undefined;
  const delayMs = retryDelayMs(chain.failures + 1, chance, retryFor) ?? soonMs;
  if (delayMs === undefined) {
    deadLetterHead(state, chain, attempt, now);
    return;
  }
  chain.failures++;
  if (others > 1) state.chains.limitBatch(chain, nextBatchMost(state, chain, others));
  state.chains.delay(chain, now + delayMs);
}

/**
 * How many triggers may be in the next request about somebody whose last one failed together with others. One of the others may make it
 * fail, so there are fewer each time, and nobody else at the last attempt.
 */
function nextBatchMost({ job }: DispatcherState, { failures }: Chain, shared: number): number {
  const isLast = retryDelayMs(failures + 1, 0, job.definition.retryFor) === undefined;
  return isLast ? 1 : Math.ceil(shared / FEWER_AFTER_FAILURE);
}

/** With a quarter each time, everybody of the largest batch is alone after five failed attempts. */
const FEWER_AFTER_FAILURE = 4;

/** Makes the oldest trigger of a running chain a dead letter; the next one may then be sent. */
function deadLetterHead(state: DispatcherState, chain: Chain, attempt: JudgedAttempt, now: number): void {
  // An enter of a backfill may be old news by now: live triggers go first, and may replace it.
  if (chain.triggers[0]?.backfill !== undefined && chain.fromBackfill < chain.triggers.length) {
    state.chains.stopRunning(chain);
    return;
  }
  const trigger = state.chains.settleHead(chain);
  state.chains.stopRunning(chain);
  if (trigger !== undefined) deadLetter(state, chain.user, trigger, failureOf(attempt, now));
}

/** Skips the oldest trigger of a running chain; the next one may then be sent. */
function skip(state: DispatcherState, chain: Chain): void {
  const trigger = state.chains.settleHead(chain);
  state.chains.stopRunning(chain);
  if (trigger === undefined) return;
  // Members of a backfill do not count as received.
  if (trigger.backfill === undefined) state.counters.filtered = (state.counters.filtered ?? 0) + 1;
  countLeft(state, [trigger], 'filtered');
}

/** @param status undefined: it was a 410, whatever the job's `answers` say. */
function pauseByEndpoint(state: DispatcherState, status: number | undefined, now: number): void {
  if (state.pause !== undefined) return;
  state.pause = { by: 'endpoint', ...definedOf({ status }) };
  const reason = `HTTP ${status ?? 410}`;
  state.audit.add({ at: instantOf(now), action: 'pause', who: 'endpoint', door: 'job', reason });
}

function failureOf({ status, code, as, answer }: JudgedAttempt, now: number): LastFailure {
  return { at: instantOf(now), ...definedOf({ status, code, as, answer }) };
}

/** After this many failed attempts, in three quarters of an hour, a trigger may be given up early. */
const EARLY_AFTER = 5;
/** An endpoint that accepted something this recently is healthy, so triggers that fail do so for their own reasons. */
const WELL_MS = 10 * 60_000;

/** Makes a trigger a dead letter: it leaves the chains, and counts as waiting until its own workflow keeps it. */
function deadLetter(state: DispatcherState, user: string, trigger: QueuedTrigger, failure: LastFailure): void {
  countLeft(state, [trigger], 'dead');
  // If it comes back, it comes as a live trigger.
  const { backfill: _, replay: __, superseded: ___, attempts = 0, ...live } = trigger;
  state.deadLetters.add({ user, trigger: live, failure, attempts });
}

/**
 * Makes room in the chains. A job can keep a few thousand people waiting for their next attempt; with more, everybody else would have to
 * wait for them. While the endpoint is healthy, the triggers that have failed most often are therefore given up before the end of their
 * schedule.
 */
export function makeRoom(state: DispatcherState, now: number): void {
  const { chains, budgets, overflow, lastDeliveredAt } = state;
  if (lastDeliveredAt === undefined || now - lastDeliveredAt > WELL_MS || !maySend(state, now)) return;
  const holderFits = chainRoom(state) - budgets.sliceBytes;
  if (isCrowdedOut(state) && chains.bytes > holderFits && !overflow.isEmpty) {
    // No others could even be tried, so give up just enough to make room for some.
    deadLetterMostFailed(state, now, 1, () => chains.bytes <= holderFits);
  } else if (chains.delayedBytes >= (budgets.chainBytes * 3) / 4 && !state.breaker.isOpen) {
    const enough = budgets.chainBytes / 2;
    deadLetterMostFailed(state, now, EARLY_AFTER, () => chains.delayedBytes <= enough);
  }
}

function deadLetterMostFailed(
  state: DispatcherState,
  now: number,
  leastFailures: number,
  isEnough: () => boolean,
): void {
  const { chains } = state;
  const failed = [...chains.failed()].filter(({ failures }) => failures >= leastFailures);
  failed.sort((a, b) => b.failures - a.failures);
  for (const chain of failed) {
    if (isEnough()) return;
    const attempts = attemptsAt(chain, 0);
    const trigger = chains.dropHead(chain);
    const failure = { at: instantOf(now), code: ATTEMPT_CODES.givenUpEarly };
    if (trigger !== undefined) deadLetter(state, chain.user, { ...trigger, attempts }, failure);
  }
}

/** Remembers that a trigger was delivered: if it is signalled again soon, that is a repeat. */
function rememberDelivery(state: DispatcherState, user: string, trigger: QueuedTrigger): void {
  state.delivered.remember(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}
