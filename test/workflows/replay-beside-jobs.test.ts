import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { DeadLetterStatus } from '../../src/contract/dead-letter.ts';
import { HOLDER, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { Lab, labOfTest } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { record } from '../support/recordings.ts';
import { replay } from '../support/replay.ts';
import type { WatchStatus } from '../../src/app/export-jobs.ts';
import { tempFolder } from '../support/temp-folder.ts';

// These wait for weeks and go over to a newer build as they are, so that build has to replay them.

async function replays(lab: Lab, name: string, workflowId: string, runId?: string): Promise<void> {
  const history = await lab.client.workflow.getHandle(workflowId, runId).fetchHistory();
  expect(history.events?.length).toBeGreaterThan(5);
  await replay(history, workflowId);
  record('histories', name, historyToJSON(history));
}

/** Asks a workflow until it answers as wanted. */
async function statusWhen<T>(lab: Lab, workflowId: string, isAsWanted: (status: T) => boolean): Promise<void> {
  await answerWhen(() => lab.client.workflow.getHandle(workflowId).query<T>('status'), isAsWanted);
}

/** The workflow id of a job's dead letter; the server lists it a moment after its start. */
async function onlyDeadLetter(lab: Lab, job: string): Promise<string> {
  for (;;) for await (const { id } of lab.jobs.deadLetters.list({ jobId: job })) return `dead-letter-${id}`;
}

test('histories recorded today replay: a dead letter that is not redelivered at first, and its alert', async () => {
  let isRefusing = true;
  let isDown = true;
  const operators = await startRecorder({
    answer: () => {
      const status = isDown ? 503 : 200;
      isDown = false;
      return { status };
    },
  });
  const lab = await Lab.open({
    receiver: { answer: ({ message }) => ({ status: isRefusing && message?.user === 'refused' ? 422 : 200 }) },
    config: { alerts: { url: operators.url, authorization: null, backlogMinutes: 15 } },
  });
  try {
    const job = await lab.start();
    // An endpoint that has taken nothing yet is not believed when it refuses.
    await lab.jobs.enter(job, { audience: 'vip', user: 'taken', profile: {} });
    await lab.arrives('taken');
    await lab.jobs.enter(job, { audience: 'vip', user: 'refused', profile: { id: 1 } });
    await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
    isRefusing = false;
    const letter = await onlyDeadLetter(lab, job);
    const handle = lab.client.workflow.getHandle(letter);
    // The source does not know that person as a member.
    await handle.signal('redeliver');
    await statusWhen<DeadLetterStatus>(lab, letter, ({ state, notice }) => state === 'waiting' && notice !== undefined);
    await handle.signal('redeliver', { force: true });
    expect(await handle.result()).toBe('redelivered');
    await replays(lab, 'dead-letter', letter);
    // A job that stops does not gather dead letters for a minute.
    await lab.jobs.stop(job);
    await lab.handle(job).result();
    const alerts = `alerts-${job}`;
    await lab.client.workflow.getHandle(alerts).result();
    await replays(lab, 'alerts', alerts);
  } finally {
    await lab.close();
    await operators.close();
  }
});

test('histories recorded today replay: a stopped job that is resumed and cancelled', async () => {
  const lab = await labOfTest();
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'kept', profile: {} });
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await lab.jobs.resume(job);
  await lab.arrives('kept');
  await lab.statusWhen(job, ({ inFlight }) => inFlight === 0);
  const { runId } = await lab.handle(job).describe();
  await lab.handle(job).cancel();
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await lab.jobs.stop(job, { waiting: 'discard' });
  await replays(lab, 'stopped-job', jobWorkflowId(job), runId);
});

test('histories recorded today replay: a holder', async () => {
  const lab = await labOfTest();
  const workflowId = `holder-${randomUUID()}`;
  const content = { audiences: ['a'], triggers: [['user', ['2026-01-01T00:00:00Z', 0, 1]]] };
  const handle = await lab.client.workflow.start(HOLDER, { workflowId, taskQueue: lab.taskQueue, args: [content] });
  // Its first task, so that it waits.
  await handle.query('__temporal_workflow_metadata');
  await handle.cancel();
  await handle.signal('drop');
  await handle.result();
  await replays(lab, 'holder', workflowId);
});

test('histories recorded today replay: a watch with everything that may happen to it', async () => {
  const folder = tempFolder();
  const id = randomUUID().replaceAll('-', '');
  const members = Array.from({ length: 40 }, (_, i) => String(i));
  const audience = { id, slug: 'watched', name: 'Watched' };
  const lab = await Lab.open({ content: { audiences: [{ ...audience, members }] }, config: { watch: { folder } } });
  const { watches } = lab.jobs;
  const when = async (isAsWanted: (status: WatchStatus) => boolean): Promise<void> => {
    await answerWhen(() => watches.status(id), isAsWanted);
  };
  try {
    await lab.start({ audiences: [id] });
    await watches.start([id], { everyMs: 3_600_000 });
    await when(({ rounds }) => rounds === 1);
    lab.source.failure = new Error('the source is down');
    await watches.startRound(id);
    await when(({ trouble }) => (trouble?.failures ?? 0) >= 1);
    lab.source.failure = undefined;
    for (const user of members.slice(0, 20)) lab.source.exit(id, user);
    await watches.startRound(id);
    await when(({ held }) => held !== undefined);
    await watches.accept(id);
    await when(({ rounds }) => rounds === 2);
    await watches.start([id], { everyMs: 1_000 });
    await when(({ rounds }) => rounds >= 4);
    await watches.stop(id);

    const history = await lab.client.workflow.getHandle(watchWorkflowId(id)).fetchHistory();
    expect(history.events?.length).toBeGreaterThan(50);
    await replay(history, watchWorkflowId(id));
    record('histories', 'watch-audience', historyToJSON(history));
  } finally {
    await lab.close();
  }
});
