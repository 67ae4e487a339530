import type { ChainStanding, PersonAnswer, WaitingTrigger } from '../../contract/person-standing.ts';
import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { EndpointStatus, HolderTrouble, JobState, JobStatus, Waits } from '../../contract/job-status.ts';
import { instantOf } from '../instant.ts';
import { definedOf } from '../json.ts';
import { FORM_DEFAULTS, editableOf } from '../form.ts';
import { findAudience, holderWorkflowId } from '../names.ts';
import { shownUrl } from '../mask-url.ts';
import { ATTEMPT_CODES, VERDICTS, failureInWords, judge } from '../verdict.ts';
import { waitingSince } from './alerts.ts';
import { describeBackfill, lostInWords } from './describing-backfills.ts';
import { stayingBytes } from './carrying.ts';
import { gatheringTimes, gatheringUntil, hasReady, sendsNothing, maySend } from './dispatching.ts';
import { type Pause, type Stopping, isStopped } from './job.ts';
import { type Chain, type QueuedTrigger, hasNothingLive, isFresh } from './queue/chain.ts';
import { isReportable, type UnreadableHolder } from './queue/overflow.ts';
import { type DispatcherState, permitsInUse, waitingTriggers } from './state.ts';
import { type Breaker, refusalInWords, whatToCheck } from './throttles/breaker.ts';
import { afterQuiet, quietTimeAt } from './throttles/calendar.ts';
import { quotaReachesAt, quotaUsed } from './throttles/quota.ts';
import { isIdle, type WaitTimes } from './throttles/throttle.ts';
import { firstsFrom, waitTimes } from './throttles/throttles.ts';

/** The job's status, as the query `status` and every update return it. */
export function describeJob(state: DispatcherState, jobId: string, now: number): JobStatus {
  const { definition, subscriptionId, revision, audiences } = state.job;
  const [phase, reason] = stateAndReasonOf(state, now);
  const since = waitingSince(state);
  return {
    v: 1,
    jobId,
    subscriptionId,
    state: phase,
    ...(state.stopping?.isPlanned === true ? { hasReachedEnd: true } : {}),
    ...shownForm(definition, audiences),
    revision,
    ...state.counters,
    ratePerSecond: { ...state.meter.rates(now), meter: state.meter.carry() },
    waiting: waitingTriggers(state),
    overflow: state.overflow.triggers,
    delayed: state.chains.delayedCount,
    inFlight: permitsInUse(state),
    ...(sendsNothing(state) && mayStillStart(state) ? { mayStillSend: true } : {}),
    ...(since === undefined ? {} : { oldestWaitingAt: instantOf(Math.min(since, now)) }),
    ...(state.lastDeliveredAt === undefined ? {} : { lastDeliveredAt: instantOf(state.lastDeliveredAt) }),
    ...definedOf({ reason, lastFailure: state.lastFailure }),
    ...(isStopped(state) ? keptOf(state) : endpointOf(state, now)),
    ...(definition.quota === null || isStopped(state) ? {} : { quotaUsed: quotaUsed(state, now) }),
    waits: shownWaits(isStopped(state) ? {} : jobWaits(state, now), now),
    ...(state.backfill === undefined
      ? {}
      : {
          backfill: describeBackfill(state.backfill, state.job, now, {
            isJobKept: state.stopping?.waiting === 'keep',
            delayed: state.chains.delayedCount,
            reachesAt: (members) => quotaReachesAt(state, members, now),
          }),
        }),
    ...(isReportable(state.unreadable) ? { unreadableHolder: holderTrouble(state.unreadable) } : {}),
    rejects: state.rejects,
    notices: noticesOf(state),
    stateBytes: stayingBytes(state),
    stateBudgetBytes: state.budgets.stateBytes,
  };
}

/** The waits of a job that sends. */
function jobWaits(state: DispatcherState, now: number): WaitTimes {
  return {
    ...waitTimes(state, now, 'all'),
    ...(isIdle(state) ? {} : waitTimes(state, now, 'firsts')),
    ...readyWaits(state, now),
    batch: maySend(state, now) ? gatheringUntil(state, now) : undefined,
  };
}

function readyWaits(state: DispatcherState, now: number): WaitTimes {
  return hasReady(state, now) ? waitTimes(state, now, 'ready') : {};
}

