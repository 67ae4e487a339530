import type { UpdateDefinition } from '@temporalio/common';
import { ApplicationFailure } from '@temporalio/workflow';
import type { By, Deed, ReplayDeed } from '../contract/audit.ts';
import type { JobEdit } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { Replay } from '../contract/replay.ts';
import type { BackfillRequest, StopRequest } from '../contract/requests.ts';
import { askedFor } from '../domain/job/backfill-requests.ts';
import {
  backfillObstacle,
  beginBackfill,
  forgetPerson,
  note,
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
import { definedOf } from '../domain/json.ts';
import { findAudience } from '../domain/names.ts';
import {
  readBackfillRequest,
  readEdit,
  readForgetRequest,
  readNothing,
  readStopRequest,
  takeBy,
} from '../domain/requests.ts';
import { answerQuery, answerUpdate, readOrRefuse } from './answering.ts';
import {
  backfillUpdate,
  editUpdate,
  forgetUpdate,
  pauseUpdate,
  resumeUpdate,
  retryUpdate,
  statusQuery,
  stopUpdate,
} from './messages.ts';

/** The description of the query `status`, as the Temporal UI shows it. */
export const STATUS_DESCRIPTION = 'How the job is doing.';

/** A requested edit that is not checked yet. */
export interface RequestedEdit {
  readonly changes: JobEdit;
  readonly by: By;
  /** Called once: when it has taken effect, or with the reason why it has not. */
  readonly settle: (refusal?: ApplicationFailure) => void;
}

type Answer = JobStatus | Promise<JobStatus>;

/** An update of a job. Its functions get all arguments, the second of which says who asks. Each throws an ApplicationFailure that says why not, and then changes nothing. */
interface JobUpdate {
  readonly definition: UpdateDefinition<JobStatus, [unknown?, unknown?]>;
  /** Its description, as the Temporal UI shows it. */
  readonly description: string;
  /** Refuses a request that could never be done. */
  readonly read: (args: readonly unknown[]) => unknown;
  /** Refuses a request that cannot be done now. Returns a function that does it, and may answer; by default, the status is the answer. */
  readonly plan: (handlers: JobUpdateHandlers, args: readonly unknown[]) => () => Answer | void;
}

/** @param deedOf how a request is noted. One that answers by itself is not: an edit is noted when it takes effect, and a repeat changes nothing. */
function jobUpdate<Request>(
  definition: JobUpdate['definition'],
  description: string,
  read: (args: readonly unknown[]) => Request,
  deedOf: (request: Request) => Deed,
  plan: (handlers: JobUpdateHandlers, request: Request, by: By) => () => Answer | void,
): JobUpdate {
  return {
    definition,
    description,
    read: (args) => read(takeBy(args).rest),
    plan(handlers, args) {
      const { by, rest } = takeBy(args);
      const request = read(rest);
      const run = plan(handlers, request, by);
      return () => {
        const answer = run();
        if (answer === undefined) note(handlers.state, deedOf(request), by, Date.now());
        return answer;
      };
    },
  };
}

const nothing = (args: readonly unknown[]): unknown => readOrRefuse(readNothing(args), 'InvalidRequest');

export const STOP = jobUpdate(
  stopUpdate,
  'Ends the job: {"waiting": "deliver"} sends what waits first (the default), "keep" keeps it for a resume, "discard" drops it, also what a stopped job keeps.',
  readStop,
  ({ waiting }) => ({ action: 'stop', waiting }),
  ({ state }, { waiting, deadlineMs, ifStopped }) => {
    if (ifStopped && !isStopped(state)) throw refusal('Somebody has resumed it, or is ending it.', 'JobNotStopped');
    if (state.stopping?.waiting === 'discard' && waiting !== 'discard')
      throw refusal('It is already stopping, and drops what is waiting: some of that may be gone.', 'JobStopping');
    return () => stopJob(state, waiting, Date.now() + deadlineMs);
  },
);

/** All updates of a job but `stop`: a starting job lets them wait until it runs. */
export const UPDATES: readonly JobUpdate[] = [
  jobUpdate(
    pauseUpdate,
    'Starts no further request; triggers are accepted and wait.',
    nothing,
    () => ({ action: 'pause' }),
    ({ state }, _, by) => {
      refuseWhenStopping(state);
      return () => pauseJob(state, by);
    },
  ),
  jobUpdate(
    resumeUpdate,
    'Sends again after anybody paused or stopped it.',
    nothing,
    () => ({ action: 'resume' }),
    ({ state }) => {
      if (!isStopped(state)) refuseWhenSendingNoMore(state);
      return () => {
        if (isStopped(state)) runAgain(state, Date.now());
        resumeJob(state);
      };
    },
  ),
  jobUpdate(
    retryUpdate,
    'Retries now what waits for its next attempt, and probes an unhealthy endpoint. Ends a wait that the endpoint asked for.',
    nothing,
    () => ({ action: 'retry' }),
    ({ state }) => {
      refuseWhenSendingNoMore(state);
      if (state.pause !== undefined)
        throw refusal('It is paused, so nothing was retried. Resume it first, then retry.', 'JobPaused');
      return () => retryNow(state, Date.now());
    },
  ),
  jobUpdate(
    editUpdate,
    'Changes fields of the job, as in its definition: {"parallelRequestCount": 50}. Other fields stay as they are.',
    (args) => readOrRefuse(readEdit(args), 'InvalidEdit'),
    () => ({ action: 'edit' }),
    (handlers, changes, by) => {
      refuseWhenStopping(handlers.state);
      return () => handlers.edit(changes, by);
    },
  ),
  jobUpdate(
    backfillUpdate,
    'Sends everybody who is a member now: nothing, or {"audiences": ["vip"], "sample": 1, "requestId": "…"}. Or changes the one under way: {"action": "pause"}, "resume" or "cancel".',
    (args) => readOrRefuse(readBackfillRequest(args), 'InvalidBackfill'),
    backfillDeed,
    (handlers, request) => {
      const { action = 'start' } = request;
      if (action !== 'start') return () => changeBackfill(handlers.state, action);
      const { standing, ids, content } = mayStartBackfill(handlers.state, request);
      if (standing !== undefined) return () => ({ ...handlers.status(), askedBefore: standing });
      const { requestId, sample, at, difference, replay } = request;
      const instead = definedOf({ difference, replay });
      return () => beginBackfill(handlers.state, ids, Date.now(), { requestId, content, sample, at, instead });
    },
  ),
  jobUpdate(
    forgetUpdate,
    'Drops what waits for a person: {"user": "7076027172059065053"}. Requests under way go on, and later triggers are sent.',
    (args) => readOrRefuse(readForgetRequest(args), 'InvalidRequest'),
    () => ({ action: 'forget' }),
    ({ state }, { user }) => {
      if (!state.overflow.mayForget(user))
        throw refusal('It still drops what waits for others. Ask again once less waits.', 'TooManyForgotten');
      return () => forgetPerson(state, user);
    },
  ),
];

/**
 * Answers operators. Every update records the request and answers at once with the new status. Only an edit answers later, when it has
 * taken effect or was refused.
 */
export class JobUpdateHandlers {
  readonly state: DispatcherState;
  readonly #status: () => JobStatus;
  readonly #wake: () => void;
  readonly #edits: RequestedEdit[] = [];

  constructor(state: DispatcherState, { wake, status }: { wake: () => void; status: () => JobStatus }) {
    this.state = state;
    this.#wake = wake;
    this.#status = status;
    answerQuery(statusQuery, 0, STATUS_DESCRIPTION, status);
    for (const update of [...UPDATES, STOP]) {
      const { definition, description, plan } = update;
      const check = (args: readonly unknown[]) => plan(this, args);
      answerUpdate(definition, { description, check, answer: (args) => this.answer(update, args) });
    }
  }

  get hasPendingEdit(): boolean {
    return this.#edits.length > 0;
  }

  /** The oldest edit that has not been taken yet. */
  takeEdit(): RequestedEdit | undefined {
    return this.#edits.shift();
  }

  /** Does what an update asks for, and answers it. */
  answer({ plan }: JobUpdate, args: readonly unknown[]): Answer {
    return plan(this, args)() ?? this.status();
  }

  /** The status after an update. */
  status(): JobStatus {
    this.#wake();
    return this.#status();
  }

  async edit(changes: JobEdit, by: By): Promise<JobStatus> {
    await new Promise<void>((resolve, reject) => {
      const settle = (refusal?: ApplicationFailure): void => (refusal === undefined ? resolve() : reject(refusal));
      this.#edits.push({ changes, by, settle });
      this.#wake();
    });
    return this.status();
  }
}

interface BackfillToStart {
  /** The backfill that was requested under the same request id: nothing is to be started. */
  readonly standing?: NonNullable<JobStatus['askedBefore']>;
  readonly ids: string[];
  readonly content: string;
}

/** @throws ApplicationFailure that says why not; changes nothing. */
function mayStartBackfill(
  state: DispatcherState,
  { requestId, audiences, sample, difference, replay }: BackfillRequest,
): BackfillToStart {
  const { audiences: now, formerAudiences } = state.job;
  // A request still names an audience that an edit has removed since.
  const known = audiences?.map((name) => findAudience([...now, ...formerAudiences], name)?.id ?? name);
  const content = askedFor(known, sample, { difference, replay });
  const other = requestId === undefined ? undefined : state.backfillRequests.otherThan(requestId, content);
  if (other !== undefined)
    throw refusal(
      `Backfill ${other} was asked for under this request id with other audiences, another sample, another difference or replay. Nothing was started: ask for something else under another request id.`,
      'BackfillNotPossible',
    );
  const standing = requestId === undefined ? undefined : state.backfillRequests.standing(requestId, state.backfill);
  const isOver = standing?.state === 'cancelled' || (standing?.state === 'lost' && standing.n !== state.backfill?.n);
  if (standing !== undefined && isOver)
    throw refusal(
      `Backfill ${standing.n}, which was asked for under this request id, was ${standing.state}. To send everybody all the same, ask under another request id.`,
      'BackfillNotPossible',
    );
  if (standing !== undefined && standing.state !== 'lost') return { standing, ids: [], content };
  const obstacle = backfillObstacle(state, { difference, replay });
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
  return { ids: audienceIds(state, audiences), content };
}

function changeBackfill(state: DispatcherState, action: 'pause' | 'resume' | 'cancel'): void {
  const obstacle = operateBackfill(state, action);
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
}

function backfillDeed({ action = 'start', difference, replay }: BackfillRequest): Deed {
  if (action !== 'start') return { action: `${action}-backfill` };
  if (replay !== undefined) return { action: 'replay', replay: replayDeed(replay) };
  return { action: difference === undefined ? 'backfill' : 'reconcile' };
}

function replayDeed({ user, deliveryId, since, until, onlyLast, newIds, enters, exits }: Replay): ReplayDeed {
  const isOfOnePerson = (user ?? deliveryId) === undefined ? undefined : true;
  return { until, enters, exits, ...definedOf({ since, onlyLast, newIds, isOfOnePerson }) };
}

function audienceIds(state: DispatcherState, names: readonly string[] | undefined): string[] {
  const { audiences } = state.job;
  if (names === undefined) return audiences.map(({ id }) => id);
  const ids = names.map((name) => {
    const found = findAudience(audiences, name);
    if (found !== undefined) return found.id;
    throw refusal(
      `The job does not subscribe to ${name}; its audiences are ${audiences.map(({ slug }) => slug).join(', ')}.`,
      'InvalidBackfill',
    );
  });
  return [...new Set(ids)];
}

/** @throws ApplicationFailure `InvalidStop` */
export function readStop(args: readonly unknown[]): Required<StopRequest> {
  const request = readOrRefuse(readStopRequest(args), 'InvalidStop');
  return { waiting: 'deliver', deadlineMs: STOP_DEADLINE_MS, ifStopped: false, ...request };
}

function refuseWhenStopping(state: DispatcherState): void {
  if (isStopped(state)) throw refusal(STOPPED, 'JobStopped');
  if (state.stopping !== undefined) throw refusal(STOPPING, 'JobStopping');
}

/** A job that delivers its backlog before it stops may have been paused by its endpoint; any other stopping job sends nothing more. */
function refuseWhenSendingNoMore(state: DispatcherState): void {
  if (state.stopping?.waiting !== 'deliver') refuseWhenStopping(state);
}

function refusal(message: string, type: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}
