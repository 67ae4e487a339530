import { People } from './people.ts';
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { PersonNotFound } from '../../client/calls/errors.ts';
import type { JobClient } from '../../client/job-client.ts';
import type { PersonInJob, PersonPlaces, RemovedLetters } from './people.ts';
import type { Deed } from '../../contract/audit.ts';
import { storedDeed } from '../delivery-log/deeds.ts';
import type { LoggedPerson } from '../delivery-log/person-removal.ts';
import { definedOf } from '../../domain/json.ts';
import { counted, printable, printableReason, shownCount } from '../../domain/text.ts';
import { confirmLoss } from '../../cli/ask.ts';
import { command, personHere, withJobs } from '../../cli/command.ts';
import { configuredRemoval, configuredSealing, isLogInCollector } from '../delivery-log/configured.ts';
import { PartlyDone, UsageError } from '../../cli/exit-code.ts';
import { REASON } from '../../cli/options.ts';
import { spinnerOn, type Terminal } from '../../cli/terminal.ts';
import { headed, tableColumns } from '../../cli/text.ts';
import { notAllDone } from '../../cli/commands/dead-letters.ts';

/** Where a person is: what was found, or after the removal what was removed, and what remains. */
interface Whereabouts extends PersonPlaces, Pick<RemovedLetters, 'failures'> {
  readonly user: string;
  readonly isRemoved: boolean;
  /** Whether the delivery log keeps that, and by whom and why. */
  readonly isRecorded: boolean;
  /** Null: no delivery log is configured here. */
  readonly deliveryLog: LoggedPerson | null;
}

export const forgetCommand = command({
  name: 'forget',
  description: 'remove a person from the delivery log and the dead letters; show what remains, and until when',
  takes: (it) =>
    it
      .argument('<person>', 'id of the person, exactly as in triggers')
      .option('--stop-waiting', 'also drop what waits for the person in jobs; default: it is still sent')
      .option('--without-log', 'there is no delivery log; otherwise it must be configured here')
      .option('--dry-run', 'only show where the person is')
      .option(...REASON)
      .option('--yes', 'do not ask; required without a terminal'),
  json: ': what was found or removed, and what remains',
  notes: `It reads all histories of the task queue, as "trace --histories" does. What
waits for the person is still sent, unless --stop-waiting drops it; exit code 1
if something still waits then, or a job does not say. A later trigger is sent
and logged again.
Where a person's data lies, and how long: docs/personal-data.md`,
  examples: ['triggers forget 7076027172059065053 --dry-run'],
  async run([user], { dryRun, yes, withoutLog, stopWaiting = false, reason }, { terminal, json, print }) {
    const log = configuredRemoval();
    // Otherwise it would look done, and the workers' log would still have the person.
    if (log === undefined && withoutLog !== true && dryRun !== true)
      throw new UsageError(
        'No delivery log that can be changed is configured here. If the workers have one, set "deliveryLog" in triggers.config.json. If not, or if it is in a collector, add --without-log.',
      );
    const spinner = spinnerOn(terminal, json)?.start('Reading all histories');
    try {
      await withJobs(async (jobs) => {
        const places = await new People(jobs.core, jobs.deadLetters).places(user);
        const deliveryLog = (await log?.count(user)) ?? null;
        const found: Whereabouts = { user, isRemoved: false, isRecorded: false, deliveryLog, ...places, failures: [] };
        spinner?.stop();
        const { deadLetters, leftOut } = found;
        if ((deliveryLog?.rows ?? 0) + deadLetters + places.jobs.length + leftOut.length === 0)
          throw new PersonNotFound(user);
        const sent = dryRun === true && stopWaiting ? 'would be dropped' : 'until sent';
        if (dryRun === true) return print(found, () => tableOf(found, sent, terminal));
        await confirmLoss(lossOf(found, stopWaiting), 'Remove it?', { terminal, yes: yes === true, json });
        const why = definedOf({ reason });
        const id = randomUUID();
        const at = new Date().toISOString();
        const { seal, digests } = configuredSealing();
        const record = async (erased?: Deed['erased']): Promise<boolean> => {
          const [target = 'person'] = digests(user);
          const by = { who: personHere(), door: 'cli', ...why, ...definedOf({ erased }) } as const;
          const deed = storedDeed(id, { at, kind: 'person', target, action: 'erase', ...by }, seal);
          return (await log?.record(deed)) ?? false;
        };
        // First, so that nothing goes without a record.
        const isRecorded = await record();
        const inJobs = stopWaiting ? await stopAll(jobs, found, why) : { jobs: found.jobs, leftOut };
        if (stopWaiting && toAsk(found).length > 0) await setTimeout(LOGGED_MS);
        const { removed, failures } = await new People(jobs.core, jobs.deadLetters).removeDeadLetters(user, why);
        const inLog = (await log?.remove(user)) ?? null;
        if (isRecorded && inLog !== null) await record({ ...inLog, deadLetters: removed });
        const left = {
          ...found,
          ...inJobs,
          isRemoved: true,
          isRecorded,
          deliveryLog: inLog,
          deadLetters: removed,
          failures,
        };
        print(left, () => tableOf(left, sent, terminal));
        const missed = stopWaiting ? missedIn(left) : { jobs: 0, unknown: 0, texts: [] };
        const letters = failures.length > 0 ? notAllDone(removed, failures, 'removed') : undefined;
        if (letters === undefined && missed.texts.length === 0) return;
        const texts = [...(letters === undefined ? [] : [letters.message]), ...missed.texts];
        const { failed = 0, unknown = 0 } = letters ?? {};
        throw new PartlyDone(texts.join(' '), removed, failed + missed.jobs, unknown + missed.unknown);
      });
    } finally {
      spinner?.stop();
      await log?.close();
    }
  },
});

