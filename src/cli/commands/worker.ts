import { Command } from '@commander-js/extra-typings';
import { configReader, configuredSource } from '../../config.ts';
import { release } from '../../release.ts';
import { untilStopped } from '../run-worker.ts';
import { sentences } from '../render.ts';
import { interruption, type Terminal } from '../terminal.ts';

export function workerCommand(terminal: Terminal) {
  return new Command('worker')
    .description('run a worker against the Temporal server of TEMPORAL_ADDRESS, until Ctrl-C')
    .option('--config <file>', 'configuration file; default: TRIGGERS_CONFIG, else triggers.config.json')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Example:
  TEMPORAL_ADDRESS=temporal.example.com:7233 triggers worker`,
    )
    .action(async ({ config: path, json }) => {
      const readConfig = configReader(path === undefined ? {} : { path });
      const config = readConfig();
      configuredSource(config);
      const { addressOf, loadConnectConfig } = await import('../../client/connect.ts');
      const connection = loadConnectConfig();
      const { taskQueue } = config;
      const { namespace } = connection;
      const address = addressOf(connection);
      const stop = interruption();
      await untilStopped({ config, readConfig, connection }, stop.signal, ({ deploymentVersion, metricsUrl }) => {
        if (json === true)
          terminal.out(
            JSON.stringify({ address, namespace, taskQueue, release: release(), deploymentVersion, metricsUrl }),
          );
        else {
          const metrics = metricsUrl === undefined ? '' : ` Metrics: ${metricsUrl}.`;
          const place = `${address}, namespace ${namespace}, task queue ${taskQueue}`;
          const text = `Worker ready: ${place}, release ${release()}.${versionText(deploymentVersion)}${metrics} Stop it with Ctrl-C.`;
          terminal.out(sentences(text, terminal));
        }
      });
      stop.dispose();
    });
}

function versionText(version: string | undefined): string {
  return version === undefined
    ? ''
    : ` Version ${version}: Temporal gives it work once that version is current or ramping.`;
}
