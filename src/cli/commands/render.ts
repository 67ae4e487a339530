import { command } from '../command.ts';
import { withJobs } from '../jobs.ts';
import { sampleOf } from '../job-options.ts';
import { sampleWords, wishFrom } from '../options.ts';
import { noteLines, requestLines, samplePerson, tableLines, warningLines } from '../render-sample.ts';

export const renderCommand = command({
  name: 'render',
  description: 'show the request that a job would send about a real person; nothing is sent',
  takes: sampleWords,
  notes: `Secrets are masked (…): the URL's path, what an authorization adds, signatures.
The body is shown as it is sent.`,
  examples: ['triggers render job.json', 'triggers render vip-to-crm --user 7076027172059065053 --event exit --legacy'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sample = await withJobs((jobs) => jobs.sample(of, wish));
    if (!json) {
      for (const line of noteLines(`${samplePerson(sample)}. Nothing was sent.`, terminal)) terminal.err(line);
      for (const line of warningLines(sample, terminal)) terminal.err(line);
    }
    print(sample, () => requestLines(sample, terminal));
    if (!json) for (const line of ['', ...tableLines(sample, terminal)]) terminal.err(line);
  },
});
