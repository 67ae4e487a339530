import { watchStatus } from '../follow-status.ts';
import { command, withJobs } from '../command.ts';
import { jobTable, statusLines } from '../render-jobs.ts';
import { interruption } from '../terminal.ts';
import type { JobSummary } from '../../client/job-client.ts';
import { counted } from '../../domain/text.ts';
import { sentences, tableColumns } from '../text.ts';

export const statusCommand = command({
  name: 'status',
  description: 'show how a job is doing',
  takes: (it) =>
    it.argument('<job>', 'id of the job').option('--watch', 'keep showing it, until Ctrl-C or until the job has ended'),
  json: '; with --watch one status a line',
  examples: ['triggers status vip-to-crm --watch'],
  async run([job], { watch }, { terminal, json, print }) {
    await withJobs(async (jobs) => {
      if (watch === true) {
        const stop = interruption();
        await watchStatus(jobs, job, terminal, { json, signal: stop.signal });
        return stop.dispose();
      }
      const status = await jobs.status(job);
      print(status, () => statusLines(status, { nowMs: Date.now(), ...terminal }));
    });
  },
});

export const listCommand = command({
  name: 'list',
  description: 'show all jobs, running ones first',
  takes: (it) => it.option('--running', 'only running jobs'),
  json: ': one job a line',
  notes: `LETTERS: dead letters that wait for a decision; "earlier" ones are of an earlier
job of the same id, which this one cannot send. "?": the job did not answer.`,
  examples: ['triggers list --running'],
  async run(_args, { running }, { terminal, json, printEach }) {
    const all = await withJobs((jobs) => jobs.overview());
    const shown = running === true ? all.filter((job) => job.running) : all;
    const none =
      running === true ? 'No job is running.' : 'There is no job yet. Start one with: triggers start job.json';
    printEach(shown, () =>
      shown.length === 0 ? none : jobTable(shown, { nowMs: Date.now(), ...terminal, columns: tableColumns(terminal) }),
    );
    if (!json) for (const reason of unreadableTexts(shown)) terminal.err(sentences(reason, terminal));
  },
});

/** How many jobs can only be listed, for each reason. */
function unreadableTexts(jobs: readonly JobSummary[]): string[] {
  const counts = new Map<string, number>();
  for (const { unreadable } of jobs)
    if (unreadable !== undefined) counts.set(unreadable, (counts.get(unreadable) ?? 0) + 1);
  return [...counts].map(([reason, times]) => `${counted(times, 'job')} cannot be read here, only listed. ${reason}`);
}
