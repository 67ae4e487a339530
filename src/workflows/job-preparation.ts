import {
  ActivityCancellationType,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Problem } from '../contract/export-job.ts';
import type { Activities, PreparedJob } from '../contract/ports.ts';
import type { StopRequest } from '../contract/requests.ts';
import { describeStarting } from '../domain/job/describing.ts';
import { beginPreparedJob, isPreparedJob } from '../domain/job/operating.ts';
import type { DispatcherState } from '../domain/job/state.ts';
import { isRecord } from '../domain/json.ts';
import { isReservedJobId, jobIdOf, reservedIdText, subscriptionIdOf } from '../domain/names.ts';
import { hasSurplus, MORE_THAN_A_DEFINITION, takeBy } from '../domain/requests.ts';
import { answerQuery, answerUpdate, INTERNAL } from './answering.ts';
import { STATUS_DESCRIPTION, STOP, UPDATES, type JobUpdateHandlers, readStop } from './job-update-handlers.ts';
import type { JobInbox } from './job-inbox.ts';
import {
  historyQuery,
  personQuery,
  recoveryQuery,
  revisionQuery,
  settingsQuery,
  statusQuery,
  trendQuery,
} from './messages.ts';

// Retries a source that is down until it answers: the job waits in `starting`.
const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  retry: { maximumInterval: '30 seconds' },
  // It notices no cancellation while it asks, and a cancelled job does not need its result.
  cancellationType: ActivityCancellationType.TRY_CANCEL,
});

/**
 * Turns a definition into a job that can run: looks up its audiences in the source, unless a client has had that done; with Existing Users, asks
 * for the backfill. Undefined when the job was stopped before that was done.
 *
 * @param args the definition, or a worker's answer about it; and any surplus arguments.
 * @param inbox the signals that came meanwhile.
 * @param handlers the handlers that answer operators once the job runs.
 *
 * @throws ApplicationFailure `InvalidJob`, with the problems as its details; `JobNotBegun` when it was cancelled while triggers wait for
 *   it.
 */
export async function beginNewJob(
  args: readonly unknown[],
  inbox: JobInbox,
  handlers: Promise<JobUpdateHandlers>,
): Promise<DispatcherState | undefined> {
  const [definition] = args;
  const { workflowId, firstExecutionRunId, startTime } = workflowInfo();
  const jobId = jobIdOf(workflowId);
  const scope = new CancellationScope();
  let stopped: StopRequest['waiting'];
  const status = () => describeStarting(definition, jobId, inbox.waitingTriggers, stopped !== undefined);
  answerQuery(statusQuery, 0, STATUS_DESCRIPTION, status);
  answerQuery(recoveryQuery, 1, INTERNAL, () => null);
  answerQuery(personQuery, 1, INTERNAL, () => null);
  answerQuery(trendQuery, 0, INTERNAL, () => null);
  answerQuery(historyQuery, 0, INTERNAL, () => null);
  answerQuery(revisionQuery, 1, INTERNAL, () => null);
  answerQuery(settingsQuery, 0, INTERNAL, () => null);
  // Only now: queries about a job that never begins have an answer, too.
  if (isReservedJobId(jobId)) throw invalidJob([{ field: 'id', message: reservedIdText(jobId) }]);
  if (hasSurplus(args)) throw invalidJob([MORE_THAN_A_DEFINITION]);
  const begin = (prepared: Extract<PreparedJob, { ok: true }>): DispatcherState =>
    beginPreparedJob(subscriptionIdOf(firstExecutionRunId), prepared, Date.now(), startTime.getTime());
  if (isPreparedJob(definition)) return begin(definition);
  const mayStop = (args: readonly unknown[]): StopRequest['waiting'] => {
    const { waiting } = readStop(takeBy(args).rest);
    // Without its audiences there is no state yet to keep, or to send from.
    const left = waitingForIt(definition, inbox);
    if (left !== undefined && waiting !== 'discard')
      throw notBegun(
        `The job has not begun, since its source has not answered yet, and ${left} for it. Stop it once it runs, or stop it with "discard" to drop them now.`,
      );
    return waiting;
  };
  answerUpdate(STOP.definition, {
    description: STOP.description,
    check: mayStop,
    answer: (args) => {
      stopped = mayStop(args);
      scope.cancel();
      return status();
    },
  });
  whenItRuns(handlers);

  let prepared: PreparedJob;
  try {
    prepared = await scope.run(() => prepareJob(definition));
  } catch (error) {
    if (!isCancellation(error)) throw error;
    // A failed job can be recovered, but never one that ended in order.
    if (waitingForIt(definition, inbox) !== undefined && stopped !== 'discard')
      throw notBegun(
        'The job was cancelled before it began, while triggers or existing users were waiting for it. They are not lost: recover the job.',
      );
    return undefined;
  }
  if (stopped !== undefined) return undefined;
  if (!prepared.ok) throw invalidJob(prepared.problems);
  return begin(prepared);
}

/** Lets updates wait while the job is starting, unless they could never be done. Once it runs, its handlers answer at once. */
function whenItRuns(handlers: Promise<JobUpdateHandlers>): void {
  for (const update of UPDATES) {
    const { definition, description, read } = update;
    answerUpdate(definition, {
      description,
      check: read,
      answer: async (args) => (await handlers).answer(update, args),
    });
  }
}

/** Says who would be left out if a job ended before it began; undefined when nobody would. */
function waitingForIt(definition: unknown, inbox: JobInbox): string | undefined {
  const wantsExisting = isRecord(definition) && definition['existingUsers'] === true;
  const parts = [
    ...(inbox.waitingTriggers > 0 ? [`triggers (${inbox.waitingTriggers})`] : []),
    ...(wantsExisting ? ['its existing users'] : []),
  ];
  return parts.length === 0 ? undefined : `${parts.join(' and ')} are waiting`;
}

function invalidJob(problems: readonly Problem[]): ApplicationFailure {
  const list = problems.map(({ field, message }) => `${field === '' ? 'job' : field}: ${message}`).join(' ');
  return ApplicationFailure.nonRetryable(`The job cannot run like this. ${list}`, 'InvalidJob', problems);
}

function notBegun(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, 'JobNotBegun');
}
