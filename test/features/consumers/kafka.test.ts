import { randomUUID } from 'node:crypto';
import zlib from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import {
  type CompressionAlgorithmValue,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
} from '@platformatic/kafka';
import { kafkaSchema } from '../../../src/features/consumers/config.ts';
import { startKafka } from '../../../src/features/consumers/kafka.ts';
import type { RunningConsumer } from '../../../src/features/consumers/handover.ts';
import { describeWithKafka, TestKafka } from '../../support/kafka.ts';
import { Lab } from '../../support/lab.ts';
import { answerWhen, until } from '../../support/patience.ts';
import { type Said, worldOf } from './a-consumer.ts';

/** A broker that is slow to answer on a busy machine is asked again, with a warning. */
const errorsIn = ({ lines }: { readonly lines: readonly string[] }): readonly string[] =>
  lines.filter((line) => line.startsWith('error'));

describeWithKafka('a consumer of Kafka', () => {
  let lab: Lab;
  let kafka: TestKafka;
  let job: string;
  let group: string;
  let people = 0;
  const running: RunningConsumer[] = [];

  beforeAll(async () => {
    [lab, kafka] = await Promise.all([Lab.open({ receiver: { keepBodies: true } }), TestKafka.start()]);
  });
  afterAll(async () => {
    await Promise.all([lab?.close(), kafka?.stop()]);
  });
  beforeEach(async () => {
    job = await lab.start({ parallelRequestCount: 20 });
    group = `group-${randomUUID()}`;
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((consumer) => consumer.stop()));
    await lab.jobs.stop(job, { waiting: 'discard' });
  });

  async function consume(
    topic: string,
    options: object = {},
    jobs: readonly string[] = [job],
  ): Promise<{ consumer: RunningConsumer; log: Said; metrics: () => Promise<string> }> {
    const brokers = [kafka.broker.address];
    const config = kafkaSchema.parse({
      brokers,
      topics: [topic],
      group,
      jobs,
      from: 'earliest',
      sessionTimeoutMs: 3_000,
      ...options,
    });
    const { handover, log, metrics } = worldOf(lab, jobs);
    const consumer = await startKafka({ config, handover, log, metrics });
    running.push(consumer);
    return { consumer, log, metrics: () => metrics.text() };
  }

  const person = (): string => `streamed-${++people}`;
  const change = (user: string, event = 'enter', more: object = {}) => ({
    value: { audience: 'vip', user, event, profile: {}, ...more },
    key: user,
  });
  const told = (user: string): (string | undefined)[] =>
    lab.receiver.ledger.entries.filter(({ message }) => message?.user === user).map(({ message }) => message?.event);
  const bodyOf = (user: string): string =>
    lab.receiver.ledger.entries.find(({ message }) => message?.user === user)?.body ?? '';

  test('a consumer sends the changes of messages, one or a list in each, with all digits, and commits', async () => {
    const topic = await kafka.topic();
    const { log } = await consume(topic);
    const [one, first, second] = [person(), person(), person()];
    await kafka.write(topic, [
      { value: `{"audience":"vip","user":"${one}","event":"enter","profile":{"n":12345678901234567890}}` },
      { value: [change(first).value, change(second).value, change(first, 'exit').value] },
    ]);
    await until(() => told(first).length === 2 && told(second).length === 1);
    await until(async () => (await kafka.committed(group, topic))[0] === 2);
    expect(bodyOf(one)).toContain('"n":12345678901234567890');
    expect([told(one), told(first), log.lines]).toEqual([['enter'], ['enter', 'exit'], []]);
  });

  test.each<CompressionAlgorithmValue>(['gzip', 'snappy', 'lz4'])(
    'a consumer reads messages packed by %s',
    async (packing) => {
      const topic = await kafka.topic();
      await consume(topic);
      const user = person();
      await kafka.write(topic, [change(user), change(user, 'exit')], packing);
      await until(() => told(user).length === 2);
      expect(told(user)).toEqual(['enter', 'exit']);
    },
  );

  test('a consumer reads messages packed by zstd where Node can, and says so where it cannot', async () => {
    const topic = await kafka.topic(1, { 'compression.type': 'zstd' });
    const { consumer } = await consume(topic);
    const user = person();
    await kafka.write(topic, [change(user)]);
    if ('zstdDecompressSync' in zlib) return await lab.arrives(user);
    await until(() => consumer.problem !== undefined);
    expect(consumer.problem).toContain('It needs Node 22.15');
  });

  test('a consumer reports what retention deleted and reads the rest; it rereads a recreated partition from its beginning', async () => {
    const topic = await kafka.topic();
    const [lost, left, again] = [person(), person(), person()];
    await kafka.write(topic, [change(lost), change(lost), change(left)]);
    await kafka.commit(group, topic, 0);
    await kafka.forgetBefore(topic, 2);
    const first = await consume(topic);
    await until(() => told(left).length === 1);
    await until(async () => (await kafka.committed(group, topic))[0] === 3);
    await first.consumer.stop();
    expect(errorsIn(first.log)).toEqual([
      'error messages were deleted before they were read; those that are left are read',
    ]);
    await kafka.commit(group, topic, 1_000);
    const second = await consume(topic);
    await kafka.write(topic, [change(again)]);
    await until(() => told(again).length === 1);
    expect(errorsIn(second.log)).toEqual([
      'error a partition ends before what was read of it; it is read from its beginning',
    ]);
    expect([told(lost), told(left)]).toEqual([[], ['enter']]);
  });

  test('a new group skips older messages, but none that come later while no consumer runs', async () => {
    const topic = await kafka.topic();
    const [before, meanwhile] = [person(), person()];
    await kafka.write(topic, [change(before)]);
    const { consumer } = await consume(topic, { from: 'latest' });
    await until(async () => (await kafka.committed(group, topic))[0] === 1);
    await consumer.stop();
    await kafka.write(topic, [change(meanwhile)]);
    await consume(topic, { from: 'latest' });
    await lab.arrives(meanwhile);
    expect(told(before)).toEqual([]);
  });

  test('a group shares each topic among the consumers that are configured with it', async () => {
    const [both, second] = [await kafka.topic(2), await kafka.topic(2)];
    const users = Array.from({ length: 4 }, () => person());
    const lags = async ({ metrics }: { metrics: () => Promise<string> }): Promise<number> =>
      (await metrics()).match(/^triggers_kafka_lag\{/gm)?.length ?? 0;
    // The first member of a group is the one that shares out.
    const first = await consume(both, { topics: [both, second] });
    await until(async () => (await lags(first)) === 4);
    const last = await consume(both);
    await until(async () => (await lags(first)) === 3 && (await lags(last)) === 1);
    const messages = users.map((user, i) => ({ ...change(user), topic: i < 2 ? both : second, partition: i % 2 }));
    for (const { topic, ...message } of messages) await kafka.write(topic, [message]);
    await until(() => users.every((user) => told(user).length === 1));
    expect([first.consumer.problem, last.consumer.problem]).toEqual([undefined, undefined]);
  });

  test('a consumer reads no topic that only another program of its group subscribes to, and says so', async () => {
    const [own, strange] = [await kafka.topic(2), await kafka.topic(2)];
    const program = await kafka.joined(group, strange);
    try {
      const { consumer, log } = await consume(own);
      await until(() => consumer.problem !== undefined);
      expect(consumer.problem).toContain(`not in "kafka.topics": ${strange}.`);
      await kafka.write(strange, [
        { ...change(person()), partition: 0 },
        { ...change(person()), partition: 1 },
      ]);
      expect(log.lines).toContain('error the group is shared with another program');
      expect(await kafka.committed(group, strange, [0, 1])).toEqual([-1, -1]);
    } finally {
      await program.leave();
    }
  });

  test('with "stop", a consumer stops one partition at its poison, and reads the others on', async () => {
    const topic = await kafka.topic(2);
    const { consumer, log, metrics } = await consume(topic);
    const [before, after, elsewhere] = [person(), person(), person()];
    await kafka.write(topic, [
      { ...change(before), partition: 0 },
      { value: '{"audience":"vip"', partition: 0 },
      { ...change(after), partition: 0 },
    ]);
    await until(() => consumer.problem?.includes('is no trigger') === true);
    await kafka.write(topic, [{ ...change(elsewhere), partition: 1 }]);
    await lab.arrives(before);
    await lab.arrives(elsewhere);
    await until(async () => (await kafka.committed(group, topic, [0, 1])).join() === '1,1');
    expect(consumer.problem).toBe(
      `The message 1 of partition 0 of the topic ${topic} is no trigger: it is not JSON: something is wrong in line 1, at character 18.`,
    );
    expect(errorsIn(log)).toEqual(['error a message is no trigger; its partition is read no further']);
    const text = await metrics();
    expect(text).toContain('triggers_consumer_triggers_total{outcome="poisoned"} 1\n');
    expect(text).toContain(`triggers_kafka_partition_stopped{topic="${topic}",partition="0"} 1\n`);
    expect(text).toContain(`triggers_kafka_partition_stopped{topic="${topic}",partition="1"} 0\n`);
    expect(text).toContain(`triggers_kafka_lag{topic="${topic}",partition="0"} 2\n`);
    // It is said once, however often it is read: whenever somebody comes or goes, it is.
    const lags = async (): Promise<number> => (await metrics()).match(/^triggers_kafka_lag\{/gm)?.length ?? 0;
    const another = await consume(topic);
    await until(async () => (await lags()) === 1);
    await another.consumer.stop();
    await until(async () => (await lags()) === 2 && consumer.problem !== undefined);
    expect(errorsIn(log)).toEqual(['error a message is no trigger; its partition is read no further']);
    expect(await metrics()).toContain('triggers_consumer_triggers_total{outcome="poisoned"} 1\n');
    // The next one stops there, too.
    await consumer.stop();
    const next = await consume(topic);
    await until(() => next.consumer.problem !== undefined);
    expect([told(before), told(after)]).toEqual([['enter'], []]);
  });

  test('a consumer moves poison unchanged to the dead-letter topic, with reason and place, and reads on', async () => {
    const [topic, deadLetterTopic] = [await kafka.topic(), await kafka.topic()];
    const { consumer, log, metrics } = await consume(topic, { poisoned: { deadLetterTopic } });
    const [before, after] = [person(), person()];
    await kafka.write(topic, [
      change(before),
      { key: 'k', headers: { h: 'v' }, value: [change(after).value, { user: 'x' }] },
      change(after),
    ]);
    await lab.arrives(after);
    await until(async () => (await kafka.committed(group, topic))[0] === 3);
    const letters = await kafka.read(deadLetterTopic);
    expect(letters.map(({ key, value }) => [String(key), String(value)])).toEqual([
      ['k', JSON.stringify([change(after).value, { user: 'x' }])],
    ]);
    expect([...(letters[0]?.headers ?? [])].map(([name, value]) => `${String(name)}: ${String(value)}`)).toEqual([
      'h: v',
      'triggers-reason: number 2 of 2: "event" must be "enter" or "exit"',
      `triggers-topic: ${topic}`,
      'triggers-partition: 0',
      'triggers-offset: 1',
    ]);
    expect([consumer.problem, told(after), log.lines]).toEqual([
      undefined,
      ['enter'],
      ['warn a message is no trigger; the dead-letter topic has it'],
    ]);
    expect(await metrics()).toContain('triggers_consumer_triggers_total{outcome="poisoned"} 1\n');
  });

  test('a dead-letter topic gets all it accepts; refused messages wait, are reported, and block no other partition', async () => {
    const [topic, deadLetterTopic] = [await kafka.topic(2), await kafka.topic(1, { 'max.message.bytes': '3000' })];
    const poison = (bytes: number) => ({ key: 'k', value: 'x'.repeat(bytes), partition: 0 });
    await kafka.write(topic, [...Array.from({ length: 20 }, () => poison(1_000)), poison(4_000)]);
    const { consumer, log } = await consume(topic, { poisoned: { deadLetterTopic } });
    await until(() => consumer.problem !== undefined);
    expect(consumer.problem).toMatch(
      new RegExp(
        `accepts no messages for the topic "${deadLetterTopic}" .*MESSAGE_TOO_LARGE: .* Raise "max.message.bytes"`,
      ),
    );
    const elsewhere = person();
    await kafka.write(topic, [{ ...change(elsewhere), partition: 1 }]);
    await lab.arrives(elsewhere);
    expect(await kafka.committed(group, topic)).toEqual([0]);
    await kafka.broker.admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: ConfigResourceTypes.TOPIC,
          resourceName: deadLetterTopic,
          configs: [
            { name: 'max.message.bytes', value: '6000', configOperation: IncrementalAlterConfigOperationTypes.SET },
          ],
        },
      ],
    });
    await until(async () => (await kafka.committed(group, topic))[0] === 21);
    const sizes = (await kafka.read(deadLetterTopic)).map(({ value }) => value?.length);
    expect(new Set(sizes)).toEqual(new Set([1_000, 4_000]));
    expect(sizes.length).toBeGreaterThanOrEqual(21);
    expect(consumer.problem).toBeUndefined();
    const refused = 'error the dead-letter topic accepts no messages; what waits for it is tried again';
    const accepted = 'info the dead-letter topic accepts messages again';
    const ofTopic = log.lines.filter((line) => line.includes('dead-letter topic accepts'));
    expect(ofTopic).toEqual([refused, accepted]);
  });

  test('a consumer that ends commits its messages in hand and leaves the group, so another continues there at once', async () => {
    const topic = await kafka.topic();
    const settings = { topics: [topic], group, from: 'earliest', sessionTimeoutMs: 300_000 };
    const given: string[] = [];
    let accept: () => void = () => undefined;
    const { log, metrics } = worldOf(lab);
    const consumer = await startKafka({
      config: kafkaSchema.parse({ brokers: [kafka.broker.address], ...settings }),
      handover: {
        give: async (triggers) => {
          given.push(...triggers.map(({ trigger: { user } }) => user));
          await new Promise<void>((resolve) => (accept = resolve));
          return [];
        },
        nameOf: async ([name]) => await Promise.resolve(name),
      },
      log,
      metrics,
    });
    const [inHand, after] = [person(), person()];
    await kafka.write(topic, [change(inHand)]);
    await until(() => given.length > 0);
    const ending = consumer.stop();
    accept();
    await ending;
    expect([given, await kafka.committed(group, topic)]).toEqual([[inHand], [1]]);
    await kafka.write(topic, [change(after)]);
    await consume(topic, settings);
    await until(() => told(after).length === 1);
  });

  test.each([
    [1, 500],
    [3, 999],
  ])('a consumer of %d partitions holds at most %d messages that are not committed', async (partitions, most) => {
    const topic = await kafka.topic(partitions);
    let gives = 0;
    let inHand = 0;
    let mostInHand = 0;
    const over = new AbortController();
    const { log, metrics } = worldOf(lab);
    const consumer = await startKafka({
      config: kafkaSchema.parse({ brokers: [kafka.broker.address], topics: [topic], group, from: 'latest' }),
      handover: {
        give: async (triggers, stop) => {
          gives++;
          inHand += triggers.length;
          mostInHand = Math.max(mostInHand, inHand);
          return await new Promise((_, reject) => {
            const giveUp = (): void => {
              inHand -= triggers.length;
              reject(new Error('It is ended.'));
            };
            for (const signal of [stop, over.signal]) signal.addEventListener('abort', giveUp, { once: true });
          });
        },
        nameOf: async ([name]) => await Promise.resolve(name),
      },
      log,
      metrics,
    });
    running.push(consumer);
    const waiting = (partition: number) => Array.from({ length: 600 }, () => ({ ...change(person()), partition }));
    await kafka.write(topic, Array.from({ length: partitions }, (_, i) => i).flatMap(waiting));
    // More, where its group is joined anew meanwhile: what was in hand is given up then.
    await answerWhen(
      () => gives,
      (count) => count >= partitions,
    );
    expect(mostInHand).toBe(most);
    over.abort();
  });

  test('consumers of a group share the partitions and take over those of a leaver; each person stays in order', async () => {
    const topic = await kafka.topic(4);
    const first = await consume(topic);
    const second = await consume(topic);
    const own = async ({ metrics }: { metrics: () => Promise<string> }): Promise<number> =>
      (await metrics()).match(/^triggers_kafka_lag\{/gm)?.length ?? 0;
    await until(async () => (await own(first)) === 2 && (await own(second)) === 2);
    const users = Array.from({ length: 8 }, person);
    const n = 30;
    for (let i = 0; i < n; i++) {
      if (i === 15) await first.consumer.stop();
      await kafka.write(
        topic,
        users.map((user) => change(user, i % 2 === 0 ? 'enter' : 'exit', { profile: { i } })),
      );
    }
    await until(() => users.every((user) => told(user).length >= n));
    for (const user of users) {
      const order = lab.receiver.ledger.entries
        .filter(({ message }) => message?.user === user)
        .map(({ body = '' }) => Number(/"i":(\d+)/.exec(body)?.[1]));
      expect(order).toEqual(Array.from({ length: n }, (_, i) => i));
    }
    expect(await own(second)).toBe(4);
  });

  test('a consumer reads partitions that are added to a topic from their beginning', async () => {
    const topic = await kafka.topic(1);
    await consume(topic, { from: 'latest' });
    const [first, second] = [person(), person()];
    await until(async () => (await kafka.committed(group, topic))[0] === 0);
    await kafka.write(topic, [change(first)]);
    await lab.arrives(first);
    await kafka.addPartitions(topic, 2);
    await kafka.write(topic, [{ ...change(second), partition: 1 }]);
    await until(() => told(second).length === 1);
  });

  test('a consumer reports a killed broker, reads on without waiting for its session, and loses nothing', async () => {
    const topic = await kafka.topic();
    const { consumer, log } = await consume(topic, { sessionTimeoutMs: 100_000 });
    const user = person();
    await kafka.write(topic, [change(user)]);
    await lab.arrives(user);
    await kafka.broker.kill();
    await until(() => consumer.problem !== undefined);
    expect(consumer.problem).toContain('cannot be read (');
    await kafka.broker.startAgain();
    const backAt = performance.now();
    await until(() => consumer.problem === undefined);
    expect(performance.now() - backAt).toBeLessThan(60_000);
    await kafka.write(topic, [change(user, 'exit')]);
    await until(() => told(user).length === 2);
    expect(told(user)).toEqual(['enter', 'exit']);
    expect(log.lines[0]).toBe('warn Kafka cannot be read; it is tried again');
    expect(log.lines.at(-1)).toBe('info Kafka is read again');
  });

  test('a consumer reports a missing topic at its start', async () => {
    await expect(consume('no-such-topic')).rejects.toThrow(
      'cannot be read (there is no topic "no-such-topic"). Make the topic, or correct "kafka".',
    );
  });
});
