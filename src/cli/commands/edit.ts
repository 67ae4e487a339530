import type { EditedJob, FieldChange } from '../../client/export-jobs.ts';
import { printable } from '../../domain/shown.ts';
import { confirmed, nobodyToAsk } from '../ask.ts';
import { command } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { withJobs } from '../jobs.ts';
import { collect, fieldsFromOptions, positiveNumber, readJsonObject, wholeNumber } from '../options.ts';
import { sentences } from '../render.ts';

export const editCommand = command({
  name: 'edit',
  description: 'change a running job; what is not named stays as it is',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .argument('[file]', 'JSON with the fields to change')
      .option('--label <text>', 'identifies the job to people')
      .option('--description <text>', 'further context')
      .option('--audience <slug>', 'the whole new list; may be repeated', collect)
      .option('--url <url>', 'webhook URL')
      .option('--authorization <name>', "an authorization of the worker's configuration")
      .option('--no-authorization', 'the endpoint does not require authorization')
      .option('--export-field <field>', 'the whole new list; may be repeated', collect)
      .option('--all-fields', 'send all fields')
      .option('--legacy-format', 'use the old payload format')
      .option('--no-legacy-format', 'use the new payload format')
      .option('--parallel <count>', 'most requests in flight, 1 to 500', wholeNumber)
      .option('--backfill-rate <n>', 'most members per second that a backfill sends', positiveNumber)
      .option('--no-backfill-rate', 'no limit')
      .option('--backfill-parallel <n>', 'most requests in flight for a backfill', wholeNumber)
      .option('--no-backfill-parallel', 'no limit of its own')
      .option('--yes', 'do not ask, also if a backfill leaves people out because of it'),
  examples: ['triggers edit vip-to-crm --parallel 50 --url https://example.com/new-hook'],
  async run([job, file], { allFields, yes, ...options }, { terminal, print, isSaid }) {
    if (allFields === true && options.exportField !== undefined)
      throw new UsageError('Use either --export-field or --all-fields, not both.');
    const edit = {
      ...(file === undefined ? {} : readJsonObject(file)),
      ...fieldsFromOptions({
        ...options,
        authorization: isSaid('authorization') ? options.authorization : undefined,
        legacyFormat: isSaid('legacyFormat') ? options.legacyFormat : undefined,
        backfillRate: isSaid('backfillRate') ? options.backfillRate : undefined,
        backfillParallel: isSaid('backfillParallel') ? options.backfillParallel : undefined,
      }),
      ...(allFields === true ? { exportFields: [] } : {}),
    };
    if (Object.keys(edit).length === 0) {
      throw new UsageError(`Give what to change, for example: triggers edit ${job} --parallel 50`);
    }
    const isMeant = async (loss: string): Promise<boolean> => {
      if (yes === true) return true;
      if (terminal.stdin.isTTY !== true) throw nobodyToAsk(loss);
      terminal.err(sentences(loss, terminal));
      return await confirmed(terminal, 'Edit it?');
    };
    const edited = await withJobs((jobs) => jobs.edit(job, edit, { isMeant }));
    if (edited === undefined) return terminal.err('Nothing was done.');
    print(edited, () => editedLines(job, edited).join('\n'));
  },
});

function editedLines(job: string, { changes, warnings }: EditedJob): string[] {
  const width = Math.max(...changes.map(({ field }) => field.length));
  return [
    changes.length === 0 ? `${job} was like that already.` : `Changed ${job}:`,
    ...changes.map(({ field, from, to }) => `  ${field.padEnd(width)}  ${shown(from)} → ${shown(to)}`),
    ...warnings.map((warning) => `Warning: ${printable(warning)}`),
  ];
}

/** As in a job file; of a long list or description, its beginning. */
function shown(value: FieldChange['from']): string {
  const text = printable(JSON.stringify(value));
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}

const LONGEST = 200;
