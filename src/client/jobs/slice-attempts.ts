import type { SliceEnd, SliceRun, Attempt } from '../calls/attempt.ts';
import type { JudgedAttempt, SliceProgress } from '../../contract/slice.ts';
import { type Sha256, deliveryId } from '../../domain/delivery-id.ts';
import { instantOf } from '../../domain/instant.ts';
import { laneOf, nextAttempt } from '../../domain/slice.ts';
import { wasRequested } from '../../domain/verdict.ts';

export type ReportedAttempt = Pick<
  Attempt,
  'outcome' | 'verdict' | 'status' | 'code' | 'answer' | 'durationMs' | 'retryAfterMs'
>;

/** Where a slice ran. */
interface SlicePlace {
  readonly jobId: string;
  readonly runId: string;
  /** Epoch ms of its end. */
  readonly atMs: number;
}

/**
 * Returns the attempts of a slice, in the order of its triggers.
 *
 * @param isMeant selects triggers by their places in the slice.
 */
export function attemptsOf(
  place: SlicePlace,
  { slice, end, startedAtMs }: SliceRun,
  isMeant: (index: number, came: ReportedAttempt['outcome']) => boolean,
  hash?: Sha256,
): Attempt[] {
  const outcomeOf = outcomes(end);
  const { subscriptionId } = slice.settings;
  return slice.triggers.flatMap((trigger, index) => {
    const came = outcomeOf(index);
    if (!isMeant(index, came.outcome)) return [];
    const { user, event, audience, at } = trigger;
    const lane = laneOf(slice, trigger);
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
      ...(lane === 'live' ? {} : { lane }),
      ...(didAsk(came) ? { attempt: nextAttempt(trigger) } : {}),
      ...came,
    };
  });
}

function outcomes(end: SliceEnd): (index: number) => ReportedAttempt {
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

function byPlace(failed: readonly JudgedAttempt[]): ReadonlyMap<number, JudgedAttempt> {
  return new Map(failed.map((attempt) => [attempt.index, attempt]));
}

function isDelivered(progress: SliceProgress<unknown> | undefined, index: number): boolean {
  return progress?.delivered.some(([first, last]) => first <= index && index <= last) ?? false;
}

function failedAs(attempt: JudgedAttempt): ReportedAttempt {
  const { index: _, as: __, like: ___, ...failure } = attempt;
  return { outcome: failure.verdict === 'skipped' ? 'skipped' : 'failed', ...failure };
}

/** Whether a request was really made, as far as that is known. */
export function didAsk({ outcome, verdict, code }: Pick<Attempt, 'outcome' | 'verdict' | 'code'>): boolean {
  return outcome === 'delivered' || (verdict !== undefined && wasRequested({ verdict, code }));
}
