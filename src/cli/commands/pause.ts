import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function pauseCommand(terminal: Terminal) {
  return new Command('pause')
    .description('start no more requests for a job; its triggers wait')
    .argument('<job>', 'id of the job')
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Example:
  triggers pause vip-to-crm`,
    )
    .action(async (job, { json }) => {
      const status = await withJobs((jobs) => jobs.pause(job));
      if (json === true) return terminal.out(JSON.stringify(status));
      const text = `Paused ${job}. Triggers are still accepted, and wait. Resume it with: triggers resume ${job}`;
      terminal.out(sentences(text, terminal));
    });
}
