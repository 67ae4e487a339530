import { command } from '../command.ts';
import { withJobs } from '../jobs.ts';
import { statusLines } from '../render-jobs.ts';
import { watchStatus } from '../render-watches.ts';
import { interruption } from '../terminal.ts';

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
