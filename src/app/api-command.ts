import type { LogMetadata } from '@temporalio/common';
import { randomUUID } from 'node:crypto';
import { type ConfiguredIngests, configuredIngests } from '../features/ingests/config.ts';
import type { ConfiguredApiKeys } from '../config/api-keys.ts';
import { configuredApiKeys, configuredPayloadKeys, configuredTaskQueue, configWarnings } from '../config/file.ts';
import type { DeliveryLogConfig } from '../features/delivery-log/config.ts';
import { storedDeed } from '../features/delivery-log/deeds.ts';
import { openDeliveryReader, openLogWriter, readableLog } from '../features/delivery-log/open-log.ts';
import { sealingWith } from '../temporal/sealed-text.ts';
import { command } from '../cli/command.ts';
import { configuredLog } from '../features/delivery-log/configured.ts';
import { portNumber, webUrl } from '../cli/options.ts';
import { aborted, interruption, listening, type Terminal } from '../cli/terminal.ts';
import type { ApiServer } from '../api/api-server.ts';
import type { ConnectConfig } from '../client/calls/connect.ts';

export const apiCommand = command({
  name: 'api',
  description: 'serve the HTTP API and the console, until Ctrl-C',
  takes: (it) =>
    it
      .option('--port <port>', 'port to listen on; 0: any free port', portNumber, DEFAULT_API_PORT)
      .option('--host <address>', 'address to listen on', '127.0.0.1')
      .option('--temporal-ui <url>', "address of Temporal's web UI, for the console's links", webUrl),
  json: ': one object when it is ready',
  notes: `"apiKeys" in the configuration controls access (docs/api.md). Without keys, it
serves only this machine.`,
  examples: ['triggers api --port 7280'],
  async run(_args, { port, host, temporalUi }, { terminal, note, print }) {
    configWarnings().forEach(note);
    const stop = interruption();
    const taskQueue = configuredTaskQueue();
    const api = await serveApi({
      payloadKeys: configuredPayloadKeys(),
      taskQueue,
      read: () => ({ apiKeys: configuredApiKeys(), ingests: configuredIngests() }),
      deliveryLog: configuredLog(),
      host,
      port,
      temporalUiUrl: temporalUi,
      terminal,
    });
    print(
      { apiUrl: api.url, consoleUrl: `${api.url}/`, taskQueue },
      () =>
        `API ready: ${api.url}, to read and try at ${api.url}/docs. The console is at ${api.url}/. Stop it with Ctrl-C.`,
    );
    await aborted(stop.signal);
    await api.close();
    stop.dispose();
  },
});

export const DEFAULT_API_PORT = 7280;
/** How often the configuration is checked for changed keys, in ms. */
const RELOAD_MS = 5_000;

/** The keys of the API, and the senders whose own requests it accepts. Both may change while it serves. */
interface ApiConfig {
  readonly apiKeys: ConfiguredApiKeys;
  readonly ingests: ConfiguredIngests;
}

/**
 * Serves the HTTP API until it is closed, and adopts changed keys and ingests meanwhile.
 * @param read reads the configuration again; throws when it cannot be used, and then the previous one stays in use.
 * @throws PortTaken, ApiKeysNeeded, ServerUnreachable
 */
export async function serveApi(options: {
  /** Default: from the environment. */
  readonly connection?: ConnectConfig;
  /** The workers' keys, as configured. */
  readonly payloadKeys: readonly string[];
  readonly taskQueue: string;
  readonly read: () => ApiConfig;
  readonly deliveryLog: DeliveryLogConfig | undefined;
  readonly host: string;
  readonly port: number;
  /** The option that sets the port. */
  readonly portOption?: string;
  /** The URL of the Temporal UI. */
  readonly temporalUiUrl?: string | undefined;
  readonly terminal: Terminal;
}): Promise<Pick<ApiServer, 'url' | 'invite' | 'close'>> {
  const { connection, payloadKeys, taskQueue, read, deliveryLog: place, host, port, terminal } = options;
  const [{ connectClient, loadConnectConfig }, { ExportJobs }, { startApi }, { createLog }] = await Promise.all([
    import('../client/calls/connect.ts'),
    import('./export-jobs.ts'),
    import('./api.ts'),
    import('../worker/log.ts'),
  ]);
  const log = createLog('info', { write: (line) => terminal.err(line.trimEnd()) });
  const logged = (level: 'warn' | 'info') => (message: string, fields?: LogMetadata) =>
    log[level]({ err: fields?.['error'] }, message);
  const sealing = sealingWith(payloadKeys);
  const readable = readableLog(place);
  const deliveries = readable && openDeliveryReader(readable, sealing);
  const deeds = place && openLogWriter(place, { log: { warn: logged('warn'), info: logged('info') } });
  const connect = connection ?? loadConnectConfig();
  const temporalWorkflowsUrl = workflowsIn(options.temporalUiUrl, connect);
  const { client, close, abandon } = await connectClient(connect, payloadKeys);
  try {
    const jobs = new ExportJobs(client, { taskQueue });
    const { apiKeys: keys, ingests } = read();
    let lastProblem = '';
    const configProblem = () => (lastProblem === '' ? undefined : PROBLEM_SHOWN);
    const server = await listening(
      startApi({
        client,
        jobs,
        taskQueue,
        connection: connect,
        keys,
        ingests,
        deliveries,
        onDeed: deeds && ((deed, id = randomUUID()) => deeds.addDeed(storedDeed(id, deed, sealing.seal))),
        host,
        port,
        log,
        temporalWorkflowsUrl,
        configProblem,
      }),
      { host, port, option: options.portOption ?? '--port' },
    );
    const timer = setInterval(() => {
      try {
        const { apiKeys, ingests } = read();
        server.replaceKeys(apiKeys);
        server.replaceIngests(ingests);
        lastProblem = '';
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== lastProblem) log.warn({ problem }, CONFIG_STAYS);
        lastProblem = problem;
      }
    }, RELOAD_MS);
    return {
      url: server.url,
      invite: () => server.invite(),
      close: async () => {
        clearInterval(timer);
        await server.close();
        await deeds?.close();
        await deliveries?.close();
        await abandon();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const CONFIG_STAYS = 'the changed configuration cannot be used; the API keys and ingests before stay';

/** It does not give the reason, since its callers have not proved who they are. */
const PROBLEM_SHOWN =
  'The changed configuration cannot be used, and the API keys and ingests before stay: the log of the API says why.';

/** Where the web UI shows a workflow, without the workflow's id. */
function workflowsIn(uiUrl: string | undefined, { namespace }: ConnectConfig): string | undefined {
  if (uiUrl === undefined) return undefined;
  return `${uiUrl.replace(/\/+$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows/`;
}
