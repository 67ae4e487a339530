import { planJobs, type PlannedJob } from './plan-jobs.ts';
import { setTimeout } from 'node:timers/promises';
import { type JobClient, type FieldChange, RequestRefused } from '../../client/job-client.ts';
import { type PruneDoubt, pruneDoubt } from '../../client/jobs/twins.ts';
import { MOST_REASON } from '../../domain/requests.ts';
import { counted, printable } from '../../domain/text.ts';
import { confirmed, confirmLoss, UserAborted } from '../../cli/ask.ts';
import { command, withJobs } from '../../cli/command.ts';
import { type FileProblems, InvalidJobFiles, UsageError } from '../../cli/exit-code.ts';
import { type JobFiles, readJobFiles } from '../../cli/files.ts';
import { sentences, withRemedies, wrap } from '../../cli/text.ts';
import type { Terminal } from '../../cli/terminal.ts';
import { changeLines } from '../../cli/render-jobs.ts';

export const applyCommand = command({
  name: 'apply',
  description: 'make jobs match the job files of a folder: start missing jobs, change the others',
  takes: (it) =>
    it
      .argument('<folder>', 'folder with a file JOB.json for each job, also in folders of its own')
      .option('--dry-run', 'only show what would be done')
      .option('--prune', 'stop the jobs of this task queue that have no file; they send waiting triggers first')
      .option('--force', 'with --prune: even if it stops most jobs, or the folder has none of the running ones')
      .option('--reason <text>', 'why, as "triggers history" tells it; default: "apply FOLDER"')
      .option('--yes', 'do not ask; required without a terminal if jobs stop or people are skipped'),
  json: ': all jobs, with what was done about each',
  notes: `A field missing from a file gets its default. If one job cannot be applied, none
is changed. Applying twice changes nothing.`,
  examples: ['triggers apply jobs --dry-run', 'triggers apply jobs --prune'],
  async run(
    [folder],
    { dryRun, prune, force, yes, reason = `apply ${folder}`.slice(0, MOST_REASON) },
    { terminal, json, print },
  ) {
    if (force === true && prune !== true) throw new UsageError('--force needs --prune.');
    const files = readJobFiles(folder);
    await withJobs(async (jobs) => {
      const planned = await plan(jobs, files, prune === true);
      const shown = planned.map((job) => shownJob(job, files.paths.get(job.jobId)));
      const refusal = force === true ? undefined : refusalOf(shown);
      if (dryRun === true) {
        const doubt = refusal === undefined ? {} : { doubt: refusal.why };
        print({ dryRun: true, jobs: shown, ...doubt }, () => dryRunLines(shown, refusal, terminal));
        return;
      }
      if (!json) for (const line of planLines(shown, terminal.columns)) terminal.err(line);
      if (refusal !== undefined) throw refusal;
      await confirmPlan(shown, { terminal, yes: yes === true, json });
      await carryOut(jobs, planned, shown, reason);
      print({ dryRun: false, jobs: shown }, () => countsText(shown, 'was'));
    });
  },
});

function dryRunLines(shown: readonly ShownJob[], refusal: PruneDoubtful | undefined, terminal: Terminal): string[] {
  const extent = extentText(shown);
  return [
    ...planLines(shown, terminal.columns),
    ...(extent === '' ? [] : [sentences(extent, terminal)]),
    ...(refusal === undefined ? [] : [sentences(`${refusal.why} Without --force it would be refused.`, terminal)]),
    countsText(shown, 'would be'),
  ];
}

