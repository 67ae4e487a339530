import { command, withJobs } from '../command.ts';
import { historyLines } from '../render-jobs.ts';
import { tableColumns } from '../text.ts';

export const historyCommand = command({
  name: 'history',
  description: 'show what was done to a job, newest first: who, by which door, why, and what changed',
  takes: (it) => it.argument('<job>', 'id of the job'),
  json: ': one entry a line',
  notes: `A job knows the last 50 or fewer. Times are UTC. Only the API proves who asked;
the other doors say it. Take an edit back with: triggers edit JOB --to-revision N`,
  examples: ['triggers history vip-to-crm'],
  async run([job], _options, { terminal, printEach }) {
    const entries = await withJobs((jobs) => jobs.history(job));
    printEach(entries, () =>
      entries.length === 0
        ? 'Nothing is known yet: the job has not begun.'
        : historyLines(entries, { ...terminal, columns: tableColumns(terminal) }),
    );
  },
});
