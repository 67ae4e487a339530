import { PersonNotFound } from '../../client/errors.ts';
import type { ExportJobs, PersonInJob, PersonPlaces, RemovedLetters } from '../../client/export-jobs.ts';
import type { LoggedPerson } from '../../delivery-log/person-removal.ts';
import { counted, printable, printableReason, shownCount } from '../../domain/shown.ts';
import { confirmLoss } from '../ask.ts';
import { command, withJobs } from '../command.ts';
import { configuredRemoval } from '../delivery-log.ts';
import { UsageError } from '../exit-code.ts';
import { spinnerOn, type Terminal } from '../terminal.ts';
import { headed, tableColumns } from '../text.ts';
import { notAllDone } from './dead-letters.ts';

/** Where a person is: what was found, or after the removal what was removed, and what remains. */
interface Whereabouts extends PersonPlaces, Pick<RemovedLetters, 'failures'> {
  readonly user: string;
  readonly isRemoved: boolean;
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
      .option('--yes', 'do not ask; required without a terminal'),
  json: ': what was found or removed, and what remains',
  notes: `It reads all histories of the task queue, as "trace --histories" does. What
waits for the person is still sent, unless --stop-waiting drops it. A later
trigger is sent and logged again.
Where a person's data lies, and how long: docs/personal-data.md`,
  examples: ['triggers forget 7076027172059065053 --dry-run'],
  async run([user], { dryRun, yes, withoutLog, stopWaiting = false }, { terminal, json, print }) {
    const log = configuredRemoval();
    // Otherwise it would look done, and the workers' log would still have the person.
    if (log === undefined && withoutLog !== true && dryRun !== true)
      throw new UsageError(
        'No delivery log that can be changed is configured here. If the workers have one, set "deliveryLog" in triggers.config.json. If not, or if it is in a collector, add --without-log.',
      );
    const spinner = spinnerOn(terminal, json)?.start('Reading all histories');
    try {
      await withJobs(async (jobs) => {
        const places = await jobs.people.places(user);
        const deliveryLog = (await log?.count(user)) ?? null;
        const found: Whereabouts = { user, isRemoved: false, deliveryLog, ...places, failures: [] };
        spinner?.stop();
        const { deadLetters, leftOut } = found;
        if ((deliveryLog?.rows ?? 0) + deadLetters + places.jobs.length + leftOut.length === 0)
          throw new PersonNotFound(user);
        if (dryRun === true) return print(found, () => tableOf(found, terminal));
        await confirmLoss(lossOf(found, stopWaiting), 'Remove it?', { terminal, yes: yes === true, json });
        const inJobs = stopWaiting ? await stopAll(jobs, found) : {};
        const { removed, failures } = await jobs.people.removeDeadLetters(user);
        const inLog = (await log?.remove(user)) ?? null;
        const left = { ...found, ...inJobs, isRemoved: true, deliveryLog: inLog, deadLetters: removed, failures };
        print(left, () => tableOf(left, terminal));
        if (failures.length > 0) throw notAllDone(removed, failures, 'removed');
      });
    } finally {
      spinner?.stop();
      await log?.close();
    }
  },
});

/** Drops what waits in each job. One that does not do so is among `leftOut`, with the reason. */
async function stopAll(jobs: ExportJobs, found: Whereabouts): Promise<Pick<Whereabouts, 'jobs' | 'leftOut'>> {
  const refused: { jobId: string; reason: string }[] = [];
  const left: PersonInJob[] = [];
  for (const job of found.jobs) {
    const { jobId } = job;
    const asked = job.waiting === 0 ? 0 : jobs.people.stopWaiting(found.user, jobId);
    const waiting = await Promise.resolve(asked).catch((error: unknown) => {
      refused.push({ jobId, reason: error instanceof Error ? error.message : String(error) });
      return job.waiting;
    });
    left.push({ ...job, waiting, dropped: Math.max(0, job.waiting - waiting) });
  }
  return { jobs: left, leftOut: [...found.leftOut, ...refused] };
}

/** The loss, as a sentence; '' when nothing can be removed. */
function lossOf({ user, deliveryLog, deadLetters, jobs }: Whereabouts, stopWaiting: boolean): string {
  const rows = deliveryLog?.rows ?? 0;
  const waiting = stopWaiting ? jobs.reduce((sum, job) => sum + job.waiting, 0) : 0;
  if (rows + deadLetters + waiting === 0) return '';
  const triggers = waiting === 0 ? '' : `${counted(waiting, 'waiting trigger')}, `;
  return `${triggers}${counted(rows, 'row')} of the delivery log and ${counted(deadLetters, 'dead letter')} of ${user} will be removed, and cannot be had back.`;
}

function tableOf(left: Whereabouts, terminal: Terminal): string[] {
  const { isRemoved, deliveryLog, deadLetters, failures, jobs, leftOut, retentionDays } = left;
  const retention = retentionDays === undefined ? "the namespace's retention" : counted(retentionDays, 'day');
  const nothing = isRemoved ? 'nothing' : '';
  const logged = deliveryLog === null ? ['', 'unknown: none is configured here'] : [inLog(deliveryLog), nothing];
  const rows = [
    ['WHERE', isRemoved ? 'REMOVED' : 'FOUND', 'REMAINS'],
    ['delivery log', ...logged],
    [
      'dead letters',
      shownCount(deadLetters),
      failures.map(({ reason }) => printableReason(reason)).join(' ') || nothing,
    ],
    ...jobs.flatMap((job) => jobRows(job, retention)),
    ...leftOut.map(({ jobId, reason }) => [printable(jobId), '', `unknown: ${printableReason(reason)}`]),
    ['snapshots of watches', '', 'until a round finds that the source no longer has the person'],
    ['other histories', '', `for ${retention} after their end`],
  ];
  return headed(rows, { columns: tableColumns(terminal), paint: terminal.paint });
}

/** The second number is about rows of others. */
function inLog({ rows, shared }: LoggedPerson): string {
  return `${counted(rows, 'row')}${shared === 0 ? '' : `, contents of ${shownCount(shared)} more`}`;
}

function jobRows({ jobId, waiting, dropped = 0, until }: PersonInJob, retention: string): string[][] {
  const remains = until === undefined ? `for ${retention} after its present run ends` : `until ${until.slice(0, 10)}`;
  return [
    ...(waiting + dropped === 0
      ? []
      : [
          [
            `waiting in ${jobId}`,
            dropped === 0 ? '' : shownCount(dropped),
            waiting === 0 ? 'nothing' : `${counted(waiting, 'trigger')}, until sent`,
          ],
        ]),
    [`histories of ${jobId}`, '', remains],
  ];
}
