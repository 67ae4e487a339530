import type { DifferenceCounts } from '../contract/difference.ts';
import type { Problem } from '../contract/export-job.ts';
import type { KeptBackfill, KeptTriggers } from '../contract/job-status.ts';
import type { SampleProblem } from '../contract/sample.ts';
import { type DifferenceDoubt, doubtInWords } from '../domain/difference.ts';
import { andAside, andLetters, keptBackfillInWords } from '../domain/kept-job.ts';
import { shownTime } from '../domain/shown.ts';
import { GRPC, grpcCode, isTransient } from './server-errors.ts';

/** What the client throws: one class per failure, each with its data. `name` is stable. */
export abstract class TriggersError extends Error {}

/** No job has this id. */
export class JobNotFound extends TriggersError {
  override readonly name = 'JobNotFound';
  readonly jobId: string;
  /** The job that was most likely meant, where that was looked for. */
  readonly near?: string;
  constructor(jobId: string, { near, ...options }: ErrorOptions & { readonly near?: string | undefined } = {}) {
    const advice = near === undefined ? '' : ` Did you mean "${near}"?`;
    super(`There is no job "${jobId}".${advice} See all jobs with: triggers list`, options);
    if (near !== undefined) this.near = near;
    this.jobId = jobId;
  }
}

/** The job exists but has ended; what was asked for was not done. */
export class JobNotRunning extends TriggersError {
  override readonly name = 'JobNotRunning';
  readonly jobId: string;
  /** How its workflow ended. */
  readonly ended: string;
  /** What it can run again with, if there is something. */
  readonly left: 'kept' | 'recoverable' | undefined;
  /**
   * @param options.left what it can run again with: what it `kept`, or what can be recovered, since it or the workflow of what it kept did not end
   *   normally. Default: nothing.
   * @param options.why it never began and never can, for this reason.
   */
  constructor(
    jobId: string,
    ended: string,
    options: ErrorOptions & { readonly left?: 'kept' | 'recoverable' | undefined; readonly why?: string } = {},
  ) {
    const { left, why, ...rest } = options;
    const next =
      why === undefined ? runAgain(jobId, left) : `${why} Start it again with a correct definition: triggers start`;
    super(`The job "${jobId}" is no longer running (${ended}). ${next}`, rest);
    this.jobId = jobId;
    this.ended = ended;
    this.left = left;
  }
}

function runAgain(jobId: string, left: 'kept' | 'recoverable' | undefined): string {
  switch (left) {
    case 'kept':
      return `It goes on with what it kept after: triggers resume ${jobId}`;
    case 'recoverable':
      return `Before you start it again, recover it: triggers recover ${jobId}`;
    case undefined:
      return 'It kept nothing. Start it again with: triggers start';
  }
}

/** A job with this id is already running: nothing else can be started under it, and of itself there is nothing to recover. */
export class JobAlreadyRunning extends TriggersError {
  override readonly name = 'JobAlreadyRunning';
  readonly jobId: string;
  constructor(
    jobId: string,
    { isRecovery = false, ...options }: ErrorOptions & { readonly isRecovery?: boolean } = {},
  ) {
    super(
      isRecovery
        ? `The job "${jobId}" is running, so there is nothing to recover. See it with: triggers status ${jobId}`
        : `A job "${jobId}" is already running. See it with: triggers status ${jobId}. Change it with: triggers edit ${jobId} …. One that is to run beside it needs another id.`,
      options,
    );
    this.jobId = jobId;
  }
}

/** A job ended normally, and there is nothing that it kept, or nothing any more: there is nothing to recover. */
export class NothingToRecover extends TriggersError {
  override readonly name = 'NothingToRecover';
  readonly jobId: string;
  /** How its workflow ended. */
  readonly ended: string;
  constructor(jobId: string, ended: string) {
    super(
      `The job "${jobId}" was not terminated (${ended}) and has kept nothing, so there is nothing to recover. Start it again with: triggers start`,
    );
    this.jobId = jobId;
    this.ended = ended;
  }
}

