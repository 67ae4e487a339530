import type { RevisionAnswer } from '../../contract/audit.ts';
import type { Problem } from '../../contract/export-job.ts';
import type { KeptBackfill, KeptTriggers } from '../../contract/job-status.ts';
import { keptBackfillInWords } from '../../words/status-rows.ts';
import { counted, shownTime } from '../../domain/text.ts';
import type { Remedy } from '../../contract/remedy.ts';
import { GRPC, grpcCode, isTransient } from './server-errors.ts';

/**
 * The client's errors: one class per failure, each with its data. `name` is the name of the class, and stable. The message says what happened, and
 * names no command, request or button: `remedies` say what to do. The first sentence above each class is its row in docs/errors.md.
 */
export abstract class TriggersError extends Error {
  /** The HTTP status that the API answers with. */
  static readonly status: number = 422;
  /** The exit code of a command. 2: what was given is wrong, and the same command would fail again. */
  static readonly exitCode: 1 | 2 = 1;
  /** The ways to fix it, best first. */
  readonly remedies: readonly Remedy[];

  /** @param data the fields that a class declares. */
  constructor(message: string, data: object = {}, cause?: unknown, ...remedies: readonly Remedy[]) {
    super(message, cause === undefined ? {} : { cause });
    this.name = new.target.name;
    this.remedies = remedies;
    Object.assign(this, data);
  }
}

/** Some of what was given is wrong, field by field. */
export abstract class ProblemsError extends TriggersError {
  declare readonly problems: readonly Problem[];
  readonly #headline: string;

  constructor(headline: string, problems: readonly Problem[], data: object = {}) {
    const lines = problems.map(({ field, message }) => `  ${field === '' ? '' : `${field}: `}${message}`);
    super([headline, ...lines].join('\n'), { problems, ...data });
    this.#headline = headline;
  }

  /** The message without the problems. */
  get headline(): string {
    return this.#headline;
  }
}

/** No job has this id. */
export class JobNotFound extends TriggersError {
  static override readonly status = 404;
  declare readonly jobId: string;
  /** The job that was most likely meant, if one was looked for. */
  declare readonly near?: string;
  constructor(
    jobId: string,
    {
      near,
      isForgotten = false,
      cause,
    }: ErrorOptions & { readonly near?: string | undefined; readonly isForgotten?: boolean } = {},
  ) {
    const words = isForgotten
      ? `Temporal no longer has the job "${jobId}": it was deleted, or it ended too long ago.`
      : `There is no job "${jobId}".${didYouMean(near)}`;
    super(words, { jobId, near }, cause, isForgotten ? { action: 'logged', job: jobId } : { action: 'listJobs' });
  }
}

/** The job has stopped or ended, and accepts nothing; `ended` says how. */
export class JobNotRunning extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  declare readonly ended: string;
  /** How it can run again, if it can: with its kept backlog, or after a recovery. */
  declare readonly left: 'kept' | 'recoverable' | undefined;
  /** @param options.why it never began and never can, for this reason. */
  constructor(
    jobId: string,
    ended: string,
    { left, why, cause }: ErrorOptions & { readonly left?: JobNotRunning['left']; readonly why?: string } = {},
  ) {
    const [words, action] = AGAIN[why === undefined ? (left ?? 'nothing') : 'nothing'];
    const message = `The job "${jobId}" is no longer running (${ended}). ${why ?? words}`;
    super(message, { jobId, ended, left }, cause, { action, job: jobId });
  }
}
const AGAIN = {
  kept: ['It kept what was waiting.', 'resume'],
  recoverable: ['It can be recovered.', 'recover'],
  nothing: ['It kept nothing.', 'start'],
} as const;

/** A job with this id is running, so no other can start under it, and there is nothing to recover. */
export class JobAlreadyRunning extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  constructor(jobId: string, { isRecovery = false, cause }: ErrorOptions & { readonly isRecovery?: boolean } = {}) {
    const next = isRecovery ? 'There is nothing to recover.' : 'Another job needs another id.';
    const message = `The job "${jobId}" is already running. ${next}`;
    super(message, { jobId }, cause, { action: 'status', job: jobId }, { action: 'edit', job: jobId });
  }
}

