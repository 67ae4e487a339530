import type { LastFailure } from '../../contract/job-status.ts';
import type { FailedAttempt, SliceReport } from '../../contract/slice.ts';
import { instantOf } from '../instant.ts';
import {
  OURS_DELAY_MS,
  PROFILE_DELAYS_MS,
  retryDelayMs,
  SOURCE_DELAY_MS,
  spread,
  throttleMs,
} from '../retry-schedule.ts';
import { judge, type Verdict, wasAsked } from '../verdict.ts';
import type { Chain } from './chain.ts';
import { giveUp } from './giving-up.ts';
import { countLeft, drawChance, type JobState, type Slice } from './job-state.ts';
import { updateRequestMs } from './pace.ts';
import { rememberDelivery } from './repeats.ts';

/** A slice ended: removes its delivered triggers; the rest waits as the verdicts say. */
export function settleSlice(state: JobState, sliceId: number, report: SliceReport, now: number): void {
  const slice = state.slices.get(sliceId);
  if (slice === undefined) return;
  // Read before anything is changed: a report that cannot be read counts as a lost slice.
  if (!Array.isArray(report.failed) || !Array.isArray(report.unsent))
    throw new TypeError('That is not a report of a slice.');
  const failed = new Map(report.failed.map((attempt) => [attempt.index, attempt]));
  const unsent = new Set(report.unsent);
  state.slices.delete(sliceId);
  // A success of the present endpoint ends a row of throttled answers, but not a wait that it asked for meanwhile.
  const isCurrent = slice.revision === state.job.revision;
  const isProofOfLife = isCurrent && failed.size + unsent.size < slice.triggers.length;
  if (isProofOfLife && state.throttle !== undefined && state.throttle.until <= now) state.throttle = undefined;
  const parts = partsOf(slice, failed, unsent);
  const delivered = parts.reduce((sum, part) => sum + part.delivered, 0);
  if (delivered > 0) state.lastDeliveredAt = now;
  const failures = parts.flatMap(({ chain, verdict }) =>
    verdict === undefined ? [] : [{ user: chain.user, verdict }],
  );
  // Before the failures are settled, because only this tells whether a refusal is about one payload or about everybody.
  if (isCurrent && delivered + failures.length > 0) {
    state.breaker.learn({ delivered, failures }, state.job.definition.parallelRequestCount, now, drawChance(state));
  }
  const { backfill } = state;
  const before = backfill?.counts.delivered ?? 0;
  for (const part of parts) settlePart(state, slice, part, now);
  state.meter.count(delivered, now);
  backfill?.meter.count(backfill.counts.delivered - before, now);
  state.requestMs = updateRequestMs(
    state.requestMs,
    slice.cutPermits,
    delivered + report.failed.length,
    report.sendingMs,
  );
}

/** The outcome of one chain in a slice. */
interface SettledPart {
  readonly chain: Chain;
  /** How many of its oldest triggers were delivered. */
  readonly delivered: number;
  /** The attempt at the next one, if it was made and failed. */
  readonly attempt: FailedAttempt | undefined;
  readonly verdict: Verdict | undefined;
}

function partsOf(slice: Slice, failed: ReadonlyMap<number, FailedAttempt>, unsent: ReadonlySet<number>): SettledPart[] {
  let index = 0;
  return slice.parts.map(({ chain, count }) => {
    const stop = firstNotDelivered(index, count, failed, unsent);
    const attempt = stop < index + count ? failed.get(stop) : undefined;
    const delivered = stop - index;
    index += count;
    return { chain, delivered, attempt, verdict: attempt === undefined ? undefined : judge(attempt) };
  });
}

function settlePart(state: JobState, slice: Slice, part: SettledPart, now: number): void {
  const { chain, delivered, attempt, verdict } = part;
  if (chain.failures > 0 && (delivered > 0 || (verdict !== undefined && wasAsked(verdict)))) state.counters.retried++;
  for (let i = 0; i < delivered; i++) deliveredHead(state, chain);
  if (attempt !== undefined && verdict !== undefined) settleFailure(state, slice, chain, attempt, verdict, now);
  else state.chains.stopRunning(chain);
  // An enter of a backfill is last in its chain, however far it had got.
  countLeft(state, state.chains.putLiveFirst(chain) ?? [], 'superseded');
}

/**
 * The activity of a slice failed for good, which an endpoint cannot cause. Its triggers go back, except those that its last heartbeat
 * reports as settled.
 */
export function loseSlice(
  state: JobState,
  sliceId: number,
  settled: Pick<SliceReport, 'failed'> & { delivered: ReadonlySet<number> },
  now: number,
): void {
  const slice = state.slices.get(sliceId);
  if (slice === undefined) return;
  const failed = new Set(settled.failed.map(({ index }) => index));
  const unsent = slice.triggers
    .map((_, index) => index)
    .filter((index) => !settled.delivered.has(index) && !failed.has(index));
  settleSlice(state, sliceId, { failed: settled.failed, unsent, sendingMs: 0 }, now);
}

