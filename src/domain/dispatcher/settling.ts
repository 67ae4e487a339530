import type { FailedAttempt, SliceReport } from '../../contract/slice.ts';
import { instantOf } from '../instant.ts';
import {
  OURS_DELAY_MS,
  PROFILE_DELAYS_MS,
  RETRY_DELAYS_MS,
  retryDelayMs,
  SOURCE_DELAY_MS,
  spread,
  throttleMs,
} from '../retry-schedule.ts';
import { judge, type Verdict } from '../verdict.ts';
import type { Chain } from './chain.ts';
import { countLeft, drawChance, type JobState, type Slice } from './job-state.ts';
import { updateRequestMs } from './pace.ts';

/** A trigger with this many failed attempts is at the end of the schedule: it stays, and is tried at its last interval. */
export const EXHAUSTED_FAILURES = RETRY_DELAYS_MS.length;

/** Verdicts of attempts for which the endpoint was really asked. */
const ASKED: ReadonlySet<Verdict> = new Set(['transient', 'setup', 'throttled', 'gone', 'refused']);

/** A slice ended: its delivered triggers go, the rest waits as the verdicts say. */
export function settleSlice(state: JobState, sliceId: number, report: SliceReport, now: number): void {
  const slice = state.slices.get(sliceId);
  if (slice === undefined) return;
  // Read before anything is changed: a report that cannot be read is a lost slice.
  if (!Array.isArray(report.failed) || !Array.isArray(report.unsent))
    throw new TypeError('That is no report of a slice.');
  const failed = new Map(report.failed.map((attempt) => [attempt.index, attempt]));
  const unsent = new Set(report.unsent);
  state.slices.delete(sliceId);
  // A success of today's endpoint ends a row of throttled answers, but not a wait that it asked for meanwhile.
  const isProofOfLife = slice.revision === state.job.revision && failed.size + unsent.size < slice.triggers.length;
  if (isProofOfLife && state.throttle !== undefined && state.throttle.until <= now) state.throttle = undefined;
  let index = 0;
  let delivered = 0;
  const failures: { user: string; verdict: Verdict }[] = [];
  for (const { chain, count } of slice.parts) {
    const stop = firstNotDelivered(index, count, failed, unsent);
    const attempt = stop < index + count ? failed.get(stop) : undefined;
    const verdict = attempt === undefined ? undefined : judge(attempt);
    if (chain.failures > 0 && (stop > index || (verdict !== undefined && ASKED.has(verdict)))) state.counters.retried++;
    for (let i = index; i < stop; i++) deliveredHead(state, chain);
    delivered += stop - index;
    if (attempt !== undefined && verdict !== undefined) {
      failures.push({ user: chain.user, verdict });
      settleFailure(state, slice, chain, attempt, verdict, now);
    } else state.chains.stopRunning(chain);
    // Last in its chain is where an enter of a backfill stands, however far it had come.
    countLeft(state, state.chains.putLiveFirst(chain) ?? [], 'superseded');
    index += count;
  }
  state.requestMs = updateRequestMs(
    state.requestMs,
    slice.cutPermits,
    delivered + report.failed.length,
    report.sendingMs,
  );
  if (slice.revision === state.job.revision && delivered + failures.length > 0) {
    state.breaker.learn({ delivered, failures }, state.job.definition.parallelRequestCount, now, drawChance(state));
  }
  if (delivered > 0) state.lastDeliveredAt = now;
}

/**
 * The activity of a slice failed for good, which an endpoint cannot bring about. Its triggers go back, but for those that its last
 * heartbeat reports as settled.
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

/** A running slice gave back permits that it has no more use for. Said twice, it counts once: `left` is what it keeps. */
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
  if (trigger?.backfill !== undefined && trigger.backfill === state.backfill?.n) state.backfill.settled(1, 'delivered');
}

function settleFailure(
  state: JobState,
  slice: Slice,
  chain: Chain,
  attempt: FailedAttempt,
  verdict: Verdict,
  now: number,
): void {
  // That a profile is not there yet is no failure of anybody's.
  if (verdict !== 'profile-missing') noteFailure(state, attempt, now);
  const current = slice.revision === state.job.revision;
  switch (verdict) {
    case 'transient':
    case 'setup':
      if (slice.notDueBefore !== undefined && slice.notDueBefore > now) {
        state.chains.hold(chain, slice.notDueBefore);
        return;
      }
      holdForRetry(state, chain, chain.failures + 1, now);
      return;
    case 'refused':
      holdForRetry(state, chain, EXHAUSTED_FAILURES, now);
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

/** Holds a chain whose oldest trigger has now failed so often; past the end of the schedule its last wait goes on. */
function holdForRetry(state: JobState, chain: Chain, failures: number, now: number): void {
  chain.failures = failures;
  const delayMs = retryDelayMs(Math.min(failures, EXHAUSTED_FAILURES), drawChance(state)) ?? 0;
  state.chains.hold(chain, now + delayMs);
}

function throttle(state: JobState, retryAfterMs: number | undefined, now: number): void {
  // Slices that run side by side are throttled together: that is one time, not many.
  const streak = (state.throttle?.streak ?? 0) + (state.throttle === undefined || state.throttle.until <= now ? 1 : 0);
  const until = now + throttleMs(retryAfterMs, streak);
  state.throttle = { until: Math.max(until, state.throttle?.until ?? 0), streak };
}

function noteFailure(state: JobState, { status, code, answer }: FailedAttempt, now: number): void {
  state.lastFailure = {
    at: instantOf(now),
    ...(status === undefined ? {} : { status }),
    ...(code === undefined ? {} : { code }),
    ...(answer === undefined ? {} : { answer }),
  };
}
