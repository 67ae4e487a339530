import { Command } from '@commander-js/extra-typings';
import { collect, definitionFrom, positiveNumber, wholeNumber } from '../job-options.ts';
import type { ExportJobs, JobDefinitionInput, StartedJob } from '../../client/export-jobs.ts';
import { InvalidJob } from '../../client/errors.ts';
import { shownUrl } from '../../domain/shown-url.ts';
import { confirmed } from '../confirm.ts';
import { withJobs } from '../jobs.ts';
import { count, counted } from '../numbers.ts';
import { startedLines } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function startCommand(terminal: Terminal) {
  return new Command('start')
    .description('start an export job, from a job file or from options (options win)')
    .argument('[file]', 'job file: JSON with the fields of the job form')
    .option('--id <id>', 'what the job is called in other commands; default: made from the label')
    .option('--label <text>', 'identifies the job to people')
    .option('--description <text>', 'further context')
    .option('--audience <slug>', 'audience to listen to; may be repeated', collect)
    .option('--url <url>', 'webhook URL that receives the messages')
    .option('--authorization <name>', "an authorization of the worker's configuration")
    .option('--no-authorization', 'the endpoint does not require authorization')
    .option('--export-field <field>', 'send only these fields; may be repeated', collect)
    .option('--existing-users', 'first send everybody who is already a member')
    .option('--no-existing-users', 'do not send them, whatever the job file says')
    .option('--legacy-format', 'use the old payload format')
    .option('--parallel <count>', 'most requests in flight, 1 to 500', wholeNumber)
    .option('--backfill-rate <n>', 'most members per second that a backfill sends', positiveNumber)
    .option('--backfill-parallel <n>', 'most requests in flight for a backfill', wholeNumber)
    .option('--sample <n>', 'send only so many existing users at first, then wait for: backfill --resume', wholeNumber)
    .option('--yes', 'do not ask before existing users are sent')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Examples:
  triggers start job.json
  triggers start --label "VIP to CRM" --audience vip --url https://example.com/`,
    )
    .action(async (file, { id, json, yes, sample, ...options }, command) => {
      // Commander sets true for the option that only --no-authorization was declared to negate.
      const said = command.getOptionValueSource('authorization') === 'cli';
      const definition = definitionFrom(file, { ...options, authorization: said ? options.authorization : undefined });
      const started = await withJobs((jobs) =>
        startAsAsked(jobs, definition, { terminal, id, sample, yes: yes === true || json === true }),
      );
      if (started === undefined) return terminal.out('Nothing was started.');
      if (json === true) return terminal.out(JSON.stringify(started));
      for (const line of startedLines(started, existingUsersText(definition, sample, started.jobId), terminal))
        terminal.out(line);
    });
}

interface Asking {
  readonly terminal: Terminal;
  readonly id: string | undefined;
  readonly sample: number | undefined;
  readonly yes: boolean;
}

/** Says how many existing users it will send, then starts it; undefined when the person at the terminal decides against it. */
async function startAsAsked(
  jobs: ExportJobs,
  definition: JobDefinitionInput,
  { terminal, id, sample, yes }: Asking,
): Promise<StartedJob | undefined> {
  const naming = id === undefined ? {} : { jobId: id };
  const isBackfill = definition.existingUsers === true || sample !== undefined;
  if (isBackfill && !yes && !(await confirmed(terminal, await question(jobs, definition, sample)))) return undefined;
  if (sample === undefined) return await jobs.start(definition, naming);
  // The sample is a special backfill, so it is asked for as soon as there is a job.
  const started = await jobs.start({ ...definition, existingUsers: false }, naming);
  await jobs.backfill(started.jobId, { sample });
  return started;
}

async function question(jobs: ExportJobs, definition: JobDefinitionInput, sample: number | undefined): Promise<string> {
  const prepared = await jobs.check(definition);
  if (!prepared.ok) throw new InvalidJob(prepared.problems);
  const sizes = prepared.audiences.map(({ size }) => size);
  const known = sizes.filter((size) => size !== undefined);
  const all =
    known.length < sizes.length
      ? 'Everybody who is a member now'
      : counted(
          known.reduce((sum, size) => sum + size, 0),
          'existing user',
        );
  const first = sample === undefined ? '' : `, ${count(sample)} of them at first`;
  return `${all} will be sent to ${shownUrl(prepared.definition.webhookUrl)}${first}. Start?`;
}

function existingUsersText({ existingUsers }: JobDefinitionInput, sample: number | undefined, jobId: string): string {
  if (sample !== undefined)
    return `${counted(sample, 'current member')} ${sample === 1 ? 'is' : 'are'} sent first; the others wait for: triggers backfill ${jobId} --resume.`;
  return existingUsers === true ? 'Current members are sent first, as enters.' : '';
}
