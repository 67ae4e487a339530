import type { Attempt, SliceEnd, SliceRun } from '../contract/attempt.ts';
import type { FailedAttempt, SliceProgress } from '../contract/slice.ts';
import { deliveryId, type Sha256 } from './delivery-id.ts';
import { instantOf } from './instant.ts';
import { judge, wasAsked } from './verdict.ts';

type Came = Pick<Attempt, 'outcome' | 'verdict' | 'status' | 'code' | 'answer' | 'durationMs' | 'retryAfterMs'>;

/** Where a slice ran. */
export interface SlicePlace {
  readonly jobId: string;
  readonly runId: string;
  /** Epoch ms of its end. */
  readonly atMs: number;
}

/**
 * What a slice did for its triggers, in their order.
 *
 * @param isMeant selects triggers by their places in the slice.
 */
export function attemptsOf(
  place: SlicePlace,
  { slice, end, startedAtMs }: SliceRun,
  isMeant: (index: number, came: Came['outcome']) => boolean,
  hash?: Sha256,
): Attempt[] {
  const outcomeOf = outcomes(end);
  const { subscriptionId } = slice.settings;
  return slice.triggers.flatMap((trigger, index) => {
    const came = outcomeOf(index);
    if (!isMeant(index, came.outcome)) return [];
    const { user, event, audience, at } = trigger;
    return {
      jobId: place.jobId,
      runId: place.runId,
      sliceId: slice.sliceId,
      ...(startedAtMs === undefined ? {} : { startedAt: instantOf(startedAtMs) }),
      ...(end.kind === 'running' ? {} : { endedAt: instantOf(place.atMs) }),
      user,
      event,
      audience: slice.audiences.find(({ id }) => id === audience)?.slug ?? audience,
      triggerAt: at,
      deliveryId: deliveryId(subscriptionId, trigger, hash),
      ...came,
    };
  });
}

/** Whether a request was really made, as far as that is known. */
export function didAsk({ outcome, verdict }: Pick<Attempt, 'outcome' | 'verdict'>): boolean {
  return outcome === 'delivered' || (verdict !== undefined && wasAsked(verdict));
}

function outcomes(end: SliceEnd): (index: number) => Came {
  if (end.kind === 'reported') {
    const failed = byPlace(end.report.failed);
    const unsent = new Set(end.report.unsent);
    return (index) => {
      const failure = failed.get(index);
      return failure === undefined ? { outcome: unsent.has(index) ? 'unsent' : 'delivered' } : failedAs(failure);
    };
  }
  const failed = byPlace(end.progress?.failed ?? []);
  const rest = end.kind === 'running' ? 'running' : 'unknown';
  return (index) => {
    const failure = failed.get(index);
    if (failure !== undefined) return failedAs(failure);
    return { outcome: isDelivered(end.progress, index) ? 'delivered' : rest };
  };
}

function byPlace(failed: readonly FailedAttempt[]): ReadonlyMap<number, FailedAttempt> {
  return new Map(failed.map((attempt) => [attempt.index, attempt]));
}

function isDelivered(progress: SliceProgress | undefined, index: number): boolean {
  return progress?.delivered.some(([first, last]) => first <= index && index <= last) ?? false;
}

function failedAs(attempt: FailedAttempt): Came {
  const { index: _, ...failure } = attempt;
  return { outcome: 'failed', verdict: judge(failure), ...failure };
}
