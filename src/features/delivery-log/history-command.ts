import { newestFirst } from '../../words/audit.ts';
import type { LoggedDeed } from '../../contract/audit.ts';
import type { DeedFilter } from './deeds.ts';
import { command, unknownJob, withJobs } from '../../cli/command.ts';
import { configuredSealing, withDeliveryLog } from './configured.ts';
import { UsageError } from '../../cli/exit-code.ts';
import { anyTime, countingNumber, pastTime } from '../../cli/options.ts';
import { historyLines } from '../../cli/render-jobs.ts';
import { count, sentences, tableColumns } from '../../cli/text.ts';

const DEFAULT_LIMIT = 50;
const NO_KEY = 'Without a payload key, the history does not say which person was forgotten.';

/** The newest entries of the log, and of Temporal what no log has. */
async function loggedEntries(filter: DeedFilter, most: number, note: (text: string) => void): Promise<LoggedDeed[]> {
  const { entries } = await withDeliveryLog((reader) => reader.deeds(filter, most));
  const { who, targets, ...which } = filter;
  if (who !== undefined || targets !== undefined) return [...entries];
  try {
    return newestFirst([...(await withJobs((jobs) => jobs.endings(which))), ...entries]).slice(0, most);
  } catch (error) {
    note(`Jobs that were ended from outside are not shown: ${error instanceof Error ? error.message : String(error)}`);
    return [...entries];
  }
}

export const historyCommand = command({
  name: 'history',
  description: 'show what was done, newest first: who, by which door, why, and what changed',
  takes: (it) =>
    it
      .argument('[job]', 'only to this job')
      .option('--who <name>', 'only by this person or API key, as it shows them')
      .option('--person <id>', 'only that this person was forgotten; needs the payload key of that time')
      .option('--since <time>', 'not before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
      .option('--until <time>', 'before then', anyTime)
      .option('--limit <count>', `how many (default: ${DEFAULT_LIMIT})`, countingNumber),
  json: ': one entry a line',
  notes: `A job knows the last 50 or fewer. With an option, or without a job, it reads the
delivery log, which has all. Times are UTC. Only the API proves who asked; the
other doors say it. Take an edit back with: triggers edit JOB --to-revision N`,
  examples: ['triggers history vip-to-crm', 'triggers history --since 7d --who ops'],
  async run([job], { who, person, since, until, limit }, { terminal, json, note, printEach }) {
    const most = limit ?? DEFAULT_LIMIT;
    const targets = person === undefined ? undefined : configuredSealing().digests(person);
    if (targets?.length === 0) throw new UsageError(NO_KEY);
    const filter = { targets, jobId: job, who, since: since?.toISOString(), until: until?.toISOString() };
    const isAsJobKnows =
      job !== undefined && [who, person, since, until, limit].every((option) => option === undefined);
    const entries = isAsJobKnows
      ? await withJobs((jobs) => jobs.history(job))
      : await loggedEntries(filter, most, note);
    printEach(entries, () =>
      entries.length === 0
        ? 'Nothing is known.'
        : historyLines(entries, { ...terminal, columns: tableColumns(terminal) }),
    );
    const unknown = job !== undefined && entries.length === 0 ? await unknownJob(job) : undefined;
    if (unknown !== undefined) note(unknown);
    if (entries.length === most && !json)
      terminal.err(sentences(`These are the newest ${count(most)}; see more with --limit.`, terminal));
  },
});
