import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { createKeepDeadLetters } from '../../src/activities/holders.ts';
import type { DeadLetterFilter } from '../../src/client/jobs/dead-letter-filter.ts';
import type { DecisionExtent, DecisionProgress } from '../../src/client/dead-letters.ts';
import {
  AudienceNotFound,
  DeadLetterNotFound,
  DiscardRefused,
  InvalidFilter,
  JobNotFound,
} from '../../src/client/calls/errors.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import type { DeadLetter } from '../../src/contract/dead-letter.ts';
import { HOLDER, jobWorkflowId } from '../../src/domain/names.ts';
import { aDeadLetter } from '../domain/job/a-dead-letter.ts';
import { labOfFile, NEWS, VIP } from '../support/lab.ts';

/** A paused job: its history shows in which order it was signalled. */
let job: WorkflowHandle;
let jobId: string;
let subscriptionId: string;

const lab = await labOfFile();
const { deadLetters } = lab.jobs;

beforeEach(async () => {
  jobId = await lab.start();
  job = lab.handle(jobId);
  ({ subscriptionId } = await lab.jobs.pause(jobId));
});

/** Dead letters of the job, listed; says their ids, as the letters were given. */
async function keep(...letters: Partial<DeadLetter>[]): Promise<string[]> {
  const kept = letters.map((more) => aDeadLetter({ jobWorkflowId: job.workflowId, subscriptionId, ...more }));
  await createKeepDeadLetters(new TemporalSideWorkflows(lab.client, lab.taskQueue))(kept);
  const ids = kept.map(({ deliveryId, redeliveries }) => `${deliveryId}-${redeliveries}`);
  // The server lists a new workflow a moment after its start.
  for (let found: string[] = []; !ids.every((id) => found.includes(id));) found = await listed();
  return ids;
}

/** A dead letter of the job with this workflow id. */
async function keepFor(jobWorkflowId: string): Promise<string[]> {
  const letter = aDeadLetter({ jobWorkflowId, user: `asked ${randomUUID()}` });
  await createKeepDeadLetters(new TemporalSideWorkflows(lab.client, lab.taskQueue))([letter]);
  return [`${letter.deliveryId}-${letter.redeliveries}`];
}

/** What a dead letter asked of a job, in order. */
async function questionsTo(whom: WorkflowHandle): Promise<unknown[]> {
  const { events } = await whom.fetchHistory();
  return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) =>
    signal?.signalName === 'redeliver'
      ? [JSON.parse(Buffer.from(signal.input?.payloads?.[0]?.data ?? '').toString())]
      : [],
  );
}

async function listed(filter: DeadLetterFilter = {}): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of deadLetters.list({ jobId, ...filter })) ids.push(id);
  return ids;
}

/** Whose triggers the job was given back, and when they had happened, in order. */
async function givenBack(): Promise<string[]> {
  const { events } = await job.fetchHistory();
  return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => {
    if (signal?.signalName !== 'redeliver') return [];
    const { user, trigger } = JSON.parse(Buffer.from(signal.input?.payloads?.[0]?.data ?? '').toString());
    return [`${user} ${trigger.at}`];
  });
}

const at = (second: number) => `2026-11-25T08:30:0${second}Z`;

describe('the list', () => {
  test('the list says what each dead letter is', async () => {
    const letter = aDeadLetter({ jobWorkflowId: job.workflowId });
    const [id] = await keep(letter);
    const found = [];
    for await (const summary of deadLetters.list({ jobId })) found.push(summary);
    expect(found).toEqual([
      {
        id,
        jobId,
        user: letter.user,
        audience: 'vip',
        audienceId: VIP.id,
        event: 'enter',
        at: letter.at,
        failure: 'HTTP 422',
        attempts: 1,
        diedAt: letter.diedAt,
      },
    ]);
  });

  test.each([true, false])('a filter narrows the list, with search attributes: %s', async (hasSearchAttributes) => {
    const refused = { user: `refused ${randomUUID()}`, hasSearchAttributes };
    const cutOff = {
      user: `cut off ${randomUUID()}`,
      audience: NEWS,
      failure: { at: at(0), code: 'ECONNRESET' },
      diedAt: '2026-11-20T00:00:00Z',
      hasSearchAttributes,
    };
    const [a = '', b = ''] = await keep(refused, cutOff);
    await expect(listed().then((all) => all.sort())).resolves.toEqual([a, b].sort());
    await expect(listed({ user: refused.user })).resolves.toEqual([a]);
    await expect(listed({ audience: 'news' })).resolves.toEqual([b]);
    await expect(listed({ audience: NEWS.id })).resolves.toEqual([b]);
    await expect(listed({ failure: '422' })).resolves.toEqual([a]);
    await expect(listed({ failure: 'ECONNRESET' })).resolves.toEqual([b]);
    await expect(listed({ failure: 'the connection was cut off' })).resolves.toEqual([b]);
    await expect(listed({ olderThan: new Date('2026-11-21') })).resolves.toEqual([b]);
    await expect(listed({ newerThan: new Date('2026-11-21') })).resolves.toEqual([a]);
    await expect(listed({ user: refused.user, audience: 'news' })).resolves.toEqual([]);
  });
});

