import { describe, expect, jest, test } from '@jest/globals';
import { JobFull, JobNotFound, JobNotRunning, PushInterrupted } from '../../../src/client/calls/errors.ts';
import { JobDirectory } from '../../../src/client/push/job-directory.ts';
import type { CheckedTrigger } from '../../../src/client/push/job-pusher.ts';
import { checked, createPushClock } from '../../../src/client/push/push.ts';
import { ConsumerMetrics, Handover, type HandoverOptions } from '../../../src/features/consumers/handover.ts';
import { MessageReader, type KafkaMessage } from '../../../src/features/consumers/kafka-message-reader.ts';
import { OwnedPartition, type PartitionWorld } from '../../../src/features/consumers/kafka-assignment.ts';
import { until } from '../../support/patience.ts';
import { Said } from './a-consumer.ts';

const trigger = checked({ audience: 'vip', user: 'u', event: 'enter' }, createPushClock());
const never = async (): Promise<never> => await new Promise(() => undefined);
const heard = new JobDirectory({
  all: async () => await Promise.resolve([{ jobId: 'crm', audiences: new Set(['vip']) }]),
  one: never,
});
const hanging = new JobDirectory({ all: never, one: never });
const handoverOf = (options: Partial<HandoverOptions>): Handover =>
  new Handover({ directory: heard, signal: never, log: new Said(), metrics: new ConsumerMetrics(), ...options });

test.each([
  ['a job that hangs', heard, undefined],
  ['a Temporal that does not say which jobs listen', hanging, undefined],
  ['a job that cannot be asked', hanging, ['crm']],
])('%s holds up nobody who stops waiting', async (_, directory, jobs) => {
  const handover = handoverOf({ directory, jobs });
  const stop = new AbortController();
  const doing = [handover.give([trigger], stop.signal), handover.nameOf(['other', 'vip'], stop.signal)];
  const reason = new Error('The consumer was ended.');
  stop.abort(reason);
  for (const one of await Promise.allSettled(doing)) expect(one).toEqual({ status: 'rejected', reason });
});

