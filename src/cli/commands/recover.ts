import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { counted } from '../numbers.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function recoverCommand(terminal: Terminal) {
  return new Command('recover')
    .description('start a terminated job again, with exactly what it is not known to have delivered')
    .argument('<job>', 'id of the job')
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
What a terminated job was doing is read from its history, as long as the server
keeps it (triggers status says until when).

Example:
  triggers recover vip-to-crm`,
    )
    .action(async (job, { json }) => {
      const onWait = (until: number) => {
        const seconds = Math.ceil((until - Date.now()) / 1000);
        const text = `Waiting ${seconds} s, until nothing of the terminated run can be in flight any more.`;
        terminal.err(sentences(text, terminal));
      };
      const status = await withJobs((jobs) => jobs.recover(job, { onWait }));
      if (json === true) return terminal.out(JSON.stringify(status));
      const text = `Recovered ${job}; ${counted(status.waiting, 'trigger')} waiting. They are sent now.`;
      terminal.out(sentences(text, terminal));
    });
}
