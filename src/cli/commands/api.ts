import { configuredApi, configuredPayloadKeys, configuredTaskQueue, configWarnings } from '../../config/config.ts';
import { command } from '../command.ts';
import { portNumber, webUrl } from '../options.ts';
import { DEFAULT_API_PORT, serveApi } from '../serve-api.ts';
import { aborted, interruption } from '../terminal.ts';

export const apiCommand = command({
  name: 'api',
  description: 'serve the HTTP API and the console, until Ctrl-C',
  takes: (it) =>
    it
      .option('--port <port>', 'where to listen; 0: a free one', portNumber, DEFAULT_API_PORT)
      .option('--host <address>', 'address to listen on', '127.0.0.1')
      .option('--temporal-ui <url>', "where people find Temporal's web UI: the console links to it", webUrl),
  json: ': one object when it is ready',
  notes: `Who may ask what is said by "apiKeys" of the configuration (docs/api.md). Without
keys, only this machine is served.`,
  examples: ['triggers api --port 7280'],
  async run(_args, { port, host, temporalUi }, { terminal, note, print }) {
    configWarnings().forEach(note);
    const stop = interruption();
    const taskQueue = configuredTaskQueue();
    const api = await serveApi({
      payloadKeys: configuredPayloadKeys(),
      taskQueue,
      read: () => configuredApi(),
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
