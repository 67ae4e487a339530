import { expect, test } from '@jest/globals';
import { createAnswerLetters, createKeepDeadLetters } from '../../src/activities/holders.ts';
import type { DeliveryTracing } from '../../src/activities/slice-telemetry.ts';
import { readRedelivery, redeliveryOf } from '../../src/domain/dead-letter.ts';
import { undecodable } from '../../src/domain/errors.ts';
import { aDeadLetter } from '../domain/a-dead-letter.ts';
import { RecordedSideWorkflows } from './a-side-workflows.ts';

test('each dead letter gets a workflow of its own, named by its delivery and redeliveries, some at a time', async () => {
  const workflows = new RecordedSideWorkflows();
  const letters = Array.from({ length: 50 }, (_, i) => aDeadLetter({ deliveryId: `d${i}`, redeliveries: i % 2 }));
  await createKeepDeadLetters(workflows)(letters);
  expect(workflows.started.map(({ workflowId }) => workflowId)).toEqual(
    letters.map(({ deliveryId, redeliveries }) => `dead-letter-${deliveryId}-${redeliveries}`),
  );
  expect(workflows.started[7]).toMatchObject({
    type: 'deadLetter',
    input: letters[7],
    memo: { person: letters[7]?.user },
  });
  expect(workflows.started.every(({ replaces, renews }) => replaces === undefined && renews === 'ended')).toBe(true);
  expect(workflows.mostUnderWay).toBe(8);
});

test('one that cannot be kept fails the activity, so that it is tried again', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.failing = 'dead-letter-d1-0';
  const keep = createKeepDeadLetters(workflows);
  await expect(keep([aDeadLetter({ deliveryId: 'd0' }), aDeadLetter({ deliveryId: 'd1' })])).rejects.toThrow('fails');
});

test('a dead letter is told to its trace once it is kept, and not before', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.failing = 'dead-letter-d1-0';
  const told: string[] = [];
  const tracing: DeliveryTracing = {
    sliceBegan: () => {
      throw new Error('No slice is sent here.');
    },
    died: ({ deliveryId }) => told.push(deliveryId),
  };
  const letters = ['d0', 'd1'].map((deliveryId) => aDeadLetter({ deliveryId }));
  await expect(createKeepDeadLetters(workflows, tracing)(letters)).rejects.toThrow('fails');
  expect(told).toEqual(['d0']);
});

test('each dead letter is told whether its job took it, some at a time; one that cannot be told fails the activity', async () => {
  const workflows = new RecordedSideWorkflows();
  const answers = Array.from({ length: 50 }, (_, i) => ({
    workflowId: `dead-letter-${i}`,
    answer: { runId: `run ${i}`, question: 1 },
  }));
  await createAnswerLetters(workflows)(answers);
  expect(workflows.answered).toEqual(answers);
  expect(workflows.mostUnderWay).toBe(8);
  workflows.failing = 'dead-letter-7';
  await expect(createAnswerLetters(workflows)(answers)).rejects.toThrow('dead-letter-7 fails');
});

const HELD = { held: [`h${'0'.repeat(15)}`, 1] } as const;

test('a dead letter keeps the profile that its trigger came with itself, since its holder goes', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.input = { profiles: ['{}', '{"n":12345678901234567890}'] };
  const { profile: _, profileBytes: __, ...letter } = aDeadLetter();
  await createKeepDeadLetters(workflows)([{ ...letter, ...HELD }]);
  expect(workflows.started[0]?.input).toEqual({ ...letter, profile: { n: 12345678901234567890n }, profileBytes: 30 });
});

test('one whose profile is gone says so, and comes back as such: it is never sent with what the source has', async () => {
  const workflows = new RecordedSideWorkflows();
  const { profile: _, profileBytes: __, ...letter } = aDeadLetter();
  const lost = { ...letter, ...HELD };
  await createKeepDeadLetters(workflows)([lost]);
  expect(workflows.started[0]?.input).toEqual(lost);
  const asked = redeliveryOf(lost, {
    asking: { workflowId: 'a', runId: 'b', question: 1 },
    force: false,
    isWithdrawn: false,
  });
  const reading = readRedelivery(JSON.parse(JSON.stringify(asked)), 65_536);
  expect(reading).toMatchObject({ ok: true, redelivery: { trigger: HELD } });
});

test('one whose profile cannot be read at the moment is kept later', async () => {
  const workflows = new RecordedSideWorkflows();
  workflows.input = undecodable('it is encrypted');
  await expect(createKeepDeadLetters(workflows)([{ ...aDeadLetter(), ...HELD }])).rejects.toThrow('it is encrypted');
  expect(workflows.started).toEqual([]);
});
