import { Command, Option } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { counted } from '../numbers.ts';
import type { Terminal } from '../terminal.ts';

export function stopCommand(terminal: Terminal) {
  return new Command('stop')
    .description('end a job; a stopped job takes no more triggers')
    .argument('<job>', 'id of the job')
    .addOption(
      new Option('--waiting <what>', 'what becomes of triggers that wait')
        .choices(['deliver', 'discard'] as const)
        .default('deliver' as const, 'deliver: they are sent first'),
    )
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Example:
  triggers stop vip-to-crm --waiting discard`,
    )
    .action(async (job, { waiting, json }) => {
      const status = await withJobs((jobs) => jobs.stop(job, { waiting }));
      if (json === true) return terminal.out(JSON.stringify(status));
      terminal.out(stopText(job, status.waiting, waiting === 'discard'));
    });
}

function stopText(job: string, waiting: number, discard: boolean): string {
  if (waiting === 0) return `Stopping ${job}; nothing waits.`;
  const left = counted(waiting, 'waiting trigger');
  if (discard) return `Stopping ${job}; ${left} will not be sent.`;
  return `Stopping ${job}; ${left} will be sent first. Watch it with: triggers status ${job} --watch`;
}
