import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { ask } from '../../src/client/calls/asking.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import type { PackedTriggers } from '../../src/contract/holder.ts';
import type { RecoveryPart } from '../../src/contract/job-status.ts';
import type { WatchStatus } from '../../src/features/watch/sandbox/watch.ts';
import { isRecord, parseJson, stringifyJson } from '../../src/domain/json.ts';
import type { RecoveryState } from '../../src/domain/job/carrying.ts';
import { holderWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import type { Answer } from '../../src/features/local/receiver.ts';
import { recoveryQuery } from '../../src/workflows/messages.ts';
import { Deployment } from '../support/deployment.ts';
import { Lab, membersOfVip } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { record } from '../support/recordings.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { afterwards } from '../webhook/a-server.ts';

// What real runs carry, with about everything in it that can be; later releases read what this one recorded.

/** So small that a job overflows after some dozens of triggers. */
const SERVER_LIMITS = { payloadBytes: 32 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };

/** What a job would hand to its next run now, with what its holders keep, by name. */
async function carriedOf(lab: Lab, job: string) {
  let text = await recoveryText(lab, job);
  // A running job may change between two parts of an answer, which then do not fit together: what is read twice alike is one state.
  for (let again = await recoveryText(lab, job); again !== text; again = await recoveryText(lab, job)) text = again;
  const { carried } = parseJson(text) as unknown as RecoveryState; // What our own workflow wrote.
  return { carried, holders: await holdersOf(lab, carried) };
}

async function recoveryText(lab: Lab, job: string): Promise<string> {
  let text = '';
  for (let part = 0, parts = 1; part < parts; part++) {
    const answer: RecoveryPart | null = await ask(lab.client, jobWorkflowId(job), recoveryQuery, { args: [part] });
    if (answer === null) throw new Error('The job has not begun.');
    text += answer.text;
    ({ parts } = answer);
  }
  return text;
}

async function holdersOf(lab: Lab, { job, overflow }: RecoveryState['carried']) {
  const numbers = Array.from({ length: overflow.next - overflow.first }, (_, i) => String(overflow.first + i));
  const workflows = new TemporalSideWorkflows(lab.client, lab.taskQueue);
  const holders: Record<string, PackedTriggers> = {};
  for (const name of numbers) {
    const content = await workflows.inputOf(holderWorkflowId(job.subscriptionId, name));
    if (content !== undefined) holders[name] = content as PackedTriggers; // What our own activity wrote.
  }
  return holders;
}

/** What a workflow's last run was given. */
async function inputOf(lab: Lab, workflowId: string): Promise<object> {
  const input = await new TemporalSideWorkflows(lab.client, lab.taskQueue).inputOf(workflowId);
  if (!isRecord(input)) throw new Error(`${workflowId} was given nothing.`);
  return input;
}

function enters(prefix: string, count: number, bytes = 300) {
  return Array.from({ length: count }, (_, i) => ({
    audience: i % 3 === 0 ? 'news' : 'vip',
    user: `${prefix} ${i}`,
    event: 'enter' as const,
    profile: { id: 9007199254740993n, text: 'x'.repeat(bytes) },
  }));
}

async function openLab(answer: (user: string) => Answer | undefined): Promise<Lab> {
  const members = Array.from({ length: 900 }, (_, i) => `member ${i}`);
  return await Lab.open({
    config: { serverLimits: SERVER_LIMITS },
    content: membersOfVip(members),
    receiver: { answer: ({ message }) => answer(message?.user ?? '') },
  });
}

test('carried states are recorded: endpoint down, stopping, stopped, and paused while throttled', async () => {
  let now: Answer | undefined;
  const lab = await openLab((user) => (user === 'refused' && now === undefined ? { status: 422 } : now));
  afterwards(() => lab.close());
  const [down, throttled, stopping] = [await lab.start(), await lab.start(), await lab.start()];
  for (const job of [down, throttled, stopping]) await lab.jobs.push(job, enters('taken', 5));
  await lab.jobs.enter(down, { audience: 'vip', user: 'refused', profile: {} });
  await lab.statusWhen(down, ({ delivered, deadLetters }) => delivered === 5 && deadLetters === 1);
  for (const job of [throttled, stopping]) await lab.statusWhen(job, ({ delivered }) => delivered === 5);

  now = { status: 503 };
  await lab.jobs.deadLetters.redeliver({ jobId: down }, { force: true });
  await lab.jobs.backfill(down, { audiences: ['vip'] });
  await lab.statusWhen(down, ({ backfill }) => (backfill?.waiting ?? 0) > 0);
  await lab.handle(down).signal('enter', 'garbage');
  await lab.jobs.push(down, enters('waiting', 150));
  // What waits for the other audience is still sent; what comes for it is refused.
  await lab.jobs.edit(down, { audiences: ['vip'], parallelRequestCount: 7 });
  await lab.handle(down).signal('triggers', enters('late', 6));
  const unhealthy = await lab.statusWhen(
    down,
    ({ endpoint, overflow, backfill }) =>
      endpoint?.state === 'unhealthy' && overflow > 0 && (backfill?.waiting ?? 0) > 0,
  );
  expect(unhealthy.rejected).toBeGreaterThan(1);
  record('carried', 'job-endpoint-down', stringifyJson(await carriedOf(lab, down)));

  await lab.jobs.push(stopping, enters('waiting', 4));
  await lab.statusWhen(stopping, ({ retried }) => retried > 0);
  await lab.jobs.stop(stopping);
  record('carried', 'job-stopping', stringifyJson(await carriedOf(lab, stopping)));
  await lab.jobs.stop(stopping, { waiting: 'keep' });
  await lab.statusWhen(stopping, ({ state }) => state === 'stopped');
  record('carried', 'job-stopped', stringifyJson(await carriedOf(lab, stopping)));

  now = { status: 429, headers: { 'retry-after': '3600' } };
  await lab.jobs.push(throttled, enters('waiting', 4));
  await lab.statusWhen(throttled, ({ waits }) => waits.endpoint !== undefined);
  await lab.jobs.pause(throttled);
  await lab.jobs.backfill(throttled, { audiences: ['vip'], sample: 3 });
  await lab.jobs.backfill(throttled, { action: 'pause' });
  record('carried', 'job-paused', stringifyJson(await carriedOf(lab, throttled)));
});

test('carried states are recorded: a job whose people wait for a retry, and a dead letter', async () => {
  const lab = await openLab((user) =>
    user === 'refused' ? { status: 422 } : user.startsWith('failing') ? { status: 500 } : undefined,
  );
  afterwards(() => lab.close());
  const job = await lab.start({ parallelRequestCount: 1 });
  await lab.jobs.push(job, enters('taken', 5));
  await lab.jobs.enter(job, { audience: 'vip', user: 'refused', profile: {} });
  for (let i = 0; i < 12; i++)
    await lab.jobs.push(job, [...enters(`well ${i}`, 3, 10), ...enters(`failing ${i}`, 1, 800)]);
  await lab.statusWhen(job, ({ delivered, waiting, inFlight }) => delivered === 41 && waiting === 12 && inFlight === 0);
  const state = await carriedOf(lab, job);
  record('carried', 'job-retrying', stringifyJson(state));
  for await (const { id } of lab.jobs.deadLetters.list({ jobId: job }))
    record('carried', 'dead-letter', stringifyJson(await inputOf(lab, `dead-letter-${id}`)));
});

test('carried states are recorded: a watch with a failed round, and one with a held round', async () => {
  const folder = tempFolder();
  const id = randomUUID().replaceAll('-', '');
  const members = Array.from({ length: 40 }, (_, i) => String(i));
  const lab = await Lab.open({
    workers: 0,
    content: { audiences: [{ id, slug: 'watched', name: 'Watched', members }] },
    config: { watch: { folder } },
  });
  const deployment = new Deployment(lab.client);
  const handle = lab.client.workflow.getHandle(watchWorkflowId(id));
  const when = async (isAsWanted: (status: WatchStatus) => boolean): Promise<void> => {
    await answerWhen(() => lab.jobs.watches.status(id), isAsWanted);
  };
  /** A watch carries its state on when it goes over to another build. */
  const carry = async (name: string, build: string): Promise<void> => {
    const { runId } = await handle.describe();
    await deployment.makeCurrent(build);
    while ((await handle.describe()).runId === runId) await lab.jobs.watches.startRound(id);
    record('carried', name, stringifyJson(await inputOf(lab, watchWorkflowId(id))));
  };
  try {
    for (const build of ['one', 'two']) await lab.addWorker(deployment.build(build));
    await deployment.makeCurrent('one');
    await lab.jobs.watches.start([id], { everyMs: 3_600_000 });
    await when(({ rounds }) => rounds === 1);
    lab.source.failure = new Error('the source is down');
    await lab.jobs.watches.startRound(id);
    await when(({ trouble }) => (trouble?.failures ?? 0) >= 1);
    await carry('watch-failing', 'two');
    lab.source.failure = undefined;
    for (const user of members.slice(0, 20)) lab.source.exit(id, user);
    await lab.jobs.watches.startRound(id);
    await when(({ held }) => held !== undefined);
    await carry('watch-held', 'one');
    await lab.jobs.watches.stop(id);
  } finally {
    await lab.close();
  }
});
