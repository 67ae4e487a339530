import { printable } from '../../domain/shown.ts';
import { command } from '../command.ts';
import { withJobs } from '../jobs.ts';

export const exportCommand = command({
  name: 'export',
  description: 'print the definition of a job, as a job file',
  takes: (it) => it.argument('<job>', 'id of the job'),
  json: ', on one line',
  notes: `It has the whole webhook URL, which may be a secret. What has its default is left
out, and so is existingUsers, which is about the start of a job.`,
  examples: ['triggers export vip-to-crm > jobs/vip-to-crm.json'],
  async run([job], _options, { print }) {
    const definition = await withJobs((jobs) => jobs.definition(job));
    print(definition, () => JSON.stringify(definition, null, 2).split('\n').map(printable));
  },
});
