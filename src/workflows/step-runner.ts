import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  patched,
  proxyActivities,
  startChild,
  TimeoutFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Alert } from '../contract/alert.ts';
import type { Audience } from '../contract/audience.ts';
import type { PageTaken } from '../contract/backfill.ts';
import type { AddressedAnswer } from '../contract/dead-letter.ts';
import type { Problem } from '../contract/export-job.ts';
import type { Activities } from '../contract/ports.ts';
import type { SliceInput } from '../contract/slice.ts';
import { type JobRecord } from '../domain/job/job.ts';
import { answersGone } from '../domain/job/arriving.ts';
import { silentAfterMs, sliceEndsWithinMs } from '../domain/job/dispatching.ts';
import type { Step } from '../domain/job/steps.ts';
import { deadLetterOf } from '../domain/job/dead-letter.ts';
import type { DeadTrigger } from '../domain/job/queue/pending-dead-letters.ts';
import { hasLostBefore, reclaimSlice } from '../domain/job/quarantine.ts';
import { holderRead, holdersDropped, loadFailed } from '../domain/job/holders.ts';
import {
  applyEdit,
  backfillChildGone,
  calendarRead,
  editObstacle,
  missBackfill,
  refuseEdit,
} from '../domain/job/operating.ts';
import { isSlow } from '../domain/job/throttles/slice-size.ts';
import { loseSlice, settleSlice } from '../domain/job/settling.ts';
import { recordJob } from '../domain/job/carrying.ts';
import type { DispatcherState } from '../domain/job/state.ts';
import { PAGES_AHEAD } from '../domain/limits.ts';
import { isProfileHolder } from '../domain/trigger-run.ts';
import {
  audienceById,
  BACKFILL,
  backfillWorkflowId,
  holderWorkflowId,
  jobIdOf,
  profileHolderWorkflowId,
} from '../domain/names.ts';
import { counted } from '../domain/text.ts';
import { summaryOf } from '../domain/workflow-visibility.ts';
import { packSlice } from '../domain/slice.ts';
import type { backfill } from './backfill.ts';
import type { RequestedEdit } from './job-update-handlers.ts';
import { pageTakenSignal } from './messages.ts';

const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});
// Waiting triggers must be kept and dropped, however long the server is unhealthy: these are retried until they are done.
const withRetries = (summary: string): Pick<Activities, RetriedActivity> =>
  proxyActivities<Activities>({
    startToCloseTimeout: '20 seconds',
    retry: { initialInterval: '200 milliseconds', maximumInterval: '10 seconds' },
    summary: summaryOf(summary),
  });
