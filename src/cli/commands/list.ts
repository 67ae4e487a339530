import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { jobTable } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('show all jobs, running ones first')
    .option('--running', 'only running jobs')
    .option('--json', 'print JSON for machines: one job a line')
    .addHelpText(
      'after',
      `
Example:
  triggers list --running`,
    )
    .action(async ({ running, json }) => {
      const all = await withJobs((jobs) => jobs.list());
      const shown = running === true ? all.filter((job) => job.running) : all;
      if (json === true) return shown.forEach((job) => terminal.out(JSON.stringify(job)));
      if (shown.length === 0) {
        return terminal.out(
          running === true ? 'No job is running.' : 'There is no job yet. Start one with: triggers start job.json',
        );
      }
      // In a pipe nothing is cut.
      const columns = terminal.interactive ? terminal.columns : Infinity;
      for (const line of jobTable(shown, { ...terminal, columns })) terminal.out(line);
    });
}
