import type { BackfillStatus } from '../../contract/job-status.ts';
import type { BackfillIntake } from './backfill-intake.ts';

/** A backfill as the status of its job shows it. */
export function describeBackfill(
  backfill: BackfillIntake,
  slugOf: (audience: string) => string,
  now: number,
): BackfillStatus {
  const { taken, delivered, superseded, dead } = backfill.counts;
  const { paused } = backfill.pace;
  const isRunning = backfill.state === 'running';
  const isPaused = isRunning && paused !== undefined;
  const ratePerSecond = backfill.meter.rates(now).oneMinute;
  const expected = backfill.expected;
  const left = expected === undefined ? undefined : Math.max(0, expected - delivered - superseded - dead);
  const notice = backfill.waitsForCalm
    ? 'Live triggers come faster than the members can be read; the rest waits for calmer traffic.'
    : undefined;
  return {
    n: backfill.n,
    state: isPaused ? 'paused' : backfill.state,
    ...(isPaused ? { pausedBy: paused } : {}),
    at: backfill.at,
    audiences: backfill.audiences.map(slugOf),
    ...(expected === undefined ? {} : { expected }),
    taken,
    delivered,
    superseded,
    deadLetters: dead,
    waiting: backfill.waiting,
    ratePerSecond,
    ...(isRunning && !isPaused && left !== undefined && ratePerSecond > 0
      ? { secondsLeft: Math.ceil(left / ratePerSecond) }
      : {}),
    ...(notice === undefined ? {} : { notice }),
  };
}
