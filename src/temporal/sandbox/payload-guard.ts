import {
  ApplicationFailure,
  log,
  type Next,
  patched,
  proxySinks,
  type QueryInput,
  type SignalInput,
  type UpdateInput,
  type WorkflowExecuteInput,
  type WorkflowInboundCallsInterceptor,
  workflowInfo,
  type WorkflowInterceptors,
  ContinueAsNew,
  TemporalFailure,
} from '@temporalio/workflow';
import type { WorkerSinks } from '../../contract/ports.ts';
import { missingKeyReason, undecodable } from '../../domain/errors.ts';
import { EXPORT_JOB, refusedSignalMarker } from '../../domain/names.ts';

/** With this name the message of an error is not encrypted, since its readers may not have the key either (`failure-converter.ts`). */
const KEY_MISSING = 'UnknownPayloadKey';

/**
 * Handles payloads whose key this worker does not have. If the workflow itself needs one, such as its input, the task fails and is handed
 * out again until a worker has the key: nothing may be lost. Messages from outside are refused, or anybody could stop a job for good.
 *
 * An update is refused before it is accepted (`answering.ts`), and a query by its answer; neither is in the history. A signal is. A worker
 * that replays it later may have the key, but must decide as before. Refusals are therefore written to the history, as markers of
 * `patched`: a replay sees a marker before it comes to the signal.
 */
class PayloadGuard implements WorkflowInboundCallsInterceptor {
  #signals = 0;

  async execute(input: WorkflowExecuteInput, next: Next<WorkflowInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    failWithoutKey(input.args);
    try {
      return await next(input);
    } catch (error) {
      traceMistakes(error);
      throw error;
    }
  }

  async handleSignal(input: SignalInput, next: Next<WorkflowInboundCallsInterceptor, 'handleSignal'>): Promise<void> {
    this.#signals++;
    const refusal = this.#refusalOf(input.args);
    if (refusal === undefined) return await next(input);
    // Only a job counts and shows its refusals; any other workflow of ours ignores the signal.
    if (workflowInfo().workflowType === EXPORT_JOB) return await next({ ...input, args: [undecodable(refusal)] });
    log.warn('rejected what was signalled', { reason: refusal });
  }

  async handleUpdate(
    input: UpdateInput,
    next: Next<WorkflowInboundCallsInterceptor, 'handleUpdate'>,
  ): Promise<unknown> {
    // Only in a replay: a worker that had the key has accepted it.
    failWithoutKey(input.args);
    return await next(input);
  }

  async handleQuery(input: QueryInput, next: Next<WorkflowInboundCallsInterceptor, 'handleQuery'>): Promise<unknown> {
    const reason = missingKeyReason(input.args);
    if (reason !== undefined) throw ApplicationFailure.nonRetryable(reason, KEY_MISSING);
    return await next(input);
  }

  /** Why the signal is refused; undefined when it is not. */
  #refusalOf(args: readonly unknown[]): string | undefined {
    const missing = missingKeyReason(args);
    const marker = refusedSignalMarker(this.#signals);
    if (!workflowInfo().unsafe.isReplaying) {
      if (missing !== undefined) patched(marker);
      return missing;
    }
    if (patched(marker)) return missing ?? 'it was encrypted with a key that no worker had when it came';
    failWithoutKey(args);
    return undefined;
  }
}

/** @throws an error that does not fail the workflow: only its task fails, and is retried */
function failWithoutKey(args: readonly unknown[]): void {
  const reason = missingKeyReason(args);
  if (reason === undefined) return;
  proxySinks<WorkerSinks>().payloadKeys.missing(reason);
  const error = new Error(reason);
  error.name = KEY_MISSING;
  throw error;
}

/** Temporal's SDK looks for this name, and calls it for each run of a workflow. */
export const interceptors = (): WorkflowInterceptors => ({ inbound: [new PayloadGuard()] });

// The SDK notes where each promise was made, for `temporal workflow stack`, which takes a quarter of the workflow thread's time. Without a
// limit V8 collects no stack at all.
Reflect.deleteProperty(Error, 'stackTraceLimit');

/** As many frames as Node keeps. */
const FRAMES = 10;

/** Gives errors stacks from now on, after a mistake of ours: Temporal hands the task out again, and its next failure says where it comes from. */
export function traceMistakes(error: unknown): void {
  if (!(error instanceof TemporalFailure) && !(error instanceof ContinueAsNew))
    Reflect.set(Error, 'stackTraceLimit', FRAMES);
}
