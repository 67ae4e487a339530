import { ActivityFailure, ApplicationFailure, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import { QUICK_MS, type WorkerRpc } from '../domain/worker-rpc.ts';

type Methods = Readonly<Record<string, (argument: unknown) => Promise<unknown>>>;

const RUNS: Readonly<Record<WorkerRpc['runs'], Methods>> = {
  short: proxyActivities<Methods>({ startToCloseTimeout: '20 seconds', scheduleToCloseTimeout: '1 minute' }),
  // A worker that is lost, or a source that fails for a while, costs another try.
  long: proxyActivities<Methods>({
    startToCloseTimeout: '1 hour',
    heartbeatTimeout: '1 minute',
    retry: { initialInterval: '1 second', maximumAttempts: 3 },
  }),
  once: proxyActivities<Methods>({
    scheduleToStartTimeout: '10 seconds',
    startToCloseTimeout: '150 seconds',
    retry: { maximumAttempts: 1 },
  }),
};

/** Runs within the workflow task, which halves what a question costs. Not for long: the task occupies its place in the worker until then. */
const QUICK = proxyLocalActivities<Methods>({
  scheduleToCloseTimeout: QUICK_MS,
  startToCloseTimeout: QUICK_MS,
  retry: { maximumAttempts: 1 },
});

/**
 * Makes the workflow by which a client that reaches only Temporal asks a worker what only it knows: its source, its authorizations.
 * @param rpcs the questions that it takes
 */
export function askingWorkers(rpcs: readonly WorkerRpc[]): (method: string, argument: unknown) => Promise<unknown> {
  const known = new Map(rpcs.map(({ method, runs }) => [method, runs]));
  return async (method, argument) => {
    // Anybody who reaches the server can start this, with anything.
    const runs = known.get(method);
    if (runs === undefined) throw ApplicationFailure.nonRetryable('This worker has no such method.', 'UnknownMethod');
    if (runs === 'short')
      try {
        return await QUICK[method]?.(argument);
      } catch (error) {
        if (error instanceof ActivityFailure && isFinal(error.cause)) throw error;
        // Asked once more as an ordinary activity: it may take longer, is retried, and shows a client how it failed.
      }
    return await RUNS[runs][method]?.(argument);
  };
}

function isFinal(cause: Error | undefined): boolean {
  return cause instanceof ApplicationFailure && cause.nonRetryable === true;
}
