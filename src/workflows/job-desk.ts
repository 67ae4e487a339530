import { ApplicationFailure, setHandler } from '@temporalio/workflow';
import type { JobEdit } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import { findAudience } from '../domain/audience.ts';
import type { JobState } from '../domain/dispatcher/job-state.ts';
import { isRecord } from '../domain/json.ts';
import {
  backfillObstacle,
  beginBackfill,
  operateBackfill,
  pauseJob,
  resumeJob,
  STOP_DEADLINE_MS,
  STOPPING,
  stopJob,
} from '../domain/dispatcher/operating.ts';
import {
  backfillUpdate,
  editUpdate,
  pauseUpdate,
  resumeUpdate,
  statusQuery,
  type StopRequest,
  stopUpdate,
} from './messages.ts';

/** Answers operators. Every update records what is asked for, answers at once with the new status, and never awaits. */
export class JobDesk {
  readonly #state: JobState;
  readonly #answer: () => JobStatus;
  #edit: JobEdit | undefined;

  constructor(state: JobState, { wake, status }: { wake: () => void; status: () => JobStatus }) {
    this.#state = state;
    this.#answer = () => {
      wake();
      return status();
    };
    setHandler(statusQuery, status);
    setHandler(pauseUpdate, () => this.pause());
    setHandler(resumeUpdate, () => this.resume());
    setHandler(editUpdate, (changes) => this.edit(changes));
    setHandler(backfillUpdate, (request) => this.backfill(request));
    setHandler(stopUpdate, (request) => this.stop(request));
  }

  get hasPendingEdit(): boolean {
    return this.#edit !== undefined;
  }

  /** The edit that has been asked for since the last one was taken. */
  takeEdit(): JobEdit | undefined {
    const edit = this.#edit;
    this.#edit = undefined;
    return edit;
  }

  pause(): JobStatus {
    refuseWhenStopping(this.#state);
    pauseJob(this.#state);
    return this.#answer();
  }

  resume(): JobStatus {
    // A job that is to deliver what is waiting may have been paused by its endpoint; any other sends nothing more.
    if (this.#state.stopping?.waiting !== 'deliver') refuseWhenStopping(this.#state);
    resumeJob(this.#state);
    return this.#answer();
  }

  edit(changes: unknown): JobStatus {
    refuseWhenStopping(this.#state);
    this.#edit = { ...this.#edit, ...readEdit(changes) };
    return this.#answer();
  }

  backfill(request: unknown): JobStatus {
    startBackfill(this.#state, request);
    return this.#answer();
  }

  stop(request: unknown): JobStatus {
    const { waiting, deadlineMs } = readStop(request);
    stopJob(this.#state, waiting, Date.now() + deadlineMs);
    return this.#answer();
  }
}

function startBackfill(state: JobState, request: unknown): void {
  const { requestId, audiences, action, sample } = isRecord(request) ? request : {};
  if (action !== undefined && action !== null && action !== 'start') return changeBackfill(state, action);
  const id = typeof requestId === 'string' ? requestId.slice(0, 255) : undefined;
  if (id !== undefined && state.backfill?.requestId === id) return;
  const obstacle = backfillObstacle(state);
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
  beginBackfill(state, audienceIds(state, audiences), Date.now(), { requestId: id, sample: sampleOf(sample) });
}

function changeBackfill(state: JobState, action: unknown): void {
  if (action !== 'pause' && action !== 'resume' && action !== 'cancel')
    throw refusal('"action" must be "start", "pause", "resume" or "cancel".', 'InvalidBackfill');
  const obstacle = operateBackfill(state, action);
  if (obstacle !== undefined) throw refusal(obstacle, 'BackfillNotPossible');
}

function sampleOf(sample: unknown): number | undefined {
  if (sample === undefined || sample === null) return undefined;
  if (typeof sample === 'number' && Number.isSafeInteger(sample) && sample >= 1) return sample;
  throw refusal('"sample" must be a whole number of people, at least 1.', 'InvalidBackfill');
}

function audienceIds(state: JobState, wanted: unknown): string[] {
  const { audiences } = state.job;
  if (wanted === undefined || wanted === null) return audiences.map(({ id }) => id);
  // Checked before a name is shown: {"toString":1} cannot become text, and that error would fail the workflow task again and again.
  const isName = (name: unknown): name is string => typeof name === 'string';
  if (!Array.isArray(wanted) || wanted.length === 0 || !wanted.every(isName))
    throw refusal('"audiences" must be a list of slugs or ids.', 'InvalidBackfill');
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

/** Checks only that it is an edit at all; its values are checked a moment later, together with the source. */
function readEdit(changes: unknown): JobEdit {
  if (!isRecord(changes)) throw refusal('An edit is a JSON object with fields of the form.', 'InvalidEdit');
  if ('existingUsers' in changes)
    throw refusal('existingUsers can only be given when a job is started; start a backfill instead.', 'InvalidEdit');
  return changes;
}

/** @throws ApplicationFailure `InvalidStop` */
export function readStop(request: unknown): Required<StopRequest> {
  const { waiting, deadlineMs } = isRecord(request) ? request : {};
  const what = waiting ?? 'deliver';
  if (what !== 'deliver' && what !== 'keep' && what !== 'discard')
    throw refusal('"waiting" must be "deliver", "keep" or "discard".', 'InvalidStop');
  const most = deadlineMs ?? STOP_DEADLINE_MS;
  if (typeof most !== 'number' || !(most >= 0) || most > LONGEST_DEADLINE_MS)
    throw refusal('"deadlineMs" must be a number of milliseconds, at most 30 days.', 'InvalidStop');
  return { waiting: what, deadlineMs: most };
}

const LONGEST_DEADLINE_MS = 30 * 24 * 60 * 60_000;

function refuseWhenStopping(state: JobState): void {
  if (state.stopping !== undefined) throw refusal(STOPPING, 'JobStopping');
}

function refusal(message: string, type: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}
