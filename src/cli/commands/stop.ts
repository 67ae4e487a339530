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
      const left = counted(status.waiting, 'waiting trigger');
      if (status.waiting === 0) terminal.out(`Stopping ${job}; nothing waits.`);
      else if (waiting === 'discard') terminal.out(`Stopping ${job}; ${left} will not be sent.`);
      else terminal.out(`Stopping ${job} as soon as ${left} is sent. Watch it with: triggers status ${job} --watch`);
    });
}