/** The job is not running, but something is kept of it, so no other job can start under its id. */
export class JobKept extends TriggersError {
  override readonly name = 'JobKept';
  readonly jobId: string;
  /** Triggers that wait for it to be resumed. */
  readonly waiting: number;
  /** RFC 3339 */
  readonly keptAt: string;
  /** The backfill that goes on with it. */
  readonly backfill?: KeptBackfill;
  /** Dead letters that wait for a decision, and that only this job can send. */
  readonly letters: number;
  constructor(jobId: string, { waiting, keptAt, backfill, letters = 0 }: KeptTriggers & { readonly letters?: number }) {
    const rest = backfill === undefined ? '' : ` and the rest of ${keptBackfillInWords(backfill)}`;
    super(
      `The job "${jobId}" was stopped and kept ${triggersOf(waiting)}${rest}${andLetters(letters)}. Resume it with: triggers resume ${jobId}. Or discard what it kept: triggers stop ${jobId} --waiting discard`,
    );
    this.jobId = jobId;
    this.waiting = waiting;
    this.keptAt = keptAt;
    this.letters = letters;
    if (backfill !== undefined) this.backfill = backfill;
  }
}

/** The last job with this id, or what it kept, did not end normally and can still be recovered, so no other job takes its place unless told so. */
export class JobRecoverable extends TriggersError {
  override readonly name = 'JobRecoverable';
  readonly jobId: string;
  /** How its workflow ended, or the workflow of what it kept. */
  readonly ended: string;
  /** True: the job was stopped in order, and it is what it kept that ended so. */
  readonly kept: boolean;
  /** Triggers that it is not known to have delivered; undefined when its history could not be read. */
  readonly waiting: number | undefined;
  /** Whether members are left that its backfill has yet to read. */
  readonly backfill: boolean;
  /** Holders that were set aside, with triggers that `waiting` does not count. */
  readonly aside: number;
  /** Dead letters that wait for a decision, and that only this job can send. */
  readonly letters: number;
  /** RFC 3339 */
  readonly recoverableUntil: string;
  /** True: something else is kept under this id as well. Until this job is recovered, that is neither resumed nor discarded, and nothing starts. */
  readonly besideKept: boolean;
  constructor(
    jobId: string,
    left: Omit<JobRecoverable, keyof Error | 'jobId' | 'besideKept'>,
    options: ErrorOptions & { readonly besideKept?: boolean } = {},
  ) {
    const { ended, kept, waiting, backfill, aside, letters, recoverableUntil } = left;
    const { besideKept = false, ...rest } = options;
    const giveUp = besideKept
      ? `What is kept under this id besides waits for that. To give it up for good, recover it first, and then: triggers stop ${jobId} --waiting discard.`
      : 'To give it up for good: triggers start … --discard-recoverable.';
    super(
      `The last job "${jobId}" ${kept ? keptAndEnded(left) : endedWith(left)}. Until ${shownTime(recoverableUntil)} you can run it again with all of it: triggers recover ${jobId}. ${giveUp} A new job beside it needs another id.`,
      rest,
    );
    this.besideKept = besideKept;
    this.aside = aside;
    this.letters = letters;
    this.jobId = jobId;
    this.ended = ended;
    this.kept = kept;
    this.waiting = waiting;
    this.backfill = backfill;
    this.recoverableUntil = recoverableUntil;
  }
}

type Left = Pick<JobRecoverable, 'ended' | 'waiting' | 'backfill' | 'aside' | 'letters'>;

function endedWith({ ended, waiting, backfill, aside, letters }: Left): string {
  const much =
    waiting === undefined
      ? 'how much it had not delivered could not be read from its history'
      : `had not delivered ${triggersOf(waiting)}`;
  return `did not end normally (${ended}), and ${much}${backfill ? ', and has not read all members of its backfill' : ''}${andAside(aside)}${andLetters(letters)}`;
}

function keptAndEnded({ ended, waiting, backfill, aside, letters }: Left): string {
  const much = waiting === undefined ? 'what could not be read from its history' : triggersOf(waiting);
  const rest = backfill ? ' and the rest of its backfill' : '';
  return `was stopped and kept ${much}${rest}${andAside(aside)}${andLetters(letters)}, and that was ended from outside (${ended})`;
}

function triggersOf(count: number): string {
  return count === 1 ? '1 trigger' : `${count} triggers`;
}

/** The job definition is wrong; nothing was started or changed. */
export class InvalidJob extends TriggersError {
  override readonly name = 'InvalidJob';
  readonly problems: readonly Problem[];
  /** @param options.isEdit a running job was to be changed. Default: false. */
  constructor(problems: readonly Problem[], { isEdit = false }: { readonly isEdit?: boolean } = {}) {
    const what = isEdit ? 'The change was not accepted; the job goes on as it was:' : 'The job was not accepted:';
    super([what, ...problems.map(({ field, message }) => `  ${field || 'job'}: ${message}`)].join('\n'));
    this.problems = problems;
  }
}

