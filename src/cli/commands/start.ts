import { Command } from '@commander-js/extra-typings';
import { collect, definitionFrom, wholeNumber } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { startedLines } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function startCommand(terminal: Terminal) {
  return new Command('start')
    .description('start an export job, from a job file or from options (options win)')
    .argument('[file]', 'job file: JSON with the fields of the job form')
    .option('--id <id>', 'what the job is called in other commands; default: made from the label')
    .option('--label <text>', 'identifies the job to people')
    .option('--description <text>', 'further context')
    .option('--audience <slug>', 'audience that emits; may be repeated', collect)
    .option('--url <url>', 'webhook URL that receives the messages')
    .option('--authorization <name>', "an authorization of the worker's configuration")
    .option('--no-authorization', 'the endpoint does not require authorization')
    .option('--export-field <field>', 'send only these fields; may be repeated', collect)
    .option('--existing-users', 'first send everybody who is already a member')
    .option('--legacy-format', 'use the old payload format')
    .option('--parallel <count>', 'most requests in flight, 1 to 500', wholeNumber)
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Examples:
  triggers start job.json
  triggers start --label "VIP to CRM" --audience vip --url https://example.com/hook`,
    )
    .action(async (file, { id, json, ...options }, command) => {
      // Commander sets true for the option that only --no-authorization was declared to negate.
      const said = command.getOptionValueSource('authorization') === 'cli';
      const definition = definitionFrom(file, { ...options, authorization: said ? options.authorization : undefined });
      const started = await withJobs((jobs) => jobs.start(definition, id === undefined ? {} : { jobId: id }));
      if (json === true) return terminal.out(JSON.stringify(started));
      for (const line of startedLines(started, definition.existingUsers === true, terminal)) terminal.out(line);
    });
}
