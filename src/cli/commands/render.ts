import { Command } from '@commander-js/extra-typings';
import { withJobs } from '../jobs.ts';
import { noteLines, requestLines, samplePerson } from '../render-sample.ts';
import { eventOption, sampleOf, wishFrom } from '../sample-options.ts';
import type { Terminal } from '../terminal.ts';

export function renderCommand(terminal: Terminal) {
  return new Command('render')
    .description('show the request that a job would send about a real person; nothing is sent')
    .argument('<job or file>', 'id of a job, or a job file (its name ends in .json, or has a slash)')
    .option('--user <user>', 'whom it is about; default: the first member with a profile')
    .option('--audience <slug>', "one of the job's audiences; default: the first")
    .addOption(eventOption())
    .option('--legacy', 'the old payload format, whatever the job says')
    .option('--new', 'the new payload format, whatever the job says')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Secrets are masked (…): the URL's path, what an authorization adds, signatures.
The body is as it is.

Examples:
  triggers render job.json
  triggers render vip-to-crm --user 7076027172059065053 --event exit --legacy`,
    )
    .action(async (argument, { json, ...options }) => {
      const wish = wishFrom(options);
      const of = sampleOf(argument);
      const sample = await withJobs((jobs) => jobs.sample(of, wish));
      if (json === true) return terminal.out(JSON.stringify(sample));
      for (const line of noteLines(`${samplePerson(sample)}. Nothing was sent.`, terminal)) terminal.err(line);
      for (const line of requestLines(sample, terminal)) terminal.out(line);
    });
}
