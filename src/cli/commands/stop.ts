import { Option } from '@commander-js/extra-typings';
import type { BackfillStatus, JobClient, JobStatus, StopRequest } from '../../client/job-client.ts';
import type { KeptBackfill } from '../../contract/job-status.ts';
import { LONGEST_STOP_MS } from '../../domain/requests.ts';
import { capital } from '../../words/text.ts';
import { hasStopped, isBackfillOver } from '../../domain/job-state.ts';
import { counted, duration, shownCount, shownTime } from '../../domain/text.ts';
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
    const { before, status } = await withJobs(async (jobs) => {
      const before = await jobs.status(job);
      if (isBare && before.state === 'stopping') return { before };
      const extent = await extentOf(jobs, job, before, waiting);
      // Nothing is lost of a job that keeps it.
      if (waiting !== 'keep') await confirmLoss(extent, waiting === 'discard' ? 'Discard it?' : 'Stop it?', asking);
      else if (extent !== '') note(extent);
      return { before, status: await jobs.stop(job, request, { reason }) };
    });
    if (status === undefined) return print(before, () => alreadyStoppingText(job, before.reason));
    print(status, () => stopText(job, status, request, before));
    refuseUnconfirmed(job, status);
  },
});

type Waiting = NonNullable<StopRequest['waiting']>;

/** The effects of a stop that cannot be undone, in sentences; '' when there are none. Numbers change until it acts, so each is "about" so many. */
async function extentOf(jobs: JobClient, job: string, status: JobStatus, waiting: Waiting): Promise<string> {
  // It has ended, and can only be asked to discard what it kept. Any other request is refused, and changes nothing.
  if (hasStopped(status.state) && (status.kept === undefined || waiting !== 'discard')) return '';
  const dropped = waiting === 'discard' ? whatWaits(status) : undefined;
  return [
    ...(dropped === undefined
      ? []
      : [`${capital(dropped)} of ${job} will not be sent, and cannot be had back.${inFlightText(status)}`]),
    ...lettersText(job, await deadLettersOf(jobs, status), waiting),
  ].join(' ');
}

