import { definedOf } from '../../domain/json.ts';
import type { TraceEvent, TraceProgress } from '../../client/export-jobs.ts';
import { configuredTaskQueue } from '../../config/config.ts';
import { knowsPerson } from '../../domain/person-trace.ts';
import { printable, shownTime } from '../../domain/shown.ts';
import { command, withJobs } from '../command.ts';
import { countingNumber, pastTime } from '../options.ts';
import { attemptLines, TraceStory } from '../render-trace.ts';
import { interruption, spinnerOn } from '../terminal.ts';
import { count, sentences } from '../text.ts';

export const traceCommand = command({
  name: 'trace',
  description: 'show why a person was sent or not: every trigger, every attempt, and waiting triggers',
  takes: (it) =>
    it
      .argument('<person>', 'id of the person')
      .option('--job <id>', 'only in this job; default: all jobs of the task queue, newest first')
      .option('--since <time>', 'nothing before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime),
  json: ': one event a line',
  notes: `It is read from the histories that Temporal keeps, so nothing is known from
before the namespace's retention. They do not say the exact status of a delivery
and how long it took, nor when in its slice a trigger was sent.`,
  examples: ['triggers trace 7076027172059065053 --job vip-to-crm --since 2h'],
  async run([person], { job, since }, { terminal, json, print }) {
    const spinner = spinnerOn(terminal, json);
    const story = new TraceStory({ nowMs: Date.now(), ...terminal });
    let isKnown = false;
    let isPartial = false;
    const tell = (event: TraceEvent): void => {
      spinner?.stop();
      isKnown ||= knowsPerson(event);
      isPartial ||= event.kind === 'left-out';
      print(event, () => story.lines(event));
    };
    try {
      await withJobs(async (jobs) => {
        const onProgress = (progress: TraceProgress): void => void spinner?.start(progressText(progress));
        const options = {
          ...definedOf({ jobId: job, since }),
          onProgress,
        };
        for await (const event of jobs.trace(person, options)) tell(event);
      });
    } finally {
      spinner?.stop();
    }
    if (!isKnown && !json) terminal.err(sentences(unknownText(person, job, { since, isPartial }), terminal));
  },
});

function progressText({ jobId, runs, ofRuns, facts }: TraceProgress): string {
  return `Reading ${printable(jobId)}: run ${count(runs + 1)} of ${count(ofRuns)}, ${count(facts)} events so far`;
}

/** @param looked.isPartial some jobs were left out. */
function unknownText(
  person: string,
  job: string | undefined,
  { since, isPartial }: { readonly since: Date | undefined; readonly isPartial: boolean },
): string {
  const others = isPartial ? ' that could be read' : '';
  const where =
    job === undefined ? `in any job of the task queue ${configuredTaskQueue()}${others}` : `in the job ${job}`;
  const far =
    since === undefined
      ? 'as far back as the server keeps histories'
      : `since ${shownTime(since.toISOString())}, as far as the server keeps histories from then`;
  return printable(`No trigger of ${person} is known ${where}, ${far}.`);
}

export const attemptsCommand = command({
  name: 'attempts',
  description: 'show the last attempts of a job, newest last: requests and answers',
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
    let printed = 0;
    try {
      await withJobs(async (jobs) => {
        const options = {
          failed: failed === true,
          ...(last === undefined ? {} : { last }),
          ...(stop === undefined ? {} : { follow: stop.signal }),
        };
        for await (const attempt of jobs.attempts(job, options)) {
          printed += 1;
          print(attempt, () => attemptLines(attempt, terminal));
        }
      });
    } finally {
      stop?.dispose();
    }
    if (printed === 0 && !json)
      terminal.err(sentences('There is no such attempt, as far back as the server keeps histories.', terminal));
  },
});
