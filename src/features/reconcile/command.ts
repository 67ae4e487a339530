import { DifferenceDoubtful } from './errors.ts';
import { compare, forget } from './compare.ts';
import { reconcile } from './reconcile.ts';
import { extname } from 'node:path';
import { Option } from '@commander-js/extra-typings';
import type { JobClient, JobStatus } from '../../client/job-client.ts';
import type { CompareProgress } from './compare.ts';
import type { Difference } from './difference.ts';
import { LIST_FORMATS, type ListFormat, type ListOptions, readTheirList } from './their-list.ts';
import { doubtInWords, doubtsAbout } from './doubts.ts';
import { counted, printable } from '../../domain/text.ts';
import { confirmed, UserAborted, nobodyToAsk } from '../../cli/ask.ts';
import { command, withJobs } from '../../cli/command.ts';
import { UsageError } from '../../cli/exit-code.ts';
import { openFile } from '../../cli/files.ts';
import { REASON } from '../../cli/options.ts';
import { interruption, spinnerOn, type Terminal } from '../../cli/terminal.ts';
import { count, sentences } from '../../cli/text.ts';

export const reconcileCommand = command({
  name: 'reconcile',
  description: "compare an endpoint's own list with the current members, and send it the difference",
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .option('--they-have <file>', 'the list: the ids that the endpoint has; "-": standard input')
      .addOption(
        new Option('--format <format>', 'format of the list; default: by its name (.csv, .ndjson), else lines').choices(
          LIST_FORMATS,
        ),
      )
      .option('--column <name>', 'the column, or the JSON key, with the ids; default: user or id')
      .option('--audience <slug>', "which of the job's audiences the list is about; default: the only one")
      .option('--dry-run', 'only show what would be sent')
      .option('--force', 'send the difference even if the list looks wrong')
      .option(...REASON)
      .option('--yes', 'do not ask; required without a terminal'),
  json: ': the difference, and the status once it is being sent',
  notes: `Sends enters for members missing from the list, and exits for people on it who
are not members. It runs as a backfill: triggers backfill JOB --pause, --resume,
--cancel.`,
  examples: [
    'triggers reconcile vip-to-crm --they-have members.csv --column ext --dry-run',
    'triggers reconcile vip-to-crm --they-have members.txt --yes',
  ],
  async run([job], options, { terminal, json, print }) {
    const { theyHave, audience, reason, dryRun = false, force = false, yes = false } = options;
    if (theyHave === undefined) throw new UsageError("Give the endpoint's list: --they-have <file>");
    const list = readTheirList(theyHave === '-' ? terminal.stdin : openFile(theyHave), listOptions(theyHave, options));
    const stage = { terminal, json, audience, reason, dryRun, force, yes };
    // An open standard input would keep the process alive after an interruption.
    const result = await withJobs((jobs) => compareAndSend(jobs, job, list, stage)).finally(() =>
      terminal.stdin.destroy(),
    );
    print(result, () => doneText(job, result));
  },
});

function listOptions(
  file: string,
  { format, column }: { readonly format?: ListFormat | undefined; readonly column?: string | undefined },
): ListOptions {
  const chosen = format ?? FORMATS[extname(file).toLowerCase()] ?? 'lines';
  if (chosen === 'lines' && column !== undefined)
    throw new UsageError('Only CSV and NDJSON have a column. Add --format csv or --format ndjson.');
  return { format: chosen, column };
}

const FORMATS: Readonly<Partial<Record<string, ListFormat>>> = {
  '.csv': 'csv',
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
  '.json': 'ndjson',
};

interface Stage {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly audience: string | undefined;
  readonly reason: string | undefined;
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly yes: boolean;
}

interface Reconciled {
  readonly difference: Difference;
  /** Why it would be refused, for people; absent: it would not. */
  readonly doubts?: readonly string[];
  /** Absent: nothing is sent. */
  readonly status?: JobStatus;
}

/** Compares, shows what would be sent, asks, and has it sent. If it is not sent, nothing is left behind. */
async function compareAndSend(
  jobs: JobClient,
  job: string,
  list: AsyncIterable<string>,
  { terminal, json, audience, reason, dryRun, force, yes }: Stage,
): Promise<Reconciled> {
  const stop = interruption();
  const spinner = spinnerOn(terminal, json);
  const onProgress = ({ read, isComparing }: CompareProgress): void => {
    if (spinner !== undefined)
      spinner.text = isComparing ? `${count(read)} ids; comparing with the members` : `${count(read)} ids`;
  };
  try {
    spinner?.start('Reading the list');
    const difference = await compare(jobs.core, job, list, { audience, signal: stop.signal, onProgress });
    spinner?.stop();
    try {
      if (!json) for (const line of differenceLines(difference)) terminal.err(sentences(line, terminal));
      const doubts = doubtsAbout(difference);
      if (dryRun || difference.enters + difference.exits === 0) {
        await forget(jobs.core, job, difference);
        const words = force ? [] : doubts.map((doubt) => doubtInWords(doubt, difference));
        return { difference, ...(words.length === 0 ? {} : { doubts: words }) };
      }
      if (doubts.length > 0 && !force) throw new DifferenceDoubtful(difference, doubts);
      if (!yes && terminal.stdin.isTTY !== true) throw nobodyToAsk(`At most ${extent(difference)} would be sent.`);
      const question = `Send at most ${extent(difference)} to ${job}?`;
      if (!yes && !(await confirmed(terminal, question, stop.signal))) throw new UserAborted('Nothing was sent.');
      return { difference, status: await reconcile(jobs.core, job, difference, { force, reason }) };
    } catch (error) {
      if (isNotSent(error)) await forget(jobs.core, job, difference).catch(() => undefined);
      throw error;
    }
  } finally {
    spinner?.stop();
    stop.dispose();
  }
}

/** If it is unknown whether the job got the request, the job may need the difference. */
function isNotSent(error: unknown): boolean {
  return !(error instanceof Error && error.name === 'OutcomeUnknown');
}

function extent({ enters, exits }: Pick<Difference, 'enters' | 'exits'>): string {
  return `${counted(enters, 'enter')} and ${counted(exits, 'exit')}`;
}

/** The numbers of a comparison, and the first people that it concerns. */
function differenceLines({ audience, theirs, members, both, enters, exits, first }: Difference): string[] {
  return [
    `${audience.slug}: ${count(theirs)} on the list, ${count(members)} members, ${count(both)} in both.`,
    ...some('Members missing from the list, to enter', enters, first.enters),
    ...some('On the list but not members, to exit', exits, first.exits),
  ];
}

function some(what: string, all: number, shown: readonly string[]): string[] {
  if (all === 0) return [];
  const more = all > shown.length ? ', …' : '';
  return [`  ${what}: ${count(all)} (${shown.map(printable).join(', ')}${more})`];
}

function doneText(job: string, { difference, doubts = [], status }: Reconciled): string {
  const { theirs, members, both, enters, exits } = difference;
  if (enters + exits === 0)
    return theirs === both && members === both
      ? 'Nothing to send: the list and the source have the same people.'
      : `Nothing to send: ${count(members - both)} missing from the list, ${count(theirs - both)} not members, but the job's "events" exclude these changes.`;
  if (doubts.length > 0) return `${doubts.join(' ')} To send it anyway, add --force. Nothing was sent.`;
  if (status === undefined) return `At most ${extent(difference)} would be sent. Nothing was sent.`;
  const { n = '', difference: sent = difference } = status.backfill ?? {};
  return `Backfill ${n} sends ${extent(sent)}, without those whose membership changes meanwhile. Follow it with: triggers status ${job} --watch`;
}
