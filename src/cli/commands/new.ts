import { Command } from '@commander-js/extra-typings';
import { terminalAsk } from '../ask.ts';
import { withJobs } from '../jobs.ts';
import { newJob } from '../new-job.ts';
import { sentences, startedLines } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { writeNewFile } from '../write-new-file.ts';

export function newCommand(terminal: Terminal) {
  return new Command('new')
    .description('set up a job by answering questions: the form, a test, the start')
    .option('--json', 'print JSON for machines: the job that was started')
    .addHelpText(
      'after',
      `
Nothing is started, sent or saved until you say so. Without a terminal, use:
triggers start.

Example:
  triggers new`,
    )
    .action(async ({ json }) => {
      if (terminal.stdin.isTTY !== true)
        throw new UsageError(
          'triggers new asks questions at a terminal, and there is none here. Use a job file: triggers start job.json',
        );
      const ask = await terminalAsk({ input: terminal.stdin, output: process.stderr });
      const { columns } = terminal;
      const made = await withJobs((jobs) =>
        newJob({ ask, jobs, say: (text) => terminal.err(sentences(text, terminal)), columns, save: writeNewFile }),
      );
      if (made === undefined) return terminal.err('Nothing was started.');
      if (json === true) return terminal.out(JSON.stringify(made.started));
      const members = made.definition.existingUsers === true ? 'Current members are sent first, as enters.' : '';
      for (const line of startedLines(made.started, members, terminal)) terminal.out(line);
    });
}
