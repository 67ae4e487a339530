import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { statusLines } from '../render.ts';
import { interruption, type Terminal } from '../terminal.ts';
import { watchStatus } from '../watch-status.ts';

export function statusCommand(terminal: Terminal) {
  return new Command('status')
    .description('show how a job is doing')
    .argument('<job>', 'id of the job')
    .option('--watch', 'keep showing it, until Ctrl-C or until the job has ended')
    .option('--json', 'print JSON for machines; with --watch one status a line')
    .addHelpText(
      'after',
      `
Example:
  triggers status vip-to-crm --watch`,
    )
    .action(async (job, { watch, json }) => {
      await withJobs(async (jobs) => {
        if (watch === true) {
          const stop = interruption();
          await watchStatus(jobs, job, terminal, { json: json === true, signal: stop.signal });
          return stop.dispose();
        }
        const status = await jobs.status(job);
        if (json === true) return terminal.out(JSON.stringify(status));
        for (const line of statusLines(status, { nowMs: Date.now(), ...terminal })) terminal.out(line);
      });
    });
}
