import type { BackfillStatus } from '../../contract/job-status.ts';
import { instantOf } from '../instant.ts';
import { audienceById } from '../names.ts';
import { counted } from '../text.ts';
import type { BackfillIntake } from './backfill.ts';
import type { JobRecord } from './job.ts';

/** Says how far a lost backfill had read. */
export function lostInWords({ n, counts, expected }: Pick<BackfillIntake, 'n' | 'counts' | 'expected'>): string {
  const read =
    expected === undefined
      ? counted(counts.taken, 'member was', 'members were')
      : `${counts.taken} of ${expected} members were`;
  const when = counts.taken === 0 ? 'before any member was' : `after ${read}`;
  return `Backfill ${n} was lost ${when} read: the workflow that read them is gone.`;
}

/** The advice for a lost backfill. */
export const WHEN_LOST = 'Resume it to go on where it was, or cancel it to give up those who are left.';

/** Says how many members were left out because an edit removed their audience, and how to send them; undefined when none were. */
export function leftOutInWords(
  { n, leftOut }: Pick<BackfillIntake, 'n' | 'leftOut'>,
  job: Audiences,
): string | undefined {
  if (leftOut.size === 0) return undefined;
  const members = [...leftOut.values()].reduce((sum, one) => sum + one, 0);
  const slugs = [...leftOut.keys()].map((id) => slugOf(job, id));
  const back = slugs.filter((slug) => job.audiences.some((one) => one.slug === slug));
  const them = members === 1 ? '1 member was' : `${members} members were`;
  const advice =
    back.length === 0
      ? 'The job no longer subscribes to it.'
      : `To send everybody who is in it now, start a backfill of ${back.join(', ')}.`;
  return `While backfill ${n} ran, an edit removed ${slugs.join(', ')}: ${them} left out. ${advice}`;
}

type Audiences = Pick<JobRecord, 'audiences' | 'formerAudiences'>;

function slugOf(job: Audiences, id: string): string {
  return audienceById(job, id)?.slug ?? id;
}

/**
 * A backfill as the status of its job shows it.
 *
 * @param isJobKept whether the job stops and keeps its backlog: then the rest of its backfill, too.
 * @param delayed people of the job who wait for their next attempt; default: nobody.
 * @param reachesAt when the quota of the job lets the last of this many members be sent, epoch ms; undefined: now.
 */
export function describeBackfill(
  backfill: BackfillIntake,
  job: Audiences,
  now: number,
  {
    isJobKept = false,
    delayed = 0,
    reachesAt = () => undefined,
  }: {
    readonly isJobKept?: boolean;
    readonly delayed?: number;
    readonly reachesAt?: (members: number) => number | undefined;
  } = {},
): BackfillStatus {
  const { taken, delivered, superseded, dead, filtered = 0 } = backfill.counts;
  const { paused } = backfill.pace;
  const isKept = isJobKept && backfill.isUnfinished;
  const isRunning = backfill.state === 'running' && !isKept;
  const isPaused = isRunning && paused !== undefined;
  const ratePerSecond = backfill.meter.rates(now).oneMinute;
  const expected = backfill.expected;
  const leftOut = [...backfill.leftOut].map(([id, members]) => ({ audience: slugOf(job, id), members }));
  const settled = leftOut.reduce((sum, { members }) => sum + members, delivered + superseded + dead + filtered);
  const left = expected === undefined ? undefined : Math.max(0, expected - settled);
  const goesOn = isRunning && !isPaused && left !== undefined;
  const lastFrom = goesOn ? reachesAt(left) : undefined;
  const stuck = backfill.isLost
    ? `${lostInWords(backfill)} ${WHEN_LOST}`
    : backfill.waitsForCalm
      ? 'Live triggers come faster than the members can be read; the rest waits for calmer traffic.'
      : undefined;
  const notice = [stuck, leftOutInWords(backfill, job)].filter((one) => one !== undefined).join(' ');
  return {
    n: backfill.n,
    state: isKept ? 'kept' : isPaused ? 'paused' : backfill.state,
    ...(isPaused ? { pausedBy: paused } : {}),
    at: backfill.at,
    audiences: backfill.audiences.map((id) => slugOf(job, id)),
    ...backfill.instead,
    ...(expected === undefined ? {} : { expected }),
    taken,
    delivered,
    superseded,
    ...(leftOut.length === 0 ? {} : { leftOut }),
    deadLetters: dead,
    ...(filtered === 0 ? {} : { filtered }),
    waiting: backfill.waiting,
    ratePerSecond,
    ...(lastFrom === undefined ? {} : { lastFrom: instantOf(lastFrom) }),
    // Its rate says nothing about how long the quota makes it wait, or how long people wait for their next attempt.
    ...(goesOn && lastFrom === undefined && ratePerSecond > 0 && left > delayed
      ? { secondsLeft: Math.ceil(left / ratePerSecond) }
      : {}),
    ...(notice === '' ? {} : { notice }),
  };
}
