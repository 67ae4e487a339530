import { InvalidJob } from '../../client/calls/errors.ts';
import type { JobClient, JobDefinitionInput, StartedJob, StartOptions } from '../../client/job-client.ts';
import { FORM_FIELDS } from '../../domain/form.ts';
import { counted } from '../../domain/text.ts';
import { shownUrl } from '../../domain/mask-url.ts';
import { confirmed, UserAborted } from '../ask.ts';
import { command, withJobs } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { definitionFrom, readJobFile, withFields } from '../job-options.ts';
import { countingNumber } from '../options.ts';
import { startedLines } from '../render-jobs.ts';
import type { Terminal } from '../terminal.ts';
import { count } from '../text.ts';

export const startCommand = command({
  name: 'start',
  description: 'start an export job, from a job file or from options (options win)',
  takes: (it) =>
    withFields(
      it
        .argument('[file]', 'job file: JSON with the fields of the job form')
        .option(
          '--id <id>',
          'name of the job in other commands; default: the "id" of the file, or made from the label',
        ),
      FORM_FIELDS,
    )
      .option('--sample <n>', 'send this many existing users first, then wait for: backfill --resume', countingNumber)
      .option(
        '--discard-recoverable',
        'start even if the last job of this id can be recovered: its unsent triggers are lost',
      )
      .option('--yes', 'do not ask before existing users are sent'),
  examples: [
    'triggers start job.json',
    'triggers start --label "VIP to CRM" --audience vip --url https://example.com/',
  ],
  async run([path], { id, yes, sample, discardRecoverable }, { terminal, json, print, givenOptions }) {
    const file = path === undefined ? undefined : readJobFile(path);
    const definition = definitionFrom(file, givenOptions);
    if (sample !== undefined && definition.existingUsers === false)
      throw noExistingUsers(givenOptions['existingUsers'] === false);
    const started = await withJobs((jobs) =>
      startAsAsked(jobs, definition, {
        terminal,
        start: { jobId: id ?? file?.id, discardRecoverable },
        sample,
        yes: yes === true || json,
      }),
    );
    if (started === undefined) throw new UserAborted('Nothing was started.');
    print(started, () => startedLines(started, existingUsersText(definition, sample, started.jobId), terminal));
  },
});

/** A sample consists of existing users, but the same request says not to send them. */
function noExistingUsers(isOption: boolean): UsageError {
  return new UsageError(
    isOption
      ? '--sample sends existing users, and --no-existing-users says not to. Leave one of them out.'
      : 'The job file says "existingUsers": false, and --sample sends some of them. Say --existing-users as well, or leave --sample out.',
  );
}

interface Asking {
  readonly terminal: Terminal;
  readonly start: StartOptions;
  readonly sample: number | undefined;
  readonly yes: boolean;
}

/** Shows how many existing users it will send, then starts it; undefined when the person at the terminal decides against it. */
async function startAsAsked(
  jobs: JobClient,
  definition: JobDefinitionInput,
  { terminal, start, sample, yes }: Asking,
): Promise<StartedJob | undefined> {
  const isBackfill = definition.existingUsers === true || sample !== undefined;
  if (isBackfill && !yes && !(await confirmed(terminal, await question(jobs, definition, sample)))) return undefined;
  if (sample === undefined) return await jobs.start(definition, start);
  // The check refuses any other value.
  const isFlag = typeof definition.existingUsers === 'boolean';
  // The sample is a special backfill, requested as soon as the job exists. The definition must be valid with existing users, too.
  if (isFlag || definition.existingUsers === undefined) await checked(jobs, { ...definition, existingUsers: true });
  const started = await jobs.start(isFlag ? { ...definition, existingUsers: false } : definition, start);
  await jobs.backfill(started.jobId, { sample });
  return started;
}

async function question(jobs: JobClient, definition: JobDefinitionInput, sample: number | undefined): Promise<string> {
  const prepared = await checked(jobs, definition);
  const sizes = prepared.audiences.map(({ size }) => size);
  const known = sizes.filter((size) => size !== undefined);
  const all =
    known.length < sizes.length
      ? 'All current members'
      : counted(
          known.reduce((sum, size) => sum + size, 0),
          'existing user',
        );
  const first = sample === undefined ? '' : `, ${count(sample)} of them at first`;
  return `${all} will be sent to ${shownUrl(prepared.definition.webhookUrl)}${first}. Start?`;
}

/** @throws InvalidJob */
async function checked(jobs: JobClient, definition: JobDefinitionInput) {
  const prepared = await jobs.check(definition);
  if (!prepared.ok) throw new InvalidJob(prepared.problems);
  return prepared;
}

function existingUsersText({ existingUsers }: JobDefinitionInput, sample: number | undefined, jobId: string): string {
  if (sample !== undefined)
    return `${counted(sample, 'current member')} ${sample === 1 ? 'is' : 'are'} sent first; the others wait for: triggers backfill ${jobId} --resume.`;
  return existingUsers === true ? 'Current members are sent first, as enters.' : '';
}