/** How many of its own dead letters wait; undefined when that is unknown, since some cannot be read here, for example. */
async function deadLettersOf(
  jobs: JobClient,
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

/** The triggers and members that a job has yet to send, in words; for a stopped job, those that it kept. Undefined when there are none. */
function whatWaits(status: JobStatus): string | undefined {
  const { state, backfill, kept } = status;
  const count = kept === undefined ? unsent(status) : kept.waiting;
  return listed([
    ...(count > 0 ? [`${kept === undefined ? 'about ' : ''}${counted(count, 'waiting trigger')}`] : []),
    ...unread(kept?.backfill ?? backfill),
    // Its existing users are unknown until it has begun.
    ...(state === 'starting' ? ['whatever existing users it was to send'] : []),
  ]);
}

/** Undefined: there are none. */
function listed(parts: readonly string[]): string | undefined {
  return parts.length === 0 ? undefined : parts.join(', and ');
}

type Busy = Pick<JobStatus, 'waiting'> & Partial<Pick<JobStatus, 'inFlight' | 'batch'>>;

/** Triggers of requests that may be in flight: they count as waiting, and may still arrive. */
function triggersInFlight({ waiting, inFlight = 0, batch }: Busy): number {
  return Math.min(waiting, inFlight * (batch?.size ?? 1));
}

function unsent(status: Busy): number {
  return status.waiting - triggersInFlight(status);
}

function inFlightText(status: Busy & Pick<JobStatus, 'kept'>): string {
  const count = status.kept === undefined ? triggersInFlight(status) : 0;
  return count === 0 ? '' : ` ${shownCount(count)} ${count === 1 ? 'is' : 'are'} in flight and may arrive.`;
}

/** For a stop that changes nothing: the previous request and its deadline still apply. */
function alreadyStoppingText(job: string, reason: string | undefined): string {
  return `${job} is already stopping, and goes on as it was asked to. ${reason ?? ''} To change that: --deadline, or --waiting.`;
}

type Stopped = Busy & Pick<JobStatus, 'backfill' | 'waits' | 'kept' | 'dropped'>;

/** The text about what a stop did, by the job's own count. While the job is still stopping, numbers are "about" so many. */
export function stopText(
  job: string,
  status: Stopped,
  request: StopRequest,
  before: Pick<JobStatus, 'state' | 'kept' | 'backfill'>,
): string {
  switch (request.waiting) {
    case 'discard':
      return discardText(job, status, before);
    case 'keep':
      return keepText(job, status);
    default:
      return deliverText(job, status, request.deadlineMs ?? AN_HOUR_MS);
  }
}

function discardText(job: string, status: Stopped, before: Pick<JobStatus, 'state' | 'kept' | 'backfill'>): string {
  const { dropped, backfill } = status;
  const had = hasStopped(before.state);
  if (dropped === undefined)
    return `Stopping ${job}; what waits is dropped.${inFlightText(status)} See how much it dropped: triggers status ${job}`;
  // The stop has cancelled the backfill.
  const { state = 'cancelled' } = before.backfill ?? {};
  const left = all(dropped, unread(before.kept?.backfill ?? (backfill && { ...backfill, state })));
  if (left === undefined)
    return had
      ? `${job} had already stopped, and had kept nothing that waits. It can no longer be resumed.`
      : `Stopped ${job}; nothing was waiting.`;
  return had ? `${job} had already stopped, and has now dropped ${left}.` : `Stopped ${job}, which dropped ${left}.`;
}

function keepText(job: string, status: Stopped): string {
  const { kept, backfill } = status;
  const resume = `Resume it later with: triggers resume ${job}`;
  const left = all(kept?.waiting ?? unsent(status), unread(kept?.backfill ?? backfill));
  if (kept === undefined)
    return `Stopping ${job}; ${left === undefined ? 'nothing is waiting' : `about ${left} will be kept`}.${inFlightText(status)} ${resume}`;
  return `Stopped ${job}${left === undefined ? '; nothing was waiting' : `, which kept ${left}`}. ${resume}`;
}

function deliverText(job: string, { waiting, backfill, waits }: Stopped, deadlineMs: number): string {
  if (all(waiting, unread(backfill)) === undefined) return `Stopping ${job}; nothing is waiting.`;
  return `Stopping ${job}; about ${sentFirst(waiting, backfill)} will be sent first, for at most ${duration(deadlineMs)}. The rest is kept${heldBack(backfill)}.${quietNow(waits.quiet)} Watch it with: triggers status ${job} --watch`;
}

/** The quiet hours, which the deadline has to outlast. */
function quietNow(until: string | undefined): string {
  return until === undefined ? '' : ` These are quiet hours, so nothing is sent before ${shownTime(until)}.`;
}

/** The triggers and members that a job sends before it stops, without a backfill that does not continue by itself. */
function sentFirst(waiting: number, backfill: BackfillStatus | undefined): string {
  if (backfill?.state === 'paused') return counted(Math.max(0, waiting - backfill.waiting), 'waiting trigger');
  const rest = backfill?.state === 'lost' ? [] : unread(backfill);
  return all(waiting, rest) ?? counted(waiting, 'waiting trigger');
}

function all(waiting: number, rest: readonly string[]): string | undefined {
  return listed([...(waiting === 0 ? [] : [counted(waiting, 'waiting trigger')]), ...rest]);
}

/** A stop does not send a backfill that waits for a person's decision. */
function heldBack(backfill: BackfillStatus | undefined): string {
  if (backfill?.state !== 'paused' && backfill?.state !== 'lost') return '';
  return `, and so is what backfill ${backfill.n} has left, since it is ${backfill.state}`;
}

/** The members of a backfill that are not read yet, in words, if there are any. */
function unread(backfill: (KeptBackfill & { readonly state?: BackfillStatus['state'] }) | undefined): string[] {
  if (backfill === undefined || isBackfillOver(backfill.state)) return [];
  const { n, taken, expected } = backfill;
  if (expected === undefined) return [`the members unread by backfill ${n}`];
  const left = Math.max(0, expected - taken);
  return left === 0 ? [] : [`${counted(left, 'member')} unread by backfill ${n}`];
}