/** A holder that cannot be read this many times at once is read again after a while (`UnreadableHolder`). */
const LOAD_ATTEMPTS = 3;
type RetriedActivity = 'spill' | 'drop' | 'keepDeadLetters' | 'raiseAlerts' | 'readCalendar';
const { lookUpWorkflow } = proxyActivities<Activities>({
  startToCloseTimeout: '10 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/**
 * This many slices of a job start at once on the worker that dispatched them, for low latency. The others go through the task queue, so that a job
 * that keeps processors busy is spread over all workers.
 */
const EAGER_SLICES = 4;

/** Since 0.2.0: people whose slices are lost again and again wait (`quarantine.ts`). */
const DELAYS_LOST = 'delays-lost';

/** Steps that go out into the world and come back later. */
type Effect = Exclude<Step, { kind: 'wait' | 'continue-as-new' | 'finish' }>;

/** Carries out a job's steps. Each runs by itself and wakes the job when it is done; none ever throws. */
export class StepRunner {
  /** Effects other than slices that are not done yet: no run may end before they are, or a child might never start, or a signal never be sent. */
  underWay = 0;
  /** Holders that are being written or read: the next run does it anew. */
  atHolders = 0;
  #isEditing = false;
  readonly #state: DispatcherState;
  readonly #wake: () => void;
  readonly #workflowId = workflowInfo().workflowId;
  /** Cancel the activities of this run's slices, by slice id. */
  readonly #deliveries = new Map<number, CancellationScope>();

  constructor(state: DispatcherState, wake: () => void) {
    this.#state = state;
    this.#wake = wake;
  }

  run(step: Effect): void {
    switch (step.kind) {
      case 'deliver':
        return void this.#deliver(step);
      case 'spill':
        return void this.#spill(step);
      case 'load':
        return void this.#load(step.number);
      default:
        return void this.#track(this.#effectOf(step), step.kind);
    }
  }

  #effectOf(step: Exclude<Effect, { kind: 'deliver' | 'spill' | 'load' }>): Promise<void> {
    switch (step.kind) {
      case 'start-backfill':
        return this.#startBackfill(step);
      case 'cancel-backfill':
        return this.#cancelBackfill(step.n);
      case 'answer-page':
        return this.#answerPage(step.answer);
      case 'look-for-backfill':
        return this.#lookForBackfill(step.n);
      case 'drop':
        return this.#drop(step.holders);
      case 'keep-dead-letters':
        return this.#keepDeadLetters(step.letters);
      case 'answer-letters':
        return this.#answerLetters(step.answers);
      case 'raise-alerts':
        return this.#raiseAlerts(step.alerts);
      case 'read-calendar':
        return this.#readCalendar(step);
    }
  }

  /** While one edit is being checked the next one waits, since each starts from the result of the one before. */
  get isEditing(): boolean {
    return this.#isEditing;
  }

  /** Checks an edit against the source. Then it takes effect, or its answer and the status say why not. */
  edit(request: RequestedEdit): void {
    void this.#track(this.#edit(request), 'edit');
  }

  async #deliver({ slice }: Extract<Effect, { kind: 'deliver' }>): Promise<void> {
    const { requestTimeoutMs } = slice.settings;
    // Never a local activity, though it would save a workflow task: if it ends while the worker answers a query, the SDK (1.24) records a history
    // that no worker can replay (TMPRL1100).
    const { deliver } = proxyActivities<Activities>({
      heartbeatTimeout: silentAfterMs(requestTimeoutMs),
      startToCloseTimeout: sliceEndsWithinMs(requestTimeoutMs) + 60_000,
      // The job itself decides what is sent again, and when.
      retry: { maximumAttempts: 1 },
      // Its report says how far it got.
      cancellationType: 'WAIT_CANCELLATION_COMPLETED',
      allowEagerDispatch: this.#state.slices.size <= EAGER_SLICES || isSlow(this.#state.requestMs),
      summary: `${counted(slice.triggers.length, 'trigger')}, ${counted(slice.permits, 'permit')}`,
    });
    const scope = new CancellationScope();
    this.#deliveries.set(slice.sliceId, scope);
    let report: unknown;
    try {
      report = await scope.run(() => deliver(packSlice(slice)));
    } catch (error) {
      this.#deliveries.delete(slice.sliceId);
      this.#settleFailed(slice, error);
      return this.#wake();
    }
    this.#deliveries.delete(slice.sliceId);
    // Outside of the `try`: an error in here is ours, and fails the task, so the state never stays half changed.
    if (!settleSlice(this.#state, slice.sliceId, report, Date.now()))
      log.error('the report of a slice cannot be read; its triggers go back, and are sent again', {
        slice: slice.sliceId,
      });
    this.#wake();
  }

  #settleFailed({ sliceId, settings: { requestTimeoutMs } }: SliceInput, error: unknown): void {
    // A slice that is cancelled before a worker has it is not lost.
    if (isCancellation(error)) return loseSlice(this.#state, sliceId, undefined, Date.now());
    log.error('slice lost; requeued triggers with unknown outcome', { slice: sliceId, error });
    const cause = error instanceof ActivityFailure ? error.cause : undefined;
    if (cause instanceof TimeoutFailure) {
      const { lastHeartbeatDetails: details, timeoutType } = cause;
      // Asked only where it matters: a run with this marker cannot go back to a release before 0.2.0.
      const delaysLost = hasLostBefore(this.#state, sliceId) && patched(DELAYS_LOST);
      const lost = { details, isSilent: timeoutType === 'HEARTBEAT', requestTimeoutMs, delaysLost };
      return reclaimSlice(this.#state, sliceId, lost, Date.now());
    }
    // Its worker has no request open and cannot send it, so its triggers wait for a while.
    settleSlice(this.#state, sliceId, undefined, Date.now());
  }

  /** Tells running slices to start no further request. */
  cancelSlices(): void {
    for (const scope of this.#deliveries.values()) scope.cancel();
  }

  /** A run does not wait for content on its way to a holder: the next run sends it again. */
  async #spill({ number, content }: Extract<Effect, { kind: 'spill' }>): Promise<void> {
    const { spill } = withRetries(counted(content.triggers.length, 'trigger'));
    const { overflow } = this.#state;
    this.atHolders++;
    try {
      await spill(this.#holderId(String(number)), content);
      overflow.confirm(number);
    } catch (error) {
      log.error('a holder could not be started', { holder: number, error });
      overflow.spillFailed(number);
    }
    this.atHolders--;
    this.#wake();
  }

  /** Reads a holder. No run waits for it: the next one reads it again. A holder that cannot be read must not keep the job from continuing as new. */
  async #load(number: number): Promise<void> {
    const { load } = proxyActivities<Activities>({
      startToCloseTimeout: '20 seconds',
      retry: { initialInterval: '200 milliseconds', maximumAttempts: LOAD_ATTEMPTS },
      summary: summaryOf(`holder ${number}`),
    });
    this.atHolders++;
    try {
      holderRead(this.#state, number, await load(this.#holderId(String(number))), Date.now());
    } catch (error) {
      log.error('a holder could not be read', { holder: number, error });
      loadFailed(this.#state, number, reasonOf(error), Date.now());
    }
    this.atHolders--;
    this.#wake();
  }

  async #drop(holders: readonly string[]): Promise<void> {
    const { drop } = withRetries(counted(holders.length, 'holder'));
    await drop(holders.map((name) => this.#holderId(name)));
    holdersDropped(this.#state, holders);
  }

  async #keepDeadLetters(letters: ReadonlyMap<number, DeadTrigger>): Promise<void> {
    const { counters, deadLetters } = this.#state;
    const { keepDeadLetters } = withRetries(counted(letters.size, 'dead letter'));
    const now = Date.now();
    try {
      await keepDeadLetters(
        [...letters.values()].map((dead) => deadLetterOf(this.#state.job, dead, this.#workflowId, now)),
      );
      deadLetters.confirm(letters.keys());
      counters.deadLetters += letters.size;
    } catch (error) {
      log.error('dead letters could not be kept', { error });
      deadLetters.failed(letters.keys());
    }
  }

  async #answerLetters(answers: readonly AddressedAnswer[]): Promise<void> {
    const { answerLetters } = proxyActivities<Activities>({
      startToCloseTimeout: '20 seconds',
      scheduleToCloseTimeout: '1 minute',
      summary: counted(answers.length, 'dead letter'),
    });
    try {
      await answerLetters(answers);
    } finally {
      answersGone(this.#state, answers);
    }
  }

  async #raiseAlerts(alerts: readonly Alert[]): Promise<void> {
    const { subscriptionId, definition } = this.#state.job;
    const job = { id: jobIdOf(this.#workflowId), label: definition.label, subscription_id: subscriptionId };
    const { raiseAlerts } = withRetries(alerts.map(({ kind, state }) => `${kind} ${state}`).join(', '));
    await raiseAlerts(alerts.map((alert) => ({ id: `alert-${subscriptionId}-${alert.n}`, job, alert })));
    this.#state.alerts.confirm(alerts);
  }

  async #readCalendar({ settings, from, revision }: Extract<Effect, { kind: 'read-calendar' }>): Promise<void> {
    const { readCalendar } = withRetries('the calendar of the next days');
    calendarRead(this.#state, revision, await readCalendar(settings, from));
  }

  #holderId(name: string): string {
    if (isProfileHolder(name)) return profileHolderWorkflowId(jobIdOf(this.#workflowId), name);
    return holderWorkflowId(this.#state.job.subscriptionId, name);
  }

  async #startBackfill(step: Extract<Effect, { kind: 'start-backfill' }>): Promise<void> {
    const { n, audiences, from, restarts, instead } = step;
    const { subscriptionId, definition } = this.#state.job;
    try {
      await startChild<typeof backfill>(BACKFILL, {
        workflowId: backfillWorkflowId(this.#workflowId, n),
        args: [
          {
            jobWorkflowId: this.#workflowId,
            subscriptionId,
            n,
            audiences,
            pageBytes: Math.floor(this.#state.budgets.backfillBytes / PAGES_AHEAD),
            carried: { next: from, ahead: [] },
            ...(restarts === 0 ? {} : { restarts }),
            ...instead,
            ...(instead.replay === undefined ? {} : { told: toldOf(this.#state.job, audiences) }),
          },
        ],
        // It must outlive this run: continuing as new closes the run, which would terminate it.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        // One that still runs belongs to an earlier life of this job, or of this backfill: its pages are not expected here.
        workflowIdReusePolicy: 'TERMINATE_IF_RUNNING',
        staticSummary: summaryOf(`Existing users for "${definition.label}"`),
      });
    } catch (error) {
      log.error('the backfill could not be started', { n, error });
      backfillChildGone(this.#state, n);
    }
  }

  /** Answers a page. Looks for a child that cannot be answered at once rather than after a silence. */
  async #answerPage(answer: PageTaken): Promise<void> {
    try {
      await this.#child(answer.n).signal(pageTakenSignal, answer);
    } catch (error) {
      missBackfill(this.#state, answer.n);
      throw error;
    }
  }

  async #cancelBackfill(n: number): Promise<void> {
    await this.#child(n).cancel();
  }

  async #lookForBackfill(n: number): Promise<void> {
    const standing = await lookUpWorkflow(backfillWorkflowId(this.#workflowId, n));
    if (standing !== 'running') backfillChildGone(this.#state, n);
  }

  async #edit({ changes, by, settle }: RequestedEdit): Promise<void> {
    this.#isEditing = true;
    const { definition, audiences, subscriptionId } = this.#state.job;
    // Audiences are given by id, not by name: another audience may have that name by now. Existing Users is about the start only: it must
    // not make the check refuse an edit.
    const { existingUsers } = definition;
    const now = { ...definition, audiences: audiences.map(({ id }) => id), existingUsers: false };
    const refuse = (problem: string, refusal: ApplicationFailure): void => {
      refuseEdit(this.#state, problem);
      settle(refusal);
    };
    const refuseFor = (problems: readonly Problem[]): void => {
      const problem = problems.map(({ field, message }) => `${field}: ${message}`).join(' ');
      refuse(problem, ApplicationFailure.nonRetryable(problem, 'InvalidJob', problems));
    };
    try {
      const prepared = await prepareJob({ ...now, ...changes });
      const obstacle = prepared.ok ? editObstacle(this.#state, prepared.definition) : undefined;
      if (!prepared.ok) refuseFor(prepared.problems);
      else if (obstacle !== undefined) refuseFor([obstacle]);
      else {
        const edited = { ...prepared, definition: { ...prepared.definition, existingUsers } };
        applyEdit(this.#state, recordJob(subscriptionId, edited, this.#state.job), Date.now(), by);
        settle();
      }
    } catch (error) {
      log.warn('an edit could not be checked', { error });
      const problem = `The edit could not be checked. Edit again when this is fixed: ${whyUnchecked(error)}`;
      refuse(problem, ApplicationFailure.nonRetryable(problem, 'EditNotChecked'));
    }
    this.#isEditing = false;
  }

  #child(n: number) {
    return getExternalWorkflowHandle(backfillWorkflowId(this.#workflowId, n));
  }

  /** Runs an effect. A child that is gone is not an error here: if it is still needed, the job looks for it. */
  async #track(effect: Promise<void>, step: Effect['kind'] | 'edit'): Promise<void> {
    this.underWay++;
    try {
      await effect;
    } catch (error) {
      log.warn('a step failed', { step, error });
    }
    if (step !== 'edit') this.#state.underWay.delete(step);
    this.underWay--;
    this.#wake();
  }
}

/** Returns why a definition could not be checked: the failure of its last try or, if that was still waiting, that the source did not answer. */
function whyUnchecked(error: unknown): string {
  const timeout = error instanceof ActivityFailure && error.cause instanceof TimeoutFailure ? error.cause : undefined;
  const last = timeout === undefined ? error : timeout.cause;
  if (last === undefined) return 'the source did not answer within a minute';
  return reasonOf(last);
}

/** Returns why an activity failed, for people. */
function reasonOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof Error ? cause.message : 'the reason is not known';
}

/** The audiences of a replay, by the slugs under which the job tells of them. */
function toldOf(job: JobRecord, ids: readonly string[]): Audience[] {
  return ids.map((id) => audienceById(job, id)).filter((one) => one !== undefined);
}
