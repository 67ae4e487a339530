import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { EditedJob, JobStatus } from '../../src/app/export-jobs.ts';
import type { MemberPage } from '../../src/contract/backfill.ts';
import { PAGES_AHEAD } from '../../src/domain/limits.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, labOfFile, membersOfVip, NEWS, VIP } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];
const MANY = { id: 'ef'.repeat(16), slug: 'many', name: 'Many' };
/** So small that a few hundred members are several pages. */
const PAGE = 200;

/** The job that answers its child no more. It is begun first, so that the minute that its child waits passes while other tests run. */
let unanswered: string;
const lab = await labOfFile({
  content: {
    audiences: [
      { ...VIP, members: ['1', '2', '3'] },
      { ...NEWS, members: ['4'] },
      { ...MANY, members: Array.from({ length: 2 * PAGES_AHEAD * PAGE }, (_, i) => `many ${i}`) },
    ],
  },
});
lab.source.pageSize = PAGE;
beforeAll(async () => {
  // Slow enough that it still runs when its next wait is seen.
  unanswered = await lab.start({ audiences: ['many'], backfillPerSecond: 200 });
  await lab.jobs.backfill(unanswered, { sample: 1 });
  await lab.statusWhen(unanswered, ({ backfill }) => backfill?.state === 'paused');
  await until(async () => (await pagesTo(unanswered)).length === PAGES_AHEAD);
});

const childOf = (jobId: string) => lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(jobId), 1));

async function eventsOf(handle: WorkflowHandle): Promise<HistoryEvent[]> {
  return (await handle.fetchHistory()).events ?? [];
}

function epochMs({ eventTime }: HistoryEvent): number {
  return Number(eventTime?.seconds ?? 0) * 1000 + Math.floor((eventTime?.nanos ?? 0) / 1e6);
}

/** The pages that a job was sent, from its history. */
async function pagesTo(jobId: string): Promise<MemberPage[]> {
  const signals = (await eventsOf(lab.handle(jobId))).map((event) => event.workflowExecutionSignaledEventAttributes);
  return signals
    .filter((signal) => signal?.signalName === 'page')
    .map((signal) => JSON.parse(Buffer.from(signal?.input?.payloads?.[0]?.data ?? '').toString()) as MemberPage);
}

