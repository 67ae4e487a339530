// The worker of every case, in a process of its own, as it runs in earnest.
import { loadConfig, withThisMachine } from '../src/config.ts';
import { installRuntime } from '../src/runtime.ts';
import { startWorker } from '../src/worker.ts';

const config = withThisMachine(loadConfig());
installRuntime(config);
const address = process.env['BENCH_TEMPORAL'] ?? '';
const worker = await startWorker({ config, connection: { connectionOptions: { address }, namespace: 'default' } });
process.send?.('ready');
process.on('disconnect', () => void worker.shutdown());
