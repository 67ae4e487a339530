import type { BackfillStatus, JobStatus } from '../contract/job-status.ts';
import { failureInWords } from './attempt-codes.ts';

/** A status as the small Markdown table that the Temporal UI shows with the workflow. At most 20,000 bytes (server limit). */
export function detailsOf(status: JobStatus): string {
  const rows: [string, string][] = [
    ['State', status.reason === undefined ? status.state : `${status.state}: ${status.reason}`],
    ['Waiting', `${status.waiting}${status.held > 0 ? ` (${status.held} people wait for their next attempt)` : ''}`],
    ['In flight', `at most ${status.inFlight} of ${status.parallelRequestCount}`],
    ['Delivered', String(status.delivered)],
    ['Retried', String(status.retried)],
  ];
  if (status.undeliverable > 0) rows.push(['Undeliverable so far', String(status.undeliverable)]);
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
  const lines = rows.map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return [`**${cell(status.label)}**`, '', '| | |', '|---|---|', ...lines].join('\n').slice(0, 6000).toWellFormed();
}

function backfillLine({ n, state, delivered, taken, waiting, superseded, notice }: BackfillStatus): string {
  const left = superseded > 0 ? `, ${superseded} left out for newer live triggers` : '';
  return `${n}: ${state}, ${delivered} sent of ${taken} read, ${waiting} waiting${left}${notice === undefined ? '' : `. ${notice}`}`;
}

/** A text that cannot break the table or become markup: what an endpoint answered stands here too. */
function cell(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ').replaceAll(/[|\\`<>[\]*_~&]/g, (mark) => `\\${mark}`);
}
