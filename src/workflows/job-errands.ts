import {
  ActivityFailure,
  getExternalWorkflowHandle,
  log,
  ParentClosePolicy,
  proxyActivities,
  startChild,
  TimeoutFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Alert } from '../contract/alert.ts';
import type { JobEdit } from '../contract/export-job.ts';
import type { Activities } from '../contract/ports.ts';
import type { SliceProgress } from '../contract/slice.ts';
import { sliceEndsWithinMs } from '../domain/dispatcher/cutting.ts';
import { deadLetterOf, type DeadTrigger } from '../domain/dispatcher/dead-letters.ts';
import { confirmHold, holderRead, holdersReleased, holdFailed, recallFailed } from '../domain/dispatcher/holders.ts';
import { carryJob, type JobState, recordJob } from '../domain/dispatcher/job-state.ts';
import { applyEdit, endBackfill, jobKept, refuseEdit } from '../domain/dispatcher/operating.ts';
import { isSlow } from '../domain/dispatcher/pace.ts';
import { loseSlice, settleSlice } from '../domain/dispatcher/settling.ts';
import type { Holder, Step } from '../domain/dispatcher/steps.ts';
import { BACKFILL, backfillWorkflowId, holderWorkflowId, jobIdOf } from '../domain/names.ts';
import { PAGES_AHEAD } from '../domain/limits.ts';
import { packSlice } from '../domain/packed-slice.ts';
import { summaryOf } from '../domain/summary.ts';
import type { backfill } from './backfill.ts';
import { pageTakenSignal } from './messages.ts';

const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});
// What is waiting must be kept, read and released however long the server is unwell: these are tried until they are done.
const patiently = (summary: string): Pick<Activities, PatientActivity> =>
  proxyActivities<Activities>({
    startToCloseTimeout: '20 seconds',
    retry: { initialInterval: '200 milliseconds', maximumInterval: '10 seconds' },
    summary: summaryOf(summary),
  });