/** The job has stopped and keeps triggers or dead letters, so no other job can start under its id. */
export class JobKept extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  /** Triggers that wait for it to be resumed. */
  declare readonly waiting: number;
  /** RFC 3339 */
  declare readonly keptAt: string;
  /** The backfill that goes on with it. */
  declare readonly backfill?: KeptBackfill;
  /** Dead letters that wait for a decision, and that only this job can send. */
  declare readonly letters: number;
  constructor(jobId: string, { waiting, keptAt, backfill, letters = 0 }: KeptTriggers & { readonly letters?: number }) {
    const rest = backfill === undefined ? '' : ` and the rest of ${keptBackfillInWords(backfill)}`;
    const message = `The job "${jobId}" was stopped and kept ${counted(waiting, 'trigger')}${rest}${andLetters(letters)}.`;
    const data = { jobId, waiting, keptAt, letters, backfill };
    super(message, data, undefined, { action: 'resume', job: jobId }, { action: 'discard', job: jobId });
  }
}

/** The losses if another job took the place of one that did not end normally. */
export interface Recoverable {
  /** How its workflow ended. */
  readonly ended: string;
  /** Triggers that it is not known to have delivered; undefined when its history could not be read. */
  readonly waiting: number | undefined;
  /** Whether its backfill has yet to read some members. */
  readonly backfill: boolean;
  /** Dead letters that wait for a decision, and that only this job can send. */
  readonly letters: number;
  /** RFC 3339 */
  readonly recoverableUntil: string;
  /** Why the history could not be read. */
  readonly cause?: unknown;
}

/** The last job with this id was ended from outside. A new one would make what it had not delivered unrecoverable. */
export class JobRecoverable extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  declare readonly ended: Recoverable['ended'];
  declare readonly waiting: Recoverable['waiting'];
  declare readonly backfill: Recoverable['backfill'];
  declare readonly letters: Recoverable['letters'];
  declare readonly recoverableUntil: Recoverable['recoverableUntil'];
  constructor(jobId: string, { cause, ...left }: Recoverable) {
    super(
      `The last job "${jobId}" ${undeliveredInWords(left)}. It can be recovered until ${shownTime(left.recoverableUntil)}. Another job needs another id.`,
      { jobId, ...left },
      cause,
      { action: 'recover', job: jobId },
      { action: 'discardRecoverable' },
    );
  }
}

function undeliveredInWords({ ended, waiting, backfill, letters }: Recoverable): string {
  const triggers = waiting === undefined ? 'an unknown number of triggers' : counted(waiting, 'trigger');
  const more = `${backfill ? ' and the rest of its backfill' : ''}${andLetters(letters)}`;
  return `did not end normally (${ended}), and had not delivered ${triggers}${more}`;
}

/** The job definition is wrong; nothing was started or changed. */
export class InvalidJob extends ProblemsError {
  static override readonly exitCode = 2;
  /** @param options.isEdit a running job was to be changed. Default: false. */
  constructor(problems: readonly Problem[], { isEdit = false }: { readonly isEdit?: boolean } = {}) {
    super(isEdit ? 'The change was not accepted; the job goes on as it was.' : 'The job was not accepted.', problems);
  }
}

/** An option or a request is wrong; nothing was done. */
export class InvalidRequest extends ProblemsError {
  static override readonly exitCode = 2;
  constructor(problems: readonly Problem[], headline = 'The request was not accepted.') {
    super(headline, problems);
  }
}

