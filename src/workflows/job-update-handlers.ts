import { ApplicationFailure } from '@temporalio/workflow';
import type { JobEdit } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { BackfillRequest, StopRequest } from '../contract/requests.ts';
import { askedFor } from '../domain/job/backfill-requests.ts';
import {
  backfillObstacle,
  beginBackfill,
  operateBackfill,
  pauseJob,
  resumeJob,
  retryNow,
  runAgain,
  STOP_DEADLINE_MS,
  stopJob,
  STOPPED,
  STOPPING,
} from '../domain/job/operating.ts';
import { isStopped } from '../domain/job/job.ts';
import type { DispatcherState } from '../domain/job/state.ts';
import { findAudience } from '../domain/names.ts';
import {
  problemsText,
  readBackfillRequest,
  readEdit,
  readNothing,
  readStopRequest,
  type RequestReading,
} from '../domain/requests.ts';
import { answerQuery, answerUpdate } from './answering.ts';
import {
  backfillUpdate,
  editUpdate,
  pauseUpdate,
  resumeUpdate,
  retryUpdate,
  statusQuery,
  stopUpdate,
} from './messages.ts';

/** What a job's messages do, as the Temporal UI shows it. */
export const UPDATE_DESCRIPTIONS = {
  status: 'How the job is doing.',
  pause: 'Starts no further request; triggers are accepted and wait.',
  resume: 'Sends again, whoever paused or stopped it.',
  retry: 'Tries now: what waits for its next attempt, and an endpoint that is unhealthy or asked to wait.',
  edit: 'Changes fields of the job, as in its definition: {"parallelRequestCount": 50}. Other fields stay as they are.',
  backfill:
    'Sends everybody who is a member now: nothing, or {"audiences": ["vip"], "sample": 1, "requestId": "…"}. Or changes the one under way: {"action": "pause"}, "resume" or "cancel".',
  stop: 'Ends the job: {"waiting": "deliver"} sends what waits first (the default), "keep" keeps it for a resume, "discard" drops it, also what a stopped job keeps.',
} as const;

/** An edit that has been asked for and is not checked yet. */
export interface RequestedEdit {
  readonly changes: JobEdit;
  /** Called once: when it has taken effect, or with the reason why it has not. */
  readonly settle: (refusal?: ApplicationFailure) => void;
}

/**
 * Answers operators. Every update records what is asked for and answers at once with the new status; only an edit answers later, when it has taken
 * effect or has been refused.
 */
export class JobUpdateHandlers {
  readonly #state: DispatcherState;
  readonly #answer: () => JobStatus;
  readonly #wake: () => void;
  readonly #edits: RequestedEdit[] = [];

