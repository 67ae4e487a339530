import { instantOf, parseInstant } from './instant.ts';
import type { KeptBackfill } from '../contract/job-status.ts';
import type { KeptJobState, KeptJobStatus, RecoveryPart } from '../contract/kept-job.ts';
import { BackfillIntake } from './job/backfill.ts';
import type { CarriedJob } from './job/carrying.ts';
import { audienceAttribute, jobIdOf } from './names.ts';
import { detailsTable, jobMemo, keyword, keywordList, shownCount, shownTime, summaryOf } from './shown.ts';

/** Input of the workflow `keptJob`. */
export interface KeptJob {
  readonly v: 1;
  readonly jobWorkflowId: string;
  /** What the job would have continued as new with. */
  readonly carried: CarriedJob;
}

/** Waiting triggers of a job that is not running. */
export function keptTriggers({ chains, overflow, dying, backfill }: CarriedJob): number {
  const inChains = chains.reduce((sum, [, triggers, more]) => sum + triggers.length + (more?.parked?.count ?? 0), 0);
  const inPages = (backfill?.pages ?? []).reduce((sum, { ids }) => sum + ids.length, 0);
  return inChains + overflow.held + overflow.tail.triggers.length + dying.length + inPages;
}

/** Holders that were set aside: nothing waits for them, and they keep their triggers until somebody asks for them to be read. */
export function keptAside({ unreadable = [] }: CarriedJob): number {
  return unreadable.filter(({ isAside }) => isAside === true).length;
}

/** The backfill that is kept with a job; undefined when none was under way. */
export function keptBackfill({ backfill }: CarriedJob): KeptBackfill | undefined {
  if (backfill === undefined || !new BackfillIntake(backfill).isUnfinished) return undefined;
  const { n, counts, expected } = backfill;
  return { n, taken: counts.taken, ...(expected === undefined ? {} : { expected }) };
}

/** True: nothing waits for it to be resumed, and nobody is left to be read or asked for. */
export function keepsNothing(carried: CarriedJob): boolean {
  return keptTriggers(carried) === 0 && keptAside(carried) === 0 && keptBackfill(carried) === undefined;
}

/**
 * The options that a kept job is started with, which show it from the start, without a query.
 *
 * @param now epoch ms.
 */
export function keptJobPresentation({ jobWorkflowId, carried }: KeptJob, now: number) {
  const { definition, audiences, missingSearchAttributes } = carried.job;
  const jobId = jobIdOf(jobWorkflowId);
  const attributes = [
    keyword('ExportJobId', jobId),
    keyword('ExportJobStatus', 'kept'),
    keywordList(
      'ExportAudiences',
      audiences.map(({ id }) => audienceAttribute(id)),
    ),
  ];
  return {
    summary: summaryOf(`Kept: ${definition.label}`),
    memo: {
      ...jobMemo({ ...definition, audiences }),
      job: jobId,
      waiting: keptTriggers(carried),
      ...shownBackfill(carried),
      keptAt: instantOf(now),
    },
    attributes: missingSearchAttributes.length > 0 ? [] : attributes,
  };
}

function shownBackfill(carried: CarriedJob): { readonly backfill?: KeptBackfill } {
  const backfill = keptBackfill(carried);
  return backfill === undefined ? {} : { backfill };
}

/**
 * The state from which the job continues: what it carried, except that it is no longer stopping, and has no end that has passed meanwhile, by
 * which it would stop again at once. A pause remains.
 */
export function resumedJob(carried: CarriedJob, now: number): CarriedJob {
  const { stopping: _, ...resumed } = carried;
  const { job } = carried;
  const { endsAt } = job.definition;
  const end = typeof endsAt === 'string' ? parseInstant(endsAt) : undefined;
  if (end === undefined || Date.parse(end) > now) return resumed;
  return { ...resumed, job: { ...job, definition: { ...job.definition, endsAt: null } } };
}

/** The state with which the job drops what is waiting: it starts again, releases its holders, and ends. */
export function discardedJob(carried: CarriedJob): CarriedJob {
  return { ...carried, stopping: { waiting: 'discard' } };
}

/** @param keptAt epoch ms. */
export function describeKeptJob(
  { jobWorkflowId, carried }: KeptJob,
  state: KeptJobState,
  keptAt: number,
  notice: string | undefined,
): KeptJobStatus {
  return {
    v: 1,
    state,
    jobId: jobIdOf(jobWorkflowId),
    label: carried.job.definition.label,
    waiting: keptTriggers(carried),
    ...shownBackfill(carried),
    keptAt: instantOf(keptAt),
    ...(notice === undefined ? {} : { notice }),
  };
}

const STATES: Readonly<Record<KeptJobState, string>> = {
  kept: 'Stopped; everything that was waiting is kept. Signal "resume" to run it again from there, or "discard" to drop it.',
  starting: 'Its job is being started again.',
  resumed: 'Its job runs again.',
  discarded: 'Its job was started again, to drop what was waiting.',
};

/** How far a backfill had come that goes on with its job. */
export function keptBackfillInWords({ n, taken, expected }: KeptBackfill): string {
  const read = expected === undefined ? shownCount(taken) : `${shownCount(taken)} of ${shownCount(expected)}`;
  return `backfill ${n} (${read} members read)`;
}

/** A kept job as the Temporal UI shows it. */
export function keptJobDetails({ state, jobId, label, waiting, backfill, keptAt, notice }: KeptJobStatus): string {
  return detailsTable(label, [
    ['State', STATES[state]],
    ...(notice === undefined ? [] : [['Not started', notice] as const]),
    ['Job', jobId],
    ['Waiting', shownCount(waiting)],
    ...(backfill === undefined ? [] : [['Backfill', keptBackfillInWords(backfill)] as const]),
    ['Kept at', shownTime(keptAt)],
  ]);
}

/** The holders that were set aside, in words to be put behind what waits. */
export function andAside(holders: number): string {
  if (holders === 0) return '';
  return holders === 1 ? ', and 1 holder that was set aside' : `, and ${holders} holders that were set aside`;
}

/** Dead letters that nobody else can send, in words that continue a sentence. */
export function andLetters(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? ', and a dead letter that only it can send'
    : `, and ${count} dead letters that only it can send`;
}

/** The state that the run of a terminated job had reached, according to itself. */
export interface RecoveryState {
  /** How many of the run's arrivals are in it, oldest first; a signal with many triggers is that many arrivals. */
  readonly admitted: number;
  /** Ids of the slices in flight, whose outcome it does not know: their triggers are carried as waiting. */
  readonly running: readonly number[];
  readonly carried: CarriedJob;
}

/** @param payloadBytes most bytes of one payload. */
export function partOf(text: string, part: unknown, payloadBytes: number): RecoveryPart {
  // So many characters fit, even when each takes three bytes and is escaped.
  const length = Math.floor(payloadBytes / 7);
  const from = typeof part === 'number' && part > 0 ? part * length : 0;
  return { v: 1, text: text.slice(from, from + length), parts: Math.ceil(text.length / length) };
}
