import type { ExportJobs, JobDefinitionInput, StartedJob } from '../client/export-jobs.ts';
import { InvalidJob, JobAlreadyRunning, JobKept, TriggersError } from '../client/errors.ts';
import { DEFAULT_PARALLEL_REQUESTS } from '../contract/export-job.ts';
import { JOB_ID_PATTERN } from '../domain/names.ts';
import { printable } from '../domain/printable.ts';
import { shownUrl } from '../domain/shown-url.ts';
import { askForm, changeAnswer, type FormJobs, type FormOptions } from './form.ts';
import { count } from './numbers.ts';
import { field, problemLines } from './render.ts';
import { answerLines, testedText } from './render-sample.ts';
import { UsageError } from './usage-error.ts';

export interface NewJobOptions extends FormOptions {
  readonly jobs: FormJobs & Pick<ExportJobs, 'test' | 'start'>;
  /** Writes a new file; false when there is one of that name already. */
  readonly save: (file: string, text: string) => boolean;
}

/** A job that was started from the dialogue. */
export interface NewJob {
  readonly started: StartedJob;
  readonly definition: JobDefinitionInput;
}

/**
 * Asks the form, then what to do with it, until the job is started or abandoned; undefined when it was abandoned. Nothing is started, sent
 * or saved before the person says so.
 */
export async function newJob(options: NewJobOptions): Promise<NewJob | undefined> {
  let definition = await askForm(options);
  const summarize = () => summaryLines(definition, options.columns).forEach((line) => options.say(line));
  summarize();
  for (;;) {
    const next = await options.ask.one<'start' | 'test' | 'change' | 'save' | 'leave'>({
      message: 'What next?',
      choices: [
        { name: 'Start Export', value: 'start' },
        { name: 'Send a test first', value: 'test', description: 'One message about a real person, marked as a test' },
        { name: 'Change an answer', value: 'change' },
        { name: 'Save as a job file', value: 'save', description: 'For triggers start, render and test' },
        { name: 'Leave without starting', value: 'leave' },
      ],
    });
    if (next === 'leave') return undefined;
    try {
      if (next === 'start') return { started: await start(definition, options), definition };
      if (next === 'test') await test(definition, options);
      else if (next === 'save') await save(definition, options);
      else {
        definition = await changeAnswer(definition, options);
        summarize();
      }
    } catch (error) {
      // Everything that was typed is still there, so what failed can be tried again.
      if (!(error instanceof TriggersError || error instanceof UsageError)) throw error;
      options.say(printable(error.message));
    }
  }
}

/** What the job will be. */
export function summaryLines(definition: JobDefinitionInput, columns: number): string[] {
  const { description, exportFields = [], existingUsers, backfillPerSecond, userLegacyMessageFormat } = definition;
  const rate = backfillPerSecond == null ? '' : `, at most ${count(backfillPerSecond)} a second`;
  const rows: (readonly [string, string])[] = [
    ['Label', definition.label],
    ...(description === undefined ? [] : [['Description', description] as const]),
    ['Audiences', definition.audiences.join(', ')],
    ['Sends to', shownUrl(definition.webhookUrl)],
    ['Authorization', definition.authorization ?? 'none'],
    ['Fields', exportFields.length === 0 ? 'all' : exportFields.join(', ')],
    ['Existing', existingUsers === true ? `sent first, as entered${rate}` : 'not sent'],
    ['Format', userLegacyMessageFormat === true ? 'old' : 'new'],
    ['In parallel', `at most ${definition.parallelRequestCount ?? DEFAULT_PARALLEL_REQUESTS}`],
  ];
  return ['', ...rows.flatMap(([name, value]) => field(name, printable(value), columns)), ''];
}

/** Starts it under the id made from its label, or asks for another where that one is taken or none can be made. */
async function start(definition: JobDefinitionInput, { ask, jobs, say, columns }: NewJobOptions): Promise<StartedJob> {
  let jobId: string | undefined;
  for (;;) {
    try {
      return await jobs.start(definition, jobId === undefined ? {} : { jobId });
    } catch (error) {
      if (error instanceof JobAlreadyRunning || error instanceof JobKept) say(printable(error.message));
      else if (error instanceof InvalidJob && error.problems.every((problem) => problem.field === 'id'))
        problemLines(error.problems, columns).forEach((line) => say(line));
      else throw error;
    }
    const check = (text: string): string | undefined =>
      JOB_ID_PATTERN.test(text) ? undefined : 'Letters, digits, dots, dashes and underscores, at most 100.';
    jobId = await ask.text({ message: 'Id of the job, for use in commands', check });
  }
}

async function test(definition: JobDefinitionInput, { jobs, say, columns }: NewJobOptions): Promise<void> {
  const sent = await jobs.test({ definition });
  say(testedText(sent));
  answerLines(sent.answer, { columns }).forEach((line) => say(line));
}

async function save(definition: JobDefinitionInput, { ask, say, save: write }: NewJobOptions): Promise<void> {
  for (;;) {
    const file = await ask.text({ message: 'File', initial: 'job.json' });
    if (write(file, `${JSON.stringify(definition, null, 2)}\n`)) {
      return say(`Saved. Start it with: triggers start ${printable(file)}`);
    }
    say(`The file ${printable(file)} already exists. Choose another name.`);
  }
}
