import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { ask } from '../../src/client/calls/asking.ts';
import { ExportJobs } from '../../src/app/export-jobs.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import type { CarriedJob, RecoveryState } from '../../src/domain/job/carrying.ts';
import { BACKFILL, backfillWorkflowId, DEAD_LETTER, EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { WATCH_AUDIENCE } from '../../src/features/watch/sandbox/ports.ts';
import { type RecorderOptions, startRecorder } from '../../demo/recorder.ts';
import { recoveryQuery } from '../../src/workflows/messages.ts';
import { Lab, labOfFile, labOfTest, membersOfVip, NEWS, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { afterwards } from '../webhook/a-server.ts';
import { createHolders } from '../../src/activities/holders.ts';
import { NewerState } from '../../src/domain/errors.ts';

const lab = await labOfFile();

test('an edit takes effect from the next slice: another URL, other fields, another format, another audience', async () => {
  const other = await startRecorder({ keepBodies: true });
  afterwards(() => other.close());
  const job = await lab.start({ audiences: ['vip'] });
  const { status } = await lab.jobs.edit(job, {
    webhookUrl: other.url,
    exportFields: ['name'],
    userLegacyMessageFormat: true,
    audiences: ['news'],
    parallelRequestCount: 9,
    label: 'Edited',
  });
  expect(status).toMatchObject({ revision: 2, label: 'Edited', parallelRequestCount: 9 });
  await lab.jobs.enter(job, { audience: 'news', user: 'edited', profile: { name: 'E', secret: 1 } });
  await other.ledger.waitFor((ledger) => ledger.delivered === 1);
  const { data } = JSON.parse(other.ledger.entries[0]?.body ?? '');
  expect(Object.keys(data)).toEqual(['_audience', '_audience_action', '_audience_friendly', '_audience_name', 'name']);
  await lab.handle(job).signal('enter', { audience: 'vip', user: 'gone' });
  expect((await lab.statusWhen(job, ({ rejected }) => rejected === 1)).rejects[0]?.reason).toMatch(
    /does not subscribe to audience "vip"/,
  );
});

test("an edit is checked by workers of the job's own task queue, whichever the client is set to", async () => {
  const job = await lab.start({ audiences: ['vip'] });
  const elsewhere = new ExportJobs(lab.client, { taskQueue: 'nobody-serves-this-queue' });
  const { status } = await elsewhere.edit(job, { audiences: ['news'] });
  expect(status.audiences.map(({ slug }) => slug)).toEqual(['news']);
});

test('[S23] no view of a job shows its full URL, and an edit that does not name it keeps it', async () => {
  const asked: (string | undefined)[] = [];
  const answer: RecorderOptions['answer'] = (_, { url }) => void asked.push(url);
  const receiver = await startRecorder({ answer });
  afterwards(() => receiver.close());
  const job = await lab.start({ webhookUrl: new URL('/s3cret?token=s3cret', receiver.url).href });
  const { status } = await lab.jobs.edit(job, { label: 'Edited' });
  expect(status.webhookUrl).toBe(`${receiver.url}…?token=…`);
  await lab.jobs.enter(job, { audience: 'vip', user: 'edited', profile: {} });
  const delivered = await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  expect(asked).toEqual(['/s3cret?token=s3cret']);
  const { memo, staticSummary, staticDetails } = await lab.handle(job).describe();
  const details = await lab.handle(job).query('__temporal_workflow_metadata');
  const listed = await lab.jobs.list();
  expect(details).toMatchObject({ currentDetails: expect.stringContaining('Edited') });
  for (const seen of [status, delivered, memo, staticSummary, staticDetails, details, listed])
    expect(JSON.stringify(seen) ?? '').not.toContain('s3cret');
});

test('an edit that the source cannot check is refused as such, changes nothing, and can be asked for again', async () => {
  const job = await lab.start();
  const edit = () => lab.handle(job).executeUpdate('edit', { args: [{ label: 'Checked' }] });
  // At once, rather than after the minute for which any other failure is tried again.
  lab.source.failure = ApplicationFailure.nonRetryable('The source is down.');
  try {
    await expect(edit()).rejects.toMatchObject({ cause: { type: 'EditNotChecked' } });
    expect(await lab.jobs.status(job)).toMatchObject({
      label: 'Lab',
      revision: 1,
      notices: expect.arrayContaining([
        expect.stringMatching(
          /^The last edit did not take effect: The edit could not be checked\. .*The source is down\./,
        ),
      ]),
    });
  } finally {
    lab.source.failure = undefined;
  }
  await edit();
  const status = await lab.jobs.status(job);
  expect(status).toMatchObject({ label: 'Checked', revision: 2 });
  expect(status.notices.join()).not.toContain('edit did not take effect');
});

test('a request that is refused at once is in no history, and its sender gets the reason', async () => {
  const job = await lab.start();
  const handle = lab.handle(job);
  for (const [name, args, says] of [
    ['edit', [{ parallelRequestCont: 5 }], /Did you mean "parallelRequestCount"/],
    ['backfill', [{ audiences: ['none'] }], /does not subscribe to none/],
    ['backfill', [{ action: 'resume', sample: 1 }], /sample/],
    ['stop', [{ waiting: 'hold' }], /waiting/],
    ['pause', ['now'], /takes no argument/],
  ] as const)
    await expect(handle.executeUpdate(name, { args: [...args] })).rejects.toMatchObject({
      cause: { message: expect.stringMatching(says) },
    });
  await lab.jobs.pause(job);
  await expect(lab.jobs.retry(job)).rejects.toMatchObject({
    code: 'JobPaused',
    remedies: [{ action: 'resume', job }],
  });
  const { events } = await handle.fetchHistory();
  const accepted = events?.flatMap((one) => one.workflowExecutionUpdateAcceptedEventAttributes ?? []) ?? [];
  expect(accepted.map(({ acceptedRequest }) => acceptedRequest?.input?.name)).toEqual(['pause']);
});

test('the Temporal UI shows what each message does', async () => {
  const job = await lab.start();
  const metadata: unknown = await lab.handle(job).query('__temporal_workflow_metadata');
  const { definition } = metadata as {
    definition: Record<`${'signal' | 'query' | 'update'}Definitions`, { name: string; description?: string }[]>;
  };
  const all = [definition.signalDefinitions, definition.queryDefinitions, definition.updateDefinitions].flat();
  const ours = all.filter(({ name }) => !/^(?:__|$)/.test(name));
  expect(ours.length).toBeGreaterThan(12);
  expect(ours.filter(({ description }) => description === undefined || description === '')).toEqual([]);
  const internal = ours.filter(({ description }) => description?.startsWith('Internal') === true);
  expect(internal.map(({ name }) => name).toSorted()).toEqual(
    ['page', 'permitsReturned', 'person', 'recovery', 'redeliver', 'revision', 'settings'].toSorted(),
  );
});

test('retry sends at once what would have waited an hour after an endpoint was fixed', async () => {
  let isMended = false;
  const receiver = await startRecorder({ answer: () => (isMended ? undefined : { status: 503 }) });
  afterwards(() => receiver.close());
  const job = await lab.start({ webhookUrl: receiver.url });
  for (const user of ['1', '2', '3', '4']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ endpoint, inFlight }) => endpoint?.state === 'unhealthy' && inFlight === 0);
  await again(job, hoursLater);
  const failures = receiver.ledger.entries.length;
  isMended = true;
  await lab.jobs.retry(job);
  await lab.statusWhen(job, ({ delivered, waiting }) => delivered === 4 && waiting === 0);
  expect(receiver.ledger.entries).toHaveLength(failures + 4);
});