/** The options of a method or command, or the request to a job, are wrong; nothing was asked of anybody. */
export class InvalidRequest extends TriggersError {
  override readonly name = 'InvalidRequest';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(
      [
        'The request was not accepted:',
        ...problems.map(({ field, message }) => `  ${field || 'request'}: ${message}`),
      ].join('\n'),
    );
    this.problems = problems;
  }
}

/** The watch that was asked for is wrong; nothing was started or changed. */
export class InvalidWatch extends TriggersError {
  override readonly name = 'InvalidWatch';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(
      ['The watch was not accepted:', ...problems.map(({ field, message }) => `  ${field}: ${message}`)].join('\n'),
    );
    this.problems = problems;
  }
}

/** No watch of this audience is running. */
export class WatchNotFound extends TriggersError {
  override readonly name = 'WatchNotFound';
  /** As it was asked for. */
  readonly audience: string;
  constructor(audience: string, options?: ErrorOptions) {
    super(`The audience "${audience}" is not watched. See those that are: triggers watch --list`, options);
    this.audience = audience;
  }
}

/** There is no message to show or to send; nothing was sent. */
export class NoSample extends TriggersError {
  override readonly name = 'NoSample';
  readonly problem: SampleProblem;
  constructor(problem: SampleProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** No worker answered: none serves the job's task queue, or none is free. What was asked for was not done, and will not be. */
export class NoWorker extends TriggersError {
  override readonly name = 'NoWorker';
  readonly taskQueue: string;
  /** How long ago, in ms, a worker last asked for work; undefined when none did within minutes. */
  readonly lastPollMsAgo: number | undefined;
  /** Why a worker could not take up the last task of the workflow that was asked; undefined when none failed. */
  readonly taskFailure: string | undefined;
  constructor(
    taskQueue: string,
    lastPollMsAgo: number | undefined,
    waitedMs: number,
    { taskFailure, ...options }: ErrorOptions & { readonly taskFailure?: string | undefined } = {},
  ) {
    super(noWorkerText(taskQueue, lastPollMsAgo, waitedMs, taskFailure), options);
    this.taskQueue = taskQueue;
    this.lastPollMsAgo = lastPollMsAgo;
    this.taskFailure = taskFailure;
  }
}

function noWorkerText(
  taskQueue: string,
  lastPollMsAgo: number | undefined,
  waitedMs: number,
  taskFailure: string | undefined,
): string {
  const one = 'one with: triggers worker (or everything at once: triggers up)';
  if (lastPollMsAgo === undefined) return `No worker polls the task queue "${taskQueue}". Start ${one}`;
  const seen = `No worker of the task queue "${taskQueue}" answered within ${seconds(waitedMs)} s (one was seen ${seconds(lastPollMsAgo)} s ago).`;
  if (taskFailure !== undefined) return `${seen} Its last task failed: ${taskFailure}`;
  return `${seen} If it is running, it may be busy: check its log, and ask again. If not, start ${one}`;
}

/**
 * A command was sent, and nobody can say whether it was done: no answer came in time, or none that this program can read. It may have been done,
 * or be done later.
 */
export class OutcomeUnknown extends TriggersError {
  override readonly name = 'OutcomeUnknown';
  /** What was asked, of whom. */
  readonly command: string;
  /** How to find out what became of it, as an instruction. */
  readonly findOut: string;
  constructor(command: string, findOut: string, cause: Error) {
    super(
      [
        `It is not known what became of the ${command}: it was sent, but its answer did not come, or cannot be read. It may have been done, and may still be done later. Before you ask again, find out: ${findOut}`,
        `Why there is no answer: ${(ServerUnreachable.of(cause) ?? cause).message}`,
      ].join('\n'),
      { cause },
    );
    this.command = command;
    this.findOut = findOut;
  }
}

/** A worker tried what was asked for and could not do it, most often because its audience source cannot be read. */
export class WorkerFailed extends TriggersError {
  override readonly name = 'WorkerFailed';
  readonly taskQueue: string;
  /** Why it failed. */
  readonly reason: string;
  /** Most likely since it has other payload keys: what this program signals it cannot read either. */
  readonly hasOtherKeys: boolean;
  constructor(taskQueue: string, reason: string, options: ErrorOptions & { readonly hasOtherKeys?: boolean } = {}) {
    super(
      [
        `A worker of the task queue "${taskQueue}" could not do it: ${reason}`,
        "When that is fixed, try again. The worker's log says more.",
      ].join('\n'),
      options,
    );
    this.taskQueue = taskQueue;
    this.reason = reason;
    this.hasOtherKeys = options.hasOtherKeys === true;
  }
}

/** How Temporal is reached is set wrongly; nobody was asked. The message says where, and never what a secret is. */
export class InvalidConnection extends TriggersError {
  override readonly name = 'InvalidConnection';
}

/** No Temporal server answers, or it cannot do anything at the moment. */
export class ServerUnreachable extends TriggersError {
  override readonly name = 'ServerUnreachable';
  /** Where none answers; undefined when one answered that it cannot do anything. */
  readonly address: string | undefined;

  /** A failure that is trouble of the server, which may be over soon; undefined when it is none. */
  static of(error: unknown): ServerUnreachable | undefined {
    if (error instanceof ServerUnreachable) return error;
    return error instanceof TriggersError || !isTransient(error) ? undefined : new ServerUnreachable(undefined, error);
  }

  constructor(address: string | undefined, cause?: unknown) {
    super(
      address === undefined
        ? 'Temporal does not work at the moment. Check that it is running and that its database has disk space, then try again.'
        : `No Temporal server answers at ${address}. Start one here with: triggers up. Or set TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS… if it needs them).`,
      { cause },
    );
    this.address = address;
  }
}

/** Temporal knows who asks, or does not, and does not let them do that; nothing was done. */
export class NotLetIn extends TriggersError {
  override readonly name = 'NotLetIn';

  /** A failure that is Temporal's refusal of whoever asked; undefined when it is none. */
  static of(error: unknown): NotLetIn | undefined {
    if (error instanceof NotLetIn) return error;
    const code = grpcCode(error);
    const isRefusal = code === GRPC.PERMISSION_DENIED || code === GRPC.UNAUTHENTICATED;
    return isRefusal ? new NotLetIn({ cause: error }) : undefined;
  }

  constructor(options: ErrorOptions = {}) {
    super(
      'Temporal does not let this program do that: its token (TEMPORAL_API_KEY) or client certificate (TEMPORAL_TLS_CLIENT_…) is missing or wrong, has expired, or is for another namespace or for less.',
      options,
    );
  }
}

/** `close()` was called before; nothing was asked. */
export class ClientClosed extends TriggersError {
  override readonly name = 'ClientClosed';
  constructor() {
    super('This client is closed. Connect a new one: ExportJobs.connect().');
  }
}

/** The job got the request and refused it; nothing was changed. */
export class RequestRefused extends TriggersError {
  override readonly name = 'RequestRefused';
  readonly jobId: string;
  readonly reason: string;
  constructor(jobId: string, reason: string, options?: ErrorOptions) {
    super(`The job "${jobId}" refused: ${reason}`, options);
    this.jobId = jobId;
    this.reason = reason;
  }
}

/** No dead letter with this id is waiting for a decision: there never was one, or it was redelivered or discarded, or has expired. */
export class DeadLetterNotFound extends TriggersError {
  override readonly name = 'DeadLetterNotFound';
  readonly deadLetterId: string;
  constructor(deadLetterId: string, options?: ErrorOptions) {
    super(
      `No dead letter "${deadLetterId}" waits for a decision. See those that do: triggers dead-letters list`,
      options,
    );
    this.deadLetterId = deadLetterId;
  }
}

/** A dead letter was not redelivered; it is still waiting. */
export class RedeliveryRefused extends TriggersError {
  override readonly name = 'RedeliveryRefused';
  readonly deadLetterId: string;
  readonly reason: string;
  constructor(deadLetterId: string, reason: string) {
    super(`The dead letter "${deadLetterId}" was not redelivered. ${reason}`);
    this.deadLetterId = deadLetterId;
    this.reason = reason;
  }
}

/** A dead letter was not discarded. */
export class DiscardRefused extends TriggersError {
  override readonly name = 'DiscardRefused';
  readonly deadLetterId: string;
  readonly reason: string;
  constructor(deadLetterId: string, reason: string) {
    super(`The dead letter "${deadLetterId}" was not discarded. ${reason}`);
    this.deadLetterId = deadLetterId;
    this.reason = reason;
  }
}

/** A filter of dead letters says what cannot be meant; nothing was looked for, and nothing was done. */
export class InvalidFilter extends TriggersError {
  override readonly name = 'InvalidFilter';
}

/** Nobody knows an audience by this name: no dead letter waits for it, no job listens to it, and the source does not have it. */
export class AudienceNotFound extends TriggersError {
  override readonly name = 'AudienceNotFound';
  /** As it was asked for. */
  readonly audience: string;
  constructor(audience: string, nearest: string | undefined) {
    const hint = nearest === undefined || nearest === audience ? '' : ` Did you mean "${nearest}"?`;
    super(
      `There is no audience "${audience}": no dead letter is about it, no job listens to it, and the source does not have it.${hint}`,
    );
    this.audience = audience;
  }
}

/** A slug has passed to another audience since whatever is asked about it was named by it; nothing is done until an id says which one is meant. */
export class AudienceMoved extends TriggersError {
  override readonly name = 'AudienceMoved';
  /** The slug, as it was given. */
  readonly audience: string;
  /** The id of the audience that has it now. */
  readonly nowId: string;
  /** The id of the audience that had it before. */
  readonly formerId: string;
  /** @param former.by who still knows the former one by this slug, as the beginning of a sentence. */
  constructor(
    audience: string,
    now: { readonly id: string; readonly name: string },
    former: { readonly id: string; readonly by: string },
  ) {
    super(
      `"${audience}" is now the audience "${now.name}" (id ${now.id}). ${former.by} knows another one by this slug (id ${former.id}). Give the id of the one that you mean.`,
    );
    this.audience = audience;
    this.nowId = now.id;
    this.formerId = former.id;
  }
}

/** It is not known which audience has a slug now: the source has more audiences than fit into an answer, and those that do have other slugs. */
export class SlugNotChecked extends TriggersError {
  override readonly name = 'SlugNotChecked';
  /** The slug, as it was given. */
  readonly audience: string;
  constructor(audience: string) {
    super(
      `It is not known which audience has the slug "${audience}" now: the source has more audiences than it can list at once. Give the audience's id.`,
    );
    this.audience = audience;
  }
}

/** Nothing was sent to all jobs that listen, since running jobs of this task queue cannot be read here: nobody knows whether they do. */
export class JobsUnreadable extends TriggersError {
  override readonly name = 'JobsUnreadable';
  readonly jobIds: readonly string[];
  /** @param why the first of them cannot be read. */
  constructor(jobIds: readonly string[], why: string) {
    const which = jobIds.length === 1 ? '1 running job listens' : `${jobIds.length} running jobs listen`;
    const named = jobIds.slice(0, JOBS_NAMED).join(', ') + (jobIds.length > JOBS_NAMED ? ', …' : '');
    super(`Nothing was sent, since it cannot be read here what ${which} to: ${named}. ${why}`);
    this.jobIds = jobIds;
  }
}
/** How many jobs a message names. */
const JOBS_NAMED = 20;

/** Something is not a trigger that any job could accept; it was not sent. */
export class InvalidTrigger extends TriggersError {
  override readonly name = 'InvalidTrigger';
  readonly reason: string;
  /** Its line in the input, from 1; undefined when the input has no lines. */
  readonly line: number | undefined;
  constructor(reason: string, options: ErrorOptions & { readonly line?: number } = {}) {
    const { line, ...rest } = options;
    super(`${line === undefined ? 'This' : `Line ${line}`} is not a trigger: ${reason}.`, rest);
    this.reason = reason;
    this.line = line;
  }
}

/** A list of people's ids has lines without one. Nothing was compared, and nothing was sent. */
export class InvalidList extends TriggersError {
  override readonly name = 'InvalidList';
  /** The first of them: `line 3`, and what is wrong there. */
  readonly problems: readonly Problem[];
  /** How many there are. */
  readonly wrong: number;
  constructor(problems: readonly Problem[], wrong: number) {
    const more = wrong > problems.length ? [`And ${wrong - problems.length} more.`] : [];
    const each = problems.map(({ field, message }) => `${field === '' ? '' : `${field}: `}${message}.`);
    super(['The list cannot be used; nothing was sent.', ...each, ...more].join('\n'));
    this.problems = problems;
    this.wrong = wrong;
  }
}

/** A difference looks like that of a wrong list, or of a source that is half empty. Nothing was sent; with `force` it is. */
export class DifferenceDoubtful extends TriggersError {
  override readonly name = 'DifferenceDoubtful';
  readonly doubts: readonly DifferenceDoubt[];
  /** What was counted. */
  readonly difference: DifferenceCounts;
  constructor(difference: DifferenceCounts, doubts: readonly DifferenceDoubt[]) {
    const said = doubts.map((doubt) => doubtInWords(doubt, difference));
    super([...said, 'Nothing was sent. If it is right all the same, say so: --force'].join(' '));
    this.doubts = doubts;
    const { theirs, members, both, enters, exits } = difference;
    this.difference = { theirs, members, both, enters, exits };
  }
}

/** A job takes no more signals, because nothing processes those that it has: its history would grow too long, or the server refuses them. */
export class JobFull extends TriggersError {
  override readonly name = 'JobFull';
  readonly jobId: string;
  constructor(jobId: string, options: ErrorOptions = {}) {
    const said = options.cause instanceof Error ? ` (${options.cause.message})` : '';
    super(
      `The job "${jobId}" takes no more signals until the earlier ones are processed${said}. Is a worker running? Start one with: triggers worker`,
      options,
    );
    this.jobId = jobId;
  }
}

/**
 * A push ended early. The first `accepted` triggers are with the job. The next `unconfirmed` may be too: the server's answer was lost.
 * Nothing after them was sent. Pushing again from trigger `accepted + 1` on is safe: a job recognises a repeat by person, audience, event
 * and `at` (triggers without an `at` among the unconfirmed may be sent twice).
 */
export class PushInterrupted extends TriggersError {
  override readonly name = 'PushInterrupted';
  readonly jobId: string;
  readonly accepted: number;
  readonly unconfirmed: number;
  constructor(jobId: string, accepted: number, unconfirmed: number, cause: unknown) {
    const said = NotLetIn.of(cause) ?? ServerUnreachable.of(cause) ?? cause;
    const why = said instanceof Error ? said.message : String(said);
    super(
      accepted + unconfirmed === 0
        ? `Nothing was sent to "${jobId}": ${why}`
        : [`The push to "${jobId}" ended early: ${why}`, ...howFar(accepted, unconfirmed, lineOf(cause))].join('\n'),
      { cause },
    );
    this.jobId = jobId;
    this.accepted = accepted;
    this.unconfirmed = unconfirmed;
  }
}

/** The line of the input that is no trigger; undefined when that is not what ended a push. */
function lineOf(cause: unknown): number | undefined {
  return cause instanceof InvalidTrigger ? cause.line : undefined;
}

/** @param line that ended it: all before it are with the job. */
function howFar(accepted: number, unconfirmed: number, line: number | undefined): string[] {
  const maybe = unconfirmed === 0 ? '' : `; it is not known whether the next ${unconfirmed} were, too`;
  return [
    `${accepted} ${accepted === 1 ? 'trigger was' : 'triggers were'} accepted${maybe}. Nothing after that was sent.`,
    line === undefined
      ? `Push again from trigger ${accepted + 1} on.`
      : `Mend it, and push again from line ${line} on.`,
  ];
}

/** A publish ended early; says how far it got, job by job. */
export class PublishInterrupted extends TriggersError {
  override readonly name = 'PublishInterrupted';
  /** Triggers of the input that were offered to every running job that listens. */
  readonly read: number;
  readonly failures: readonly Error[];
  constructor(read: number, failures: readonly Error[]) {
    const sent = read === 0 ? 'It ended at the first trigger of the input.' : goOnAfter(read, failures);
    super([...failures.map(({ message }) => message), sent].join('\n'), { cause: failures[0] });
    this.read = read;
    this.failures = failures;
  }
}

/** Where only the input was wrong, every job has all that came before: pushing that again would repeat what has no `at`. */
function goOnAfter(read: number, failures: readonly Error[]): string {
  const line = failures.length === 1 ? lineOf(failures[0]) : undefined;
  const until = `It ended after trigger ${read} of the input. Up to there each job was sent its own triggers`;
  return line === undefined
    ? `${until}, except as said above, where the triggers of that one job are counted. Push the whole input again: a job recognises, by person, audience, event and "at", what waits in it and what it has recently delivered. Triggers without an "at" are not recognised, and would be sent twice.`
    : `${until}. Mend it, and push again from line ${line} on.`;
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.round(ms / 1000)));
}
