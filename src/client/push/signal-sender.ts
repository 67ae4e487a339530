import { randomUUID } from 'node:crypto';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { jobWorkflowId, profileHolderWorkflow, profileHolderWorkflowId } from '../../domain/names.ts';
import { type RunTrigger } from '../../domain/trigger-run.ts';
import { profileHolderName, spilledRun, triggerRun } from './writing-runs.ts';
import { triggersSignal } from '../../workflows/messages.ts';
import { JobFull } from '../calls/errors.ts';
import { goneJob, runningJob } from '../jobs/job-service.ts';
import { GRPC, grpcCode, isTransient } from '../calls/server-errors.ts';
import { TemporalSideWorkflows } from '../calls/side-workflows.ts';
import { type RetryPolicy, withRetries, sleep } from '../calls/with-retries.ts';

// The server terminates a run at 50 MiB, and refuses signals to a run that has had 10,000. A job with a worker continues as new long before either limit; a
// push must not kill one without a worker.
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_SIGNALS = 256;
const FULL_BYTES = 16 * 1024 * 1024;
const FULL_EVENTS = 9_000;

/** Most bytes of JSON in one signal. */
export const SIGNAL_BYTES = 64 * 1024;
/** Most bytes of profiles that are spilled for one signal. */
const MOST_SPILLED_BYTES = 1024 * 1024;

/** The size of one or more triggers. */
export interface SignalSize {
  /** Bytes of JSON. */
  readonly bytes: number;
  /** How many of these may be spilled instead. */
  readonly profileBytes: number;
}

const LOOK_AGAIN_MS = 500;

/** Knows when to check the size of a job's history before the next signal: at first, and then every few hundred signals. */
export class HistoryGauge {
  #bytesSinceLook = Infinity;
  #signalsSinceLook = 0;

  get mustLook(): boolean {
    return this.#bytesSinceLook >= LOOK_EVERY_BYTES || this.#signalsSinceLook >= LOOK_EVERY_SIGNALS;
  }

  signalled(bytes: number): void {
    this.#bytesSinceLook += bytes;
    this.#signalsSinceLook += 1;
  }

  /** Takes the size of the job's current run; returns true when there is room for more. */
  sees({ bytes, events }: { readonly bytes: number; readonly events: number }): boolean {
    if (bytes > FULL_BYTES || events > FULL_EVENTS) return false;
    this.#bytesSinceLook = 0;
    this.#signalsSinceLook = 0;
    return true;
  }
}

/** The calls to Temporal that signal one job. */
export interface JobSignals {
  /**
   * Signals a batch. A repeat with the same `requestId` changes nothing, so that it is safe to ask again after a lost answer.
   *
   * @param isSpilled whether its profiles are spilled, rather than signalled.
   * @param withinMs the longest that it may take.
   */
  signal(triggers: readonly RunTrigger[], requestId: string, isSpilled: boolean, withinMs: number): Promise<void>;
  /** Starts the holder of a batch's profiles. Rejects when the job is not running. */
  spill(triggers: readonly RunTrigger[], requestId: string, withinMs: number): Promise<void>;
  /** Lets that holder end. */
  drop(requestId: string): Promise<void>;
  /** The size of the job's current run. Rejects when the job is not running. */
  history(withinMs: number): Promise<{ readonly bytes: number; readonly events: number }>;
}

const SIGNAL_DEADLINE_MS = 30_000;

/** Signals triggers to a job under a request id of ours, which the SDK's own signal call does not let us choose. */
export function jobSignals(client: Client, jobId: string): JobSignals {
  const workflowExecution = { workflowId: jobWorkflowId(jobId) };
  const { namespace, identity, loadedDataConverter: converter } = client.options;
  let found: WorkflowExecutionDescription | undefined;
  const holders = async () => {
    const { taskQueue } = (found ??= await runningJob(client, jobId));
    return new TemporalSideWorkflows(client, taskQueue);
  };
  const inTime = async <T>(call: () => Promise<T>, withinMs = SIGNAL_DEADLINE_MS): Promise<T> =>
    await client.withDeadline(Date.now() + Math.min(withinMs, SIGNAL_DEADLINE_MS), call);
  return {
    async spill(triggers: readonly RunTrigger[], requestId: string, withinMs: number) {
      const name = profileHolderName(requestId);
      const { content } = spilledRun(triggers, name);
      const holder = profileHolderWorkflow(profileHolderWorkflowId(jobId, name), content);
      await inTime(async () => (await holders()).start(holder), withinMs);
    },
    async drop(requestId: string) {
      const workflows = await holders();
      await inTime(() => workflows.drop(profileHolderWorkflowId(jobId, profileHolderName(requestId))));
    },
    async signal(triggers: readonly RunTrigger[], requestId: string, isSpilled: boolean, withinMs: number) {
      const run = isSpilled ? spilledRun(triggers, profileHolderName(requestId)).run : triggerRun(triggers);
      let payloads = [converter.payloadConverter.toPayload(run)];
      for (const codec of converter.payloadCodecs) payloads = await codec.encode(payloads);
      const request = {
        namespace,
        identity,
        workflowExecution,
        requestId,
        signalName: triggersSignal.name,
        input: { payloads },
      };
      try {
        await inTime(() => client.workflowService.signalWorkflowExecution(request), withinMs);
      } catch (error) {
        if (grpcCode(error) === GRPC.NOT_FOUND) throw await goneJob(client, jobId, error);
        throw error;
      }
    },
    async history(withinMs: number) {
      found = await inTime(() => runningJob(client, jobId), withinMs);
      const { historySize, historyLength } = found;
      return { bytes: historySize ?? 0, events: historyLength };
    },
  };
}

