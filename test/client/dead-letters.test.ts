import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { createKeepDeadLetters } from '../../src/activities/dead-letters.ts';
import type { DeadLetterFilter } from '../../src/client/dead-letter-filter.ts';
import type { DeadLetters, DecisionProgress } from '../../src/client/dead-letters.ts';
import { DeadLetterNotFound, RedeliveryRefused } from '../../src/client/errors.ts';
import type { DeadLetter } from '../../src/contract/dead-letter.ts';
import { HOLDER, jobIdOf, jobWorkflowId } from '../../src/domain/names.ts';
import { TemporalSideWorkflows } from '../../src/temporal-side-workflows.ts';
import { aDeadLetter } from '../domain/a-dead-letter.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';

let lab: Lab;
let deadLetters: DeadLetters;
/** Stands for a job: its history shows in which order it was signalled. */
let job: WorkflowHandle;
let jobId: string;

beforeAll(async () => {
  lab = await Lab.open();
  ({ deadLetters } = lab.jobs);
});
beforeEach(async () => {
  const workflowId = jobWorkflowId(randomUUID());
  job = await lab.client.workflow.start(HOLDER, { workflowId, taskQueue: lab.taskQueue, args: [{}] });
  jobId = jobIdOf(workflowId);
});
afterAll(async () => lab.close());

/** Dead letters of the job, listed; says their ids, as the letters were given. */
async function keep(...letters: Partial<DeadLetter>[]): Promise<string[]> {
  const kept = letters.map((more) => aDeadLetter({ jobWorkflowId: job.workflowId, ...more }));
  await createKeepDeadLetters(new TemporalSideWorkflows(lab.client, lab.taskQueue))(kept);
  const ids = kept.map(({ deliveryId, redeliveries }) => `${deliveryId}-${redeliveries}`);
  // The server lists a new workflow a moment after its start.
  for (let found: string[] = []; !ids.every((id) => found.includes(id));) found = await listed();
  return ids;
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
  test('says of each what it is', async () => {
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
        event: 'enter',
        at: letter.at,
        failure: 'HTTP 422',
        attempts: 1,
        diedAt: letter.diedAt,
      },
    ]);
  });

  test.each([true, false])('is filtered, search attributes on the dead letters: %s', async (hasSearchAttributes) => {
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
    await expect(listed({ jobId: 'another' })).resolves.toEqual([]);
  });

  test.each(["o'neill", 'a\\b', 'say "hi"', "' OR ExecutionStatus = 'Completed'"])(
    'finds a person whose id is %s',
    async (user) => {
      const [, id] = await keep({}, { user });
      await expect(listed({ user })).resolves.toEqual([id]);
    },
  );

  test('does not show what is decided', async () => {
    const [id = ''] = await keep({});
    await deadLetters.discard(id);
    await lab.client.workflow.getHandle(`dead-letter-${id}`).result();
    while ((await listed()).length > 0);
  });
});

describe('one of them, by its id', () => {
  test('is shown, with or without the ceremony of its workflow id, also when it is decided', async () => {
    const [id = ''] = await keep({ user: 'shown' });
    await expect(deadLetters.show(id)).resolves.toMatchObject({ id, state: 'waiting', user: 'shown', jobId });
    await expect(deadLetters.discard(`dead-letter-${id}`)).resolves.toEqual({ done: 1, failures: [] });
    await lab.client.workflow.getHandle(`dead-letter-${id}`).result();
    await expect(deadLetters.show(`dead-letter-${id}`)).resolves.toMatchObject({ id, state: 'discarded' });
  });

  test('redelivered, it is with its job when that is said', async () => {
    const user = `member ${randomUUID()}`;
    lab.source.enter(VIP.id, user);
    const [id = ''] = await keep({ user, at: at(1) });
    await expect(deadLetters.redeliver(id)).resolves.toEqual({ done: 1, failures: [] });
    await expect(givenBack()).resolves.toEqual([`${user} ${at(1)}`]);
  });

  test('is refused with the reason when the source contradicts it, and goes when it is forced', async () => {
    const [id = ''] = await keep({ user: `stranger ${randomUUID()}` });
    const refusal = await deadLetters.redeliver(id).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RedeliveryRefused);
    expect(String(refusal)).toContain('is not in the audience today');
    await expect(givenBack()).resolves.toEqual([]);
    await expect(deadLetters.redeliver(id, { force: true })).resolves.toMatchObject({ done: 1 });
  });

  test.each(['show', 'redeliver', 'discard'] as const)('that is not there is said by %s', async (what) => {
    await expect(deadLetters[what]('no-such-0')).rejects.toBeInstanceOf(DeadLetterNotFound);
  });

  test('that is decided cannot be decided again', async () => {
    const [id = ''] = await keep({});
    await deadLetters.discard(id);
    await lab.client.workflow.getHandle(`dead-letter-${id}`).result();
    await expect(deadLetters.redeliver(id)).rejects.toBeInstanceOf(DeadLetterNotFound);
  });
});

describe('all that a filter means', () => {
  test("go back person by person, each person's in the order of their times, however they died", async () => {
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

  test("a person's next one is not asked for before the one before is with the job", async () => {
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

  test('those that are refused are named with their reasons, the others go', async () => {
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

  test('nothing is done before it is agreed to how many', async () => {
    const ids = await keep({}, {}, {});
    const asked: number[] = [];
    const confirm = (count: number) => {
      asked.push(count);
      return Promise.resolve(false);
    };
    await expect(deadLetters.discard({ jobId }, { confirm })).resolves.toEqual({ done: 0, failures: [] });
    expect(asked).toEqual([3]);
    for (const id of ids) await expect(deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    await expect(deadLetters.discard({ jobId, user: 'nobody' }, { confirm })).resolves.toMatchObject({ done: 0 });
    expect(asked).toEqual([3]);
  });

  test('are discarded', async () => {
    const ids = await keep({}, { failure: { at: at(0), status: 400 } });
    await expect(deadLetters.discard({ jobId, failure: 'HTTP 400' })).resolves.toEqual({ done: 1, failures: [] });
    await expect(lab.client.workflow.getHandle(`dead-letter-${ids[1]}`).result()).resolves.toBe('discarded');
    await expect(deadLetters.show(ids[0] ?? '')).resolves.toMatchObject({ state: 'waiting' });
  });

  test('a filter that leaves nothing out must say so', async () => {
    await expect(deadLetters.discard({})).rejects.toThrow('{ all: true }');
    await expect(deadLetters.redeliver({ jobId: undefined, all: false })).rejects.toThrow('{ all: true }');
  });
});
