import type { JobState as Phase, JobStatus } from '../../contract/job-status.ts';
import { failureInWords } from '../attempt-codes.ts';
import { audienceById } from '../audience.ts';
import { instantOf } from '../instant.ts';
import { shownUrl } from '../shown-url.ts';
import { describeBackfill } from './backfill-status.ts';
import type { Stopping } from './carried.ts';
import { type JobState, permitsInUse, stayingBytes } from './job-state.ts';

/** The job's status, as the query `status` and every update return it. */
export function describeJob(state: JobState, jobId: string, now: number): JobStatus {
  const { definition, subscriptionId, revision, audiences } = state.job;
  const [phase, reason] = phaseOf(state);
  const slugOf = (id: string) => audienceById(state.job, id)?.slug ?? id;
  const oldest = state.chains.oldestAt();
  return {
    v: 1,
    jobId,
    subscriptionId,
    state: phase,
    ...(reason === undefined ? {} : { reason }),
    label: definition.label,
    ...(definition.description === undefined ? {} : { description: definition.description }),
    audiences,
    webhookUrl: shownUrl(definition.webhookUrl),
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    parallelRequestCount: definition.parallelRequestCount,
    backfillPerSecond: definition.backfillPerSecond,
    backfillParallelCount: definition.backfillParallelCount,
    revision,
    ...state.counters,
    ratePerSecond: state.meter.rates(now),
    waiting:
      state.chains.triggers + state.overflow.triggers + state.deadLetters.size + (state.backfill?.waitingInPages ?? 0),
    overflow: state.overflow.triggers + state.chains.parkedTriggers,
    held: state.chains.heldCount,
    inFlight: permitsInUse(state),
    ...(oldest === undefined ? {} : { oldestWaitingAt: oldest }),
    ...(state.lastDeliveredAt === undefined ? {} : { lastDeliveredAt: instantOf(state.lastDeliveredAt) }),
    ...(state.lastFailure === undefined ? {} : { lastFailure: state.lastFailure }),
    ...(state.throttle !== undefined && state.throttle.until > now
      ? { throttledUntil: instantOf(state.throttle.until) }
      : {}),
    ...endpointOf(state),
    ...(state.backfill === undefined ? {} : { backfill: describeBackfill(state.backfill, slugOf, now) }),
    rejects: state.rejects,
    notices: noticesOf(state),
    stateBytes: stayingBytes(state),
    stateBudgetBytes: state.budgets.stateBytes,
  };
}

function endpointOf({ breaker, job, lastFailure, chains }: JobState): Pick<JobStatus, 'endpoint'> {
  const all = job.definition.parallelRequestCount;
  if (breaker.isUnproven && !breaker.isOpen) return chains.triggers > 0 ? { endpoint: { state: 'new' } } : {};
  if (!breaker.isOpen)
    return breaker.isRecovering && breaker.allowedOf(all) < all ? { endpoint: { state: 'recovering' } } : {};
  const said = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  const advice = `The endpoint seems wrongly set up${said}. Check the webhook URL and the authorization; every trigger is kept.`;
  return {
    endpoint: { state: 'unwell', nextProbeAt: instantOf(breaker.openUntil), ...(breaker.isSetup ? { advice } : {}) },
  };
}

/** The status of a job whose definition is not checked yet, so that nothing in it can be relied on. */
export function describeStarting(definition: unknown, jobId: string, waiting: number, isStopped: boolean): JobStatus {
  const said = typeof definition === 'object' && definition !== null ? (definition as Record<string, unknown>) : {};
  return {
    v: 1,
    jobId,
    subscriptionId: '',
    state: isStopped ? 'stopping' : 'starting',
    reason: isStopped ? 'Stopped before it began.' : 'Its audiences are being looked up in the source.',
    label: typeof said['label'] === 'string' ? said['label'] : jobId,
    audiences: [],
    webhookUrl: typeof said['webhookUrl'] === 'string' ? shownUrl(said['webhookUrl']) : '',
    authorization: null,
    exportFields: [],
    userLegacyMessageFormat: false,
    parallelRequestCount: 0,
    backfillPerSecond: null,
    backfillParallelCount: null,
    revision: 0,
    received: 0,
    delivered: 0,
    ratePerSecond: { oneMinute: 0, fiveMinutes: 0 },
    retried: 0,
    rejected: 0,
    repeated: 0,
    deadLetters: 0,
    waiting,
    overflow: 0,
    held: 0,
    inFlight: 0,
    rejects: [],
    notices: [],
    stateBytes: 0,
    stateBudgetBytes: 0,
  };
}

function phaseOf(state: JobState): [Phase, string?] {
  const gone = state.pause?.by === 'endpoint';
  if (state.stopping !== undefined) return ['stopping', stoppingInWords(state.stopping, gone)];
  if (gone) return ['paused', `${GONE} Everything is kept. Correct the URL (edit) or resume.`];
  if (state.pause !== undefined) return ['paused', 'Paused by an operator. Triggers are accepted and kept.'];
  return ['running'];
}

function stoppingInWords({ waiting, deadlineAt }: Stopping, gone: boolean): string {
  if (waiting === 'discard') return 'Asked to stop; what is waiting will not be sent.';
  if (waiting === 'keep') return 'Asked to stop; what is waiting is kept for a later resume.';
  if (gone) return `${GONE} Resume, or stop with "keep" or "discard".`;
  const until = deadlineAt === undefined ? '' : `; what is left at ${instantOf(deadlineAt).slice(0, 19)}Z is kept`;
  return `Asked to stop; what is waiting is sent first${until}.`;
}

const GONE = 'The endpoint answered 410 Gone: it asks never to be called again.';

function noticesOf(state: JobState): string[] {
  const { job, editProblem } = state;
  const notices = [...job.warnings];
  if (editProblem !== undefined) notices.push(`The last edit did not take effect: ${editProblem}`);
  if (job.missingSearchAttributes.length > 0) {
    notices.push(
      `The namespace does not have the search attributes ${job.missingSearchAttributes.join(', ')}; the job runs without them. Somebody who may add them can run "triggers setup".`,
    );
  }
  if (state.loss !== undefined) notices.push(state.loss);
  if (state.chains.heldBytes > state.budgets.chainBytes / 2) {
    notices.push(
      'So many people are waiting for their next attempt that others have to wait too. See what the endpoint answers them; triggers that have failed for long become dead letters early.',
    );
  }
  return notices;
}