/** No worker answered in time, so nothing was done, and nothing will be. */
export class NoWorker extends TriggersError {
  static override readonly status = 503;
  declare readonly taskQueue: string;
  /** How long ago, in ms, a worker last asked for work; undefined when none did within minutes. */
  declare readonly lastPollMsAgo: number | undefined;
  /** Why a worker could not process the last task of the workflow; undefined when none failed. */
  declare readonly taskFailure: string | undefined;
  readonly #why: string;
  constructor(
    taskQueue: string,
    lastPollMsAgo: number | undefined,
    waitedMs: number,
    { taskFailure, cause }: ErrorOptions & { readonly taskFailure?: string | undefined } = {},
  ) {
    const failed =
      taskFailure === undefined ? 'It may be busy: check its log.' : `Its last task failed: ${taskFailure}`;
    const why =
      lastPollMsAgo === undefined
        ? `No worker polls the task queue "${taskQueue}".`
        : `No worker of the task queue "${taskQueue}" answered within ${seconds(waitedMs)} s (one was seen ${seconds(lastPollMsAgo)} s ago). ${failed}`;
    const data = { taskQueue, lastPollMsAgo, taskFailure };
    super(`${why} This request changed nothing.`, data, cause, { action: 'startWorker' });
    this.#why = why;
  }

  /** Its message as the cause of another error, whose request may have changed something. */
  get why(): string {
    return this.#why;
  }
}

/** The reason of another error, within its message. */
function inWords(reason: unknown): string {
  if (reason instanceof NoWorker) return reason.why;
  return reason instanceof Error ? reason.message : String(reason);
}

/** A command was sent, and its answer did not come or cannot be read. It may have been done, or be done later. */
export class OutcomeUnknown extends TriggersError {
  static override readonly status = 504;
  /** The request and its target. */
  declare readonly command: string;
  /** @param findOut how to find out what became of it. */
  constructor(command: string, findOut: Remedy, cause: Error) {
    const unknown = `The outcome of the ${command} is unknown: it was sent, and may still be done. Find out before you ask again.`;
    const why = `Why there is no answer: ${inWords(ServerUnreachable.of(cause) ?? cause)}`;
    super(`${unknown}\n${why}`, { command }, cause, findOut);
  }
}

/** A worker tried and failed: most often its audience source cannot be read. */
export class WorkerFailed extends TriggersError {
  static override readonly status = 503;
  declare readonly taskQueue: string;
  declare readonly reason: string;
  /** True: it most likely has other payload keys, and so cannot read this program's signals either. */
  declare readonly hasOtherKeys: boolean;
  constructor(
    taskQueue: string,
    reason: string,
    { hasOtherKeys = false, cause }: ErrorOptions & { readonly hasOtherKeys?: boolean } = {},
  ) {
    const failed = `A worker of the task queue "${taskQueue}" could not do it: ${reason}`;
    const advice = "When that is fixed, try again. The worker's log says more.";
    super(`${failed}\n${advice}`, { taskQueue, reason, hasOtherKeys }, cause);
  }
}

/** A setting for reaching Temporal is wrong. The message never says what a secret is. */
export class InvalidConnection extends TriggersError {
  static override readonly exitCode = 2;
}

/** No Temporal server answers, or it can do nothing at the moment. */
export class ServerUnreachable extends TriggersError {
  static override readonly status = 503;
  /** The address that does not answer; undefined when a server answered that it cannot work. */
  declare readonly address: string | undefined;

  /** Returns the error for trouble of the server, which may soon be over; undefined for any other failure. */
  static of(error: unknown): ServerUnreachable | undefined {
    if (error instanceof ServerUnreachable) return error;
    return error instanceof TriggersError || !isTransient(error) ? undefined : new ServerUnreachable(undefined, error);
  }

  constructor(address: string | undefined, cause?: unknown) {
    const message =
      address === undefined
        ? 'Temporal does not work at the moment. Check that it is running and that its database has disk space.'
        : `No Temporal server answers at ${address}. Set TEMPORAL_ADDRESS, and TEMPORAL_NAMESPACE, TEMPORAL_API_KEY or TEMPORAL_TLS… if it needs them.`;
    super(message, { address }, cause, ...(address === undefined ? [] : [START_TEMPORAL]));
  }
}
const START_TEMPORAL: Remedy = { action: 'startTemporal' };