/** When the child's workflow tasks began in which it asked for members: its own time then. */
async function timesOfAsking(child: WorkflowHandle): Promise<number[]> {
  const events = await eventsOf(child);
  const at = (id: unknown) => events.find(({ eventId }) => String(eventId) === String(id));
  return events
    .filter((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'listMembers')
    .map((event) => at(event.activityTaskScheduledEventAttributes?.workflowTaskCompletedEventId))
    .map((completed) => at(completed?.workflowTaskCompletedEventAttributes?.startedEventId))
    .map((started) => (started === undefined ? NaN : epochMs(started)));
}

test("a page is dated by the server's clock, as live triggers are, and from before the source was asked", async () => {
  const job = await lab.start({ existingUsers: true });
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  await childOf(job).result();
  const readAts = (await pagesTo(job)).map(({ readAt }) => readAt);
  expect(readAts).toHaveLength(2);
  expect(readAts).toEqual(await timesOfAsking(childOf(job)));
});

test('a child whose job ended meanwhile and was started again is dismissed by the new one and ends', async () => {
  const sentBefore = lab.receiver.ledger.requests;
  const answer = lab.source.holdBack('members');
  const before = lab.source.calls.members;
  const job = await lab.start({ audiences: ['many'], existingUsers: true });
  const child = childOf(job);
  try {
    await lab.statusWhen(job, () => lab.source.calls.members > before);
    await lab.handle(job).terminate();
    await lab.jobs.start(
      { label: 'Anew', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null },
      { jobId: job, discardRecoverable: true },
    );
  } finally {
    answer();
  }
  // The page that told it, and those that it was ahead: it does not read the rest.
  const { pages } = (await child.result()) as { pages: number };
  expect(pages).toBeLessThanOrEqual(PAGES_AHEAD);
  const status = await lab.jobs.status(job);
  expect(status).toMatchObject({ received: 0, waiting: 0, rejected: 0 });
  expect(status.backfill).toBeUndefined();
  expect(lab.receiver.ledger.requests).toBe(sentBefore);
});

describe('lost or stopped', () => {
  const MEMBERS = Array.from({ length: 6 * PAGE }, (_, i) => `member-${String(i).padStart(5, '0')}`);

  let lab: Lab;
  let operator: Operator;
  beforeAll(async () => {
    lab = await Lab.open({ content: membersOfVip(MEMBERS) });
    lab.source.pageSize = PAGE;
    operator = new Operator(lab.taskQueue);
  });
  afterAll(async () => lab.close());

  const childOf = (job: string) => lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1));

  /** A job in the middle of its existing users, slowly. */
  async function inItsExistingUsers(): Promise<string> {
    const job = await lab.start({
      audiences: ['vip'],
      existingUsers: true,
      parallelRequestCount: 50,
      backfillPerSecond: 10,
    });
    await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0 && (backfill?.taken ?? 0) > PAGE);
    return job;
  }

  /** Whom a backfill's enters reached; all have its `at`. */
  function sentBy({ backfill }: JobStatus): string[] {
    const messages = lab.receiver.ledger.entries.flatMap(({ message }) => message ?? []);
    return messages.filter(({ at }) => at === backfill?.at).map(({ user }) => user);
  }

  /** A job whose backfill was lost when it had sent a few of its members. */
  async function jobWithLostBackfill(): Promise<string> {
    const job = await inItsExistingUsers();
    await childOf(job).terminate('somebody ended it');
    await lab.jobs.edit(job, { backfillPerSecond: null });
    await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'lost');
    return job;
  }

  test('a job notices a lost backfill soon, asks for a decision, and continues it: nobody twice, nobody missed', async () => {
    const job = await jobWithLostBackfill();
    const status = await operator.run(['status', job]);
    expect(unwrapped(status.stdout)).toMatch(/Backfill 1 was lost after [\d,]+ of 1,?200 members were read/);
    expect(unwrapped(status.stdout)).toContain('Resume it to go on where it was');
    const another = await operator.run(['backfill', job]);
    expect(another.code).toBe(1);
    expect(unwrapped(another.stderr)).toMatch(/was lost.*Resume it.*cancel it/);

    // Those who were read are sent, whatever is decided.
    const lost = await lab.statusWhen(job, ({ waiting }) => waiting === 0);
    expect(lost.backfill?.delivered).toBe(lost.backfill?.taken);
    expect(lost.backfill?.taken).toBeLessThan(MEMBERS.length);

    expect(await operator.run(['backfill', job, '--resume'])).toMatchObject({ code: 0 });
    const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
    expect(backfill).toMatchObject({ n: 1, taken: MEMBERS.length, delivered: MEMBERS.length, superseded: 0 });
    expect(sentBy(await lab.jobs.status(job)).sort()).toEqual(MEMBERS);
  });

  test('a child of an earlier life that still runs gives way to the one that the job starts', async () => {
    const answer = lab.source.holdBack('members');
    const before = lab.source.calls.members;
    const job = await lab.start({ audiences: ['vip'], existingUsers: true, parallelRequestCount: 50 });
    try {
      await lab.statusWhen(job, () => lab.source.calls.members > before);
      await lab.handle(job).terminate();
      await lab.jobs.start(
        { label: 'Anew', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null, existingUsers: true },
        { jobId: job, discardRecoverable: true },
      );
      await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'running');
    } finally {
      answer();
    }
    const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state !== 'running');
    expect(backfill).toMatchObject({ state: 'finished', delivered: MEMBERS.length });
  });

  test('stop with keep says what it keeps of a running backfill, and resume continues it: nobody twice, nobody missed', async () => {
    const job = await inItsExistingUsers();
    const stop = await operator.run(['stop', job, '--waiting', 'keep']);
    expect(stop.code).toBe(0);
    expect(unwrapped(stop.stdout)).toMatch(
      /^Stopped \S+, which kept [\d,]+ waiting triggers, and [\d,]+ members unread by backfill 1\./,
    );
    await lab.statusWhen(job, ({ state }) => state === 'stopped');

    const kept = await operator.json<JobStatus>(['status', job]);
    expect(kept).toMatchObject({
      state: 'stopped',
      kept: { backfill: { n: 1, expected: MEMBERS.length, taken: kept.backfill?.taken } },
      backfill: { state: 'kept' },
    });
    expect(unwrapped((await operator.run(['status', job])).stdout)).toMatch(
      /Kept [\d,]+ triggers and the rest of backfill 1 \([\d,]+ of 1,200 members read\)/,
    );

    await lab.jobs.resume(job);
    await lab.jobs.edit(job, { backfillPerSecond: null });
    const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
    expect(backfill).toMatchObject({ n: 1, taken: MEMBERS.length, delivered: MEMBERS.length, superseded: 0 });
    expect(sentBy(await lab.jobs.status(job)).sort()).toEqual(MEMBERS);
  });

  test('a plain stop during existing users sends all of them before the job ends', async () => {
    const job = await inItsExistingUsers();
    await lab.jobs.edit(job, { backfillPerSecond: null });
    await lab.jobs.stop(job);
    await lab.handle(job).result();
    expect((await lab.jobs.status(job)).kept).toBeUndefined();
    expect(sentBy(await lab.jobs.status(job)).sort()).toEqual(MEMBERS);
  });

  test('cancelled in the Temporal UI, a job keeps the rest of its backfill, too', async () => {
    const job = await inItsExistingUsers();
    await lab.handle(job).cancel();
    await lab.statusWhen(job, ({ state }) => state === 'stopped');
    expect((await lab.jobs.status(job)).kept).toMatchObject({ backfill: { n: 1, expected: MEMBERS.length } });
    const { code, stdout } = await operator.run(['stop', job, '--waiting', 'discard', '--yes']);
    expect({ code, said: unwrapped(stdout) }).toEqual({ code: 0, said: expect.stringContaining('has now dropped') });
    expect((await lab.jobs.status(job)).kept).toBeUndefined();
  });
});

