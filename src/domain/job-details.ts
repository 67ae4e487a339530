import type { BackfillStatus, JobStatus } from '../contract/job-status.ts';
import { failureInWords } from './attempt-codes.ts';
import { detailsTable, shownCount, shownTime } from './details-table.ts';

/** A status as the small Markdown table that the Temporal UI shows with the workflow. At most 20,000 bytes (server limit). */
export function detailsOf(status: JobStatus): string {
  const rows: [string, string][] = [
    ['State', status.reason === undefined ? status.state : `${status.state}: ${status.reason}`],
    ['Waiting', waitingLine(status)],
    ['In flight', `${status.inFlight} of at most ${status.parallelRequestCount}`],
    ['Delivered', deliveredLine(status)],
    ['Retried', shownCount(status.retried)],
  ];
  if (status.repeated > 0) rows.push(['Signalled again', shownCount(status.repeated)]);
  if (status.deadLetters > 0)
    rows.push([
      'Dead letters so far',
      `${shownCount(status.deadLetters)}; see: triggers dead-letters list --job ${status.jobId}`,
    ]);
  if (status.rejected > 0)
    rows.push(['Rejected signals', `${shownCount(status.rejected)}, last: ${status.rejects.at(-1)?.reason ?? ''}`]);
  if (status.throttledUntil !== undefined)
    rows.push(['Endpoint asked to wait until', shownTime(status.throttledUntil)]);
  if (status.lastDeliveredAt !== undefined) rows.push(['Last delivery', shownTime(status.lastDeliveredAt)]);
  if (status.lastFailure !== undefined) {
    const { at, answer } = status.lastFailure;
    const said = answer === undefined || answer === '' ? '' : ` "${answer}"`;
    rows.push(['Last failure', `${shownTime(at)}: ${failureInWords(status.lastFailure)}${said}`]);
  }
  if (status.endpoint !== undefined) {
    const { state, nextProbeAt, advice } = status.endpoint;
    const probe = nextProbeAt === undefined ? '' : `, next probe ${shownTime(nextProbeAt)}`;
    const like = state === 'new' ? 'new: one request at a time, and what it refuses is kept' : state;
    rows.push(['Endpoint', `${like}${probe}${advice === undefined ? '' : `. ${advice}`}`]);
  }
  if (status.backfill !== undefined) rows.push(['Backfill', backfillLine(status.backfill)]);
  for (const notice of status.notices) rows.push(['Notice', notice]);
  return detailsTable(status.label, rows);
}

function waitingLine({ waiting, held, overflow }: JobStatus): string {
  const parts = [
    ...(held > 0
      ? [
          held === 1
            ? '1 person waits for their next attempt'
            : `${shownCount(held)} people wait for their next attempt`,
        ]
      : []),
    ...(overflow > 0 ? [`${shownCount(overflow)} outside the job's own state`] : []),
  ];
  return `${shownCount(waiting)}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`;
}

function deliveredLine({ delivered, ratePerSecond: { oneMinute, fiveMinutes } }: JobStatus): string {
  if (oneMinute + fiveMinutes === 0) return shownCount(delivered);
  return `${shownCount(delivered)}, ${oneMinute} a second in the last minute, ${fiveMinutes} in the last five`;
}

const BAR_WIDTH = 20;

function backfillLine(progress: BackfillStatus): string {
  const { n, state, pausedBy, expected, delivered, taken, waiting, superseded, deadLetters, notice } = progress;
  const all = Math.max(expected ?? taken, taken);
  const settled = Math.min(delivered + superseded + deadLetters, all);
  const filled = all === 0 ? 0 : Math.round((settled / all) * BAR_WIDTH);
  const parts = [
    pausedBy === 'sample' ? 'paused, now that the sample is sent' : state,
    `${shownCount(delivered)} sent of ${expected === undefined ? `${shownCount(taken)} read` : shownCount(all)}`,
    `${shownCount(waiting)} waiting`,
    ...(superseded > 0 ? [`${shownCount(superseded)} left out for newer live triggers`] : []),
    ...(deadLetters > 0 ? [`${shownCount(deadLetters)} ${deadLetters === 1 ? 'dead letter' : 'dead letters'}`] : []),
    ...(state === 'running' ? [`${progress.ratePerSecond} a second`] : []),
    ...(progress.secondsLeft === undefined ? [] : [`about ${progress.secondsLeft} s left`]),
  ];
  const bar =
    state === 'running' || state === 'paused' ? `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ` : '';
  return `${n}: ${bar}${parts.join(', ')}${notice === undefined ? '' : `. ${notice}`}`;
}
