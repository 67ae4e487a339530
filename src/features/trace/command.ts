import { tracePerson } from './logged.ts';
import { definedOf } from '../../domain/json.ts';
import type { TraceEvent } from './events.ts';
import type { TraceProgress } from './trace.ts';
import { configuredTaskQueue } from '../../config/file.ts';
import { DeliveryLogError } from '../delivery-log/log-error.ts';
import { gapsInWords } from '../delivery-log/gaps-in-words.ts';
import { knowsPerson } from './person-trace.ts';
import { printable, shownTime } from '../../domain/text.ts';
import { command, withJobs } from '../../cli/command.ts';
import { configuredReader, hasDeliveryLog } from '../delivery-log/configured.ts';
import { countingNumber, pastTime } from '../../cli/options.ts';
import { attemptLines, TraceStory } from './render.ts';
import { interruption, spinnerOn } from '../../cli/terminal.ts';
import { count, sentences } from '../../cli/text.ts';

export const traceCommand = command({
  name: 'trace',
  description: 'show why a person was sent or not: every trigger, every attempt, and waiting triggers',
  takes: (it) =>
    it
      .argument('<person>', 'id of the person')
      .option('--job <id>', 'only in this job; default: all jobs of the task queue, newest first')
      .option('--since <time>', 'nothing before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
      .option('--histories', "read Temporal's histories in place of the delivery log"),
  json: ': one event a line',
  notes: `With a delivery log, attempts come from it, at once. The histories that Temporal
keeps also have what was signalled, and why something was never tried: see them
with --histories. They are read without a log, too. They do not say the exact
status of a delivery and how long it took, nor when in its slice it was sent.`,
  examples: [
    'triggers trace 7076027172059065053 --job vip-to-crm --since 2h',
    'triggers trace 7076027172059065053 --histories',
  ],
  async run([person], { job, since, histories }, { terminal, json, print, note }) {
    const log = histories === true ? undefined : configuredReader();
    const spinner = spinnerOn(terminal, json);
    const story = new TraceStory({ nowMs: Date.now(), ...terminal });
    let isKnown = false;
    let isPartial = false;
    let gaps: string | undefined;
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
          ...definedOf({ jobId: job, since, log }),
          onProgress,
        };
        for await (const event of tracePerson(jobs.core, person, options)) tell(event);
      });
      gaps = log && gapsInWords(await log.gaps({ since: since?.toISOString() }));
    } catch (error) {
      if (error instanceof DeliveryLogError) note('Histories can be read without the log: add --histories.');
      throw error;
    } finally {
      spinner?.stop();
      await log?.close();
    }
    if (!isKnown && !json)
      terminal.err(sentences(unknownText(person, job, { since, isPartial, isLogged: log !== undefined }), terminal));
    if (gaps !== undefined) note(gaps);
    if (log !== undefined) note(OF_LOG);
  },
});

const OF_LOG =
  'Attempts are those of the delivery log. Histories also have what was signalled, and why something was never tried: add --histories.';

function progressText({ jobId, runs, ofRuns, facts }: TraceProgress): string {
  return `Reading ${printable(jobId)}: run ${count(runs + 1)} of ${count(ofRuns)}, ${count(facts)} events so far`;
}

/** @param looked.isPartial some jobs were left out. */
function unknownText(
  person: string,
  job: string | undefined,
  {
    since,
    isPartial,
    isLogged,
  }: { readonly since: Date | undefined; readonly isPartial: boolean; readonly isLogged: boolean },
): string {
  const others = isPartial ? ' that could be read' : '';
  const where =
    job === undefined ? `in any job of the task queue ${configuredTaskQueue()}${others}` : `in the job ${job}`;
  const reach = isLogged ? 'the delivery log reaches' : 'the server keeps histories';
  const far =
    since === undefined
      ? `as far back as ${reach}`
      : `since ${shownTime(since.toISOString())}, as far back as ${reach}`;
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
nor the exact status of a delivery and how long it took. A delivery log does:
triggers deliveries.`,
  examples: ['triggers attempts vip-to-crm --failed --follow'],
  async run([job], { failed, last, follow }, { terminal, json, print, note }) {
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
    if (hasDeliveryLog()) note(`The delivery log has statuses and durations: triggers deliveries ${job}`);
  },
});