type PatientActivity = 'hold' | 'recall' | 'release' | 'keepDeadLetters' | 'keepJob' | 'raiseAlerts';
const { lookUpWorkflow } = proxyActivities<Activities>({
  startToCloseTimeout: '10 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/**
 * This many slices of a job start at once on the worker that cut them, for low latency. The others go through the task queue, so that a job
 * that keeps processors busy is spread over all workers.
 */
const EAGER_SLICES = 4;

/** Steps that go out into the world and come back later. */
type Errand = Exclude<Step, { kind: 'wait' | 'continue-as-new' | 'finish' }>;

/** Carries out a job's steps. Each runs by itself and wakes the job when it is done; none ever throws. */
export class JobErrands {
  /** Errands other than slices that are not done yet: no run may end before they are, or a child might never start, or a signal never be sent. */
  underWay = 0;
  #isEditing = false;
  readonly #state: JobState;
  readonly #wake: () => void;
  readonly #workflowId = workflowInfo().workflowId;

  constructor(state: JobState, wake: () => void) {
    this.#state = state;
    this.#wake = wake;
  }

  run(step: Errand): void {
    switch (step.kind) {
      case 'deliver':
        return void this.#deliver(step);
      case 'start-backfill':
        return void this.#track(this.#startBackfill(step));
      case 'cancel-backfill':
        return void this.#track(this.#cancelBackfill(step.n));
      case 'answer-page':
        return void this.#track(this.#child(step.answer.n).signal(pageTakenSignal, step.answer));
      case 'look-for-backfill':
        return void this.#track(this.#lookForBackfill(step.n));
      case 'hold':
        return void this.#hold(step);
      case 'recall':
        return void this.#track(this.#recall(step.holder));
      case 'release':
        return void this.#track(this.#release(step.holders));
      case 'keep-dead-letters':
        return void this.#track(this.#keepDeadLetters(step.letters));
      case 'raise-alerts':
        return void this.#track(this.#raiseAlerts(step.alerts));
      case 'keep-job':
        return void this.#track(this.#keepJob(step.changes));
    }
  }

  /** While one edit is being checked the next one waits, since each starts from the result of the one before. */
  get isEditing(): boolean {
    return this.#isEditing;
  }

  /** Checks an edit against the source; then it takes effect, or the status says why it did not. */
  edit(changes: JobEdit): void {
    void this.#track(this.#edit(changes));
  }

  async #deliver({ slice }: Extract<Errand, { kind: 'deliver' }>): Promise<void> {
    const heartbeatTimeoutMs = sliceEndsWithinMs(this.#state.job.requestTimeoutMs);
    const { deliver } = proxyActivities<Activities>({
      // Longer than a slice's last request can be open, so that a frozen worker's requests are over before another worker continues.
      heartbeatTimeout: heartbeatTimeoutMs,
      startToCloseTimeout: heartbeatTimeoutMs + 60_000,
      retry: { initialInterval: '1 second', maximumInterval: '10 seconds', maximumAttempts: 10 },
      allowEagerDispatch: this.#state.slices.size <= EAGER_SLICES || isSlow(this.#state.requestMs),
      summary: `${counted(slice.triggers.length, 'trigger')}, ${counted(slice.permits, 'permit')}`,
    });
    try {
      settleSlice(this.#state, slice.sliceId, await deliver(packSlice(slice)), Date.now());
    } catch (error) {
      log.error('a slice was lost; what it is not known to have delivered goes back', { slice: slice.sliceId, error });
      loseSlice(this.#state, slice.sliceId, progressOf(error), Date.now());
    }
    this.#wake();
  }

  /** No run waits for content on its way into the overflow: the next one sends the same content again. */
  async #hold({ holder, content }: Extract<Errand, { kind: 'hold' }>): Promise<void> {
    const { hold } = patiently(counted(content.triggers.length, 'trigger'));
    const holding = hold(this.#holderId(holder.name), content).then(
      () => confirmHold(this.#state, holder),
      (error: unknown) => {
        log.error('a holder could not be started', { holder: holder.name, error });
        holdFailed(this.#state, holder);
      },
    );
    // What is parked is not carried as such, so the next run would not know its holder.
    if (holder.of === 'parking') return this.#track(holding);
    await holding;
    this.#wake();
  }

  async #recall(holder: Holder): Promise<void> {
    const { recall } = patiently(`holder ${holder.name}`);
    try {
      holderRead(this.#state, holder, await recall(this.#holderId(holder.name)));
    } catch (error) {
      log.error('a holder could not be read', { holder: holder.name, error });
      recallFailed(this.#state, holder);
    }
  }

  async #release(holders: readonly string[]): Promise<void> {
    const { release } = patiently(counted(holders.length, 'holder'));
    try {
      await release(holders.map((name) => this.#holderId(name)));
      holdersReleased(this.#state, holders, true);
    } catch (error) {
      log.error('holders could not be told to end', { holders, error });
      holdersReleased(this.#state, holders, false);
    }
  }

  async #keepDeadLetters(letters: ReadonlyMap<number, DeadTrigger>): Promise<void> {
    const { counters, deadLetters } = this.#state;
    const { keepDeadLetters } = patiently(counted(letters.size, 'dead letter'));
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

  async #raiseAlerts(alerts: readonly Alert[]): Promise<void> {
    const { subscriptionId, definition } = this.#state.job;
    const job = { jobId: jobIdOf(this.#workflowId), label: definition.label, subscriptionId };
    const { raiseAlerts } = patiently(alerts.map(({ kind, state }) => `${kind} ${state}`).join(', '));
    try {
      await raiseAlerts(alerts.map((alert) => ({ ...job, alert })));
      this.#state.alerts.confirm(alerts);
    } finally {
      this.#state.isAlerting = false;
    }
  }

  async #keepJob(changes: number): Promise<void> {
    const { stopping: _, ...carried } = carryJob(this.#state);
    const { keepJob } = patiently('what waits, until the job is resumed');
    await keepJob(this.#workflowId, carried);
    jobKept(this.#state, changes);
  }

  #holderId(name: string): string {
    return holderWorkflowId(this.#state.job.subscriptionId, name);
  }

  async #startBackfill({ n, audiences, from }: Extract<Errand, { kind: 'start-backfill' }>): Promise<void> {
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
          },
        ],
        // It must outlive this run: continuing as new closes the run, which would terminate it.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: summaryOf(`Existing users for "${definition.label}"`),
      });
    } catch (error) {
      log.error('the backfill could not be started', { n, error });
      if (this.#state.backfill?.n === n) endBackfill(this.#state, 'lost');
    }
  }

  async #cancelBackfill(n: number): Promise<void> {
    await this.#child(n).cancel();
  }

  async #lookForBackfill(n: number): Promise<void> {
    const standing = await lookUpWorkflow(backfillWorkflowId(this.#workflowId, n));
    const { backfill } = this.#state;
    if (standing !== 'running' && backfill?.n === n && backfill.needsChild) endBackfill(this.#state, 'lost');
  }

  async #edit(changes: JobEdit): Promise<void> {
    this.#isEditing = true;
    const { definition, subscriptionId } = this.#state.job;
    try {
      const prepared = await prepareJob({ ...definition, ...changes });
      if (prepared.ok) applyEdit(this.#state, recordJob(subscriptionId, prepared, this.#state.job));
      else refuseEdit(this.#state, prepared.problems.map(({ field, message }) => `${field}: ${message}`).join(' '));
    } catch {
      refuseEdit(this.#state, 'The source did not answer within a minute. Edit again when it does.');
    }
    this.#isEditing = false;
  }

  #child(n: number) {
    return getExternalWorkflowHandle(backfillWorkflowId(this.#workflowId, n));
  }

  /** A child that is gone is not an error here: if it is still needed, that shows when it is looked for. */
  async #track(errand: Promise<void>): Promise<void> {
    this.underWay++;
    try {
      await errand;
    } catch (error) {
      log.warn('an errand failed', { error });
    }
    this.underWay--;
    this.#wake();
  }
}

/** What the last heartbeat of a failed slice says is settled. */
function progressOf(error: unknown): { delivered: ReadonlySet<number>; failed: SliceProgress['failed'] } {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  // Details of our own heartbeat: `deliver` sends nothing else.
  const details =
    cause instanceof TimeoutFailure ? (cause.lastHeartbeatDetails as SliceProgress | undefined) : undefined;
  const delivered = new Set<number>();
  for (const [first, last] of details?.delivered ?? [])
    for (let index = first; index <= last; index++) delivered.add(index);
  return { delivered, failed: details?.failed ?? [] };
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