function shownWaits(times: WaitTimes, now: number): Waits {
  const shown = Object.entries(times).flatMap(([why, at]) =>
    at !== undefined && at > now ? [[why, instantOf(at)]] : [],
  );
  return Object.fromEntries(shown) as Waits; // The names are the same.
}

/** The triggers and the backfill that a stopped job keeps. */
function keptOf(state: DispatcherState): Pick<JobStatus, 'kept'> {
  const { stopping, backfill } = state;
  const kept = { waiting: waitingTriggers(state), keptAt: instantOf(stopping?.stoppedAt ?? 0) };
  if (backfill?.isUnfinished !== true) return { kept };
  const { n, counts, expected } = backfill;
  return { kept: { ...kept, backfill: { n, taken: counts.taken, ...(expected === undefined ? {} : { expected }) } } };
}

/** Whether a running slice may start another request. A slice in quarantine may, since nobody hears from its worker. */
function mayStillStart({ slices }: DispatcherState): boolean {
  return [...slices.values()].some(({ startsNoMore, overAt }) => startsNoMore !== true || overAt !== undefined);
}

/**
 * The editable fields of the form as people may see them, in its order. A new field is shown as it is; mask one that may hold a secret
 * here, like the URL.
 */
export function shownForm<Audiences>(definition: JobDefinition, audiences: Audiences) {
  const { webhookUrl, onEnter, onExit } = definition;
  return editableOf({
    ...definition,
    audiences,
    webhookUrl: shownUrl(webhookUrl),
    onEnter: shownEvent(onEnter),
    onExit: shownEvent(onExit),
  });
}

function shownEvent(own: JobDefinition['onEnter']): JobDefinition['onEnter'] {
  return own?.webhookUrl == null ? own : { ...own, webhookUrl: shownUrl(own.webhookUrl) };
}

function endpointOf(state: DispatcherState, now: number): Pick<JobStatus, 'endpoint'> {
  const { breaker, job, lastFailure, chains } = state;
  const { parallelRequestCount: all, authorization } = job.definition;
  const failure = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  const isTemplate = lastFailure?.code === ATTEMPT_CODES.templateFailed;
  const refusal = refusalInWords(breaker, lastFailure, authorization);
  const advice = isTemplate
    ? `A template of the job gives no request${lastFailure.answer === undefined ? '' : ` (${lastFailure.answer})`}, and the endpoint has accepted nothing yet. Correct the template, or leave such people out with {% skip %}; every trigger is kept.`
    : (refusal ??
      `The endpoint seems misconfigured${failure}. ${whatToCheck(lastFailure, authorization)}; every trigger is kept.`);
  const row = breaker.isOpen || breaker.isDoubtful ? rowOf(breaker) : {};
  if (breaker.isUnproven && !breaker.isOpen) {
    if (chains.triggers === 0) return {};
    // While any trigger is ready, the next request goes at once.
    const next = chains.readyCount > 0 ? breaker.barredUntil : Math.max(chains.nextDue ?? 0, breaker.barredUntil);
    const isSetup = isTemplate || (lastFailure !== undefined && VERDICTS[judge(lastFailure)].isSetup);
    return {
      endpoint: {
        state: 'new',
        ...(next > now ? { nextProbeAt: instantOf(afterQuiet(job, next)) } : {}),
        ...row,
        ...(isSetup || refusal !== undefined ? { advice } : {}),
      },
    };
  }
  if (!breaker.isOpen && !breaker.isDoubtful)
    return breaker.isRecovering && breaker.allowedOf(all) < all ? { endpoint: { state: 'recovering' } } : {};
  const probeAt = afterQuiet(job, breaker.openUntil);
  return {
    endpoint: {
      state: 'unhealthy',
      ...(probeAt > now && !sendsNothing(state) ? { nextProbeAt: instantOf(probeAt) } : {}),
      ...row,
      ...(breaker.isSetup || refusal !== undefined ? { advice } : {}),
    },
  };
}

function rowOf({ inRow, acceptedAt }: Breaker): Pick<EndpointStatus, 'refusedInRow' | 'acceptedAt'> {
  return { refusedInRow: inRow, ...(acceptedAt === undefined ? {} : { acceptedAt: instantOf(acceptedAt) }) };
}

