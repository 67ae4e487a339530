// A worker of the SDK for `sdkAlone`, in a process of its own: what a single trigger takes of Temporal and its SDK before any of our code.
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { request } from 'undici';
import { SDK_TASK_QUEUE, type SdkActivities } from './sdk-workflow.ts';

const [address = ''] = process.argv.slice(2);
Runtime.install({
  logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.error, error: console.error },
});
const activities: SdkActivities = {
  post: async (url, user) => {
    const { body } = await request(url, { method: 'POST', body: JSON.stringify({ id: user }) });
    await body.dump();
  },
};
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  taskQueue: SDK_TASK_QUEUE,
  workflowsPath: fileURLToPath(new URL('./sdk-workflow.ts', import.meta.url)),
  activities,
});
process.send?.('ready');
await worker.run();