describe('edited', () => {
  const MEMBERS = Array.from({ length: 3 * PAGE }, (_, i) => `member-${String(i).padStart(5, '0')}`);

  let lab: Lab;
  let operator: Operator;
  beforeAll(async () => {
    const audiences = [
      { ...VIP, members: MEMBERS },
      { ...NEWS, members: ['reader'] },
    ];
    lab = await Lab.open({ content: { audiences } });
    lab.source.pageSize = PAGE;
    operator = new Operator(lab.taskQueue);
  });
  afterAll(async () => lab.close());

  test('an edit warns before it takes an audience out of a running backfill, and the status says who is missing', async () => {
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 20, backfillPerSecond: 10 });
    await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0);

    const loss = /Backfill 1 has sent [\d,]+ of 601\. It will skip the people it has not yet sent in vip\./;
    const unasked = await operator.run(['edit', job, '--audience', 'news', '--json']);
    expect({ ...unasked, stderr: unwrapped(unasked.stderr) }).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(loss),
    });
    expect(unwrapped(unasked.stderr)).toContain('Nothing was done.');
    expect(
      await lab.jobs.edit(job, { audiences: ['news'] }, { isMeant: () => Promise.resolve(false) }),
    ).toBeUndefined();
    expect(await lab.jobs.status(job)).toMatchObject({ revision: 1, backfill: { state: 'running' } });
    // By its id, or with others beside it, nobody is left out.
    expect((await lab.jobs.edit(job, { audiences: [NEWS.id, VIP.id] })).warnings).toEqual([]);

    const edited = await operator.json<EditedJob>(['edit', job, '--audience', 'news', '--yes']);
    expect(edited.warnings).toContainEqual(expect.stringMatching(loss));
    await lab.jobs.edit(job, { audiences: ['vip', 'news'], backfillPerSecond: null });
    const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
    const members = backfill?.leftOut?.[0]?.members ?? 0;
    expect(members).toBeGreaterThan(0);
    expect(backfill).toMatchObject({
      taken: 601,
      superseded: 0,
      delivered: 601 - members,
      leftOut: [{ audience: 'vip', members }],
      notice: expect.stringContaining('start a backfill of vip'),
    });
    const { stdout } = await operator.run(['status', job]);
    expect(unwrapped(stdout)).toContain('skipped (vip was removed)');
  });
});

// The last one: its minute began before the first.
test('a backfill resends an unanswered page after one minute, then two; after an answer it starts at one again', async () => {
  const job = unanswered;
  const waitsS = async () =>
    (await eventsOf(childOf(job)))
      .map(({ timerStartedEventAttributes: timer }) => Number(timer?.startToFireTimeout?.seconds ?? NaN))
      .filter(Number.isFinite);
  // Before it has begun there is no history of it.
  await until(async () => (await waitsS().catch((): number[] => [])).includes(120), 500);
  const waits = await waitsS();
  expect(waits[waits.indexOf(120) - 1]).toBe(60);
  expect((await pagesTo(job)).map(({ number }) => number).slice(0, 5)).toEqual([1, 2, 3, 4, 1]);
  const before = (await waitsS()).length;
  await lab.jobs.backfill(job, { action: 'resume' });
  await until(async () => (await waitsS()).length > before, 500);
  expect((await waitsS()).slice(before)).toEqual(expect.arrayContaining([60]));
  await lab.jobs.backfill(job, { action: 'cancel' });
});