/** The status of a job whose definition is not checked yet: nothing in the definition can be relied on. */
export function describeStarting(definition: unknown, jobId: string, waiting: number, isStopped: boolean): JobStatus {
  const fields = typeof definition === 'object' && definition !== null ? (definition as Record<string, unknown>) : {};
  return {
    v: 1,
    jobId,
    subscriptionId: '',
    state: isStopped ? 'stopping' : 'starting',
    reason: isStopped ? 'Stopped before it began.' : 'Its audiences are being looked up in the source.',
    ...editableOf({
      ...FORM_DEFAULTS,
      label: typeof fields['label'] === 'string' ? fields['label'] : jobId,
      audiences: [],
      webhookUrl: typeof fields['webhookUrl'] === 'string' ? shownUrl(fields['webhookUrl']) : '',
      authorization: null,
      parallelRequestCount: 0,
    }),
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
    delayed: 0,
    inFlight: 0,
    waits: {},
    rejects: [],
    notices: [],
    stateBytes: 0,
    stateBudgetBytes: 0,
  };
}

function stateAndReasonOf(state: DispatcherState, now: number): [JobState, string?] {
  if (isStopped(state)) return state.stopping?.isPlanned === true ? ['stopped', ENDED] : ['stopped'];
  const why = whyPaused(state.pause);
  if (state.stopping !== undefined)
    return ['stopping', stoppingInWords(state.stopping, why, quietTimeAt(state.job, now)?.[1])];
  if (why !== undefined)
    return [
      'paused',
      `${why} Everything is kept. ${state.pause?.status === undefined ? 'Correct the URL (edit) or resume' : 'Resume it once that is put right'}.`,
    ];
  if (state.pause !== undefined) return ['paused', `${pausedBy(state.pause)} Triggers are accepted and kept.`];
  if (state.backfill?.isLost === true) return ['running', `${lostInWords(state.backfill)} A person has to decide.`];
  if (isReportable(state.unreadable))
    return ['running', 'Triggers wait behind a holder that cannot be read. A person may have to decide.'];
  return ['running'];
}

/** Who paused it, and why. */
function pausedBy({ who = 'an operator', reason }: Pause): string {
  return `Paused by ${who}${reason === undefined ? '' : `: ${reason.replace(/[.\s]+$/, '')}`}.`;
}

/** Why a job stopped by itself. */
export const ENDED = 'Its end ("endsAt") came.';

function holderTrouble({ number, reason, since, retryAt }: UnreadableHolder): HolderTrouble {
  return { holder: String(number), reason, since: instantOf(since), nextTryAt: instantOf(retryAt) };
}

function stoppingInWords(
  { waiting, deadlineAt, isPlanned }: Stopping,
  whyPaused: string | undefined,
  quietUntil: number | undefined,
): string {
  const why = isPlanned === true ? 'Its end ("endsAt") has come' : 'Asked to stop';
  if (waiting === 'discard') return `${why}; what is waiting will not be sent.`;
  if (waiting === 'keep') return `${why}; what is waiting is kept for a later resume.`;
  if (whyPaused !== undefined) return `${whyPaused} Resume, or stop with "keep" or "discard".`;
  const until = deadlineAt === undefined ? '' : `; what is left at ${instantOf(deadlineAt).slice(0, 19)}Z is kept`;
  const from =
    quietUntil === undefined ? '' : `, from ${instantOf(quietUntil).slice(0, 19)}Z on, after the quiet hours`;
  return `${why}; what is waiting is sent first${from}${until}.`;
}

/** Returns why the endpoint's answer made the job pause, for people; undefined when none did. */
function whyPaused(pause: Pause | undefined): string | undefined {
  if (pause?.by !== 'endpoint') return undefined;
  if (pause.status === undefined) return 'The endpoint answered 410 Gone: it asks never to be called again.';
  return `The endpoint answered HTTP ${pause.status}, at which this job pauses ("answers").`;
}