test('an aborted wait ends at once', async () => {
  const handover = handoverOf({});
  await expect(handover.give([trigger], AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
});

test('the handover asks once more whether a recently edited job subscribes before it says no', async () => {
  const audiences = ['news'];
  const one = async () => await Promise.resolve({ jobId: 'crm', audiences: new Set(audiences) });
  const directory = new JobDirectory({ all: never, one });
  const handover = handoverOf({ directory, jobs: ['crm'] });
  const { signal } = new AbortController();
  expect(await handover.isSubscribed('vip', signal)).toBe(false);
  audiences.push('vip');
  expect(await handover.isSubscribed('vip', signal)).toBe(true);
});

test('the handover gives a job only the triggers that it has not accepted yet', async () => {
  const given: string[][] = [];
  const signal = async (jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> => {
    given.push(triggers.map(({ trigger: { user } }) => user));
    await Promise.resolve();
    if (given.length === 1) throw new PushInterrupted(jobId, 1, 0, new Error('It is full.'));
  };
  const handover = handoverOf({ signal });
  const clock = createPushClock();
  const [a, b, c] = ['a', 'b', 'c'].map((user) => checked({ audience: 'vip', user, event: 'enter' }, clock));
  expect(await handover.give([a!, b!, c!], new AbortController().signal)).toEqual([]);
  expect(given).toEqual([
    ['a', 'b', 'c'],
    ['b', 'c'],
  ]);
});

test('the handover gives triggers that an ended job did not take to its successor, despite an older list of jobs', async () => {
  const taken: string[] = [];
  let running = ['old'];
  const all = async () => await Promise.resolve(running.map((jobId) => ({ jobId, audiences: new Set(['vip']) })));
  const signal = async (jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> => {
    await Promise.resolve();
    if (!running.includes(jobId)) throw new PushInterrupted(jobId, 0, 0, new JobNotRunning(jobId, 'stopped'));
    taken.push(...triggers.map(({ trigger: { user } }) => `${user} to ${jobId}`));
  };
  const directory = new JobDirectory({ all, one: never });
  const handover = handoverOf({ directory, signal });
  const { signal: stop } = new AbortController();
  expect(await handover.give([trigger], stop)).toEqual([]);
  running = ['new'];
  expect(await handover.give([trigger], stop)).toEqual([]);
  running = [];
  expect(await handover.give([trigger], stop)).toEqual([trigger]);
  expect(taken).toEqual(['u to old', 'u to new']);
});

test('the handover says why it waits for a job, and stops saying so for triggers that are given up', async () => {
  const metrics = new ConsumerMetrics();
  const log = new Said();
  let isFull = true;
  const signal = async (jobId: string): Promise<void> => {
    await Promise.resolve();
    if (isFull) throw new PushInterrupted(jobId, 0, 0, new JobFull(jobId));
  };
  const handover = handoverOf({ signal, log, metrics });
  const waits = async () => [handover.problem, (await metrics.text()).match(/jobs_waited_for (\d)/)?.[1]];
  const why = ['A job accepts no triggers. ' + new JobFull('crm').message, '1'];
  const stop = new AbortController();
  const givenUp = handover.give([trigger], stop.signal);
  const lasting = handover.give([trigger], new AbortController().signal);
  await until(() => log.lines.length > 0);
  expect(await waits()).toEqual(why);
  stop.abort(new Error('The partition is given up.'));
  await expect(givenUp).rejects.toThrow('given up');
  expect(await waits()).toEqual(why);
  isFull = false;
  await lasting;
  expect(await waits()).toEqual([undefined, '0']);
  isFull = true;
  const last = new AbortController();
  const alone = handover.give([trigger], last.signal);
  await until(() => handover.problem !== undefined);
  last.abort(new Error('The partition is given up.'));
  await expect(alone).rejects.toThrow('given up');
  await until(() => handover.problem === undefined);
  expect(await waits()).toEqual([undefined, '0']);
  const [fills, takes] = [
    'warn a job is not accepting triggers; its triggers wait',
    'info the job accepts triggers again',
  ];
  expect(log.lines).toEqual([fills, takes, fills]);
});

test('the log says which configured jobs are not running before anything is handed over', async () => {
  const log = new Said();
  const one = async (jobId: string) => {
    if (jobId === 'misspelt') throw new JobNotFound(jobId);
    return await Promise.resolve(jobId === 'ended' ? undefined : { jobId, audiences: new Set(['vip']) });
  };
  const all = async () => await Promise.resolve([{ jobId: 'misspell', audiences: new Set(['vip']) }]);
  const directory = new JobDirectory({ all, one });
  await handoverOf({ directory, log, jobs: ['crm', 'misspelt', 'ended'] }).lookAtJobs();
  await handoverOf({ directory, log }).lookAtJobs();
  const line = 'warn a configured job is not running; its triggers will wait';
  expect(log.lines).toEqual([line, line]);
});

test('the log says once a minute how many triggers no running job subscribes to', async () => {
  const warned: unknown[] = [];
  const log = Object.assign(new Said(), { warn: (...said: unknown[]) => void warned.push(said) });
  const directory = new JobDirectory({ all: async () => await Promise.resolve([]), one: never });
  const handover = handoverOf({ directory, log });
  const { signal } = new AbortController();
  jest.useFakeTimers();
  try {
    for (const waitsMs of [0, 0, 59_999, 1]) {
      jest.advanceTimersByTime(waitsMs);
      expect(await handover.give([trigger], signal)).toEqual([trigger]);
    }
  } finally {
    jest.useRealTimers();
  }
  expect(warned).toEqual([1, 3].map((count) => ['dropped: no running job subscribes', { audiences: ['vip'], count }]));
});

describe('a partition of Kafka', () => {
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

  test('a partition counts as done only up to the accepted messages', async () => {
    const { partition, gates } = held();
    partition.add({ messages: [message(0), message(1)], nextOffset: 4n });
    await turns();
    expect(partition.done).toBe(0n);
    gates.shift()?.();
    await turns();
    // The offsets after the last message have none.
    expect(partition.done).toBe(4n);
  });

  test('a partition is done with poison only when the dead-letter topic has it', async () => {
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

  test('a partition hands nothing over while another consumer may own it', async () => {
    const owned: (() => void)[] = [];
    const { partition, given } = held({ untilOwned: async () => await new Promise((resolve) => owned.push(resolve)) });
    partition.add({ messages: [message(0)], nextOffset: 1n });
    await turns();
    expect(given).toEqual([]);
    owned.shift()?.();
    await turns();
    expect(given.length).toBe(1);
  });

  test('a partition hands nothing over before the group has committed the messages before', async () => {
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

  test('a partition that ends finishes the messages in hand, and begins no more', async () => {
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

  test('a partition stopped by poison asks for no more, and finishes the messages before the poison', async () => {
    const { partition, gates, running } = held();
    partition.add({ messages: [message(0), message(1, 'poison'), message(2)], nextOffset: 3n });
    await turns();
    gates.shift()?.();
    await running;
    expect([partition.done, partition.wantsMore]).toEqual([1n, false]);
  });

  test('a partition asks for more only while few of its messages wait', async () => {
    const { partition } = held();
    partition.add({ messages: [message(0)], nextOffset: 1n });
    await turns();
    expect(partition.wantsMore).toBe(true);
    partition.add({ messages: Array.from({ length: 500 }, (_, i) => message(i + 1)), nextOffset: 501n });
    expect(partition.wantsMore).toBe(false);
  });
});
