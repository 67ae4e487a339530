import { Command, Option } from '@commander-js/extra-typings';
import type { JobStatus, StopRequest } from '../../client/export-jobs.ts';
import { timeSpan } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { counted, duration } from '../numbers.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

const AN_HOUR_MS = 3_600_000;

export function stopCommand(terminal: Terminal) {
  return new Command('stop')
    .description('end a job; a stopped job takes no more triggers')
    .argument('<job>', 'id of the job')
    .addOption(
      new Option(
        '--waiting <what>',
        'what becomes of waiting triggers: sent first, kept for a later resume, or dropped (also what a stopped job kept)',
      )
        .choices(['deliver', 'keep', 'discard'] as const)
        .default('deliver' as const),
    )
    .option('--deadline <time>', 'how long to go on sending, such as 30m; the rest is kept (default: 1h)', timeSpan)
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Examples:
  triggers stop vip-to-crm --deadline 30m
  triggers stop vip-to-crm --waiting keep`,
    )
    .action(async (job, { waiting, deadline, json }) => {
      if (deadline !== undefined && waiting !== 'deliver')
        throw new UsageError('--deadline says how long to go on sending: it can only be used with --waiting deliver.');
      const request = { waiting, ...(deadline === undefined ? {} : { deadlineMs: deadline }) };
      const status = await withJobs((jobs) => jobs.stop(job, request));
      if (json === true) return terminal.out(JSON.stringify(status));
      terminal.out(sentences(stopText(job, status, request), terminal));
    });
}

/** What will become of what waits. */
export function stopText(
  job: string,
  { state, waiting }: Pick<JobStatus, 'state' | 'waiting'>,
  request: StopRequest,
): string {
  const left = counted(waiting, 'waiting trigger');
  if (state === 'stopped') return `${job} had already stopped; what it kept (${left}) has been discarded.`;
  if (waiting === 0) {
    const later = request.waiting === 'keep' ? ` Resume it later with: triggers resume ${job}` : '';
    return `Stopping ${job}; nothing is waiting.${later}`;
  }
  switch (request.waiting) {
    case 'discard':
      return `Stopping ${job}; ${left} will not be sent.`;
    case 'keep':
      return `Stopping ${job}; ${left} will be kept. Resume it later with: triggers resume ${job}`;
    default:
      return `Stopping ${job}; ${left} will be sent first, for at most ${duration(request.deadlineMs ?? AN_HOUR_MS)}. The rest is kept. Watch it with: triggers status ${job} --watch`;
  }
}
