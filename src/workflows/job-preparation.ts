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
import type { JobDesk } from './job-desk.ts';
import {
  backfillUpdate,
  editUpdate,
  pauseUpdate,
  personQuery,
  recoveryQuery,
  resumeUpdate,
  settingsQuery,
  statusQuery,
  stopUpdate,
} from './messages.ts';

// A source that is down is asked again until it answers: the job waits in `starting`.
const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  retry: { maximumInterval: '30 seconds' },
  // It hears of nothing while it asks, and what it finds is not wanted then.
  cancellationType: ActivityCancellationType.TRY_CANCEL,
});

/**
 * Turns a definition into a job that can run: resolves its audiences against the source and, with Existing Users, asks for the
 * backfill. Undefined when it was stopped before that came to an end.
 *
 * @param desk who answers operators once the job runs.
 *
 * @throws ApplicationFailure `InvalidJob`, with the problems as its details.
 */
export async function prepare(definition: unknown, desk: Promise<JobDesk>): Promise<JobState | undefined> {
  const jobId = jobIdOf(workflowInfo().workflowId);
  const scope = new CancellationScope();
  let reason: string | undefined;
  const status = () => describeStarting(definition, jobId, reason);
  setHandler(statusQuery, status);
  setHandler(recoveryQuery, () => null);
  setHandler(personQuery, () => null);
  setHandler(settingsQuery, () => null);
  setHandler(stopUpdate, () => {
    reason = 'Stopped before it began.';
    scope.cancel();
    return status();
  });
  // What is asked of a job that starts waits for it; once it runs, its desk answers at once.
  setHandler(pauseUpdate, async () => (await desk).pause());
  setHandler(resumeUpdate, async () => (await desk).resume());
  setHandler(editUpdate, async (changes) => (await desk).edit(changes));
  setHandler(backfillUpdate, async (request) => (await desk).backfill(request));

  let prepared: PreparedJob;
  try {
    prepared = await scope.run(() => prepareJob(definition));
  } catch (error) {
    if (isCancellation(error)) return undefined;
    throw error;
  }
  if (reason !== undefined) return undefined;
  if (!prepared.ok) {
    const list = prepared.problems.map(({ field, message }) => `${field === '' ? 'job' : field}: ${message}`).join(' ');
    throw ApplicationFailure.nonRetryable(`The job cannot run as it is. ${list}`, 'InvalidJob', prepared.problems);
  }
  return beginPreparedJob(uuid4().replaceAll('-', ''), prepared, Date.now());
}