/** Runs a job again from where it is, with its state changed: as it would be later. */
async function again(job: string, change: (carried: CarriedJob) => CarriedJob): Promise<void> {
  await lab.handle(job).terminate('to run it again');
  const answer = await ask(lab.client, jobWorkflowId(job), recoveryQuery, { args: [0] });
  const { carried } = JSON.parse(answer?.text ?? '') as RecoveryState; // What our own workflow wrote.
  const start = { workflowId: jobWorkflowId(job), taskQueue: lab.taskQueue, args: [change(carried)] };
  await lab.client.workflow.start(EXPORT_JOB, start);
}

/** The endpoint has failed for so long that neither it nor anybody who waits is tried within the hour. */
function hoursLater({ breaker, chains, ...rest }: CarriedJob): CarriedJob {
  const inAnHour = Date.now() + 3_600_000;
  return {
    ...rest,
    ...(breaker === undefined ? {} : { breaker: { ...breaker, openUntil: inAnHour } }),
    chains: chains.map(([user, triggers, more]) => [user, triggers, { ...more, failures: 1, notBefore: inAnHour }]),
  };
}

test('edits that are asked for at once are checked one after the other, and each returns its own outcome', async () => {
  const job = await lab.start();
  const asked = [{ label: 'First' }, { parallelRequestCount: 0 }, { parallelRequestCount: 7 }].map((changes) =>
    lab.handle(job).executeUpdate('edit', { args: [changes] }),
  );
  const [first, second, third] = await Promise.allSettled(asked);
  expect([first?.status, second?.status, third?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await lab.jobs.status(job)).toMatchObject({ label: 'First', parallelRequestCount: 7, revision: 3 });
});

test('an edit keeps the audiences that it does not name, even when another audience has taken their slug', async () => {
  const own = await labOfTest();
  own.source.enter(VIP.id, 'of-vip');
  own.source.enter(NEWS.id, 'of-news');
  const job = await own.start({ audiences: ['vip'] });
  own.source.rename(VIP.id, 'very');
  expect((await own.jobs.edit(job, { label: 'Renamed' })).status.audiences).toEqual([{ ...VIP, slug: 'very' }]);
  own.source.rename(NEWS.id, 'vip');
  const { status } = await own.jobs.edit(job, { parallelRequestCount: 7 });
  expect(status.audiences).toEqual([{ ...VIP, slug: 'very' }]);
  await own.jobs.backfill(job);
  await own.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect(own.receiver.ledger.entries.map(({ message }) => message?.user)).toEqual(['of-vip']);
});

test('a job starts with the ids of the audiences that were meant, whatever their slugs are later', async () => {
  const job = await lab.start({ audiences: ['vip'] });
  const given = await new TemporalSideWorkflows(lab.client, lab.taskQueue).inputOf(jobWorkflowId(job));
  expect(given).toMatchObject({ ok: true, definition: { audiences: [VIP.id] } });
});

test('a job that drops its backlog refuses a later request to keep it', async () => {
  const own = await Lab.open({ receiver: { answer: () => 'hang' } });
  try {
    const job = await own.start();
    await own.jobs.enter(job, { audience: 'vip', user: 'under way', profile: {} });
    await own.statusWhen(job, ({ inFlight }) => inFlight > 0);
    await own.jobs.stop(job, { waiting: 'discard' });
    await expect(own.jobs.stop(job, { waiting: 'keep' })).rejects.toThrow(
      /already stopping, and drops what is waiting/,
    );
  } finally {
    // First, or the worker would wait for its request.
    await own.receiver.close();
    await own.close();
  }
});

test('cancelling a job in the Temporal UI stops it in order', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'cancelled', profile: {} });
  // What the job has not taken up when it is cancelled is kept.
  await lab.arrives('cancelled');
  await lab.handle(job).cancel();
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  // Resumed, it can be cancelled once more; stopped, a cancellation drops nothing.
  await lab.jobs.resume(job);
  for (let i = 0; i < 2; i++) {
    await lab.handle(job).cancel();
    await lab.statusWhen(job, ({ state }) => state === 'stopped');
  }
  expect((await lab.jobs.resume(job)).state).toBe('running');
});

