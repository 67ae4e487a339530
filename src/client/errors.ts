import type { Problem } from '../contract/export-job.ts';
import type { SampleProblem } from '../contract/sample.ts';

/** What the client throws: one class per failure, each with its data. `name` is stable. */
export abstract class TriggersError extends Error {}

/** No job has this id. */
export class JobNotFound extends TriggersError {
  override readonly name = 'JobNotFound';
  readonly jobId: string;
  constructor(jobId: string, options?: ErrorOptions) {
    super(`There is no job "${jobId}". See all jobs with: triggers list`, options);
    this.jobId = jobId;
  }
}

/** The job exists but has ended; what was asked for was not done. */
export class JobNotRunning extends TriggersError {
  override readonly name = 'JobNotRunning';
  readonly jobId: string;
  /** How its workflow ended. */
  readonly ended: string;
  /** @param options.fromOutside it did not end normally, so that what it had not delivered can be recovered. */
  constructor(jobId: string, ended: string, options: ErrorOptions & { readonly fromOutside?: boolean } = {}) {
    const { fromOutside = false, ...rest } = options;
    const advice = fromOutside
      ? `Before you start it again, recover it: triggers recover ${jobId}`
      : `Start it again with: triggers start. Or, if it kept its waiting triggers, with: triggers resume ${jobId}`;
    super(`The job "${jobId}" is no longer running (${ended}). ${advice}`, rest);
    this.jobId = jobId;
    this.ended = ended;
  }
}

/** A job with this id is already running. */
export class JobAlreadyRunning extends TriggersError {
  override readonly name = 'JobAlreadyRunning';
  readonly jobId: string;
  constructor(jobId: string, options?: ErrorOptions) {
    super(
      `A job "${jobId}" is already running. Change it with: triggers edit ${jobId} …, or start this one under another id (--id).`,
      options,
    );
    this.jobId = jobId;
  }
}

/** A job ended normally: there is nothing left of it to recover. */
export class NothingToRecover extends TriggersError {
  override readonly name = 'NothingToRecover';
  readonly jobId: string;
  /** How its workflow ended. */
  readonly ended: string;
  constructor(jobId: string, ended: string) {
    super(
      `The job "${jobId}" was not terminated (${ended}): nothing of it was lost. If it kept its waiting triggers, resume it with: triggers resume ${jobId}`,
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
  constructor(jobId: string, { waiting, keptAt }: { readonly waiting: number; readonly keptAt: string }) {
    super(
      `The job "${jobId}" was stopped and kept ${waiting === 1 ? '1 trigger' : `${waiting} triggers`}. Resume it with: triggers resume ${jobId}. Or discard what it kept: triggers stop ${jobId} --waiting discard`,
    );
    this.jobId = jobId;
    this.waiting = waiting;
    this.keptAt = keptAt;
  }
}

/** The job definition is wrong; nothing was started or changed. */
export class InvalidJob extends TriggersError {
  override readonly name = 'InvalidJob';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(
      ['The job was not accepted:', ...problems.map(({ field, message }) => `  ${field || 'job'}: ${message}`)].join(
        '\n',
      ),
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

/** No worker did in time what was asked for: none serves the job's task queue, or none is free. */
export class NoWorker extends TriggersError {
  override readonly name = 'NoWorker';
  readonly taskQueue: string;
  /** How long ago, in ms, a worker last asked for work; undefined when none did within minutes. */
  readonly lastPollMsAgo: number | undefined;
  constructor(taskQueue: string, lastPollMsAgo: number | undefined, waitedMs: number, options?: ErrorOptions) {
    const seen =
      lastPollMsAgo === undefined
        ? `No worker polls the task queue "${taskQueue}".`
        : `No worker of the task queue "${taskQueue}" answered within ${seconds(waitedMs)} s (one was seen ${seconds(lastPollMsAgo)} s ago).`;
    super(`${seen} Start one with: triggers worker (or everything at once: triggers up)`, options);
    this.taskQueue = taskQueue;
    this.lastPollMsAgo = lastPollMsAgo;
  }
}

/** A worker tried what was asked for and could not do it, most often because its audience source cannot be read. */
export class WorkerFailed extends TriggersError {
  override readonly name = 'WorkerFailed';
  readonly taskQueue: string;
  /** Why it failed. */
  readonly reason: string;
  constructor(taskQueue: string, reason: string, options?: ErrorOptions) {
    super(
      [
        `A worker of the task queue "${taskQueue}" could not do it: ${reason}`,
        "When that is fixed, try again. The worker's log says more.",
      ].join('\n'),
      options,
    );
    this.taskQueue = taskQueue;
    this.reason = reason;
  }
}

/** How Temporal is reached is set wrongly; nobody was asked. The message says where, and never what a secret is. */
export class InvalidConnection extends TriggersError {
  override readonly name = 'InvalidConnection';
}

/** No Temporal server answers. */
export class ServerUnreachable extends TriggersError {
  override readonly name = 'ServerUnreachable';
  readonly address: string;
  constructor(address: string, cause?: unknown) {
    super(
      `No Temporal server answers at ${address}. Start one here with: triggers up. Or set TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS… if it needs them).`,
      { cause },
    );
    this.address = address;
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
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      accepted + unconfirmed === 0
        ? `Nothing was sent to "${jobId}": ${why}`
        : [`The push to "${jobId}" ended early: ${why}`, ...howFar(accepted, unconfirmed)].join('\n'),
      { cause },
    );
    this.jobId = jobId;
    this.accepted = accepted;
    this.unconfirmed = unconfirmed;
  }
}

function howFar(accepted: number, unconfirmed: number): string[] {
  const maybe = unconfirmed === 0 ? '' : `; it is not known whether the next ${unconfirmed} were, too`;
  return [
    `${accepted} ${accepted === 1 ? 'trigger was' : 'triggers were'} accepted${maybe}. Nothing after that was sent.`,
    `Push again from trigger ${accepted + 1} on.`,
  ];
}

/** A publish ended early; says how far it got, job by job. */
export class PublishInterrupted extends TriggersError {
  override readonly name = 'PublishInterrupted';
  /** Triggers of the input that were offered to every running job that listens. */
  readonly read: number;
  readonly failures: readonly Error[];
  constructor(read: number, failures: readonly Error[]) {
    const sent =
      read === 0
        ? 'It ended at the first trigger of the input.'
        : `It ended after trigger ${read} of the input. Up to there each job was sent its own triggers, except as said above, where the triggers of that one job are counted. Push the whole input again: a job recognises, by person, audience, event and "at", what waits in it and what it has recently delivered.`;
    super([...failures.map(({ message }) => message), sent].join('\n'), { cause: failures[0] });
    this.read = read;
    this.failures = failures;
  }
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.round(ms / 1000)));
}
