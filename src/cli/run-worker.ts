import type { ConnectConfig } from '../client/connect.ts';
import { ServerUnreachable } from '../client/errors.ts';
import type { Config } from '../config/config.ts';
import type { RunningWorker } from '../worker/worker.ts';
import { aborted } from './terminal.ts';

/**
 * Runs a worker until `signal` is aborted, then shuts it down gracefully.
 * @param onReady called once it takes up work.
 */
export async function untilStopped(
  options: {
    readonly config: Config;
    readonly readConfig?: (() => Config) | undefined;
    readonly connection: ConnectConfig;
    /** As host:port: where nothing is sent, besides Temporal and the worker's own ports. */
    readonly neverTo: readonly string[];
    /** Resolves with a reason when the worker can no longer go on; the whole then rejects with it. */
    readonly gone?: Promise<Error> | undefined;
  },
  signal: AbortSignal,
  onReady: (worker: RunningWorker) => void,
): Promise<void> {
  const worker = await startRunning(options);
  onReady(worker);
  try {
    const lost = await Promise.race([
      aborted(signal),
      worker.failed,
      ...(options.gone === undefined ? [] : [options.gone]),
    ]);
    if (lost instanceof Error) throw lost;
  } finally {
    await worker.shutdown();
  }
}

async function startRunning(options: {
  config: Config;
  readConfig?: (() => Config) | undefined;
  connection: ConnectConfig;
  neverTo: readonly string[];
}): Promise<RunningWorker> {
  // Loaded here: the worker's native library takes half a second, which no other command should wait for.
  const [{ startWorker }, { installRuntime, shutdownRuntime }] = await Promise.all([
    import('../worker/worker.ts'),
    import('../worker/runtime.ts'),
  ]);
  const sdkMetricsAddress = options.config.metrics === undefined ? undefined : await addressForSdkMetrics();
  installRuntime(options.config, sdkMetricsAddress);
  try {
    return await startWorker({ ...options, sdkMetricsAddress });
  } catch (error) {
    await shutdownRuntime();
    if (!(error instanceof Error) || error.name !== 'TransportError') throw error;
    const { addressOf, openConnection } = await import('../client/connect.ts');
    // The worker's connection says why only in words.
    await (await openConnection(options.connection)).close();
    throw new ServerUnreachable(addressOf(options.connection), error);
  }
}

async function addressForSdkMetrics(): Promise<string> {
  const { freePort } = await import('../local/free-ports.ts');
  return `127.0.0.1:${await freePort()}`;
}
