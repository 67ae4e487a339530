import type { JobState as Phase, JobStatus } from '../../contract/job-status.ts';
import { failureInWords } from '../attempt-codes.ts';
import { instantOf } from '../instant.ts';
import { EXHAUSTED_FAILURES } from './settling.ts';
import { audienceById, estimateBytes, type JobState, permitsInUse } from './job-state.ts';

/** The job's status, as the query `status` and every update answer it. */
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
    webhookUrl: definition.webhookUrl,
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    parallelRequestCount: definition.parallelRequestCount,
    revision,
    ...state.counters,
    undeliverable: state.chains.countFailedAtLeast(EXHAUSTED_FAILURES),
    waiting: state.chains.triggers + (state.backfill?.waitingInPages ?? 0),
    held: state.chains.heldCount,
    inFlight: permitsInUse(state),
    ...(oldest === undefined ? {} : { oldestWaitingAt: oldest }),
    ...(state.lastDeliveredAt === undefined ? {} : { lastDeliveredAt: instantOf(state.lastDeliveredAt) }),
    ...(state.lastFailure === undefined ? {} : { lastFailure: state.lastFailure }),
    ...(state.throttle !== undefined && state.throttle.until > now
      ? { throttledUntil: instantOf(state.throttle.until) }
      : {}),
    ...endpointOf(state),
    ...(state.backfill === undefined ? {} : { backfill: state.backfill.status(slugOf) }),
    rejects: state.rejects,
    notices: noticesOf(state),
    stateBytes: estimateBytes(state),
    stateBudgetBytes: state.budgets.stateBytes,
  };
}

function endpointOf({ breaker, job, lastFailure }: JobState): Pick<JobStatus, 'endpoint'> {
  const all = job.definition.parallelRequestCount;
  if (!breaker.isOpen) return breaker.allowedOf(all) < all ? { endpoint: { state: 'recovering' } } : {};
  const said = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  const advice = `The endpoint seems wrongly set up${said}. Check the webhook URL and the authorization; every trigger is kept.`;
  return {
    endpoint: { state: 'unwell', nextProbeAt: instantOf(breaker.openUntil), ...(breaker.isSetup ? { advice } : {}) },
  };
}

/** The status of a job whose definition is not checked yet, so that nothing in it can be relied on. */
export function describeStarting(definition: unknown, jobId: string, reason: string | undefined): JobStatus {
  const said = typeof definition === 'object' && definition !== null ? (definition as Record<string, unknown>) : {};
  return {
    v: 1,
    jobId,
    subscriptionId: '',
    state: reason === undefined ? 'starting' : 'stopping',
    reason: reason ?? 'Its audiences are looked up in the source.',
    label: typeof said['label'] === 'string' ? said['label'] : jobId,
    audiences: [],
    webhookUrl: typeof said['webhookUrl'] === 'string' ? said['webhookUrl'] : '',
    authorization: null,
    exportFields: [],
    userLegacyMessageFormat: false,
    parallelRequestCount: 0,
    revision: 0,
    received: 0,
    delivered: 0,
    retried: 0,
    rejected: 0,
    undeliverable: 0,
    waiting: 0,
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
  if (state.stopping !== undefined) {
    const { waiting } = state.stopping;
    if (waiting === 'discard') return ['stopping', 'Asked to stop; what waits is not sent.'];
    return ['stopping', gone ? `${GONE} Resume, or stop with "discard".` : 'Asked to stop; what waits is sent first.'];
  }
  if (gone) return ['paused', `${GONE} Everything is kept. Correct the URL (edit) or resume.`];
  if (state.pause !== undefined) return ['paused', 'Paused by an operator. Triggers are accepted and kept.'];
  return ['running'];
}

const GONE = 'The endpoint answered 410 Gone: it asks never to be called again.';

function noticesOf(state: JobState): string[] {
  const { job, editProblem } = state;
  const notices = [...job.warnings];
  if (editProblem !== undefined) notices.push(`The last edit did not take effect: ${editProblem}`);
  if (job.missingSearchAttributes.length > 0) {
    notices.push(
      `The namespace lacks the search attributes ${job.missingSearchAttributes.join(', ')}; the job runs without them. Somebody with the right to may run "triggers setup".`,
    );
  }
  if (estimateBytes(state) > state.budgets.stateBytes) {
    notices.push(
      'More triggers wait than a job should hold in its own state. They are kept, but the run cannot end before it has sent some. Signal without profiles, and see whether the endpoint keeps up.',
    );
  }
  return notices;
}
