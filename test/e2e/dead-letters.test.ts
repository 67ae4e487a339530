import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { createKeepDeadLetters } from '../../src/activities/holders.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import type { DeadLetter, DeadLetterStatus } from '../../src/contract/dead-letter.ts';
import { DEAD_LETTER_MS } from '../../src/domain/job/dead-letter.ts';
import { parseJson } from '../../src/domain/json.ts';
import { deadLetterId, deadLetterWorkflowId } from '../../src/domain/names.ts';
import { aDeadLetter } from '../domain/job/a-dead-letter.ts';
import { labOfFile, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';

/** A paused job: it keeps what dead letters give back, and its history shows what it was signalled. */
let jobId: string;
let job: WorkflowHandle;
let subscriptionId: string;

const lab = await labOfFile();
const keepDeadLetters = createKeepDeadLetters(new TemporalSideWorkflows(lab.client, lab.taskQueue));

beforeEach(async () => {
  jobId = await lab.start();
  job = lab.handle(jobId);
  ({ subscriptionId } = await lab.jobs.pause(jobId));
});

/** A dead letter of the job, about somebody who is in the audience as the letter says, unless a test changes that. */
async function keep(more: Partial<DeadLetter> = {}): Promise<{ letter: DeadLetter; handle: WorkflowHandle }> {
  const letter = aDeadLetter({ jobWorkflowId: job.workflowId, subscriptionId, user: `user ${randomUUID()}`, ...more });
  await keepDeadLetters([letter]);
  return {
    letter,
    handle: lab.client.workflow.getHandle(deadLetterWorkflowId(deadLetterId(letter.deliveryId, letter.redeliveries))),
  };
}

async function keepOfMember(more: Partial<DeadLetter> = {}) {
  const kept = await keep(more);
  lab.source.enter(VIP.id, kept.letter.user);
  return kept;
}

/** What a job was given back by dead letters. */
async function redelivered(): Promise<unknown[]> {
  const { events } = await job.fetchHistory();
  return (events ?? [])
    .map((event) => event.workflowExecutionSignaledEventAttributes)
    .filter((signal) => signal?.signalName === 'redeliver')
    .map((signal) => parseJson(Buffer.from(signal?.input?.payloads?.[0]?.data ?? '').toString()));
}

async function statusWhen(
  handle: WorkflowHandle,
  isAsWanted: (status: DeadLetterStatus) => boolean,
): Promise<DeadLetterStatus> {
  return await answerWhen(() => handle.query<DeadLetterStatus>('status'), isAsWanted);
}

const isRefused = ({ state, notice }: DeadLetterStatus) => state === 'waiting' && notice !== undefined;

test('a redelivered trigger returns to its job unchanged, counts the redelivery, and its dead letter ends', async () => {
  const { letter, handle } = await keepOfMember({
    redeliveries: 1,
    profile: { id: 9007199254740993n },
    profileBytes: 25,
  });
  await handle.signal('redeliver');
  expect(await handle.result()).toBe('redelivered');
  expect(await redelivered()).toEqual([
    {
      subscriptionId,
      asking: { workflowId: handle.workflowId, runId: (await handle.describe()).runId, question: 1 },
      force: false,
      isWithdrawn: false,
      user: letter.user,
      trigger: {
        audience: VIP.id,
        event: 'enter',
        at: letter.at,
        profile: { id: 9007199254740993n },
        profileBytes: 25,
        attempts: 1,
        redelivery: 2,
      },
    },
  ]);
});

test.each([
  ['an enter of somebody who is not a member', 'enter', 'is not in the audience today'],
  ['an exit of somebody who is a member', 'exit', 'is in the audience today'],
] as const)('the dead letter of %s stays, says why, and how to force it', async (_, event, why) => {
  const { letter, handle } = event === 'enter' ? await keep({ event }) : await keepOfMember({ event });
  await handle.signal('redeliver');
  const { notice, forceable } = await statusWhen(handle, isRefused);
  expect(forceable).toBe(true);
  expect(notice).toContain(why);
  expect(notice).toContain('redeliver it with force');
  const { memo, status } = await handle.describe();
  expect(status.name).toBe('RUNNING');
  expect(memo).toMatchObject({ person: letter.user, notice });
  expect(await redelivered()).toEqual([]);

  await handle.signal('redeliver', { force: true });
  expect(await handle.result()).toBe('redelivered');
  expect(await redelivered()).toHaveLength(1);
});

test('a null signal does not force a dead letter; a discarded one ends, and its job gets nothing', async () => {
  const { handle } = await keep();
  await handle.signal('redeliver', null);
  await statusWhen(handle, isRefused);
  await handle.signal('discard', null);
  expect(await handle.result()).toBe('discarded');
  expect(await redelivered()).toEqual([]);
});

// doors.test.ts tries all that cannot be meant.
test.each([[[{ froce: true }]], [[{}, { force: true }]]])(
  'an impossible signal %j changes nothing, and the notice of the dead letter says so',
  async (args) => {
    const { handle } = await keepOfMember();
    await handle.signal('redeliver', ...args);
    const isTold = ({ notice }: DeadLetterStatus) => notice?.includes('changed nothing') === true;
    expect((await statusWhen(handle, isTold)).state).toBe('waiting');
    await handle.signal('discard', { force: true });
    expect((await statusWhen(handle, isTold)).state).toBe('waiting');
    expect(await redelivered()).toEqual([]);
    await handle.signal('discard');
    expect(await handle.result()).toBe('discarded');
  },
);

test('a dead letter that is redelivered twice is sent once', async () => {
  const { handle } = await keepOfMember();
  const answer = lab.source.holdBack('isMember');
  const before = lab.source.calls.isMember;
  try {
    await handle.signal('redeliver');
    await statusWhen(handle, ({ state }) => state === 'redelivering' && lab.source.calls.isMember > before);
    await handle.signal('redeliver');
    await handle.signal('redeliver', { force: true });
  } finally {
    answer();
  }
  expect(await handle.result()).toBe('redelivered');
  expect(await redelivered()).toHaveLength(1);
});

test('a dead letter stays and says so while its job does not run, and can be redelivered later', async () => {
  const { handle } = await keepOfMember();
  await lab.jobs.stop(jobId, { waiting: 'keep' });
  await lab.statusWhen(jobId, ({ state }) => state === 'stopped');
  await handle.signal('redeliver');
  const { notice } = await statusWhen(handle, isRefused);
  expect(notice).toContain('is not running');
  expect((await handle.describe()).status.name).toBe('RUNNING');

  await lab.jobs.resume(jobId);
  await handle.signal('redeliver');
  expect(await handle.result()).toBe('redelivered');
  await lab.statusWhen(jobId, ({ delivered }) => delivered === 1);
});

test('a dead letter of an audience unknown to the source stays, and can be forced', async () => {
  const { handle } = await keep({ audience: { id: 'ee'.repeat(16), slug: 'gone', name: 'Gone' } });
  const before = lab.source.calls.isMember;
  await handle.signal('redeliver');
  const { notice } = await statusWhen(handle, isRefused);
  expect(lab.source.calls.isMember).toBeGreaterThan(before + 1);
  expect(notice).toContain('The source could not say');
  // Nor is the job about that audience.
  await handle.signal('redeliver', { force: true });
  expect(await handle.result()).toBe('redelivered');
});

test('keeping a dead letter twice keeps one, even after its end; a redelivery that dies makes another', async () => {
  const { letter, handle } = await keep();
  await keepDeadLetters([letter, { ...letter, attempts: 5 }]);
  await handle.signal('discard');
  await handle.result();
  await keepDeadLetters([letter]);
  expect((await handle.describe()).status.name).toBe('COMPLETED');
  const { handle: second } = await keep({ ...letter, redeliveries: 1 });
  expect((await second.describe()).status.name).toBe('RUNNING');
});

test('a trigger that dies again after its dead letter was decided makes a new dead letter', async () => {
  const { letter, handle } = await keep();
  await handle.signal('discard');
  await handle.result();
  const again = { ...letter, diedAt: '2027-01-01T00:00:00.000000000Z' };
  await keepDeadLetters([again]);
  const { status, runId } = await handle.describe();
  expect(status.name).toBe('RUNNING');
  await keepDeadLetters([again, letter]);
  expect((await handle.describe()).runId).toBe(runId);
  await handle.signal('discard');
  await handle.result();
  await keepDeadLetters([again]);
  expect((await handle.describe()).status.name).toBe('COMPLETED');
});

test('lists find a dead letter by job, person, failure and audience, and its memo describes it', async () => {
  const { letter, handle } = await keep();
  const query = `ExportPerson = '${letter.user}' AND ExportFailure = 'HTTP 422' AND ExportAudiences = 'abababababababab' AND ExecutionStatus = 'Running'`;
  const listed = async () => {
    const ids: string[] = [];
    for await (const { workflowId } of lab.client.workflow.list({ query })) ids.push(workflowId);
    return ids;
  };
  const found = await answerWhen(listed, ({ length }) => length > 0);
  expect(found).toEqual([handle.workflowId]);
  const { memo, staticSummary } = await handle.describe();
  expect(memo).toEqual({
    job: jobId,
    person: letter.user,
    audience: 'vip',
    audienceId: VIP.id,
    event: 'enter',
    at: letter.at,
    failure: 'HTTP 422',
    attempts: 1,
    diedAt: letter.diedAt,
  });
  expect(await staticSummary()).toBe(`enter of ${letter.user} (vip): HTTP 422`);
});

test('a dead letter waits thirty days by one timer, and its start costs nothing more', async () => {
  const { handle } = await keep();
  await statusWhen(handle, ({ state }) => state === 'waiting'); // Its first task is done.
  const { events } = await handle.fetchHistory();
  expect(events?.map(({ attributes }) => attributes)).toEqual([
    'workflowExecutionStartedEventAttributes',
    'workflowTaskScheduledEventAttributes',
    'workflowTaskStartedEventAttributes',
    'workflowTaskCompletedEventAttributes',
    'timerStartedEventAttributes',
  ]);
  const { startToFireTimeout } = events?.at(-1)?.timerStartedEventAttributes ?? {};
  expect(Number(startToFireTimeout?.seconds) * 1000).toBe(DEAD_LETTER_MS);
  expect(DEAD_LETTER_MS).toBe(30 * 86_400_000);
});