/** Why a batch was not sent, as far as is known. */
export interface NotSignalled {
  readonly cause: unknown;
  /** It may have been accepted anyway: the server's answer was lost. */
  readonly isUnconfirmed: boolean;
  /** True: the server takes smaller ones. From now on, `fits` knows that. */
  readonly isTooLarge?: true;
}

/** Signals one job, and waits while the server is in trouble or the job's history is near its limit. */
export class SignalSender {
  readonly #jobId: string;
  readonly #signals: JobSignals;
  readonly #gauge: HistoryGauge;
  readonly #patienceMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onWait: (waitingFor: 'server' | 'history') => void;
  #maySpill = true;

  /** @param gauge shared by all who signal this job, so that none has to check what another has just seen. */
  constructor(
    jobId: string,
    signals: JobSignals,
    options: {
      readonly gauge: HistoryGauge;
      /** Longest wait for one signal to be accepted, in ms. */
      readonly patienceMs: number;
      /** Aborting it ends every wait. */
      readonly signal?: AbortSignal | undefined;
      /** Called before each wait. */
      readonly onWait?: (waitingFor: 'server' | 'history') => void;
    },
  ) {
    this.#jobId = jobId;
    this.#signals = signals;
    this.#gauge = options.gauge;
    this.#patienceMs = options.patienceMs;
    this.#signal = options.signal;
    this.#onWait = options.onWait ?? (() => undefined);
  }

  /** Whether this much fits into one signal: as it is, or with the profiles spilled. */
  fits({ bytes, profileBytes }: SignalSize): boolean {
    if (bytes <= SIGNAL_BYTES) return true;
    return this.#maySpill && profileBytes <= MOST_SPILLED_BYTES && bytes - profileBytes <= SIGNAL_BYTES;
  }

  /** Never rejects; undefined once the job has accepted the batch. */
  async send(batch: readonly RunTrigger[], { bytes, profileBytes }: SignalSize): Promise<NotSignalled | undefined> {
    const requestId = randomUUID();
    const isSpilled = bytes > SIGNAL_BYTES && profileBytes > 0;
    let isUnconfirmed = false;
    try {
      if (this.#gauge.mustLook) await this.#untilThereIsRoom();
      if (isSpilled && !(await this.#spills(batch, requestId)))
        return { cause: undefined, isUnconfirmed, isTooLarge: true };
      await this.#untilAccepted(
        (withinMs) => this.#signals.signal(batch, requestId, isSpilled, withinMs),
        () => (isUnconfirmed = true),
      );
    } catch (cause) {
      // Best effort: while it runs, the job looks for profile holders that were not dropped.
      if (isSpilled && !isUnconfirmed) await this.#signals.drop(requestId).catch(() => undefined);
      return { cause, isUnconfirmed };
    }
    this.#gauge.signalled(isSpilled ? bytes - profileBytes : bytes);
    return undefined;
  }

  /** Spills the profiles; false if the server does not accept such a large payload. */
  async #spills(batch: readonly RunTrigger[], requestId: string): Promise<boolean> {
    try {
      const deadlineMs = performance.now() + this.#patienceMs;
      await withRetries((withinMs) => this.#signals.spill(batch, requestId, withinMs), this.#patience(deadlineMs));
    } catch (error) {
      if (grpcCode(error) !== GRPC.INVALID_ARGUMENT) throw error;
      this.#maySpill = false;
    }
    return this.#maySpill;
  }

  async #untilThereIsRoom(): Promise<void> {
    const deadlineMs = performance.now() + this.#patienceMs;
    const look = () => withRetries((withinMs) => this.#signals.history(withinMs), this.#patience(deadlineMs));
    while (!this.#gauge.sees(await look())) {
      if (performance.now() > deadlineMs) throw new JobFull(this.#jobId);
      this.#onWait('history');
      await sleep(LOOK_AGAIN_MS, this.#signal);
    }
  }

  async #untilAccepted(signal: (withinMs: number) => Promise<void>, onDoubt: () => void): Promise<void> {
    const sending = withRetries(signal, {
      ...this.#patience(performance.now() + this.#patienceMs),
      // A run that has had all the signals it may have answers INVALID_ARGUMENT; the next run accepts them.
      mayHelp: (error) => {
        if (grpcCode(error) === GRPC.INVALID_ARGUMENT) return true;
        if (!isTransient(error)) return false;
        onDoubt();
        return true;
      },
    });
    await sending.catch((error: unknown) => {
      throw grpcCode(error) === GRPC.INVALID_ARGUMENT ? new JobFull(this.#jobId, { cause: error }) : error;
    });
  }

  #patience(deadlineMs: number): RetryPolicy {
    return { deadlineMs, signal: this.#signal, onPause: () => this.#onWait('server') };
  }
}
