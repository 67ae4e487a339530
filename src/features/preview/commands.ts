import { Option, type Command } from '@commander-js/extra-typings';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { definedOf } from '../../domain/json.ts';
import { type SampleOf, sampleRequest, sendSample } from './asking.ts';
import type { SampleWish } from './sample.ts';
import { command, withJobs } from '../../cli/command.ts';
import { definitionFrom, readJobFile } from '../../cli/job-options.ts';
import {
  answerLines,
  noteLines,
  outcomeOf,
  requestLines,
  samplePerson,
  tableLines,
  testedText,
  warningLines,
} from './render.ts';
import { NotTaken, UsageError } from '../../cli/exit-code.ts';
import { meaningOf } from './meaning.ts';

/** The options of a sample; absent: the worker chooses. */
interface SampleOptions {
  readonly user?: string | undefined;
  readonly audience?: string | undefined;
  readonly event?: TriggerEvent | undefined;
  /** The old payload, whatever the job says. */
  readonly legacy?: boolean | undefined;
  /** The new payload, whatever the job says. */
  readonly new?: boolean | undefined;
}

/** Adds the words about a sample to a command: its job and its person. */
const sampleWords = (it: Command) =>
  it
    .argument('<job or file>', 'id of a job, or a job file (its name ends in .json, or has a slash)')
    .option('--user <user>', 'the person; default: the first member with a profile')
    .option('--audience <slug>', "one of the job's audiences; default: the first")
    .addOption(
      new Option('--event <event>', 'the change; default: enter, if the job sends enters').choices([
        'enter',
        'exit',
      ] as const),
    )
    .option('--legacy', 'use the old payload format, whatever the job uses')
    .option('--new', 'use the new payload format, whatever the job uses');

/** @throws UsageError */
function wishFrom({ user, audience, event, legacy, new: isNew }: SampleOptions): SampleWish {
  if (legacy === true && isNew === true) throw new UsageError('Use either --legacy or --new, not both.');
  const isLegacy = legacy === true ? true : isNew === true ? false : undefined;
  return definedOf({ user, audience, event, userLegacyMessageFormat: isLegacy });
}

/**
 * The meaning of an argument JOB|FILE: a file when it ends in `.json` or has a slash, else a job's id.
 * @throws UsageError for a file that cannot be read.
 */
function sampleOf(argument: string): SampleOf {
  const isFile = /\.json$|[/\\]/i.test(argument);
  return isFile ? { definition: definitionFrom(readJobFile(argument), {}) } : { jobId: argument };
}

export const renderCommand = command({
  name: 'render',
  description: 'show the request that a job would send about a real person; nothing is sent',
  takes: sampleWords,
  notes: `Secrets are masked (…): the URL's path, what an authorization adds, signatures.
The body is shown as it is sent.`,
  examples: ['triggers render job.json', 'triggers render vip-to-crm --user 7076027172059065053 --event exit --legacy'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sample = await withJobs((jobs) => sampleRequest(jobs.core, of, wish));
    if (!json) {
      for (const line of noteLines(`${samplePerson(sample)}. Nothing was sent.`, terminal)) terminal.err(line);
      for (const line of warningLines(sample, terminal)) terminal.err(line);
    }
    print(sample, () => requestLines(sample, terminal));
    if (!json) for (const line of ['', ...tableLines(sample, terminal)]) terminal.err(line);
  },
});

export const testCommand = command({
  name: 'test',
  description: 'send one message about a real person to the endpoint, and show what it answers',
  takes: sampleWords,
  notes: `The header webhook-id begins with "test-", so receivers can recognise a test.
Exit code 0 only when a job would count it as delivered: a 2xx, unless its
answers say otherwise.`,
  examples: ['triggers test job.json', 'triggers test vip-to-crm --user 7076027172059065053'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sent = await withJobs((jobs) => sendSample(jobs.core, of, wish));
    const { answer } = sent;
    if (!json) {
      for (const line of noteLines(testedText(sent), terminal)) terminal.err(line);
      for (const line of warningLines(sent, terminal)) terminal.err(line);
    }
    print({ ...sent, verdict: answer.verdict, meaning: meaningOf(answer, sent) }, () => [
      ...requestLines(sent, terminal),
      '',
      ...answerLines(sent, terminal),
    ]);
    if (answer.verdict !== 'delivered') throw new NotTaken(`The endpoint did not accept it: ${outcomeOf(answer)}.`);
  },
});
