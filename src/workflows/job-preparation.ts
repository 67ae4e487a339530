import {
  ActivityCancellationType,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  setHandler,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, PreparedJob } from '../contract/ports.ts';
import type { JobState } from '../domain/dispatcher/job-state.ts';
import { beginPreparedJob } from '../domain/dispatcher/operating.ts';
import { describeStarting } from '../domain/dispatcher/describing.ts';
import { jobIdOf } from '../domain/names.ts';
import { type JobDesk, readStop } from './job-desk.ts';
import type { JobInbox } from './job-inbox.ts';
import {
  backfillUpdate,
  editUpdate,
  pauseUpdate,
  personQuery,
  recoveryQuery,
  resumeUpdate,
  settingsQuery,
  statusQuery,
  type StopRequest,
  stopUpdate,
} from './messages.ts';

// A source that is down is asked again until it answers: the job waits in `starting`.
const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  retry: { maximumInterval: '30 seconds' },
  // It notices no cancellation while it asks, and its result is not wanted then.
  cancellationType: ActivityCancellationType.TRY_CANCEL,
});

/**
 * Turns a definition into a job that can run: looks up its audiences in the source and, with Existing Users, asks for the backfill.
 * Undefined when the job was stopped before that was done.
 *
 * @param inbox what has been signalled meanwhile.
 * @param desk who answers operators once the job runs.
 *
 * @throws ApplicationFailure `InvalidJob`, with the problems as its details; `JobNotBegun` when it was cancelled while triggers wait for
 *   it.
 */
export async function prepare(
  definition: unknown,
  inbox: JobInbox,
  desk: Promise<JobDesk>,
): Promise<JobState | undefined> {
  const jobId = jobIdOf(workflowInfo().workflowId);
  const scope = new CancellationScope();
  let stopped: StopRequest['waiting'];
  const status = () => describeStarting(definition, jobId, inbox.waitingTriggers, stopped !== undefined);
  setHandler(statusQuery, status);
  setHandler(recoveryQuery, () => null);
  setHandler(personQuery, () => null);
  setHandler(settingsQuery, () => null);
  setHandler(stopUpdate, (request) => {
    const { waiting } = readStop(request);
    const accepted = inbox.waitingTriggers;
    // Without its audiences there is no state yet that could be kept, or sent from.
    if (accepted > 0 && waiting !== 'discard')
      throw notBegun(
        `The job has not begun, since its source has not answered yet, and triggers (${accepted}) are waiting for it. Stop it once it runs, or drop them now: triggers stop ${jobId} --waiting discard`,
      );
    stopped = waiting;
    scope.cancel();
    return status();
  });
  // While the job is starting, what is asked of it waits; once it runs, its desk answers at once.
  setHandler(pauseUpdate, async () => (await desk).pause());
  setHandler(resumeUpdate, async () => (await desk).resume());
  setHandler(editUpdate, async (changes) => (await desk).edit(changes));
  setHandler(backfillUpdate, async (request) => (await desk).backfill(request));

  let prepared: PreparedJob;
  try {
    prepared = await scope.run(() => prepareJob(definition));
  } catch (error) {
    if (!isCancellation(error)) throw error;
    // One that failed can be recovered; one that ended in order, never.
    if (inbox.waitingTriggers > 0 && stopped !== 'discard')
      throw notBegun(
        `The job was cancelled before it began, while triggers were waiting for it. They are not lost: triggers recover ${jobId}`,
      );
    return undefined;
  }
  if (stopped !== undefined) return undefined;
  if (!prepared.ok) {
    const list = prepared.problems.map(({ field, message }) => `${field === '' ? 'job' : field}: ${message}`).join(' ');
    throw ApplicationFailure.nonRetryable(`The job cannot run like this. ${list}`, 'InvalidJob', prepared.problems);
  }
  return beginPreparedJob(uuid4().replaceAll('-', ''), prepared, Date.now());
}

function notBegun(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, 'JobNotBegun');
}
