import {
  CancellationScope,
  condition,
  isCancellation,
  log,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { JobStatus } from '../contract/job-status.ts';
import type { RecoveryPart } from '../contract/recovery.ts';
import { admitArrival, tidyMemory } from '../domain/dispatcher/arriving.ts';
import type { CarriedJob } from '../domain/dispatcher/carried.ts';
import { nextStep } from '../domain/dispatcher/deciding.ts';
import { describeJob } from '../domain/dispatcher/describing.ts';
import { deliverySettings } from '../domain/dispatcher/delivery-settings.ts';
import { describePerson } from '../domain/dispatcher/describing-person.ts';
import { carryJob, type JobState } from '../domain/dispatcher/job-state.ts';
import { stopJob } from '../domain/dispatcher/operating.ts';
import type { RunFacts, Step } from '../domain/dispatcher/steps.ts';
import { stringifyJson } from '../domain/json.ts';
import { jobIdOf } from '../domain/names.ts';
import { partOf, type RecoveryState } from '../domain/recovery-parts.ts';
import { JobBoard } from './job-board.ts';
import { JobDesk } from './job-desk.ts';
import { JobErrands } from './job-errands.ts';
import type { JobInbox } from './job-inbox.ts';
import { personQuery, recoveryQuery, settingsQuery } from './messages.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from './next-run.ts';

/** An activation has five seconds; this many triggers take a fraction of a second. */
const ARRIVALS_PER_ACTIVATION = 20_000;
/** More turns than any activation needs: beyond that something is wrong, and yielding keeps the worker alive. */
const TURNS_PER_ACTIVATION = 20_000;
/** No run gets older than this, so old code never has to replay more. */
const RUN_MS = 24 * 60 * 60 * 1000;
const LOGGED_REJECTS = 100;

/**
 * One run of a job: turns what comes from Temporal into calls of the dispatcher (`domain/dispatcher`), and carries out the steps that it
 * returns. One loop asks one question: what is the next step? Everything that may change the answer wakes the loop.
 */
export class JobRun {
  /** Answers operators while this run lasts. */
  readonly desk: JobDesk;
  readonly #state: JobState;
  readonly #inbox: JobInbox;
  readonly #errands: JobErrands;
  readonly #board: JobBoard;
  readonly #jobId: string;
  readonly #endsAt: number;
  #awake = true;
  #timer: { readonly at: number; readonly scope: CancellationScope } | undefined;
  /** Arrivals that this run has taken. */
  #admitted = 0;
  #arrivals = 0;
  #turns = 0;
  #commandBytes = 0;

  constructor(state: JobState, inbox: JobInbox) {
    const { workflowId, runStartTime } = workflowInfo();
    this.#state = state;
    this.#inbox = inbox;
    this.#jobId = jobIdOf(workflowId);
    this.#endsAt = runStartTime.getTime() + RUN_MS;
    const wake = () => this.#wake();
    this.#errands = new JobErrands(state, wake);
    this.#board = new JobBoard();
    this.desk = new JobDesk(state, { wake, status: () => this.status() });
    inbox.onSignal = wake;
    setHandler(recoveryQuery, (part) => this.#recovery(part));
    setHandler(personQuery, (user) => describePerson(state, user, Date.now()));
    setHandler(settingsQuery, () => ({ settings: deliverySettings(state.job), audiences: state.job.audiences }));
  }

  status(): JobStatus {
    return describeJob(this.#state, this.#jobId, Date.now());
  }

  /** What "cancel" in the Temporal UI does: stops the job and keeps what is waiting. */
  cancel(): void {
    stopJob(this.#state, 'keep');
    this.#wake();
  }

  /** Runs the job until it has stopped; long before that, it may continue as new. */
  async untilDone(): Promise<void> {
    for (;;) {
      this.#admitArrivals();
      this.#applyEdit();
      const step = nextStep(this.#state, Date.now(), this.#facts());
      switch (step.kind) {
        case 'continue-as-new':
        case 'keep-job':
          // A whole state is sent in a task of its own: the server terminates a job when one transaction takes more than 4 MiB.
          if (this.#commandBytes > 0) {
            await this.#untilWoken();
            break;
          }
          if (step.kind === 'continue-as-new') return this.#continueAsNew();
          this.#errands.run(step);
          await this.#untilWoken();
          break;
        case 'finish':
          this.#show({ ...this.status(), state: 'stopped' });
          return;
        case 'wait':
          await this.#waitUntil(step.until);
          break;
        default:
          this.#errands.run(step);
          this.#commandBytes += bytesOf(step);
          await this.#endTaskIfFull();
      }
    }
  }

  /** Nothing may be awaited between reading the state and this, or what arrives meanwhile would be lost. */
  async #continueAsNew(): Promise<void> {
    await continueAsNewOnCurrentBuild<(carried: CarriedJob) => Promise<unknown>>(carryJob(this.#state));
  }

  #facts(): RunFacts {
    const { historyLength, historySize } = workflowInfo();
    return {
      signals: this.#inbox.signals,
      events: historyLength,
      historyBytes: historySize,
      continueSuggested: isNextRunWanted() || Date.now() >= this.#endsAt,
      busy: this.#errands.underWay > 0 || this.desk.hasPendingEdit || !this.#inbox.isEmpty,
    };
  }

  #admitArrivals(): void {
    const now = Date.now();
    while (this.#arrivals < ARRIVALS_PER_ACTIVATION) {
      const arrival = this.#inbox.shift();
      if (arrival === undefined) break;
      this.#arrivals++;
      this.#admitted++;
      const refusal = admitArrival(this.#state, arrival, now);
      if (refusal !== undefined && this.#state.counters.rejected <= LOGGED_REJECTS)
        log.warn('rejected what was signalled', { reason: refusal });
    }
    tidyMemory(this.#state, now);
  }

  /** Answers for a run that was ended from outside: what a recovery needs, in parts small enough for the server. */
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
    this.#board.show(status, this.#state.job.missingSearchAttributes.length === 0, Date.now());
  }

  #applyEdit(): void {
    const edit = this.#errands.isEditing ? undefined : this.desk.takeEdit();
    if (edit !== undefined) this.#errands.edit(edit);
  }

  /** Sleeps until something happens, or until `until`. */
  async #waitUntil(until: number | undefined): Promise<void> {
    if (!this.#inbox.isEmpty) return this.#yield();
    this.#show(this.status());
    // After its day a run ends at the next calm moment, and what makes it calm wakes the job.
    const endsAt = this.#endsAt > Date.now() ? this.#endsAt : Infinity;
    if (until !== undefined && until < endsAt) this.#setTimer(until, 'a retry, a probe or a wait is due');
    else this.#setTimer(endsAt, 'the next run begins');
    await this.#untilWoken();
  }

  /** One timer is enough: it is kept as long as it fires no later than needed, since each timer costs two events. */
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

  /** Ends this workflow task when it has done its share, so that no task is too large or too long for the server. */
  async #endTaskIfFull(): Promise<void> {
    this.#turns++;
    // Slices that were just cut will soon wake the job, far sooner than a timer, which the server fires up to a second late.
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
