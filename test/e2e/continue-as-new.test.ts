import { afterAll, expect, test } from '@jest/globals';
import { missingFrom, violationsIn } from '../../demo/expected-triggers.ts';
import { GRPC, grpcCode } from '../../src/client/calls/server-errors.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { Lab, labOfTest, membersOfVip, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { startTightServer } from '../support/tight-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const SERVER_LIMITS = { signalsPerRun: 50, eventsPerRun: 400, payloadBytes: 128 * 1024 };

/** A server whose limits are so tight that a job must continue as new all the time. */
const server = await startTightServer(SERVER_LIMITS, {
  'limit.historyCount.suggestContinueAsNew': 100,
  'history.maximumBufferedEventsBatch': 5,
});
afterAll(() => server.stop());

/** A run that has taken all the signals it may refuses more until the next one begins: such a trigger was not accepted. */
async function signalUntilTaken(signal: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await signal();
    } catch (error) {
      if (grpcCode(error) !== GRPC.INVALID_ARGUMENT) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function runsOf(lab: Lab, jobId: string): Promise<number> {
  return await runsOfWorkflow(lab, jobWorkflowId(jobId));
}

async function runsOfWorkflow(lab: Lab, workflowId: string): Promise<number> {
  const { count } = await lab.client.workflow.count(`WorkflowId = '${workflowId}'`);
  return count;
}

test('continue-as-new in the middle of a stream of signals loses nothing and keeps the order', async () => {
  const lab = await labOfTest({
    address: server.address,
    config: { serverLimits: SERVER_LIMITS },
    receiver: { delayMs: 1 },
  });
  const job = await lab.start({ parallelRequestCount: 6 });
  const handle = lab.handle(job);
  const triggers: (EventTrigger & { at: string })[] = [];
  for (let i = 0; i < 600; i++) {
    const event = i % 2 === 0 ? ('enter' as const) : ('exit' as const);
    const at = `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`;
    triggers.push({ audience: 'vip', user: `p${(i >> 1) % 40}`, event, at, profile: { i } });
  }
  for (const trigger of triggers) await signalUntilTaken(() => handle.signal('triggers', [trigger]));
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === triggers.length);
  expect(violationsIn(lab.receiver.ledger, triggers)).toEqual([]);
  expect(missingFrom(lab.receiver.ledger, triggers)).toEqual([]);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, overlaps: 0 });
  expect(lab.receiver.ledger.mostInFlight).toBeLessThanOrEqual(6);
  const { received, delivered } = await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  expect({ received, delivered }).toEqual({ received: 600, delivered: 600 });
  expect(await runsOf(lab, job)).toBeGreaterThan(5);
  // The last run began with the memo and the attributes of the one before, and wrote none of them again.
  const { events } = await handle.fetchHistory();
  const isWritten = (event: object) =>
    ['upsertWorkflowSearchAttributesEventAttributes', 'workflowPropertiesModifiedEventAttributes'].some(
      (attributes) => Reflect.get(event, attributes) != null,
    );
  expect(events?.filter(isWritten)).toEqual([]);
});

test('while one request hangs, a run that grows old holds up nobody else', async () => {
  // It is to end from 200 events on, and from 800 on no matter who waits; at 1,600 it would wait for the request that hangs.
  const serverLimits = { ...DEFAULT_SERVER_LIMITS, eventsPerRun: 10_000 };
  const lab = await Lab.open({
    config: { serverLimits, requestTimeoutMs: 60_000 },
    receiver: { answer: ({ message }) => (message?.user === 'hangs' ? 'hang' : undefined) },
  });
  try {
    const job = await lab.start({ parallelRequestCount: 2 });
    const handle = lab.handle(job);
    const { ledger } = lab.receiver;
    await handle.signal('enter', { audience: 'vip', user: 'first', profile: {} });
    await ledger.waitFor(({ delivered }) => delivered === 1);
    await handle.signal('enter', { audience: 'vip', user: 'hangs', profile: {} });
    await ledger.waitFor(({ requests }) => requests === 2);
    for (let i = 0; i < 110; i++) {
      await handle.signal('enter', { audience: 'vip', user: `p${i}`, profile: {} });
      await ledger.waitFor(({ delivered }) => delivered === 2 + i);
    }
    expect(lab.receiver.inFlight).toBe(1);
    const { raw } = await handle.describe();
    expect(Number(raw.workflowExecutionInfo?.historyLength)).toBeGreaterThan(800);
    expect(await runsOf(lab, job)).toBe(1);
  } finally {
    await lab.receiver.close();
    await lab.close();
  }
});

test('a backfill lives through the continue-as-new of its job, and continues as new by itself', async () => {
  const members = Array.from({ length: 6_000 }, (_, i) => `member-${i}`);
  const lab = await labOfTest({
    address: server.address,
    config: { serverLimits: SERVER_LIMITS },
    content: membersOfVip(members),
  });
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 10 });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === members.length);
  const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
  expect(backfill).toMatchObject({ taken: members.length, delivered: members.length });
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0 });
  expect(await runsOf(lab, job)).toBeGreaterThan(1);
  expect(await runsOfWorkflow(lab, backfillWorkflowId(jobWorkflowId(job), 1))).toBeGreaterThan(1);
});

test('a watch continues as new after some rounds, and goes on where it was', async () => {
  const folder = tempFolder();
  const members = Array.from({ length: 30 }, (_, i) => `watched-${i}`);
  const lab = await labOfTest({
    address: server.address,
    config: { serverLimits: SERVER_LIMITS, watch: { folder } },
    content: membersOfVip(members),
  });
  const { watches } = lab.jobs;
  const job = await lab.start({ audiences: ['vip'] });
  await lab.listedWhen(job);
  const roundsAre = (count: number) =>
    answerWhen(
      () => watches.status(VIP.id),
      ({ rounds }) => rounds === count,
    );
  await watches.start(['vip'], { everyMs: 3_600_000 });
  await roundsAre(1);
  const handle = lab.client.workflow.getHandle(watchWorkflowId(VIP.id));
  const { runId } = await handle.describe();
  let rounds = 1;
  for (; (await handle.describe()).runId === runId; await roundsAre(++rounds)) await watches.startRound(VIP.id);
  lab.source.exit(VIP.id, 'watched-1');
  await watches.startRound(VIP.id);
  expect(await roundsAre(rounds + 1)).toMatchObject({ exits: 1, enters: 0, members: 29 });
  await lab.arrives('watched-1');
  expect(lab.receiver.ledger.entries.map(({ message }) => message?.event)).toEqual(['exit']);
  await watches.stop(VIP.id);
});