/** A running slice gave back permits that it no longer needs. A repeat has no effect, since `left` is how many it keeps. */
export function returnPermits(state: JobState, raw: unknown): undefined {
  if (typeof raw !== 'object' || raw === null) return;
  const { sliceId, left } = raw as { sliceId?: unknown; left?: unknown };
  const slice = typeof sliceId === 'number' ? state.slices.get(sliceId) : undefined;
  if (slice !== undefined && typeof left === 'number' && left >= 0) slice.permits = Math.min(slice.permits, left);
}

function firstNotDelivered(
  from: number,
  count: number,
  failed: ReadonlyMap<number, FailedAttempt>,
  unsent: ReadonlySet<number>,
): number {
  let index = from;
  while (index < from + count && !failed.has(index) && !unsent.has(index)) index++;
  return index;
}

function deliveredHead(state: JobState, chain: Chain): void {
  const trigger = state.chains.settleHead(chain);
  state.counters.delivered++;
  if (trigger === undefined) return;
  if (trigger.backfill === undefined) rememberDelivery(state, chain.user, trigger);
  else countLeft(state, [trigger], 'delivered');
}

function settleFailure(
  state: JobState,
  slice: Slice,
  chain: Chain,
  attempt: FailedAttempt,
  verdict: Verdict,
  now: number,
): void {
  // That a profile is not there yet is not a failure of the endpoint or the trigger.
  if (verdict !== 'profile-missing') noteFailure(state, attempt, now);
  const current = slice.revision === state.job.revision;
  switch (verdict) {
    case 'transient':
    case 'setup':
      if (slice.notDueBefore !== undefined && slice.notDueBefore > now) {
        state.chains.hold(chain, slice.notDueBefore);
        return;
      }
      retryOrBury(state, chain, attempt, now);
      return;
    case 'refused':
      // An endpoint that refuses everybody is wrongly set up, so its triggers are kept rather than given up. That may also be true of one
      // that has never accepted any.
      if (state.breaker.isOpen || state.breaker.isUnproven) retryOrBury(state, chain, attempt, now);
      else bury(state, chain, attempt, now);
      return;
    case 'unsendable':
      bury(state, chain, attempt, now);
      return;
    case 'throttled':
      if (current) throttle(state, attempt.retryAfterMs, now);
      state.chains.stopRunning(chain);
      return;
    case 'gone':
      if (current) state.pause ??= { by: 'endpoint' };
      state.chains.stopRunning(chain);
      return;
    case 'source':
      state.chains.hold(chain, now + spread(SOURCE_DELAY_MS, drawChance(state)));
      return;
    case 'profile-missing':
      chain.profileTries++;
      state.chains.hold(chain, now + (PROFILE_DELAYS_MS[chain.profileTries - 1] ?? 0));
      return;
    case 'ours':
      state.chains.hold(chain, now + spread(OURS_DELAY_MS, drawChance(state)));
      return;
  }
}

/** Holds a chain until its oldest trigger's next attempt; after the end of the schedule, that trigger becomes a dead letter. */
function retryOrBury(state: JobState, chain: Chain, attempt: FailedAttempt, now: number): void {
  const delayMs = retryDelayMs(chain.failures + 1, drawChance(state));
  if (delayMs === undefined) {
    bury(state, chain, attempt, now);
    return;
  }
  chain.failures++;
  state.chains.hold(chain, now + delayMs);
}

/** Makes the oldest trigger of a running chain a dead letter; the next one may then be sent. */
function bury(state: JobState, chain: Chain, attempt: FailedAttempt, now: number): void {
  // An enter of a backfill may be old news by now: live triggers go first, and may replace it.
  if (chain.triggers[0]?.backfill !== undefined && chain.fromBackfill < chain.triggers.length) {
    state.chains.stopRunning(chain);
    return;
  }
  const attempts = chain.failures + 1;
  const trigger = state.chains.settleHead(chain);
  state.chains.stopRunning(chain);
  if (trigger !== undefined) giveUp(state, chain.user, trigger, { failure: failureOf(attempt, now), attempts });
}

function throttle(state: JobState, retryAfterMs: number | undefined, now: number): void {
  // Slices that run side by side are throttled together: that counts once, not several times.
  const streak = (state.throttle?.streak ?? 0) + (state.throttle === undefined || state.throttle.until <= now ? 1 : 0);
  const until = now + throttleMs(retryAfterMs, streak);
  state.throttle = { until: Math.max(until, state.throttle?.until ?? 0), streak };
}

function noteFailure(state: JobState, attempt: FailedAttempt, now: number): void {
  state.lastFailure = failureOf(attempt, now);
}

function failureOf({ status, code, answer }: FailedAttempt, now: number): LastFailure {
  return {
    at: instantOf(now),
    ...(status === undefined ? {} : { status }),
    ...(code === undefined ? {} : { code }),
    ...(answer === undefined ? {} : { answer }),
  };
}
