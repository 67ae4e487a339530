import { Command } from '@commander-js/extra-typings';
import type { EditedJob } from '../../client/export-jobs.ts';
import { printable } from '../../domain/printable.ts';
import { collect, fieldsFromOptions, positiveNumber, readJsonObject, wholeNumber } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

export function editCommand(terminal: Terminal) {
  return new Command('edit')
    .description('change a running job; what is not named stays as it is')
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
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Example:
  triggers edit vip-to-crm --parallel 50 --url https://example.com/new-hook`,
    )
    .action(async (job, file, { allFields, json, ...options }, command) => {
      const said = (name: 'authorization' | 'legacyFormat' | 'backfillRate' | 'backfillParallel') =>
        command.getOptionValueSource(name) === 'cli';
      const edit = {
        ...(file === undefined ? {} : readJsonObject(file)),
        ...fieldsFromOptions({
          ...options,
          authorization: said('authorization') ? options.authorization : undefined,
          legacyFormat: said('legacyFormat') ? options.legacyFormat : undefined,
          backfillRate: said('backfillRate') ? options.backfillRate : undefined,
          backfillParallel: said('backfillParallel') ? options.backfillParallel : undefined,
        }),
        ...(allFields === true ? { exportFields: [] } : {}),
      };
      if (Object.keys(edit).length === 0) {
        throw new UsageError(`Give what to change, for example: triggers edit ${job} --parallel 50`);
      }
      const edited = await withJobs((jobs) => jobs.edit(job, edit));
      if (json === true) return terminal.out(JSON.stringify(edited));
      for (const line of editedLines(job, edited)) terminal.out(sentences(line, terminal));
    });
}

function editedLines(job: string, { status, warnings, inEffect }: EditedJob): string[] {
  const notices = inEffect ? [] : status.notices.map((notice) => `Notice: ${printable(notice)}`);
  return [
    inEffect ? `Changed ${job}.` : `Recorded, but not in effect yet. Look again with: triggers status ${job}`,
    ...warnings.map((warning) => `Warning: ${printable(warning)}`),
    ...notices,
  ];
}