/** Temporal denies permission to this program's token or certificate. */
export class NotLetIn extends TriggersError {
  static override readonly status = 503;
  /** Returns the error for Temporal's refusal of the caller; undefined for any other failure. */
  static of(error: unknown): NotLetIn | undefined {
    if (error instanceof NotLetIn) return error;
    const code = grpcCode(error);
    const isRefusal = code === GRPC.PERMISSION_DENIED || code === GRPC.UNAUTHENTICATED;
    return isRefusal ? new NotLetIn({ cause: error }) : undefined;
  }

  constructor({ cause }: ErrorOptions = {}) {
    const message =
      'Temporal denies permission: the token (TEMPORAL_API_KEY) or client certificate (TEMPORAL_TLS_CLIENT_…) is missing, wrong or expired, or is for another namespace or for less.';
    super(message, {}, cause);
  }
}

/** `close()` was called before. */
export class ClientClosed extends TriggersError {
  constructor() {
    super('This client is closed. Connect a new one: ExportJobs.connect().');
  }
}

/** The job refused the request; `reason` says why. */
export class RequestRefused extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  declare readonly reason: string;
  /** The type of failure that the job answered with, such as `JobStopping`; absent when the client refused. */
  declare readonly code?: string;
  constructor(
    jobId: string,
    reason: string,
    { code, cause }: ErrorOptions & { readonly code?: string | undefined } = {},
  ) {
    const remedies = code === 'JobPaused' ? [{ action: 'resume', job: jobId } as const] : [];
    super(`The job "${jobId}" refused: ${reason}`, { jobId, reason, code }, cause, ...remedies);
  }
}

/** The job no longer knows how it was at that revision, or has not had it yet; `oldest` says how far back it knows. */
export class RevisionUnknown extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  declare readonly revision: number;
  declare readonly oldest: number;
  declare readonly current: number;
  constructor(jobId: string, revision: number, { oldest, current }: Pick<RevisionAnswer, 'oldest' | 'current'>) {
    const message = `The job "${jobId}" does not know how it was at revision ${revision}: it knows ${oldest} to ${current}.`;
    super(message, { jobId, revision, oldest, current });
  }
}

/** No dead letter with this id waits: it was redelivered or discarded, has expired, or never existed. */
export class DeadLetterNotFound extends TriggersError {
  static override readonly status = 404;
  declare readonly deadLetterId: string;
  /** The dead letter that was most likely meant, if one was looked for. */
  declare readonly near?: string;
  constructor(deadLetterId: string, { near, cause }: ErrorOptions & { readonly near?: string | undefined } = {}) {
    const message = `No dead letter "${deadLetterId}" waits for a decision.${didYouMean(near)}`;
    super(message, { deadLetterId, near }, cause, { action: 'listDeadLetters' });
  }
}

/** No delivery in the log has this webhook-id. */
export class DeliveryNotFound extends TriggersError {
  static override readonly status = 404;
  declare readonly deliveryId: string;
  /** @param jobId of which it was to be, if one was named, and delivered in the time that was asked for. */
  constructor(deliveryId: string, jobId?: string) {
    const which = jobId === undefined ? 'webhook-id' : `fitting delivery of the job "${jobId}" with a webhook-id`;
    super(`The delivery log has no ${which} that begins with "${deliveryId}".`, { deliveryId, jobId });
  }
}

/** No delivery log that can be read is configured, so that nothing is known of deliveries. */
export class NoDeliveryLog extends TriggersError {
  static override readonly status = 404;
  static override readonly exitCode = 2;
  constructor() {
    super(
      'There is no delivery log that can be read here: set "deliveryLog" in the configuration (docs/delivery-log.md). One in a collector is read there.',
    );
  }
}

