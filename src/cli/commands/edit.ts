import type { EditedJob } from '../../client/job-client.ts';
import { EDITABLE_FIELDS } from '../../domain/form.ts';
import { definedOf } from '../../domain/json.ts';
import { printable } from '../../domain/text.ts';
import { confirmed, nobodyToAsk, UserAborted } from '../ask.ts';
import { command, withJobs } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { fieldsFromOptions, readJobFile, withFields } from '../job-options.ts';
import { countingNumber, REASON } from '../options.ts';
import { changeLines } from '../render-jobs.ts';
import { sentences } from '../text.ts';

export const editCommand = command({
  name: 'edit',
  description: 'change fields of a running job; other fields stay as they are',
  takes: (it) =>
    withFields(
      it.argument('<job>', 'id of the job').argument('[file]', 'JSON with the fields to change'),
      EDITABLE_FIELDS,
    )
      .option('--to-revision <n>', 'take the job back to how it was at this revision', countingNumber)
      .option(...REASON)
      .option('--yes', 'do not ask; required without a terminal if a backfill then skips people'),
  notes: `A field that is a list or an object, such as headers, onExit or answers, is
replaced as a whole: give all of it.`,
  examples: [
    'triggers edit vip-to-crm --parallel 50 --url https://example.com/new-hook',
    'triggers edit vip-to-crm --to-revision 4',
  ],
  async run([job, file], { yes, reason, toRevision }, { terminal, print, givenOptions }) {
    const { id = job, fields } = file === undefined ? { fields: {} } : readJobFile(file);
    if (id !== job) throw new UsageError(`The file is about the job "${id}", and not "${job}".`);
    const edit = { ...fields, ...fieldsFromOptions(givenOptions) };
    if (toRevision !== undefined && Object.keys(edit).length > 0)
      throw new UsageError('--to-revision takes the whole job back. Give no fields beside it.');
    if (toRevision === undefined && Object.keys(edit).length === 0) {
      throw new UsageError(`Give what to change, for example: triggers edit ${job} --parallel 50`);
    }
    const isMeant = async (loss: string): Promise<boolean> => {
      if (yes === true) return true;
      if (terminal.stdin.isTTY !== true) throw nobodyToAsk(loss);
      terminal.err(sentences(loss, terminal));
      return await confirmed(terminal, 'Edit it?');
    };
    const edited = await withJobs((jobs) => jobs.edit(job, edit, { isMeant, reason, ...definedOf({ toRevision }) }));
    if (edited === undefined) throw new UserAborted('Nothing was done.');
    print(edited, () => editedLines(job, edited).join('\n'));
  },
});

/** Exported for its test. */
export function editedLines(job: string, { changes, warnings }: Pick<EditedJob, 'changes' | 'warnings'>): string[] {
  return [
    changes.length === 0 ? `${job} already has these values.` : `Changed ${job}:`,
    ...changeLines(changes),
    ...warnings.map((warning) => `Warning: ${printable(warning)}`),
  ];
}

export const exportCommand = command({
  name: 'export',
  description: 'print the definition of a job, as a job file',
  takes: (it) => it.argument('<job>', 'id of the job'),
  json: ', on one line',
  notes: `It shows the whole webhook URL, which may be a secret. It leaves out fields with
their default value, and existingUsers, which only matters when a job starts.`,
  examples: ['triggers export vip-to-crm > jobs/vip-to-crm.json'],
  async run([job], _options, { print }) {
    const definition = await withJobs((jobs) => jobs.definition(job));
    print(definition, () => JSON.stringify(definition, null, 2).split('\n').map(printable));
  },
});
