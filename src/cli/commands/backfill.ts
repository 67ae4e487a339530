import { Command } from '@commander-js/extra-typings';
import { collect } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import type { Terminal } from '../terminal.ts';

export function backfillCommand(terminal: Terminal) {
  return new Command('backfill')
    .description('send everybody who is a member now, as enters')
    .argument('<job>', 'id of the job')
    .option('--audience <slug>', "only this one of the job's audiences; may be repeated", collect)
    .option('--request-id <id>', 'asking twice with the same id runs it once')
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Example:
  triggers backfill vip-to-crm --audience vip`,
    )
    .action(async (job, { audience, requestId, json }) => {
      const request = {
        ...(audience === undefined ? {} : { audiences: audience }),
        ...(requestId === undefined ? {} : { requestId }),
      };
      const status = await withJobs((jobs) => jobs.backfill(job, request));
      if (json === true) return terminal.out(JSON.stringify(status));
      terminal.out(`Asked for a backfill of ${job}. See how it goes with: triggers status ${job} --watch`);
    });
}
