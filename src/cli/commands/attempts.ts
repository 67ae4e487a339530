import { Command } from '@commander-js/extra-typings';
import { wholeNumber } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { attemptLines } from '../render-attempts.ts';
import { sentences } from '../render.ts';
import { interruption, type Terminal } from '../terminal.ts';

export function attemptsCommand(terminal: Terminal) {
  return new Command('attempts')
    .description('the last attempts of a job, the newest last: what was sent, and what came back')
    .argument('<job>', 'id of the job')
    .option('--failed', 'only those that failed')
    .option('--last <count>', 'how many (default: 20)', wholeNumber)
    .option('--follow', 'keep showing new ones, until Ctrl-C or until the job has ended')
    .option('--json', 'print JSON for machines: one attempt a line')
    .addHelpText(
      'after',
      `
Times are UTC, and say when the job learned the outcome, of a whole slice at
once. Temporal's histories do not say when in its slice each request was made,
nor the exact status of a delivery and how long it took.

Example:
  triggers attempts vip-to-crm --failed --follow`,
    )
    .action(async (job, { failed, last, follow, json }) => {
      const stop = follow === true ? interruption() : undefined;
      let told = 0;
      try {
        await withJobs(async (jobs) => {
          const options = {
            failed: failed === true,
            ...(last === undefined ? {} : { last }),
            ...(stop === undefined ? {} : { follow: stop.signal }),
          };
          for await (const attempt of jobs.attempts(job, options)) {
            told += 1;
            if (json === true) terminal.out(JSON.stringify(attempt));
            else for (const line of attemptLines(attempt, terminal)) terminal.out(line);
          }
        });
      } finally {
        stop?.dispose();
      }
      if (told === 0 && json !== true)
        terminal.err(sentences('There is no such attempt, as far back as the server keeps histories.', terminal));
    });
}
