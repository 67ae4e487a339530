import { CancellationScope, condition, isCancellation, log, patched, sleep, workflowInfo } from '@temporalio/workflow';
import type { JobStatus, RecoveryPart } from '../contract/job-status.ts';
import { admitArrival, remembersBeforeReplay, tidyMemory } from '../domain/job/arriving.ts';
import { sendsNothing } from '../domain/job/dispatching.ts';
import { nextStep } from '../domain/job/deciding.ts';
import type { Step } from '../domain/job/steps.ts';
import { describeJob, describePerson } from '../domain/job/describing.ts';
import { describeRevision, note, stopJob } from '../domain/job/operating.ts';
import type { RunFacts } from '../domain/job/run-end.ts';
import {
  type CarriedJob,
  carryJob,
  isCarriedJob,
  restoreJob,
  partOf,
  type RecoveryState,
} from '../domain/job/carrying.ts';
import { deliverySettings } from '../domain/job/job.ts';
import type { DispatcherState } from '../domain/job/state.ts';
import { stringifyJson } from '../domain/json.ts';
import { jobIdOf } from '../domain/names.ts';
import { UNKNOWN } from '../domain/requests.ts';
import { answerQuery, INTERNAL } from './answering.ts';
import { tellDeed } from './deeds.ts';
import { JobVisibility, memoOf } from './job-visibility.ts';
import { JobUpdateHandlers } from './job-update-handlers.ts';
import { StepRunner } from './step-runner.ts';
import { JobInbox } from './job-inbox.ts';
import { beginNewJob } from './job-preparation.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from './next-run.ts';
import { historyQuery, personQuery, recoveryQuery, revisionQuery, settingsQuery, trendQuery } from './messages.ts';

/** Since 0.2.0: what came before a replay began leaves nothing out of it (`arriving.ts`). */
const REPLAY_TRUSTS_LOG = 'replay-trusts-log';
/** An activation has five seconds; this many triggers take a fraction of a second. */
const ARRIVALS_PER_ACTIVATION = 20_000;
/** More turns than any activation needs: with more, something is wrong, and yielding keeps the worker alive. */
const TURNS_PER_ACTIVATION = 20_000;
/** No run gets older than this, so old code never has to replay more. */
const RUN_MS = 24 * 60 * 60 * 1000;
const LOGGED_REJECTS = 100;
const TREND = 'Deliveries and failures, by minute of the last hour and by quarter of an hour of the last day.';
const HISTORY = 'What was done to the job lately: by whom, by which door, why, and what changed; newest first.';

/**
 * One run of a job: turns events from Temporal into calls of the dispatcher (`domain/job`), and carries out the steps that it returns. One
 * loop asks one question: what is the next step? Everything that may change the answer wakes the loop.
 */
class JobRun {
  /** Answers operators while this run lasts. */
  readonly updates: JobUpdateHandlers;
  readonly #state: DispatcherState;
  readonly #inbox: JobInbox;
  readonly #steps: StepRunner;
  readonly #visibility: JobVisibility;
  readonly #jobId: string;
  readonly #startedAt: number;
  readonly #endsAt: number;
  #awake = true;
  #timer: { readonly at: number; readonly scope: CancellationScope } | undefined;
  /** Arrivals that this run has taken. */
  #admitted = 0;
  #arrivals = 0;
  #turns = 0;
  #commandBytes = 0;