/** The folder is probably a wrong one, judging by how many jobs it would stop. Nothing was done; with --force it is done. Exit code 1. */
class PruneDoubtful extends Error {
  override readonly name = 'PruneDoubtful';
  readonly doubt: PruneDoubt;
  /** The jobs that would be stopped. */
  readonly stops: readonly string[];
  /** How many running jobs of this task queue the folder has. */
  readonly kept: number;
  /** As a sentence. */
  readonly why: string;
  constructor(doubt: PruneDoubt, stops: readonly string[], kept: number) {
    const why = doubtText(doubt, stops, kept);
    super(`${why} Nothing was done. To go ahead anyway, add --force.`);
    this.doubt = doubt;
    this.stops = stops;
    this.kept = kept;
    this.why = why;
  }
}

function doubtText(doubt: PruneDoubt, stops: readonly string[], kept: number): string {
  const named = stops.slice(0, NAMED).join(', ') + (stops.length > NAMED ? ', …' : '');
  const running = counted(stops.length + kept, 'running job');
  return doubt === 'none'
    ? `The folder has none of the ${running} of this task queue, so all would be stopped (${named}). Most likely it is the wrong folder.`
    : `This would stop ${stops.length} of the ${running} of this task queue (${named}). Most likely it is the wrong folder, or files are missing.`;
}
/** The most jobs that a doubt names. */
const NAMED = 10;

/** Why a plan needs a person's confirmation; undefined if it does not. */
function refusalOf(shown: readonly ShownJob[]): PruneDoubtful | undefined {
  // A job that only changed its name is not stopped.
  const renamed = new Set(shown.flatMap(({ renames }) => renames ?? []));
  const stops = shown.flatMap(({ action, jobId }) => (action === 'stop' && !renamed.has(jobId) ? [jobId] : []));
  const kept = renamed.size + shown.filter(({ action }) => action === 'change' || action === 'unchanged').length;
  const doubt = pruneDoubt(stops.length, kept);
  return doubt === undefined ? undefined : new PruneDoubtful(doubt, stops, kept);
}

/** @throws InvalidJobFiles with the problems of all files, and of all jobs that would be stopped */
async function plan(jobs: JobClient, files: JobFiles, prune: boolean): Promise<readonly PlannedJob[]> {
  // A job whose file is unreadable would count as not wanted. With problems nothing is done, and pruning is not planned.
  const isPruned = prune && files.problems.length === 0;
  const made = await planJobs(jobs.core, files.definitions, { prune: isPruned });
  const ofJobs: FileProblems[] = made.ok
    ? []
    : made.problems.map(({ jobId, problems }) => ({ file: files.paths.get(jobId) ?? `The job ${jobId}`, problems }));
  const problems = [...files.problems, ...ofJobs];
  if (problems.length > 0 || !made.ok) throw new InvalidJobFiles(problems);
  return made.jobs;
}

/**
 * Asks a person where a plan stops jobs or leaves people out, and before current members are sent; exported for its test.
 * @throws UserAborted; UsageError when something is lost, there is no terminal to confirm on, and --yes is missing. Nothing was done.
 */
export async function confirmPlan(
  shown: readonly ShownJob[],
  asking: { readonly terminal: Terminal; readonly yes: boolean; readonly json: boolean },
): Promise<void> {
  const extent = extentText(shown);
  if (extent !== '') return await confirmLoss(extent, 'Apply it?', asking);
  const isAsked = shown.some(({ existingUsers }) => existingUsers === true) && !asking.yes && !asking.json;
  if (isAsked && !(await confirmed(asking.terminal, 'Apply it?'))) throw new UserAborted('Nothing was done.');
}

/** A plan was carried out in part: exit code 1. */
class PartlyApplied extends Error {
  override readonly name = 'PartlyApplied';
  /** The finished steps. */
  readonly done: readonly ShownJob[];
  /** The job at which it ended; the message says why. */
  readonly failed: ShownJob;
  /** The steps that were not begun. */
  readonly left: readonly ShownJob[];
  constructor(done: readonly ShownJob[], failed: ShownJob, left: readonly ShownJob[], cause: unknown) {
    const why = cause instanceof Error ? withRemedies(cause) : String(cause);
    const named = (jobs: readonly ShownJob[]): string =>
      jobs.map(({ jobId, action }) => `${action} ${jobId}`).join(', ') || 'nothing';
    super(
      [
        `It ended at: ${failed.action} ${failed.jobId}. ${why}`,
        `Done: ${named(done)}. Not begun: ${named(left)}.`,
        'Fix that and apply again: finished changes are not repeated.',
      ].join('\n'),
      { cause },
    );
    this.done = done;
    this.failed = failed;
    this.left = left;
  }
}

