import { Option } from '@commander-js/extra-typings';
import type { BackfillStatus, ExportJobs, JobStatus, StopRequest } from '../../client/export-jobs.ts';
import type { KeptBackfill } from '../../contract/job-status.ts';
import { LONGEST_STOP_MS } from '../../domain/requests.ts';
import { hasStopped, counted, duration, shownCount, shownTime } from '../../domain/shown.ts';
import { confirmLoss } from '../ask.ts';
import { command, withJobs } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { REASON, timeSpan } from '../options.ts';
import { refuseUnconfirmed } from './pause.ts';

const AN_HOUR_MS = 3_600_000;

export const stopCommand = command({
  name: 'stop',
  description: 'stop a job; a stopped job accepts no more triggers',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .addOption(
        new Option(
          '--waiting <what>',
          'waiting triggers are sent first, kept for a later resume, or dropped (also those that a stopped job kept)',
        )
          .choices(['deliver', 'keep', 'discard'] as const)
          .default('deliver' as const),
      )
      .option(
        '--deadline <time>',
        'how long to keep sending, such as 30m, at most 30d; the rest is kept (default: 1h, or the last value)',
        timeSpan(0, LONGEST_STOP_MS),
      )
      .option(...REASON)
      .option('--yes', 'do not ask; required without a terminal if triggers or dead letters are lost'),
  json: ': the status',
  examples: ['triggers stop vip-to-crm --deadline 30m', 'triggers stop vip-to-crm --waiting keep'],
  async run([job], { waiting, deadline, reason, yes }, { terminal, json, note, print, isGiven }) {
    if (deadline !== undefined && waiting !== 'deliver')
      throw new UsageError(
        '--deadline can only be used with --waiting deliver: it limits how long the job keeps sending.',
      );
    const request = { waiting, ...(deadline === undefined ? {} : { deadlineMs: deadline }) };
    const asking = { terminal, yes: yes === true, json };
    const isBare = deadline === undefined && !isGiven('waiting');
    const { status, isAsBefore } = await withJobs(async (jobs) => {
      const before = await jobs.status(job);
      if (isBare && before.state === 'stopping') return { status: before, isAsBefore: true };
      const extent = await extentOf(jobs, job, before, waiting);
      // Nothing is lost of a job that keeps it.
      if (waiting !== 'keep') await confirmLoss(extent, waiting === 'discard' ? 'Discard it?' : 'Stop it?', asking);
      else if (extent !== '') note(extent);
      return { status: await jobs.stop(job, request, { reason }), isAsBefore: false };
    });
    if (isAsBefore) return print(status, () => alreadyStoppingText(job, status.reason));
    print(status, () => stopText(job, status, request));
    refuseUnconfirmed(job, status);
  },
});

type Waiting = NonNullable<StopRequest['waiting']>;

/** The exact effects of a stop that cannot be undone, in sentences; '' when there are none. */
async function extentOf(jobs: ExportJobs, job: string, status: JobStatus, waiting: Waiting): Promise<string> {
  // It has ended, and can only be asked to discard what it kept. Any other request is refused, and changes nothing.
  if (hasStopped(status.state) && (status.kept === undefined || waiting !== 'discard')) return '';
  const dropped = waiting === 'discard' ? whatWaits(status) : undefined;
  return [
    ...(dropped === undefined
      ? []
      : [`${dropped} of ${job} will not be sent, and cannot be had back.${inFlightText(status)}`]),
    ...lettersText(job, await deadLettersOf(jobs, status), waiting),
  ].join(' ');
}

/** How many of its own dead letters wait; undefined when that is unknown, since some cannot be read here, for example. */
async function deadLettersOf(
  jobs: ExportJobs,
  { jobId, deadLettersOfEarlierJobs: earlier = 0 }: JobStatus,
): Promise<number | undefined> {
  try {
    let found = 0;
    for await (const _ of jobs.deadLetters.waiting({ jobId })) found++;
    return Math.max(0, found - earlier);
  } catch {
    return undefined;
  }
}

/** Only its own job can send a dead letter, while that job exists. A later job of the same id has another subscription. */
function lettersText(job: string, count: number | undefined, waiting: Waiting): string[] {
  if (count === 0) return [];
  const which =
    count === undefined
      ? `The dead letters of ${job} could not be counted. They`
      : `${counted(count, 'dead letter')} of ${job} ${count === 1 ? 'waits' : 'wait'} for a decision. ${count === 1 ? 'It' : 'They'}`;
  switch (waiting) {
    case 'keep':
      return [`${which} cannot be sent until the job is resumed.`];
    case 'discard':
      return [`${which} can then never be sent.`];
    case 'deliver':
      return [
        `${which} can never be sent once the job has stopped, unless it keeps what it could not send in time. Before: triggers dead-letters redeliver --job ${job}. Or stop it with --waiting keep.`,
      ];
  }
}

/** The parts of a status on which a stop's effects depend. */
type Stoppable = Pick<JobStatus, 'state' | 'reason' | 'waiting' | 'backfill' | 'kept'> &
  Partial<Pick<JobStatus, 'inFlight' | 'batch' | 'mayStillSend'>>;

