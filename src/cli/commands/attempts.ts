import { command } from '../command.ts';
import { withJobs } from '../jobs.ts';
import { countingNumber } from '../options.ts';
import { attemptLines } from '../render-trace.ts';
import { interruption } from '../terminal.ts';
import { sentences } from '../text.ts';

export const attemptsCommand = command({
  name: 'attempts',
  description: 'the last attempts of a job, the newest last: what was sent, and what came back',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .option('--failed', 'only those that failed')
      .option('--last <count>', 'how many, 1 or more (default: 20)', countingNumber)
      .option('--follow', 'keep showing new ones, until Ctrl-C or until the job has ended'),
  json: ': one attempt a line',
  notes: `Times are UTC, and say when the job learned the outcome, of a whole slice at
once. Temporal's histories do not say when in its slice each request was made,
nor the exact status of a delivery and how long it took.`,
  examples: ['triggers attempts vip-to-crm --failed --follow'],
  async run([job], { failed, last, follow }, { terminal, json, print }) {
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
          print(attempt, () => attemptLines(attempt, terminal));
        }
      });
    } finally {
      stop?.dispose();
    }
    if (told === 0 && !json)
      terminal.err(sentences('There is no such attempt, as far back as the server keeps histories.', terminal));
  },
});
