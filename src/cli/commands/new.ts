import { UserAborted, terminalAsk } from '../ask.ts';
import { command } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { newJob } from '../form.ts';
import { withJobs } from '../jobs.ts';
import { startedLines } from '../render-jobs.ts';
import { sentences } from '../text.ts';
import { writeNewFile } from '../files.ts';

export const newCommand = command({
  name: 'new',
  description: 'set up a job by answering questions: the form, a test, the start',
  json: ': the job that was started',
  notes: `Nothing is started, sent or saved until you say so. Without a terminal, use:
triggers start.`,
  examples: ['triggers new'],
  async run(_args, _options, { terminal, print }) {
    if (terminal.stdin.isTTY !== true)
      throw new UsageError(
        'triggers new asks questions at a terminal, and there is none here. Use a job file: triggers start job.json',
      );
    const ask = await terminalAsk({ input: terminal.stdin, output: process.stderr });
    const { columns } = terminal;
    const made = await withJobs((jobs) =>
      newJob({ ask, jobs, say: (text) => terminal.err(sentences(text, terminal)), columns, save: writeNewFile }),
    );
    if (made === undefined) throw new UserAborted('Nothing was started.');
    if (made === 'saved') return terminal.err('Nothing was started.');
    const members = made.definition.existingUsers === true ? 'Current members are sent first, as enters.' : '';
    print(made.started, () => startedLines(made.started, members, terminal));
  },
});
