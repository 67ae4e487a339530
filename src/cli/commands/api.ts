import { configuredApiKeys, configuredTaskQueue } from '../../config/config.ts';
import { command } from '../command.ts';
import { listening } from '../listening.ts';
import { portNumber } from '../options.ts';
import { aborted, interruption } from '../terminal.ts';

export const DEFAULT_API_PORT = 7280;

export const apiCommand = command({
  name: 'api',
  description: 'serve the HTTP API, until Ctrl-C',
  takes: (it) =>
    it
      .option('--port <port>', 'where to listen; 0: a free one', portNumber, DEFAULT_API_PORT)
      .option('--host <address>', 'address to listen on', '127.0.0.1'),
  json: ': one object when it is ready',
  notes: `Keys are "apiKeys" of the configuration (docs/api.md). Without them it serves
this machine only.`,
  examples: ['triggers api --port 7280'],
  async run(_args, { port, host }, { terminal, print }) {
    const keys = configuredApiKeys();
    const taskQueue = configuredTaskQueue();
    const stop = interruption();
    const [{ connectClient }, { ExportJobs }, { startApi }] = await Promise.all([
      import('../../client/connect.ts'),
      import('../../client/export-jobs.ts'),
      import('../../api/api-server.ts'),
    ]);
    const { client, close } = await connectClient();
    try {
      const jobs = new ExportJobs(client, { taskQueue });
      const log = { error: (message: string) => terminal.err(JSON.stringify({ level: 'error', msg: message })) };
      const api = await listening(startApi({ client, jobs, taskQueue, keys, host, port, log }), { host, port });
      print({ apiUrl: api.url }, () => `API ready: ${api.url}, docs at ${api.url}/docs. Stop it with Ctrl-C.`);
      await aborted(stop.signal);
      await api.close();
    } finally {
      await close();
      stop.dispose();
    }
  },
});