  constructor(state: DispatcherState, { wake, status }: { wake: () => void; status: () => JobStatus }) {
    this.#state = state;
    this.#wake = wake;
    this.#answer = () => {
      wake();
      return status();
    };
    answerQuery(statusQuery, 0, UPDATE_DESCRIPTIONS.status, status);
    answerUpdate(pauseUpdate, {
      description: UPDATE_DESCRIPTIONS.pause,
      check: (args) => this.#mayPause(args),
      answer: (args) => this.pause(args),
    });
    answerUpdate(resumeUpdate, {
      description: UPDATE_DESCRIPTIONS.resume,
      check: (args) => this.#mayResume(args),
      answer: (args) => this.resume(args),
    });
    answerUpdate(retryUpdate, {
      description: UPDATE_DESCRIPTIONS.retry,
      check: (args) => this.#mayRetry(args),
      answer: (args) => this.retry(args),
    });
    answerUpdate(editUpdate, {
      description: UPDATE_DESCRIPTIONS.edit,
      check: (args) => this.#mayEdit(args),
      answer: (args) => this.edit(args),
    });
    answerUpdate(backfillUpdate, {
      description: UPDATE_DESCRIPTIONS.backfill,
      check: (args) => mayBackfill(state, args),
      answer: (args) => this.backfill(args),
    });
    answerUpdate(stopUpdate, {
      description: UPDATE_DESCRIPTIONS.stop,
      check: (args) => this.#mayStop(args),
      answer: (args) => this.stop(args),
    });
  }

  get hasPendingEdit(): boolean {
    return this.#edits.length > 0;
  }

  /** The oldest edit that has not been taken yet. */
  takeEdit(): RequestedEdit | undefined {
    return this.#edits.shift();
  }

  // Each is given all arguments of its update.

  pause(args: readonly unknown[]): JobStatus {
    this.#mayPause(args);
    pauseJob(this.#state);
    return this.#answer();
  }

  resume(args: readonly unknown[]): JobStatus {
    this.#mayResume(args);
    if (isStopped(this.#state)) runAgain(this.#state, Date.now());
    resumeJob(this.#state);
    return this.#answer();
  }

  retry(args: readonly unknown[]): JobStatus {
    this.#mayRetry(args);
    retryNow(this.#state, Date.now());
    return this.#answer();
  }

  async edit(args: readonly unknown[]): Promise<JobStatus> {
    const changes = this.#mayEdit(args);
    await new Promise<void>((resolve, reject) => {
      const settle = (refusal?: ApplicationFailure): void => (refusal === undefined ? resolve() : reject(refusal));
      this.#edits.push({ changes, settle });
      this.#wake();
    });
    return this.#answer();
  }

  backfill(args: readonly unknown[]): JobStatus {
    const askedBefore = startBackfill(this.#state, mayBackfill(this.#state, args));
    return { ...this.#answer(), ...(askedBefore === undefined ? {} : { askedBefore }) };
  }

  stop(args: readonly unknown[]): JobStatus {
    const { waiting, deadlineMs } = this.#mayStop(args);
    stopJob(this.#state, waiting, Date.now() + deadlineMs);
    return this.#answer();
  }

  // Each throws an ApplicationFailure that says why not, and changes nothing.

  #mayPause(args: readonly unknown[]): void {
    parsed(readNothing(args), 'InvalidRequest');
    refuseWhenStopping(this.#state);
  }

  #mayResume(args: readonly unknown[]): void {
    parsed(readNothing(args), 'InvalidRequest');
    if (!isStopped(this.#state)) this.#refuseWhenSendingNoMore();
  }

  #mayRetry(args: readonly unknown[]): void {
    parsed(readNothing(args), 'InvalidRequest');
    this.#refuseWhenSendingNoMore();
    if (this.#state.pause !== undefined)
      throw refusal('The job is paused. Resume it: then it tries at once, too.', 'JobPaused');
  }

  /** A job that is to deliver what is waiting may have been paused by its endpoint; any other that stops sends nothing more. */
  #refuseWhenSendingNoMore(): void {
    if (this.#state.stopping?.waiting !== 'deliver') refuseWhenStopping(this.#state);
  }

  #mayEdit(args: readonly unknown[]): JobEdit {
    refuseWhenStopping(this.#state);
    return parsed(readEdit(args), 'InvalidEdit');
  }

  #mayStop(args: readonly unknown[]): Required<StopRequest> {
    const request = readStop(args);
    if (request.ifStopped && !isStopped(this.#state))
      throw refusal('Somebody has resumed it, or is ending it.', 'JobNotStopped');
    if (this.#state.stopping?.waiting === 'discard' && request.waiting !== 'discard')
      throw refusal('It is already stopping, and drops what is waiting: some of that may be gone.', 'JobStopping');
    return request;
  }
}

/** Starts or changes a backfill; gives the one that had been asked for under the same request id, which starts nothing. */
function startBackfill(state: DispatcherState, request: BackfillRequest): JobStatus['askedBefore'] {
  const { requestId, action = 'start', sample, at, difference } = request;
  if (action !== 'start') {
    changeBackfill(state, action);
    return undefined;
  }
  const { standing, ids, asked } = mayStartBackfill(state, request);
  if (standing !== undefined) return standing;
  beginBackfill(state, ids, Date.now(), { requestId, asked, sample, at, difference });
  return undefined;
}

/** What a backfill update asks for. @throws ApplicationFailure that says why not; changes nothing. */
function mayBackfill(state: DispatcherState, args: readonly unknown[]): BackfillRequest {
  const request = parsed(readBackfillRequest(args), 'InvalidBackfill');
  if (request.action === undefined || request.action === 'start') mayStartBackfill(state, request);
  return request;
}

interface BackfillToStart {
  /** The one that was asked for under the same request id: nothing is to be started. */
  readonly standing?: NonNullable<JobStatus['askedBefore']>;
  readonly ids: string[];
  readonly asked: string;
}

/** @throws ApplicationFailure that says why not; changes nothing. */
function mayStartBackfill(
  state: DispatcherState,
  { requestId, audiences, sample, difference }: BackfillRequest,
): BackfillToStart {
  const { audiences: now, formerAudiences } = state.job;
  // An audience that an edit removed since is still the one that was asked for.
  const known = audiences?.map((name) => findAudience([...now, ...formerAudiences], name)?.id ?? name);
  const asked = askedFor(known, sample, difference);
  const other = requestId === undefined ? undefined : state.backfillRequests.otherThan(requestId, asked);
  if (other !== undefined)
    throw refusal(
      `Backfill ${other} was asked for under this request id with other audiences, another sample or another difference. Nothing was started: ask for something else under another request id.`,
      'BackfillNotPossible',
    );
  const standing = requestId === undefined ? undefined : state.backfillRequests.standing(requestId, state.backfill);
  const isOver = standing?.state === 'cancelled' || (standing?.state === 'lost' && standing.n !== state.backfill?.n);
  if (standing !== undefined && isOver)
    throw refusal(
      `Backfill ${standing.n}, which was asked for under this request id, was ${standing.state}. To send everybody all the same, ask under another request id.`,
      'BackfillNotPossible',
    );
  if (standing !== undefined && standing.state !== 'lost') return { standing, ids: [], asked };
  const obstacle = backfillObstacle(state, difference);
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
  return { ids: audienceIds(state, audiences), asked };
}

function changeBackfill(state: DispatcherState, action: 'pause' | 'resume' | 'cancel'): void {
  const obstacle = operateBackfill(state, action);
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
}

function audienceIds(state: DispatcherState, wanted: readonly string[] | undefined): string[] {
  const { audiences } = state.job;
  if (wanted === undefined) return audiences.map(({ id }) => id);
  const ids = wanted.map((name) => {
    const found = findAudience(audiences, name);
    if (found !== undefined) return found.id;
    throw refusal(
      `The job does not listen to ${name}; its audiences are ${audiences.map(({ slug }) => slug).join(', ')}.`,
      'InvalidBackfill',
    );
  });
  return [...new Set(ids)];
}

/** @throws ApplicationFailure `InvalidStop` */
export function readStop(args: readonly unknown[]): Required<StopRequest> {
  const request = parsed(readStopRequest(args), 'InvalidStop');
  return { waiting: 'deliver', deadlineMs: STOP_DEADLINE_MS, ifStopped: false, ...request };
}

/** What was asked for. @throws ApplicationFailure of this type with everything that is wrong with it; nothing is done then. */
export function parsed<T>(reading: RequestReading<T>, type: string): T {
  if (reading.ok) return reading.request;
  throw refusal(problemsText(reading.problems), type);
}

function refuseWhenStopping(state: DispatcherState): void {
  if (isStopped(state)) throw refusal(STOPPED, 'JobStopped');
  if (state.stopping !== undefined) throw refusal(STOPPING, 'JobStopping');
}

function refusal(message: string, type: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}