function noticesOf(state: DispatcherState): string[] {
  const { job, editProblem } = state;
  const notices = [...job.warnings];
  if (editProblem !== undefined) notices.push(`The last edit did not take effect: ${editProblem}`);
  if (job.missingSearchAttributes.length > 0) {
    notices.push(
      `The namespace does not have the search attributes ${job.missingSearchAttributes.join(', ')}; the job runs without them. Somebody who may add them can run "triggers setup".`,
    );
  }
  if (state.loss !== undefined) notices.push(state.loss);
  if (isReportable(state.unreadable)) {
    const { number, reason, retryAt } = state.unreadable;
    notices.push(
      `The holder ${number} cannot be read (${reason}). Triggers behind it wait; it is read again at ${instantOf(retryAt).slice(0, 19)}Z, or now: triggers retry JOB. If it will never be readable, delete its workflow ${holderWorkflowId(job.subscriptionId, String(number))}: its triggers are lost, and the others go on.`,
    );
  }
  if (state.chains.delayedBytes > state.budgets.chainBytes / 2) {
    notices.push(
      'Too many people are waiting for a retry, and others must wait behind them. Check the failed attempts for the reason. Triggers that have failed for long become dead letters early.',
    );
  }
  return notices;
}

/** How many triggers of one person are listed for each place at most. */
export const LISTED_WAITING = 20;

/** The state of one person's triggers, as the query `person` returns it. Changes nothing. */
export function describePerson(state: DispatcherState, user: string, now: number): PersonAnswer {
  const { chains, overflow, deadLetters, backfill, job } = state;
  const { state: phase, reason, endpoint, lastFailure, endsAt } = describeJob(state, '', now);
  const audiences = [...job.audiences, ...job.formerAudiences];
  const chain = chains.get(user);
  const inChain = chain?.triggers ?? [];
  const inPages = backfill?.waitsInPages(user) ?? false;
  const behind = [...overflow.here()].filter((waiting) => waiting.user === user);
  return {
    v: 1,
    state: phase,
    subscriptionId: job.subscriptionId,
    audiences,
    waits: shownWaits(isStopped(state) ? {} : personWaits(state, chain, inPages, now), now),
    ...(endsAt === null || state.stopping !== undefined ? {} : { endsAt }),
    ...definedOf({ reason, endpoint, lastFailure, chain: chain && chainStanding(state, chain) }),
    waiting: inChain.slice(0, LISTED_WAITING).map((trigger) => waitingTrigger(audiences, trigger)),
    waitingCount: inChain.length + behind.length,
    ...(overflow.isEmpty
      ? {}
      : {
          overflow: {
            ...overflow.rangeOf(user),
            waiting: behind
              .slice(0, LISTED_WAITING)
              .map(({ trigger, holder }) => waitingTrigger(audiences, trigger, holder?.toString())),
          },
        }),
    pendingDeadLetters: deadLetters.count((dead) => dead.user === user),
    inPages,
  };
}

/** The waits of a job that one person's triggers wait for, too. */
function personWaits(state: DispatcherState, chain: Chain | undefined, inPages: boolean, now: number): WaitTimes {
  const ofAll = waitTimes(state, now, 'all');
  const firstsAt = isIdle(state) ? 0 : firstsFrom(state, now);
  const fresh = chain === undefined || (chain.place !== 'running' && isFresh(chain, 0));
  const isDelayedLonger = chain?.place === 'delayed' && chain.notBefore >= firstsAt;
  if (firstsAt > now && fresh && !isDelayedLonger) return { ...ofAll, ...waitTimes(state, now, 'firsts') };
  // People outside of the chains, or waiting for a time of their own, do not wait for these.
  if (chain === undefined ? !inPages : chain.place !== 'ready') return ofAll;
  const { live, members } = maySend(state, now) ? gatheringTimes(state, now) : {};
  const batch = chain === undefined || hasNothingLive(chain) ? members : live;
  return { ...ofAll, ...readyWaits(state, now), batch };
}

/** A waiting trigger, as it is shown to people. */
export function waitingTrigger(
  audiences: readonly Audience[],
  { audience, event, at, backfill, redelivery }: QueuedTrigger,
  holder?: string,
): WaitingTrigger {
  return {
    event,
    audience: findAudience(audiences, audience)?.slug ?? audience,
    at,
    ...definedOf({ holder, backfill, redelivery }),
  };
}

function chainStanding({ chains, job }: DispatcherState, chain: Chain): ChainStanding {
  const { place, failures, profileTries, notBefore, losses } = chain;
  return {
    place,
    ...(place === 'ready' ? { ahead: chains.aheadOf(chain) } : {}),
    failures,
    profileTries,
    ...(losses === 0 ? {} : { losses }),
    ...(place === 'delayed' && notBefore > 0 ? { nextAttemptAt: instantOf(afterQuiet(job, notBefore)) } : {}),
  };
}
