import type { ApiServer } from '../api/api-server.ts';
import type { ConnectConfig } from '../client/connect.ts';
import type { ConfiguredApiKeys } from '../config/api-config.ts';
import { listening } from './listening.ts';
import type { Terminal } from './terminal.ts';

export const DEFAULT_API_PORT = 7280;
/** How often the configuration is looked at for other keys, in ms. */
const RELOAD_MS = 5_000;

/**
 * Serves the HTTP API until it is closed, and takes over keys that change meanwhile.
 * @param readKeys reads the configuration anew; throws when it cannot be used, and then the keys stay.
 * @throws PortTaken, ApiKeysNeeded, ServerUnreachable
 */
export async function serveApi(options: {
  readonly connection?: ConnectConfig;
  readonly taskQueue: string;
  readonly readKeys: () => ConfiguredApiKeys;
  readonly host: string;
  readonly port: number;
  /** The option that says the port. */
  readonly portOption?: string;
  readonly terminal: Terminal;
}): Promise<Pick<ApiServer, 'url' | 'close'>> {
  const { connection, taskQueue, readKeys, host, port, portOption = '--port', terminal } = options;
  const [{ connectClient }, { ExportJobs }, { startApi }, { createLog }] = await Promise.all([
    import('../client/connect.ts'),
    import('../client/export-jobs.ts'),
    import('../api/api-server.ts'),
    import('../worker/log.ts'),
  ]);
  const log = createLog('info', { write: (line) => terminal.err(line.trimEnd()) });
  const { client, close } = await connectClient(connection);
  try {
    const jobs = new ExportJobs(client, { taskQueue });
    const server = await listening(startApi({ client, jobs, taskQueue, keys: readKeys(), host, port, log }), {
      host,
      port,
      option: portOption,
    });
    let lastProblem = '';
    const timer = setInterval(() => {
      try {
        server.replaceKeys(readKeys());
        lastProblem = '';
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== lastProblem) log.warn({ problem }, KEYS_STAY);
        lastProblem = problem;
      }
    }, RELOAD_MS);
    return {
      url: server.url,
      close: async () => {
        clearInterval(timer);
        await server.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const KEYS_STAY = 'the changed configuration cannot be used; the API keys before stay';