describe('one dead letter, by its id', () => {
  test('a dead letter can be shown by its id or its workflow id, also once it is decided', async () => {
    const [id = ''] = await keep({ user: 'shown' });
    await expect(deadLetters.show(id)).resolves.toMatchObject({ id, state: 'waiting', user: 'shown', jobId });
    await expect(deadLetters.discard(`dead-letter-${id}`)).resolves.toEqual({ done: 1, failures: [] });
    await lab.client.workflow.getHandle(`dead-letter-${id}`).result();
    await expect(deadLetters.show(`dead-letter-${id}`)).resolves.toMatchObject({ id, state: 'discarded' });
  });

  test('discard refuses a dead letter that its job already has, and says so', async () => {
    const [id = ''] = await keep({ user: `member ${randomUUID()}` });
    // Nobody answers for this job, so that the dead letter goes on asking.
    const mute = await lab.client.workflow.start(HOLDER, {
      workflowId: jobWorkflowId(randomUUID()),
      taskQueue: lab.taskQueue,
      args: [{}],
    });
    const [asking = ''] = await keepFor(mute.workflowId);
    const letter = lab.client.workflow.getHandle(`dead-letter-${asking}`);
    await letter.signal('redeliver', { force: true });
    while ((await questionsTo(mute)).length < 1);
    const discarding = deadLetters.discard(asking).catch((error: unknown) => error);
    while ((await questionsTo(mute)).length < 2);
    expect(await questionsTo(mute)).toMatchObject([
      { isWithdrawn: false, asking: { question: 1 } },
      { isWithdrawn: true, asking: { question: 2 } },
    ]);
    const { runId } = await letter.describe();
    // What was asked first was refused; that says nothing about the last question.
    await letter.signal('answer', { runId, question: 1, refusal: 'audience-left' });
    await letter.signal('answer', { runId: 'another', question: 2 });
    await expect(deadLetters.show(asking)).resolves.toMatchObject({ state: 'redelivering' });
    await letter.signal('answer', { runId, question: 1 });
    const refusal = await discarding;
    expect(refusal).toBeInstanceOf(DiscardRefused);
    expect(String(refusal)).toContain('Its job has it, and sends it.');
    await expect(letter.result()).resolves.toBe('redelivered');
    await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    await mute.terminate();
  });

  test('a redelivery says that somebody else asked for it at the same time', async () => {
    // Nobody answers for this job before the test does.
    const workflowId = jobWorkflowId(randomUUID());
    const mute = await lab.client.workflow.start(HOLDER, { workflowId, taskQueue: lab.taskQueue, args: [{}] });
    const [id = ''] = await keepFor(workflowId);
    const askers = [1, 2].map(async () => await deadLetters.redeliver(id, { force: true }));
    while ((await deadLetters.show(id)).asked !== 2);
    const letter = lab.client.workflow.getHandle(`dead-letter-${id}`);
    const { runId } = await letter.describe();
    await letter.signal('answer', { runId, question: 1 });
    const shared = { done: 1, failures: [], shared: 1 };
    expect(await Promise.all(askers)).toEqual([shared, shared]);
    await mute.terminate();
  });

  test('discard refuses a dead letter whose job was asked to take it and was ended before it answered', async () => {
    const muteId = randomUUID();
    const mute = await lab.client.workflow.start(HOLDER, {
      workflowId: jobWorkflowId(muteId),
      taskQueue: lab.taskQueue,
      args: [{}],
    });
    const [id = ''] = await keepFor(mute.workflowId);
    const letter = lab.client.workflow.getHandle(`dead-letter-${id}`);
    await letter.signal('redeliver', { force: true });
    while ((await questionsTo(mute)).length < 1);
    await mute.terminate();
    // The second time, it is back to waiting.
    await expect(deadLetters.discard(id)).rejects.toBeInstanceOf(DiscardRefused);
    const refusal = await deadLetters.discard(id).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DiscardRefused);
    expect(String(refusal)).toContain(`the job ${muteId} was asked to take it and was ended before it answered`);
    await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    // Another job of this id says that it does not have it.
    const definition = { label: 'Lab', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    await lab.jobs.start(definition, { jobId: muteId, discardRecoverable: true });
    await expect(deadLetters.discard(id)).resolves.toEqual({ done: 1, failures: [] });
    await expect(letter.result()).resolves.toBe('discarded');
  });

  test.each(['show', 'redeliver', 'discard'] as const)('%s says that a dead letter does not exist', async (what) => {
    await expect(deadLetters[what]('no-such-0')).rejects.toBeInstanceOf(DeadLetterNotFound);
  });

  test('a decided dead letter cannot be decided again', async () => {
    const [id = ''] = await keep({});
    await deadLetters.discard(id);
    await lab.client.workflow.getHandle(`dead-letter-${id}`).result();
    await expect(deadLetters.redeliver(id)).rejects.toBeInstanceOf(DeadLetterNotFound);
  });
});