/** A dead letter was not redelivered, and still waits; `reason` says why. */
export class RedeliveryRefused extends TriggersError {
  static override readonly status = 409;
  declare readonly deadLetterId: string;
  declare readonly reason: string;
  constructor(deadLetterId: string, reason: string) {
    super(`The dead letter "${deadLetterId}" was not redelivered. ${reason}`, { deadLetterId, reason });
  }
}

/** A dead letter was not discarded: its job has it, or was ended before it answered. */
export class DiscardRefused extends TriggersError {
  static override readonly status = 409;
  declare readonly deadLetterId: string;
  declare readonly reason: string;
  constructor(deadLetterId: string, reason: string) {
    super(`The dead letter "${deadLetterId}" was not discarded. ${reason}`, { deadLetterId, reason });
  }
}

/** A filter of dead letters has no meaning; nothing was done. */
export class InvalidFilter extends TriggersError {
  static override readonly exitCode = 2;
}

/** No dead letter, no job and no source has an audience of this name. */
export class AudienceNotFound extends TriggersError {
  /** As it was asked for. */
  declare readonly audience: string;
  constructor(audience: string, nearest: string | undefined) {
    const hint = didYouMean(nearest === audience ? undefined : nearest);
    super(`No dead letter, no job and no source has an audience "${audience}".${hint}`, { audience });
  }
}

/** Nothing is known of a person with this id. */
export class PersonNotFound extends TriggersError {
  static override readonly status = 404;
  declare readonly user: string;
  constructor(user: string) {
    super(`Nothing is known of "${user}". An id is taken exactly as it is in triggers.`, { user });
  }
}

/** A slug belongs to another audience now; nothing is done until an id says which one is meant. */
export class AudienceMoved extends TriggersError {
  static override readonly exitCode = 2;
  /** The slug, as it was given. */
  declare readonly audience: string;
  /** The id of the audience that has it now. */
  declare readonly nowId: string;
  /** The id of the audience that had it before. */
  declare readonly formerId: string;
  /** @param former.by who still knows the former one by this slug, as the start of a sentence. */
  constructor(audience: string, now: { id: string; name: string }, former: { id: string; by: string }) {
    const means = `"${audience}" is now the audience "${now.name}" (id ${now.id}).`;
    const meant = `${former.by} knows another one by this slug (id ${former.id}). Give the id of the one that you mean.`;
    super(`${means} ${meant}`, { audience, nowId: now.id, formerId: former.id });
  }
}

/** The source has too many audiences to say which one has this slug now. */
export class SlugNotChecked extends TriggersError {
  /** The slug, as it was given. */
  declare readonly audience: string;
  constructor(audience: string) {
    const why = 'The source has more audiences than it can list at once';
    super(`${why}, so the slug "${audience}" could not be checked. Give the audience's id.`, { audience });
  }
}

/** Running jobs cannot be read here, so it is not known what they subscribe to; nothing was sent. */
export class JobsUnreadable extends TriggersError {
  declare readonly jobIds: readonly string[];
  /** @param why the first of them cannot be read. */
  constructor(jobIds: readonly string[], why: string) {
    const named = jobIds.slice(0, JOBS_NAMED).join(', ') + (jobIds.length > JOBS_NAMED ? ', …' : '');
    const jobs = counted(jobIds.length, 'running job');
    super(`Nothing was sent: ${jobs} cannot be read here (${named}). ${why}`, { jobIds });
  }
}
/** How many jobs a message names. */
const JOBS_NAMED = 20;

/** The input is not a trigger that any job could accept; it was not sent. */
export class InvalidTrigger extends TriggersError {
  static override readonly exitCode = 2;
  declare readonly reason: string;
  /** Its line in the input, from 1; undefined when the input has no lines. */
  declare readonly line: number | undefined;
  constructor(reason: string, { line, cause }: ErrorOptions & { readonly line?: number } = {}) {
    super(`${line === undefined ? 'This' : `Line ${line}`} is not a trigger: ${reason}.`, { reason, line }, cause);
  }
}

