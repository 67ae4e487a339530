import { InvalidJob } from '../../client/errors.ts';
import type { ExportJobs, JobDefinitionInput, StartedJob, StartOptions } from '../../client/export-jobs.ts';
import { counted, shownUrl } from '../../domain/shown.ts';
import { confirmed } from '../ask.ts';
import { command } from '../command.ts';
import { withJobs } from '../jobs.ts';
import { collect, countingNumber, definitionFrom, positiveNumber, wholeNumber } from '../options.ts';
import { count, startedLines } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export const startCommand = command({
  name: 'start',
  description: 'start an export job, from a job file or from options (options win)',
  takes: (it) =>
    it
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
      .option(
        '--sample <n>',
        'send only so many existing users at first, then wait for: backfill --resume',
        countingNumber,
      )
      .option(
        '--discard-recoverable',
        'start although the last job of this id can be recovered: what it had not sent is lost',
      )
      .option('--yes', 'do not ask before existing users are sent'),
  examples: [
    'triggers start job.json',
    'triggers start --label "VIP to CRM" --audience vip --url https://example.com/',
  ],
  async run([file], { id, yes, sample, discardRecoverable, ...options }, { terminal, json, print, isSaid }) {
    const authorization = isSaid('authorization') ? options.authorization : undefined;
    const definition = definitionFrom(file, { ...options, authorization });
    const started = await withJobs((jobs) =>
      startAsAsked(jobs, definition, {
        terminal,
        start: { jobId: id, discardRecoverable },
        sample,
        yes: yes === true || json,
      }),
    );
    if (started === undefined) return terminal.out('Nothing was started.');
    print(started, () => startedLines(started, existingUsersText(definition, sample, started.jobId), terminal));
  },
});

interface Asking {
  readonly terminal: Terminal;
  readonly start: StartOptions;
  readonly sample: number | undefined;
  readonly yes: boolean;
}

/** Says how many existing users it will send, then starts it; undefined when the person at the terminal decides against it. */
async function startAsAsked(
  jobs: ExportJobs,
  definition: JobDefinitionInput,
  { terminal, start, sample, yes }: Asking,
): Promise<StartedJob | undefined> {
  const isBackfill = definition.existingUsers === true || sample !== undefined;
  if (isBackfill && !yes && !(await confirmed(terminal, await question(jobs, definition, sample)))) return undefined;
  if (sample === undefined) return await jobs.start(definition, start);
  // The sample is a special backfill, so it is asked for as soon as there is a job. What is not true or false is left for the check to refuse.
  const isFlag = typeof definition.existingUsers === 'boolean';
  const started = await jobs.start(isFlag ? { ...definition, existingUsers: false } : definition, start);
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
