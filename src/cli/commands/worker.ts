import { configReader, configuredSource, configWarnings } from '../../config/config.ts';
import { release } from '../../worker/release.ts';
import { command } from '../command.ts';
import { untilStopped } from '../run-worker.ts';
import { DEFAULT_API_PORT } from '../serve-api.ts';
import { interruption } from '../terminal.ts';

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
    const { addressOf, loadConnectConfig } = await import('../../client/connect.ts');
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