/** The triggers and members that a job has yet to send, in words; for a stopped job, those that it kept. Undefined when there are none. */
function whatWaits(status: Stoppable): string | undefined {
  const { state, waiting, backfill, kept } = status;
  const rest = unread(kept?.backfill ?? backfill);
  const count = kept?.waiting ?? waiting - triggersInFlight(status);
  const parts = [
    ...(count > 0 ? [counted(count, 'waiting trigger')] : []),
    ...(rest === undefined ? [] : [rest]),
    // Its existing users are unknown until it has begun.
    ...(state === 'starting' ? ['whatever existing users it was to send'] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(', and ');
}

/** Triggers of requests that may be in flight: they count as waiting, and may still arrive. */
function triggersInFlight({ waiting, inFlight = 0, batch }: Stoppable): number {
  return Math.min(waiting, inFlight * (batch?.size ?? 1));
}

function inFlightText(status: Stoppable): string {
  const count = status.kept === undefined ? triggersInFlight(status) : 0;
  return count === 0 ? '' : ` ${shownCount(count)} ${count === 1 ? 'is' : 'are'} in flight and may arrive.`;
}

/** For a stop that changes nothing: the previous request and its deadline still apply. */
function alreadyStoppingText(job: string, reason: string | undefined): string {
  return `${job} is already stopping, and goes on as it was asked to. ${reason ?? ''} To change that: --deadline, or --waiting.`;
}

/** The text about waiting triggers, and about members that a backfill has yet to read. */
export function stopText(
  job: string,
  status: Pick<JobStatus, 'state' | 'waiting' | 'backfill' | 'waits'> &
    Partial<Pick<JobStatus, 'inFlight' | 'batch' | 'discarded'>>,
  request: StopRequest,
): string {
  const { state, backfill, waits, discarded = 0 } = status;
  const isSending = (request.waiting ?? 'deliver') === 'deliver';
  // Triggers that running slices had not begun come back. They are then kept or discarded like the rest.
  const waiting = isSending ? status.waiting : status.waiting + discarded - triggersInFlight(status);
  const inFlight = isSending ? '' : inFlightText(status);
  if (state === 'stopped' && request.waiting === 'discard') return discardedText(job, whatWaits(status));
  const rest = unread(backfill);
  const left = triggersAnd(waiting, rest);
  if (waiting === 0 && rest === undefined) {
    const later = request.waiting === 'keep' ? ` Resume it later with: triggers resume ${job}` : '';
    return `Stopping ${job}; nothing is waiting.${inFlight}${later}`;
  }
  switch (request.waiting) {
    case 'discard':
      return `Stopping ${job}; ${left} will not be sent.${inFlight}`;
    case 'keep':
      return `Stopping ${job}; ${left} will be kept.${inFlight} Resume it later with: triggers resume ${job}`;
    default:
      return `Stopping ${job}; ${sentFirst(waiting, rest, backfill)} will be sent first, for at most ${duration(request.deadlineMs ?? AN_HOUR_MS)}. The rest is kept${heldBack(backfill)}.${quietNow(waits.quiet)} Watch it with: triggers status ${job} --watch`;
  }
}

/** The job can be resumed until everything it kept is discarded. */
function discardedText(job: string, kept: string | undefined): string {
  return kept === undefined
    ? `${job} had already stopped, and had kept nothing that waits. It can no longer be resumed.`
    : `${job} had already stopped; what it kept (${kept}) has been discarded.`;
}

/** The quiet hours, which the deadline has to outlast. */
function quietNow(until: string | undefined): string {
  return until === undefined ? '' : ` These are quiet hours, so nothing is sent before ${shownTime(until)}.`;
}

/** The triggers and members that a job sends before it stops, without a backfill that does not continue by itself. */
function sentFirst(waiting: number, rest: string | undefined, backfill: BackfillStatus | undefined): string {
  if (backfill?.state === 'paused') return counted(Math.max(0, waiting - backfill.waiting), 'waiting trigger');
  return triggersAnd(waiting, backfill?.state === 'lost' ? undefined : rest);
}

function triggersAnd(waiting: number, rest: string | undefined): string {
  if (rest === undefined) return counted(waiting, 'waiting trigger');
  return waiting === 0 ? rest : `${counted(waiting, 'waiting trigger')}, and ${rest}`;
}

/** A stop does not send a backfill that waits for a person's decision. */
function heldBack(backfill: BackfillStatus | undefined): string {
  if (backfill?.state !== 'paused' && backfill?.state !== 'lost') return '';
  return `, and so is what backfill ${backfill.n} has left, since it is ${backfill.state}`;
}

/** The members of a backfill that are not read yet, in words; undefined when there are none. */
function unread(
  backfill: (KeptBackfill & { readonly state?: BackfillStatus['state'] }) | undefined,
): string | undefined {
  if (backfill === undefined || backfill.state === 'finished' || backfill.state === 'cancelled') return undefined;
  const { n, taken, expected } = backfill;
  if (expected === undefined) return `the members that backfill ${n} has not read yet`;
  const left = Math.max(0, expected - taken);
  return left === 0 ? undefined : `${counted(left, 'member')} that backfill ${n} has not read yet`;
}
