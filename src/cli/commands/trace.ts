import { Command } from '@commander-js/extra-typings';
import ora from 'ora';
import type { TraceEvent, TraceProgress } from '../../client/export-jobs.ts';
import { knowsPerson } from '../../domain/knows-person.ts';
import { printable } from '../../domain/printable.ts';
import { pastTime } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { count } from '../numbers.ts';
import { TraceStory } from '../render-trace.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function traceCommand(terminal: Terminal) {
  return new Command('trace')
    .description('why a person was sent, or was not: every trigger, every attempt, and what waits')
    .argument('<person>', 'id of the person')
    .option('--job <id>', 'only in this job; default: all jobs of the task queue, those begun last first')
    .option('--since <time>', 'nothing before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
    .option('--json', 'print JSON for machines: one event a line')
    .addHelpText(
      'after',
      `
It is read from the histories that Temporal keeps, so nothing is known from
before the namespace's retention. They do not say the exact status of a delivery
and how long it took, nor when in its slice a trigger was sent.

Example:
  triggers trace 7076027172059065053 --job vip-to-crm --since 2h`,
    )
    .action(async (person, { job, since, json }) => {
      const spinner = json !== true && terminal.interactive ? ora({ stream: process.stderr }) : undefined;
      const story = new TraceStory({ nowMs: Date.now(), ...terminal });
      let isKnown = false;
      const tell = (event: TraceEvent): void => {
        spinner?.stop();
        isKnown ||= knowsPerson(event);
        if (json === true) terminal.out(JSON.stringify(event));
        else for (const line of story.lines(event)) terminal.out(line);
      };
      try {
        await withJobs(async (jobs) => {
          const onProgress = (progress: TraceProgress): void => void spinner?.start(progressText(progress));
          const options = {
            ...(job === undefined ? {} : { jobId: job }),
            ...(since === undefined ? {} : { since }),
            onProgress,
          };
          for await (const event of jobs.trace(person, options)) tell(event);
        });
      } finally {
        spinner?.stop();
      }
      if (!isKnown && json !== true) terminal.err(sentences(unknownText(person, job), terminal));
    });
}

function progressText({ jobId, runs, ofRuns, facts }: TraceProgress): string {
  return `Reading ${printable(jobId)}: run ${count(runs + 1)} of ${count(ofRuns)}, ${count(facts)} events so far`;
}

function unknownText(person: string, job: string | undefined): string {
  const where = job === undefined ? 'in any job' : `in the job ${job}`;
  return printable(`No trigger of ${person} is known ${where}, as far back as the server keeps histories.`);
}