/** The job accepts no more signals until a worker has processed the earlier ones. */
export class JobFull extends TriggersError {
  static override readonly status = 429;
  declare readonly jobId: string;
  constructor(jobId: string, { cause }: ErrorOptions = {}) {
    const reason = cause instanceof Error ? ` (${cause.message})` : '';
    const message = `The job "${jobId}" accepts no more signals until a worker has processed the earlier ones${reason}.`;
    super(message, { jobId }, cause, { action: 'startWorker' });
  }
}

/**
 * A push ended early. The first `accepted` triggers are with the job. The next `unconfirmed` may be too: the server's answer was lost.
 * Nothing after them was sent. Pushing again from trigger `accepted + 1` on is safe: a job recognises a repeat by person, audience, event
 * and `at` (triggers without an `at` among the unconfirmed may be sent twice).
 */
export class PushInterrupted extends TriggersError {
  declare readonly jobId: string;
  declare readonly accepted: number;
  declare readonly unconfirmed: number;
  constructor(jobId: string, accepted: number, unconfirmed: number, cause: unknown) {
    const reason = NotLetIn.of(cause) ?? ServerUnreachable.of(cause) ?? cause;
    const why = inWords(reason);
    const message =
      accepted + unconfirmed === 0
        ? `Nothing was sent to "${jobId}": ${why}`
        : `The push to "${jobId}" ended early: ${why}\n${howFar(accepted, unconfirmed, lineOf(cause))}`;
    super(message, { jobId, accepted, unconfirmed }, cause, ...remediesOf(reason));
  }
}

/** A push to all jobs that subscribe ended early, or left a job out; `failures` say which. */
export class PublishInterrupted extends TriggersError {
  /** Triggers of the input that were offered to every running job that subscribes. */
  declare readonly read: number;
  declare readonly failures: readonly Error[];
  constructor(read: number, failures: readonly Error[]) {
    const sent = read === 0 ? 'It ended at the first trigger of the input.' : goOnAfter(read, failures);
    const message = [...failures.map(inWords), sent].join('\n');
    super(message, { read, failures }, failures[0], ...failures.flatMap(remediesOf));
  }
}

/** The ways to fix any failure. */
export function remediesOf(error: unknown): readonly Remedy[] {
  return error instanceof TriggersError ? error.remedies : [];
}

/** Returns the line of the input that is no trigger; undefined when a push ended for another reason. */
function lineOf(cause: unknown): number | undefined {
  return cause instanceof InvalidTrigger ? cause.line : undefined;
}

/** @param line that ended it: all before it are with the job. */
function howFar(accepted: number, unconfirmed: number, line: number | undefined): string {
  const maybe = unconfirmed === 0 ? '' : `; it is not known whether the next ${unconfirmed} were, too`;
  const again =
    line === undefined ? `Push again from trigger ${accepted + 1} on.` : `Fix it, and push again from line ${line} on.`;
  return `${counted(accepted, 'trigger')} ${accepted === 1 ? 'was' : 'were'} accepted${maybe}. Nothing after that was sent.\n${again}`;
}

/** If only the input was wrong, every job has all that came before. Pushing that again would repeat the triggers without an `at`. */
function goOnAfter(read: number, failures: readonly Error[]): string {
  const line = failures.length === 1 ? lineOf(failures[0]) : undefined;
  const until = `It ended after trigger ${read} of the input`;
  return line === undefined
    ? `${until}. The other jobs were sent their own triggers up to there. Push the whole input again: jobs recognise repeats by person, audience, event and "at". Triggers without an "at" would be sent twice.`
    : `${until}, and each job was sent its own triggers up to there. Fix the line, and push again from line ${line} on.`;
}

function didYouMean(near: string | undefined): string {
  return near === undefined ? '' : ` Did you mean "${near}"?`;
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.round(ms / 1000)));
}

/** Dead letters that nobody else can send, in words that continue a sentence. */
export function andLetters(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? ', and a dead letter that only it can send'
    : `, and ${count} dead letters that only it can send`;
}
