import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { MemberPage } from '../../src/contract/backfill.ts';
import { PAGE_IDS, PAGES_AHEAD } from '../../src/domain/limits.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { until } from '../support/patience.ts';

type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];
const MANY = { id: 'ef'.repeat(16), slug: 'many', name: 'Many' };
let lab: Lab;
/** The job that answers its child no more. It is begun first, so that the minute that its child waits passes while other tests run. */
let unanswered: string;

beforeAll(async () => {
  const content = {
    audiences: [
      { ...VIP, members: ['1', '2', '3'] },
      { ...NEWS, members: ['4'] },
      { ...MANY, members: Array.from({ length: 2 * PAGES_AHEAD * PAGE_IDS }, (_, i) => `many ${i}`) },
    ],
    profiles: Object.fromEntries(['1', '2', '3', '4'].map((user) => [user, {}])),
  };
  lab = await Lab.open({ content });
  unanswered = await lab.start({ audiences: ['many'] });
  await lab.jobs.backfill(unanswered, { sample: 1 });
  await lab.statusWhen(unanswered, ({ backfill }) => backfill?.state === 'paused');
  await until(async () => (await pagesTo(unanswered)).length === PAGES_AHEAD);
});
afterAll(async () => lab.close());

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

test('a page that nobody answers is sent again after a minute, and then after two; once one is answered, after a minute again', async () => {
  const job = unanswered;
  const waitsS = async () =>
    (await eventsOf(childOf(job)))
      .map(({ timerStartedEventAttributes: timer }) => Number(timer?.startToFireTimeout?.seconds ?? NaN))
      .filter(Number.isFinite);
  // Before it has begun there is no history of it.
  await until(async () => (await waitsS().catch((): number[] => [])).includes(120), 500);
  expect((await waitsS()).slice(-2)).toEqual([60, 120]);
  expect((await pagesTo(job)).map(({ number }) => number)).toEqual([1, 2, 3, 4, 1]);
  const before = (await waitsS()).length;
  await lab.jobs.backfill(job, { action: 'resume' });
  await until(async () => (await waitsS()).length > before, 500);
  expect((await waitsS()).slice(before)).toEqual(expect.arrayContaining([60]));
  await lab.jobs.backfill(job, { action: 'cancel' });
});