/** How long, in ms, the log is waited for: a worker writes the row of a request within it, unless the log is away. */
const LOGGED_MS = 1_000;

/** The jobs in which something waits for the person, or may do. */
function toAsk({ jobs, leftOut }: Whereabouts): string[] {
  const waiting = jobs.filter((job) => job.waiting > 0);
  return [...new Set([...waiting, ...leftOut].map(({ jobId }) => jobId))];
}

/** Drops what waits in each job. One that does not do so, or does not say it, is among `leftOut`, with the reason. */
async function stopAll(
  jobs: JobClient,
  found: Whereabouts,
  options: { readonly reason?: string },
): Promise<Pick<Whereabouts, 'jobs' | 'leftOut'>> {
  const asked = new Map(found.jobs.map((job) => [job.jobId, job]));
  const leftOut: { jobId: string; reason: string }[] = [];
  for (const jobId of toAsk(found)) {
    const job = asked.get(jobId) ?? { jobId, waiting: 0 };
    try {
      const { waiting, notice } = await new People(jobs.core, jobs.deadLetters).stopWaiting(found.user, jobId, options);
      if (notice !== undefined) leftOut.push({ jobId, reason: notice });
      asked.set(jobId, { ...job, waiting, noLongerWaiting: Math.max(0, job.waiting - waiting) });
    } catch (error) {
      leftOut.push({ jobId, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { jobs: [...asked.values()], leftOut };
}

/** The jobs in which something still waits, or may do. */
function missedIn({ jobs, leftOut }: Whereabouts): { jobs: number; unknown: number; texts: string[] } {
  const namesOf = (some: readonly { jobId: string }[]): string => some.map(({ jobId }) => printable(jobId)).join(', ');
  const silent = new Set(leftOut.map(({ jobId }) => jobId));
  const still = jobs.filter(({ jobId, waiting }) => waiting > 0 && !silent.has(jobId));
  const again = 'Run the command again.';
  const texts = [
    ...(still.length === 0 ? [] : [`Triggers still wait in ${namesOf(still)}.`]),
    ...(leftOut.length === 0 ? [] : [`Unknown: whether triggers still wait in ${namesOf(leftOut)}.`]),
  ];
  return { jobs: still.length, unknown: leftOut.length, texts: texts.length === 0 ? [] : [...texts, again] };
}

/** The loss, as a sentence; '' when nothing can be removed. */
function lossOf({ user, deliveryLog, deadLetters, jobs, leftOut }: Whereabouts, stopWaiting: boolean): string {
  const rows = deliveryLog?.rows ?? 0;
  const waiting = stopWaiting ? jobs.reduce((sum, job) => sum + job.waiting, 0) : 0;
  const unread = stopWaiting ? new Set(leftOut.map(({ jobId }) => jobId)).size : 0;
  if (rows + deadLetters + waiting + unread === 0) return '';
  const triggers = waiting === 0 ? '' : `About ${counted(waiting, 'waiting trigger')}, `;
  const more = unread === 0 ? '' : `what may wait in ${counted(unread, 'job')} left out, `;
  return `${triggers}${more}${counted(rows, 'row')} of the delivery log and ${counted(deadLetters, 'dead letter')} of ${user} will be removed, and cannot be had back.`;
}

/** @param sent what becomes of triggers that wait. */
function tableOf(left: Whereabouts, sent: string, terminal: Terminal): string[] {
  const { isRemoved, isRecorded, deliveryLog, deadLetters, failures, jobs, leftOut, retentionDays } = left;
  const retention = retentionDays === undefined ? "the namespace's retention" : counted(retentionDays, 'day');
  const nothing = isRemoved ? 'nothing' : '';
  const elsewhere = isLogInCollector() ? 'all: it is in a collector' : 'unknown: none is configured here';
  const logged = deliveryLog === null ? ['', elsewhere] : [inLog(deliveryLog), nothing];
  const rows = [
    ['WHERE', isRemoved ? 'REMOVED' : 'FOUND', 'REMAINS'],
    ['delivery log', ...logged],
    [
      'dead letters',
      shownCount(deadLetters),
      failures.map(({ reason }) => printableReason(reason)).join(' ') ||
        (isRemoved && deadLetters > 0 ? 'nothing; lists may show them for a minute' : nothing),
    ],
    ...jobs.flatMap((job) => jobRows(job, sent, retention)),
    ...leftOut.map(({ jobId, reason }) => [printable(jobId), '', `unknown: ${printableReason(reason)}`]),
    ['snapshots of watches', '', 'until a round finds that the source no longer has the person'],
    ['other histories', '', `for ${retention} after their end`],
    ...(isRemoved ? [['record of this', '', isRecorded ? 'in the delivery log' : 'none: there is no log here']] : []),
  ];
  return headed(rows, { columns: tableColumns(terminal), paint: terminal.paint });
}

/** The second number is about rows of others. */
function inLog({ rows, shared }: LoggedPerson): string {
  return `${counted(rows, 'row')}${shared === 0 ? '' : `, contents of ${shownCount(shared)} more`}`;
}

function jobRows(
  { jobId, waiting, noLongerWaiting = 0, until }: PersonInJob,
  sent: string,
  retention: string,
): string[][] {
  const remains = until === undefined ? `for ${retention} after its present run ends` : `until ${until.slice(0, 10)}`;
  return [
    ...(waiting + noLongerWaiting === 0
      ? []
      : [
          [
            `waiting in ${jobId}`,
            noLongerWaiting === 0 ? '' : `${shownCount(noLongerWaiting)} no longer wait`,
            waiting === 0 ? 'nothing' : `${counted(waiting, 'trigger')}, ${sent}`,
          ],
        ]),
    [`histories of ${jobId}`, '', remains],
  ];
}
