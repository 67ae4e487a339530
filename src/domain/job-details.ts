import type { BackfillStatus, JobStatus } from '../contract/job-status.ts';
import { failureInWords } from './attempt-codes.ts';
import { detailsTable } from './details-table.ts';

/** A status as the small Markdown table that the Temporal UI shows with the workflow. At most 20,000 bytes (server limit). */
export function detailsOf(status: JobStatus): string {
  const rows: [string, string][] = [
    ['State', status.reason === undefined ? status.state : `${status.state}: ${status.reason}`],
    ['Waiting', waitingLine(status)],
    ['In flight', `at most ${status.inFlight} of ${status.parallelRequestCount}`],
    ['Delivered', String(status.delivered)],
    ['Retried', String(status.retried)],
  ];
  if (status.repeated > 0) rows.push(['Signalled again', String(status.repeated)]);
  if (status.deadLetters > 0)
    rows.push(['Dead letters so far', `${status.deadLetters}, see: triggers dead-letters list --job ${status.jobId}`]);
  if (status.rejected > 0)
    rows.push(['Refused signals', `${status.rejected}, last: ${status.rejects.at(-1)?.reason ?? ''}`]);
  if (status.throttledUntil !== undefined) rows.push(['Endpoint asked to wait until', status.throttledUntil]);
  if (status.lastDeliveredAt !== undefined) rows.push(['Last delivery', status.lastDeliveredAt]);
  if (status.lastFailure !== undefined) {
    const { at, answer } = status.lastFailure;
    const said = answer === undefined || answer === '' ? '' : ` "${answer}"`;
    rows.push(['Last failure', `${at}: ${failureInWords(status.lastFailure)}${said}`]);
  }
  if (status.endpoint !== undefined) {
    const { state, nextProbeAt, advice } = status.endpoint;
    const probe = nextProbeAt === undefined ? '' : `, next probe ${nextProbeAt}`;
    rows.push(['Endpoint', `${state}${probe}${advice === undefined ? '' : `. ${advice}`}`]);
  }
  if (status.backfill !== undefined) rows.push(['Backfill', backfillLine(status.backfill)]);
  for (const notice of status.notices) rows.push(['Notice', notice]);
  return detailsTable(status.label, rows);
}

function waitingLine({ waiting, held, overflow }: JobStatus): string {
  const parts = [
    ...(held > 0 ? [`${held} people wait for their next attempt`] : []),
    ...(overflow > 0 ? [`${overflow} outside the job's own state`] : []),
  ];
  return `${waiting}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`;
}

function backfillLine({
  n,
  state,
  delivered,
  taken,
  waiting,
  superseded,
  deadLetters,
  notice,
}: BackfillStatus): string {
  const left =
    (superseded > 0 ? `, ${superseded} left out for newer live triggers` : '') +
    (deadLetters > 0 ? `, ${deadLetters} dead letters` : '');
  return `${n}: ${state}, ${delivered} sent of ${taken} read, ${waiting} waiting${left}${notice === undefined ? '' : `. ${notice}`}`;
}
