// A worker process, as it runs in earnest; which one it is stands in its configuration.
import { loadConfig, withThisMachine } from '../src/config/config.ts';
import { installRuntime } from '../src/worker/runtime.ts';
import { startWorker } from '../src/worker/worker.ts';

export type FromWorker = { readonly kind: 'ready' } | { readonly kind: 'memory'; readonly rssBytes: number };

const MEMORY_EVERY_MS = 1000;
const config = withThisMachine(loadConfig());
installRuntime(config);
const { CHAOS_TEMPORAL: address = '', CHAOS_BUNDLE: codePath = '' } = process.env;
const worker = await startWorker({
  config,
  connection: { connectionOptions: { address }, namespace: 'default' },
  workflowBundle: { codePath },
});
tell({ kind: 'ready' });
const memory = setInterval(() => tell({ kind: 'memory', rssBytes: process.memoryUsage.rss() }), MEMORY_EVERY_MS);
const end = (): void => {
  clearInterval(memory);
  void worker.shutdown();
};
process.on('disconnect', end);
// It may have been told so while it started.
if (!process.connected) end();
// A worker that fails by itself is started again by whoever runs it.
await worker.failed;

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}