describe('all dead letters that match a filter', () => {
  test("redeliver returns dead letters person by person, each person's in order of time, however they died", async () => {
    const [ann, bob] = [`ann ${randomUUID()}`, `bob ${randomUUID()}`];
    const times = [3, 1, 2, 5, 4];
    await keep(
      ...times.map((second, i) => ({ user: ann, at: at(second), diedAt: at(i) })),
      ...times.map((second, i) => ({ user: bob, at: at(second), diedAt: at(i) })),
    );
    await expect(deadLetters.redeliver({ jobId }, { force: true })).resolves.toEqual({ done: 10, failures: [] });
    const back = await givenBack();
    for (const user of [ann, bob]) {
      expect(back.filter((line) => line.startsWith(user))).toEqual([1, 2, 3, 4, 5].map((s) => `${user} ${at(s)}`));
    }
  });

  test("redeliver begins a person's next dead letter only when the job has the one before", async () => {
    const user = `patient ${randomUUID()}`;
    lab.source.enter(VIP.id, user);
    const [first = '', second = ''] = await keep({ user, at: at(1) }, { user, at: at(2) });
    const answer = lab.source.holdBack('isMember');
    const deciding = deadLetters.redeliver({ user });
    try {
      while ((await deadLetters.show(first)).state !== 'redelivering');
      await expect(deadLetters.show(second)).resolves.toMatchObject({ state: 'waiting' });
    } finally {
      answer();
    }
    await expect(deciding).resolves.toMatchObject({ done: 2 });
  });

  test('redeliver names refused dead letters with their reasons, and returns the others', async () => {
    const member = `member ${randomUUID()}`;
    lab.source.enter(VIP.id, member);
    const [stays = ''] = await keep({ user: `stranger ${randomUUID()}` }, { user: member, at: at(1) });
    const heard: DecisionProgress[] = [];
    const decided = await deadLetters.redeliver({ jobId }, { onProgress: (progress) => heard.push(progress) });
    const reason = expect.stringContaining('is not in the audience today');
    expect(decided).toEqual({ done: 1, failures: [{ id: stays, reason }] });
    expect(heard.map(({ settled, of }) => [settled, of])).toEqual([
      [1, 2],
      [2, 2],
    ]);
    expect(heard.filter(({ failure }) => failure !== undefined)).toMatchObject([{ id: stays, failure: reason }]);
    await expect(givenBack()).resolves.toEqual([`${member} ${at(1)}`]);
  });

  test('with a limit, redeliver returns the oldest triggers; with a rate, no faster than that', async () => {
    const [user, other] = [`first ${randomUUID()}`, `second ${randomUUID()}`];
    // The later of this person's triggers died first.
    await keep({ user, at: at(2), diedAt: at(3) }, { user, at: at(1), diedAt: at(4) }, { user: other, at: at(5) });
    const asked: DecisionExtent[] = [];
    const confirm = (extent: DecisionExtent) => Promise.resolve(asked.push(extent) > 0);
    const begunMs = performance.now();
    const options = { confirm, force: true, limit: 2, perSecond: 2 };
    await expect(deadLetters.redeliver({ jobId }, options)).resolves.toEqual({ done: 2, failures: [] });
    expect(performance.now() - begunMs).toBeGreaterThan(490);
    expect(asked).toMatchObject([{ letters: 2, people: 1 }]);
    await expect(givenBack()).resolves.toEqual([`${user} ${at(1)}`, `${user} ${at(2)}`]);
    await expect(listed()).resolves.toHaveLength(1);
  });

  test('a decision does nothing until somebody has confirmed its exact extent', async () => {
    const user = `twice ${randomUUID()}`;
    const ids = await keep({ user }, { user, at: at(1) }, { audience: NEWS });
    const asked: DecisionExtent[] = [];
    const confirm = (extent: DecisionExtent) => {
      asked.push(extent);
      return Promise.resolve(false);
    };
    const nothing = { done: 0, failures: [] };
    await expect(deadLetters.discard({ jobId }, { confirm })).resolves.toEqual(nothing);
    await expect(deadLetters.redeliver(ids[2] ?? '', { confirm })).resolves.toEqual(nothing);
    expect(asked).toEqual([
      {
        letters: 3,
        jobs: [{ jobId, letters: 3 }],
        audiences: expect.arrayContaining([
          { id: VIP.id, slug: 'vip', letters: 2 },
          { id: NEWS.id, slug: 'news', letters: 1 },
        ]),
        people: 2,
      },
      { letters: 1, jobs: [{ jobId, letters: 1 }], audiences: [{ id: NEWS.id, slug: 'news', letters: 1 }], people: 1 },
    ]);
    for (const id of ids) await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    await expect(deadLetters.discard({ jobId, user: 'nobody' }, { confirm })).resolves.toEqual(nothing);
    expect(asked).toHaveLength(2);
  });

  test('a redelivery says how many nobody can send any more, and asks no job about them', async () => {
    const user = `late ${randomUUID()}`;
    const asked: DecisionExtent[] = [];
    const confirm = (extent: DecisionExtent) => Promise.resolve(asked.push(extent) > 0);
    const [sendable = ''] = await keep({ user });
    // Its job is stopped, and keeps nothing.
    const other = await lab.start();
    await lab.jobs.stop(other);
    const ended = lab.handle(other);
    await ended.result();
    const [never = ''] = await keepFor(ended.workflowId);
    while ((await listed({ jobId: other })).length === 0);
    await deadLetters.redeliver({ jobId: other }, { confirm, force: true });
    await deadLetters.redeliver({ jobId }, { confirm, force: true });
    expect(asked).toMatchObject([{ letters: 1, neverSent: 1 }, { letters: 1 }]);
    expect(asked[1]).not.toHaveProperty('neverSent');
    const onlyLook = async (extent: DecisionExtent) => (await confirm(extent)) && false;
    await deadLetters.redeliver({ jobId: other }, { confirm: onlyLook, limit: 5 });
    await deadLetters.redeliver(never, { confirm: onlyLook });
    expect(asked.slice(2)).toMatchObject([
      { letters: 1, neverSent: 1 },
      { letters: 1, neverSent: 1 },
    ]);
    await expect(deadLetters.show(never)).resolves.toMatchObject({ state: 'waiting' });
    expect(await deadLetters.show(never)).not.toHaveProperty('notice');
    await expect(deadLetters.show(sendable)).resolves.toMatchObject({ state: 'redelivered' });
  });

  test('a filter that names something unknown is refused, and nothing is done', async () => {
    const [id = ''] = await keep({});
    const wrong: readonly [DeadLetterFilter, new (...args: never[]) => Error][] = [
      [{ jobId: 'no-such' }, JobNotFound],
      [{ audience: 'VIP' }, AudienceNotFound],
      [{ audience: VIP.id.slice(0, 16) }, AudienceNotFound],
      [{ failure: 'HTTP 42' }, InvalidFilter],
      [{ user: '' }, InvalidFilter],
      [{ jobId: '' }, InvalidFilter],
    ];
    for (const [filter, kind] of wrong)
      for (const ask of [() => listed({ jobId: undefined, ...filter }), () => deadLetters.discard(filter)])
        await expect(ask()).rejects.toBeInstanceOf(kind);
    await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
  });

  test('a slug that two audiences had in turn decides no dead letter', async () => {
    const slug = `slug ${randomUUID()}`;
    const [one, other] = ['1', '2'].map((digit) => ({ id: digit.repeat(32), slug, name: 'Of the same slug' }));
    const ids = await keep({ audience: one ?? VIP }, { audience: other ?? VIP });
    const error = await deadLetters.discard({ audience: slug }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidFilter);
    expect(String(error)).toContain(one?.id);
    for (const id of ids) await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    await expect(deadLetters.discard({ audience: one?.id })).resolves.toMatchObject({ done: 1 });
  });

  test('a filter must say explicitly that it means all dead letters', async () => {
    await expect(deadLetters.discard({})).rejects.toThrow('{ all: true }');
    await expect(deadLetters.redeliver({ jobId: undefined, all: false })).rejects.toThrow('{ all: true }');
  });
});
