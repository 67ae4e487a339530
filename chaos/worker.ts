// A worker process, as it runs in earnest; which one it is stands in its configuration. CHAOS_LIB names the built code of another release.
import { existsSync } from 'node:fs';
import type * as Configs from '../src/app/config.ts';
import type * as Runtimes from '../src/worker/runtime.ts';
import type * as Workers from '../src/app/worker.ts';

export type FromWorker = { readonly kind: 'ready' } | { readonly kind: 'memory'; readonly rssBytes: number };

const MEMORY_EVERY_MS = 1000;
const { CHAOS_TEMPORAL: address = '', CHAOS_BUNDLE: codePath, CHAOS_LIB: lib } = process.env;
const { loadConfig, withThisMachine } = await ours<typeof Configs>('app/config', 'config/config');
const { installRuntime } = await ours<typeof Runtimes>('worker/runtime');
const { startWorker } = await ours<typeof Workers>('app/worker', 'worker/worker');
const config = withThisMachine(loadConfig());
installRuntime(config);
const worker = await startWorker({
  config,
  connection: { connectionOptions: { address }, namespace: 'default' },
  ...(codePath === undefined ? {} : { workflowBundle: { codePath } }),
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

/** A module of ours, or of the other release: it has what we use by the same names, perhaps where it was before. */
async function ours<Module>(path: string, before = path): Promise<Module> {
  if (lib === undefined) return (await import(new URL(`../src/${path}.ts`, import.meta.url).href)) as Module;
  const there = existsSync(`${lib}/${path}.js`) ? path : before;
  return (await import(new URL(`${there}.js`, `file://${lib}/`).href)) as Module; // See above.
}
