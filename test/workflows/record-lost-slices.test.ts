import { expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Context } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';
import { payloadConverterPath } from '../../src/temporal/data-converter.ts';
import { labOfTest } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { record } from '../support/recordings.ts';
import { replay } from '../support/replay.ts';
import { temporal } from '../support/temporal.ts';

/** A slice is lost after 7.5 s at the earliest, so this runs only to record: what it records is replayed each time (`replay.test.ts`). */
const testWhenRecording = process.env['RECORD_HISTORIES'] === undefined ? test.skip : test;

/** Runs a worker that takes slices, and is never heard of again, until something is so. */
async function withDeadWorker(taskQueue: string, isSo: () => Promise<boolean>): Promise<void> {
  const { address, namespace, workflowBundle } = temporal;
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowBundle,
    dataConverter: { payloadConverterPath },
    activities: { deliver: async () => await Context.current().cancelled },
    sinks: { deeds: { done: { fn: () => undefined } } },
  });
  await worker.runUntil(() => until(isSo));
  await connection.close();
}

testWhenRecording('a history is recorded: somebody is lost with two workers in a row, and then delivered', async () => {
  const lab = await labOfTest({ workers: 0, config: { requestTimeoutMs: 1_000 } });
  const preparing = await lab.addWorker();
  const job = await lab.start();
  await lab.shutdown(preparing);
  await lab.jobs.enter(job, { audience: 'vip', user: 'lost twice', profile: { id: 1 } });
  const history = async () => await lab.handle(job).fetchHistory();
  await withDeadWorker(lab.taskQueue, async () => {
    const { events } = await history();
    return (events ?? []).filter((event) => event.activityTaskTimedOutEventAttributes != null).length >= 2;
  });
  await lab.addWorker();
  await lab.arrives('lost twice');
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  const recorded = await history();
  expect(recorded.events?.length).toBeGreaterThan(20);
  await replay(recorded, lab.handle(job).workflowId);
  record('histories', 'lost-slices', historyToJSON(recorded));
});
