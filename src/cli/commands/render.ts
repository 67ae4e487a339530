import { withJobs } from '../jobs.ts';
import { noteLines, requestLines, samplePerson } from '../render-sample.ts';
import { sampleCommand, sampleOf, wishFrom } from '../sample-options.ts';
import type { Terminal } from '../terminal.ts';

export function renderCommand(terminal: Terminal) {
  return sampleCommand('render')
    .description('show the request that a job would send about a real person; nothing is sent')
    .addHelpText(
      'after',
      `
Secrets are masked (…): the URL's path, what an authorization adds, signatures.
The body is shown as it is sent.

Examples:
  triggers render job.json
  triggers render vip-to-crm --user 7076027172059065053 --event exit --legacy`,
    )
    .action(async (argument, { json, ...options }) => {
      const wish = wishFrom(options);
      const of = sampleOf(argument);
      const sample = await withJobs((jobs) => jobs.sample(of, wish));
      if (json === true) return terminal.out(JSON.stringify(sample));
      for (const line of noteLines(`${samplePerson(sample)}. Nothing was sent.`, terminal)) terminal.err(line);
      for (const line of requestLines(sample, terminal)) terminal.out(line);
    });
}
