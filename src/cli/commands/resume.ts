import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { counted } from '../numbers.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function resumeCommand(terminal: Terminal) {
  return new Command('resume')
    .description('let a paused job send again, or start a stopped one from what it kept')
    .argument('<job>', 'id of the job')
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Example:
  triggers resume vip-to-crm`,
    )
    .action(async (job, { json }) => {
      const status = await withJobs((jobs) => jobs.resume(job));
      if (json === true) return terminal.out(JSON.stringify(status));
      terminal.out(sentences(`Resumed ${job}; ${counted(status.waiting, 'trigger')} waiting.`, terminal));
    });
}