/** Starts, changes and stops jobs, one after the other; exported for its test. @throws PartlyApplied */
export async function carryOut(
  jobs: JobClient,
  planned: readonly PlannedJob[],
  shown: readonly ShownJob[],
  reason: string,
): Promise<void> {
  let areListed = false;
  for (const [place, job] of planned.entries()) {
    try {
      if (job.action === 'stop' && !areListed) {
        await untilListed(jobs, planned);
        areListed = true;
      }
      await carryOutOne(jobs, job, reason);
    } catch (error) {
      const isWork = ({ action }: ShownJob): boolean => action !== 'unchanged';
      const failed = shown[place];
      if (failed === undefined) throw error;
      throw new PartlyApplied(
        shown.slice(0, place).filter(isWork),
        failed,
        shown.slice(place + 1).filter(isWork),
        error,
      );
    }
  }
}

/** How long a job may take to be listed, in ms, and how often that is checked. */
const LISTED_MS = 30_000;
const LOOK_MS = 250;

/**
 * Resolves once Temporal lists the jobs that stay. Publishers find them there by the time a stopped job accepts no more triggers.
 * @throws Error when one is not listed for 30 s: nothing was stopped
 */
async function untilListed(jobs: JobClient, planned: readonly PlannedJob[]): Promise<void> {
  const stay = planned.filter(({ action }) => action !== 'stop');
  for (const endsAt = performance.now() + LISTED_MS; ; await setTimeout(LOOK_MS)) {
    const listed = new Set((await jobs.list()).filter(({ running }) => running).map(({ jobId }) => jobId));
    const missing = stay.find(({ jobId }) => !listed.has(jobId));
    if (missing === undefined) return;
    if (performance.now() > endsAt)
      throw new Error(`Temporal does not list the job "${missing.jobId}" yet, so nothing was stopped.`);
  }
}

async function carryOutOne(jobs: JobClient, job: PlannedJob, reason: string): Promise<void> {
  const { jobId } = job;
  switch (job.action) {
    case 'create':
      await jobs.start(job.definition, { jobId, reason });
      return;
    case 'change': {
      // The person has seen and accepted a change that leaves people out. One that leaves people out only now was not shown.
      const isMeant = async (): Promise<boolean> => await Promise.resolve(job.loss !== undefined);
      const edited = await jobs.edit(jobId, job.edit, { isMeant, reason });
      if (edited === undefined)
        throw new RequestRefused(jobId, 'A backfill has begun meanwhile, and the change would leave people out of it.');
      return;
    }
    case 'stop':
      await jobs.stop(jobId, {}, { reason });
      return;
    case 'unchanged':
      return;
  }
}

/** The plan for a job, as it is printed: without the secrets that its definition may have. */
interface ShownJob {
  readonly jobId: string;
  /** Absent: it has no file, and is stopped. */
  readonly file?: string;
  readonly action: PlannedJob['action'];
  readonly changes?: readonly FieldChange[];
  /** The people whom a backfill under way would leave out. */
  readonly loss?: string;
  readonly warnings?: readonly string[];
  /** Whether all current members are sent first. */
  readonly existingUsers?: boolean;
  /** The job's previous id, if its file was probably renamed; the job of that id is stopped. */
  readonly renames?: string;
  /** Triggers that wait in a job that is stopped. */
  readonly waiting?: number;
  readonly deadLettersWaiting?: number;
}