  constructor(state: DispatcherState, inbox: JobInbox, detailsOf: (status: JobStatus) => string) {
    const { workflowId, runStartTime } = workflowInfo();
    this.#state = state;
    this.#inbox = inbox;
    this.#jobId = jobIdOf(workflowId);
    this.#startedAt = runStartTime.getTime();
    this.#endsAt = this.#startedAt + RUN_MS;
    const wake = () => this.#wake();
    this.#steps = new StepRunner(state, wake);
    this.#visibility = new JobVisibility(detailsOf);
    this.updates = new JobUpdateHandlers(state, { wake, status: () => this.status() });
    inbox.onSignal = wake;
    answerQuery(recoveryQuery, 1, INTERNAL, (part) => this.#recovery(part));
    answerQuery(personQuery, 1, INTERNAL, (user) => describePerson(state, user, Date.now()));
    answerQuery(trendQuery, 0, TREND, () => state.trend.describe(Date.now()));
    answerQuery(historyQuery, 0, HISTORY, () => state.audit.describe());
    answerQuery(revisionQuery, 1, INTERNAL, (revision) => describeRevision(state, revision));
    answerQuery(settingsQuery, 0, INTERNAL, () => ({
      settings: deliverySettings(state.job),
      audiences: state.job.audiences,
    }));
  }

  status(): JobStatus {
    return describeJob(this.#state, this.#jobId, Date.now());
  }

  /** Handles "cancel" in the Temporal UI: stops the job and keeps its backlog. */
  cancel(): void {
    stopJob(this.#state, 'keep');
    note(this.#state, { action: 'stop', waiting: 'keep' }, UNKNOWN, Date.now());
    this.#wake();
  }

  /** Runs the job until it has stopped; long before that, it may continue as new. */
  async untilDone(): Promise<void> {
    for (;;) {
      this.#admitArrivals();
      this.#applyEdit();
      if (sendsNothing(this.#state)) this.#steps.cancelSlices();
      const step = nextStep(this.#state, Date.now(), this.#facts());
      this.#tellDeeds();
      switch (step.kind) {
        case 'continue-as-new':
          // The whole state goes in a task of its own: the server terminates a job when one transaction takes more than 4 MiB.
          if (this.#commandBytes === 0) return this.#continueAsNew();
          this.#show(this.status());
          await this.#untilWoken();
          break;
        case 'finish':
          this.#show({ ...this.status(), state: 'stopped' });
          this.#dropTimer();
          return;
        case 'wait':
          await this.#waitUntil(step.until);
          break;
        default:
          this.#steps.run(step);
          this.#commandBytes += bytesOf(step);
          await this.#endTaskIfFull();
      }
    }
  }

  /** Await nothing between reading the state and this, or arrivals in between would be lost. */
  async #continueAsNew(): Promise<void> {
    this.#dropTimer();
    const memo = memoOf(this.status(), this.#state.job.definition);
    await continueAsNewOnCurrentBuild<(carried: CarriedJob) => Promise<unknown>>([carryJob(this.#state)], memo);
  }

  #facts(): RunFacts {
    const { historyLength, historySize } = workflowInfo();
    return {
      signals: this.#inbox.signals,
      events: historyLength,
      historyBytes: historySize,
      ageMs: Date.now() - this.#startedAt,
      continueSuggested: isNextRunWanted() || Date.now() >= this.#endsAt,
      busy: this.#steps.underWay > 0 || this.updates.hasPendingEdit || !this.#inbox.isEmpty,
      atHolders: this.#steps.atHolders > 0,
    };
  }

  #admitArrivals(): void {
    const now = Date.now();
    while (this.#arrivals < ARRIVALS_PER_ACTIVATION) {
      const arrival = this.#inbox.shift();
      if (arrival === undefined) break;
      this.#arrivals++;
      this.#admitted++;
      // Asked only where it matters: a run with this marker cannot go back to a release before 0.2.0.
      const trustsLog = arrival.kind === 'page' && remembersBeforeReplay(this.#state) && patched(REPLAY_TRUSTS_LOG);
      const refusal = admitArrival(this.#state, arrival, now, trustsLog);
      if (refusal !== undefined && this.#state.counters.rejected <= LOGGED_REJECTS)
        log.warn('rejected what was signalled', { reason: refusal });
    }
    tidyMemory(this.#state, now);
  }

  /** Answers for a run that was ended from outside: the state for a recovery, in parts small enough for the server. */
  #recovery(part: unknown): RecoveryPart {
    const { slices } = this.#state;
    const state: RecoveryState = {
      admitted: this.#admitted,
      running: [...slices.keys()],
      carried: carryJob(this.#state),
    };
    return partOf(stringifyJson(state), part, this.#state.job.serverLimits.payloadBytes);
  }

  #show(status: JobStatus): void {
    const { definition, missingSearchAttributes } = this.#state.job;
    this.#visibility.show(status, definition, missingSearchAttributes.length === 0, Date.now());
  }

  #tellDeeds(): void {
    const jobId = this.#jobId;
    for (const { n, ...entry } of this.#state.audit.takeUntold())
      tellDeed(n, { kind: 'job', target: jobId, jobId, ...entry });
  }

  #applyEdit(): void {
    const edit = this.#steps.isEditing ? undefined : this.updates.takeEdit();
    if (edit !== undefined) this.#steps.edit(edit);
  }

  /** Sleeps until something happens, or until `until`. */
  async #waitUntil(until: number | undefined): Promise<void> {
    if (!this.#inbox.isEmpty) return this.#yield();
    this.#show(this.status());
    // After its day a run ends at the next calm moment, and the event that makes it calm wakes the job.
    const endsAt = this.#endsAt > Date.now() ? this.#endsAt : Infinity;
    if (until !== undefined && until < endsAt) this.#setTimer(until, 'a retry, a probe or a wait is due');
    else this.#setTimer(endsAt, 'the next run begins');
    await this.#untilWoken();
  }

  /** One timer is enough. It is kept if it fires no later than needed, since each timer costs two events. */
  #setTimer(at: number, summary: string): void {
    if (at === Infinity || (this.#timer !== undefined && this.#timer.at <= at)) return;
    this.#timer?.scope.cancel();
    const scope = new CancellationScope();
    const timer = { at, scope };
    this.#timer = timer;
    void scope
      .run(() => sleep(Math.max(1, at - Date.now()), { summary }))
      .then(
        () => {
          if (this.#timer === timer) this.#timer = undefined;
          this.#wake();
        },
        (error: unknown) => {
          if (!isCancellation(error)) throw error;
        },
      );
  }

  /** Cancels the timer: the server refuses the end of a run whose own timer has just fired, unless the same task cancels it. */
  #dropTimer(): void {
    this.#timer?.scope.cancel();
  }

  /** Ends this workflow task when it has done its share, so that no task is too large or too long for the server. */
  async #endTaskIfFull(): Promise<void> {
    this.#turns++;
    // Slices that were just dispatched will soon wake the job, far sooner than a timer, which the server fires up to a second late.
    if (this.#commandBytes >= this.#state.budgets.commandBytes) return this.#untilWoken();
    if (this.#turns <= TURNS_PER_ACTIVATION) return;
    log.error('the job goes through more turns than there can be work for', { turns: this.#turns });
    await this.#yield();
  }

  /** Continues in the next workflow task: when something wakes the job, or up to a second later. */
  async #yield(): Promise<void> {
    this.#setTimer(Date.now() + 1, 'another workflow task');
    await this.#untilWoken();
  }

  async #untilWoken(): Promise<void> {
    this.#awake = false;
    await condition(() => this.#awake);
    this.#newActivation();
  }

  #newActivation(): void {
    this.#arrivals = 0;
    this.#turns = 0;
    this.#commandBytes = 0;
  }

  #wake(): void {
    this.#awake = true;
  }
}

/** The bytes of a step's command, where they are many. */
function bytesOf(step: Step): number {
  return 'bytes' in step ? step.bytes : 0;
}

/** The result of a job that was stopped and keeps nothing. */
export interface ExportJobResult {
  readonly received: number;
  readonly delivered: number;
}

/**
 * One export job, for its whole life. It takes enters and exits by signal, and sends each by POST in its person's order, with at most
 * Parallel Request Count requests in flight. It continues as new before its history grows long. Its arguments are the job's definition, as in a
 * job file, a worker's answer about it, or what the previous run carried; nothing else.
 *
 * @param detailsOf a status as the Temporal UI shows it with the workflow.
 */
export function exportingJobs(
  detailsOf: (status: JobStatus) => string,
): (...args: readonly unknown[]) => Promise<ExportJobResult> {
  return async function exportJob(...args: readonly unknown[]): Promise<ExportJobResult> {
    const inbox = new JobInbox();
    let giveHandlers: (handlers: JobUpdateHandlers) => void = () => undefined;
    const handlers = new Promise<JobUpdateHandlers>((resolve) => (giveHandlers = resolve));
    const state = isCarriedJob(args[0]) ? restoreJob(args[0]) : await beginNewJob(args, inbox, handlers);
    if (state === undefined) return { received: inbox.waitingTriggers, delivered: 0 };
    const run = new JobRun(state, inbox, detailsOf);
    giveHandlers(run.updates);
    // Updates that came meanwhile go before signals, as in a run that has begun: after a reset, pages wait for their backfill.
    await handlers;
    // Cancelling a job stops it in order, so its work until then must not be cancelled.
    const scope = CancellationScope.current();
    // One that came before the first task counts before the first step: a backfill cannot be started and cancelled in one task.
    if (scope.consideredCancelled) run.cancel();
    else void scope.cancelRequested.catch(() => run.cancel());
    await CancellationScope.nonCancellable(() => run.untilDone());
    return { received: state.counters.received, delivered: state.counters.delivered };
  };
}
