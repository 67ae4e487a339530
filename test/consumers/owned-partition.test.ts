import { expect, test } from '@jest/globals';
import type { CheckedTrigger } from '../../src/client/push/job-pusher.ts';
import { MessageReader } from '../../src/consumers/kafka/message-reader.ts';
import { OwnedPartition, type PartitionWorld } from '../../src/consumers/kafka/owned-partition.ts';
import type { KafkaMessage } from '../../src/consumers/kafka/record-batches.ts';

const message = (offset: number, value = '{"audience":"vip","user":"u","event":"enter"}'): KafkaMessage => ({
  topic: 't',
  partition: 0,
  offset: BigInt(offset),
  timestampMs: 1_000,
  key: null,
  value: Buffer.from(value),
  headers: [],
});

/** A partition whose every step waits until a test lets it go on. */
function held(changes: Partial<PartitionWorld> = {}) {
  const given: CheckedTrigger[][] = [];
  const gates: (() => void)[] = [];
  const gate = async (): Promise<void> => await new Promise((resolve) => gates.push(resolve));
  const world: PartitionWorld = {
    reader: new MessageReader(undefined),
    messagesAtOnce: 500,
    handover: {
      give: async (triggers) => {
        given.push([...triggers]);
        await gate();
        return [];
      },
      nameOf: async ([name]) => await Promise.resolve(name),
    },
    deadLetters: undefined,
    untilOwned: async () => await Promise.resolve(),
    onChange: () => undefined,
    onPoison: () => undefined,
    onNothing: () => undefined,
    ...changes,
  };
  const partition = new OwnedPartition({ topic: 't', partition: 0 }, 0n, 10n, world);
  const ending = new AbortController();
  const over = new AbortController();
  const running = partition.run(ending.signal, over.signal);
  running.catch(() => undefined);
  return { partition, given, gates, gate, ending, over, running };
}

/** Long enough for all that waits for nothing from outside. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

test('is done only with what was accepted', async () => {
  const { partition, gates } = held();
  partition.add({ messages: [message(0), message(1)], nextOffset: 4n });
  await turns();
  expect(partition.done).toBe(0n);
  gates.shift()?.();
  await turns();
  // The offsets after the last message have none.
  expect(partition.done).toBe(4n);
});

test('is done with poison only when the dead-letter topic has it', async () => {
  const sent: (() => void)[] = [];
  const deadLetters = { send: async (): Promise<void> => await new Promise((resolve) => sent.push(resolve)) };
  const { partition, gates } = held({ deadLetters });
  partition.add({ messages: [message(0), message(1, 'poison')], nextOffset: 2n });
  await turns();
  gates.shift()?.();
  await turns();
  expect([partition.done, sent.length]).toEqual([0n, 1]);
  sent.shift()?.();
  await turns();
  expect(partition.done).toBe(2n);
});

test("hands nothing over while it may be another consumer's", async () => {
  const owned: (() => void)[] = [];
  const { partition, given } = held({ untilOwned: async () => await new Promise((resolve) => owned.push(resolve)) });
  partition.add({ messages: [message(0)], nextOffset: 1n });
  await turns();
  expect(given).toEqual([]);
  owned.shift()?.();
  await turns();
  expect(given.length).toBe(1);
});

test('hands nothing over before the group knows of all that was', async () => {
  const { partition, given, gates } = held({ messagesAtOnce: 2 });
  partition.add({ messages: [0, 1, 2].map((offset) => message(offset)), nextOffset: 3n });
  await turns();
  gates.shift()?.();
  await turns();
  expect([partition.done, given.length]).toEqual([2n, 1]);
  partition.isCommitted(2n);
  await turns();
  expect(given.length).toBe(2);
});

test('that is to end finishes what is in hand, and begins nothing more', async () => {
  const { partition, given, gates, ending, running } = held();
  partition.add({ messages: [message(0)], nextOffset: 1n });
  await turns();
  partition.add({ messages: [message(1)], nextOffset: 2n });
  ending.abort();
  await turns();
  gates.shift()?.();
  await running;
  expect([partition.done, given.length]).toEqual([1n, 1]);
});

test('that has stopped at poison asks for nothing more, and is done with what is before that', async () => {
  const { partition, gates, running } = held();
  partition.add({ messages: [message(0), message(1, 'poison'), message(2)], nextOffset: 3n });
  await turns();
  gates.shift()?.();
  await running;
  expect([partition.done, partition.wantsMore]).toEqual([1n, false]);
});

test('asks for more only while few of its messages wait', async () => {
  const { partition } = held();
  partition.add({ messages: [message(0)], nextOffset: 1n });
  await turns();
  expect(partition.wantsMore).toBe(true);
  partition.add({ messages: Array.from({ length: 500 }, (_, i) => message(i + 1)), nextOffset: 501n });
  expect(partition.wantsMore).toBe(false);
});
