import { type Config, configReader, configuredSource } from './config.ts';
import { configWarnings } from '../config/file.ts';
import { release } from '../config/release.ts';
import { command } from '../cli/command.ts';
import { DEFAULT_API_PORT } from './api-command.ts';
import { aborted, interruption } from '../cli/terminal.ts';
import type { ConnectConfig } from '../client/calls/connect.ts';
import { ServerUnreachable } from '../client/calls/errors.ts';
import { freePort } from '../network/free-ports.ts';
import type { RunningWorker } from './worker.ts';

export const workerCommand = command({
  name: 'worker',
  description: 'run a worker against the Temporal server of TEMPORAL_ADDRESS, until Ctrl-C',
  takes: (it) =>
    it.option('--config <file>', 'configuration file; default: TRIGGERS_CONFIG, else triggers.config.json'),
  examples: ['TEMPORAL_ADDRESS=temporal.example.com:7233 triggers worker'],
  async run(_args, { config: path }, { note, print }) {
    const readConfig = configReader(path === undefined ? {} : { path });
    const config = readConfig();
    configuredSource(config);
    configWarnings(path === undefined ? {} : { path }).forEach(note);
    const { addressOf, loadConnectConfig } = await import('../client/calls/connect.ts');
    const connection = loadConnectConfig();
    const { taskQueue } = config;
    const { namespace } = connection;
    const address = addressOf(connection);
    const stop = interruption();
    await untilStopped(
      { config, readConfig, connection, neverTo: [`127.0.0.1:${DEFAULT_API_PORT}`] },
      stop.signal,
      ({ deploymentVersion, metricsUrl }) =>
        print({ address, namespace, taskQueue, release: release(), deploymentVersion, metricsUrl }, () => {
          const metrics = metricsUrl === undefined ? '' : ` Metrics: ${metricsUrl}.`;
          const place = `${address}, namespace ${namespace}, task queue ${taskQueue}`;
          return `Worker ready: ${place}, release ${release()}.${versionText(deploymentVersion)}${metrics} Stop it with Ctrl-C.`;
        }),
    );
    stop.dispose();
  },
});

function versionText(version: string | undefined): string {
  return version === undefined
    ? ''
    : ` Version ${version}: Temporal gives it work once that version is current or ramping.`;
}

/**
 * Runs a worker until `signal` is aborted, then shuts it down gracefully.
 * @param onReady called once it accepts work.
 */
export async function untilStopped(
  options: {
    readonly config: Config;
    readonly readConfig?: (() => Config) | undefined;
    readonly connection: ConnectConfig;
    /** As host:port: places to which nothing is sent, besides Temporal and the worker's own ports. */
    readonly neverTo: readonly string[];
    /** Resolves with a reason when the worker can no longer go on; `untilStopped` then rejects with it. */
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
  // It is loaded here: the worker's native library takes half a second, and no other command should wait for it.
  const [{ startWorker }, { installRuntime, shutdownRuntime }] = await Promise.all([
    import('./worker.ts'),
    import('../worker/runtime.ts'),
  ]);
  const sdkMetricsAddress = options.config.metrics && `127.0.0.1:${await freePort()}`;
  installRuntime({ logLevel: options.config.logLevel, sdkMetricsAddress });
  try {
    return await startWorker({ ...options, sdkMetricsAddress });
  } catch (error) {
    await shutdownRuntime();
    if (!(error instanceof Error) || error.name !== 'TransportError') throw error;
    const { addressOf, openConnection } = await import('../client/calls/connect.ts');
    // The worker's connection gives the reason only in words.
    await (await openConnection(options.connection)).close();
    throw new ServerUnreachable(addressOf(options.connection), error);
  }
}