export function shownJob(job: PlannedJob, file: string | undefined): ShownJob {
  const { jobId, action } = job;
  const named = { jobId, ...(file === undefined ? {} : { file }), action };
  switch (job.action) {
    case 'create':
      return {
        ...named,
        existingUsers: job.existingUsers,
        ...(job.renames === undefined ? {} : { renames: job.renames }),
        warnings: job.warnings,
      };
    case 'change': {
      const { changes, loss, warnings } = job;
      return { ...named, changes, ...(loss === undefined ? {} : { loss }), warnings };
    }
    case 'unchanged':
      return named;
    case 'stop': {
      const { waiting, deadLettersWaiting } = job;
      return { ...named, waiting, ...(deadLettersWaiting === undefined ? {} : { deadLettersWaiting }) };
    }
  }
}

/** The plan, a job a line, with each change of a field. Unchanged jobs are only counted. */
export function planLines(jobs: readonly ShownJob[], columns: number): string[] {
  const lines = jobs.flatMap((job) => (job.action === 'unchanged' ? [] : linesOf(job, columns)));
  const unchanged = jobs.filter(({ action }) => action === 'unchanged').length;
  return unchanged === 0 ? lines : [...lines, `${'unchanged'.padEnd(WIDTH)}${counted(unchanged, 'job')}`];
}

const WIDTH = 11;

function linesOf(
  { jobId, action, changes = [], warnings = [], existingUsers, waiting = 0 }: ShownJob,
  columns: number,
): string[] {
  const more =
    existingUsers === true
      ? ', and first send all current members'
      : waiting > 0
        ? `, after about ${counted(waiting, 'waiting trigger')}`
        : '';
  return [
    `${action.padEnd(WIDTH)}${printable(jobId)}${more}`,
    ...changeLines(changes).map((line) => `${' '.repeat(WIDTH - 2)}${line}`),
    // Effects that cannot be undone are listed once, below all jobs: `extentText`.
    ...warnings.flatMap((text) => wrap(`${' '.repeat(WIDTH)}Warning: ${printable(text)}`, columns)),
  ];
}

/** The exact effects of a plan that cannot be undone, in sentences; '' when there are none. */
function extentText(jobs: readonly ShownJob[]): string {
  const stopped = jobs.filter(({ action }) => action === 'stop');
  const letters = stopped.flatMap(({ jobId, deadLettersWaiting = 0 }) =>
    deadLettersWaiting === 0 ? [] : [`${counted(deadLettersWaiting, 'dead letter')} of ${jobId}`],
  );
  return [
    ...(stopped.length === 0
      ? []
      : [
          `This stops ${stopped.map(({ jobId }) => jobId).join(', ')}: what waits there is sent first, for at most an hour.`,
        ]),
    ...(letters.length === 0 ? [] : [`These would never be sent: ${letters.join(', ')}.`]),
    ...jobs.flatMap(({ jobId, loss }) => (loss === undefined ? [] : [`${jobId}: ${loss}`])),
  ].join(' ');
}

/** The number of jobs. @param how whether their steps would be done, or were. */
function countsText(jobs: readonly ShownJob[], how: 'would be' | 'was'): string {
  const parts = ACTIONS.flatMap(([action, word]) => {
    const count = jobs.filter((job) => job.action === action).length;
    return count === 0 ? [] : [`${counted(count, 'job')} ${how === 'was' && count > 1 ? 'were' : how} ${word}`];
  });
  const renamed = jobs.flatMap(({ jobId, renames }) =>
    renames === undefined ? [] : [` ${jobId} ${how === 'was' ? 'took' : 'would take'} the place of ${renames}.`],
  );
  return parts.length === 0 ? 'All jobs are already up to date.' : `${parts.join(', ')}.${renamed.join('')}`;
}

const ACTIONS = [
  ['create', 'started'],
  ['change', 'changed'],
  ['stop', 'stopped'],
] as const;