test('a job is seen in the Temporal UI: label, details, search attributes; and listed', async () => {
  const job = await lab.start({ label: 'Seen in the UI' });
  await lab.jobs.enter(job, { audience: 'vip', user: 'seen', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const description = await lab.handle(job).describe();
  expect(description.memo).toMatchObject({ label: 'Seen in the UI', audiences: [{ slug: 'vip' }, { slug: 'news' }] });
  expect(description.searchAttributes).toMatchObject({ ExportJobId: [job], ExportJobStatus: ['running'] });
  const metadata = await lab.handle(job).query<{ currentDetails?: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toMatch(/\| Delivered \| 1,? /);
  const listed = await answerWhen(
    async () => (await lab.jobs.list()).find(({ jobId }) => jobId === job),
    (summary) => summary !== undefined,
  );
  expect(listed).toMatchObject({ label: 'Seen in the UI' });
});

describe('while the source has not answered', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open({ content: membersOfVip(['member']) });
  });
  afterAll(async () => lab.close());

  /** Comes true when the source is asked once more; what asks is then held back. */
  async function nextCall(before: number): Promise<void> {
    while (lab.source.calls.audiences === before) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  test('a job stopped with discard while asking its source ends at once, counts triggers, sends nothing, begins no backfill', async () => {
    const workflowId = jobWorkflowId(`lab-${randomUUID()}`);
    const definition = {
      label: 'Never begun',
      audiences: ['vip'],
      webhookUrl: lab.receiver.url,
      authorization: null,
      existingUsers: true,
    };
    const before = lab.source.calls.audiences;
    const answer = lab.source.holdBack('audiences');
    try {
      const handle = await lab.client.workflow.start(EXPORT_JOB, {
        workflowId,
        taskQueue: lab.taskQueue,
        args: [definition],
      });
      await nextCall(before);
      const trigger = (user: string) => ({ audience: 'vip', user, profile: {} });
      await handle.signal('enter', trigger('1'));
      await handle.signal('triggers', [
        { ...trigger('2'), event: 'enter' },
        { ...trigger('3'), event: 'exit' },
      ]);
      expect(await handle.executeUpdate('stop', { args: [{ waiting: 'discard' }] })).toMatchObject({
        state: 'stopping',
      });
      // The source has still not answered.
      expect(await handle.result()).toEqual({ received: 3, delivered: 0 });
    } finally {
      answer();
    }
    expect(lab.receiver.ledger.requests).toBe(0);
    const child = lab.client.workflow.getHandle(backfillWorkflowId(workflowId, 1));
    await expect(child.describe()).rejects.toBeInstanceOf(WorkflowNotFoundError);
  });

  test('a backfill that names one audience by slug and by id reads it once', async () => {
    const job = await lab.start();
    await lab.jobs.backfill(job, { audiences: ['vip', VIP.id, 'vip'] });
    const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
    expect(backfill).toMatchObject({ audiences: ['vip'], taken: 1, delivered: 1 });
  });
});

async function startNewer(type: string, input: object) {
  const workflowId = `newer-${randomUUID()}`;
  return await lab.client.workflow.start(type, { workflowId, taskQueue: lab.taskQueue, args: [input] });
}

test.each([
  [EXPORT_JOB, { v: 2, later: true }],
  [DEAD_LETTER, { v: 2, later: true }],
  [WATCH_AUDIENCE, { v: 2, later: true }],
  [BACKFILL, { v: 2, later: true }],
])('a %s that a newer release carried on waits for it: its task fails and says why', async (type, input) => {
  const handle = await startNewer(type, input);
  const why = async (): Promise<string | undefined> => {
    const { events } = await handle.fetchHistory();
    return events?.find((event) => event.workflowTaskFailedEventAttributes != null)?.workflowTaskFailedEventAttributes
      ?.failure?.message as string | undefined;
  };
  let reason = await why();
  for (; reason === undefined; reason = await why()) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(reason).toMatch(/was written by a newer release: it is of version 2.*Nothing is lost/);
  // What is signalled meanwhile is accepted, and waits with it.
  await handle.signal('triggers', []);
  expect((await handle.describe()).status.name).toBe('RUNNING');
  await handle.terminate();
});

test('a holder that a newer release filled is not read as if it were empty', async () => {
  const { load } = createHolders(new TemporalSideWorkflows(lab.client, lab.taskQueue));
  const { workflowId } = await startNewer('holder', { v: 2, audiences: [], triggers: [] });
  await expect(load(workflowId)).rejects.toBeInstanceOf(NewerState);
  await lab.client.workflow.getHandle(workflowId).terminate();
});
