import { randomUUID } from 'node:crypto';
import { describe } from '@jest/globals';
import {
  type CompressionAlgorithmValue,
  Consumer,
  type Message,
  type MessageToProduce,
  Producer,
} from '@platformatic/kafka';
import { type FurtherSettings, KafkaBroker, whyNoKafka } from '../../chaos/kafka-broker.ts';
import { until } from './patience.ts';
import { tempFolder } from './temp-folder.ts';

const missing = whyNoKafka();
if (missing !== undefined)
  process.stderr.write(`SKIPPED: what needs a real Apache Kafka is not tried. Missing is: ${missing}.\n`);

/** As `describe`, and left out where there can be no Kafka. */
export const describeWithKafka = missing === undefined ? describe : describe.skip;

/** A message as tests write it. */
export interface Written {
  readonly value: unknown;
  readonly key?: string;
  readonly partition?: number;
  readonly timestamp?: number;
  readonly headers?: Record<string, string>;
}

/** A real Apache Kafka for one test file. */
export class TestKafka {
  readonly broker: KafkaBroker;
  readonly #producer: Producer;

  static async start(further: FurtherSettings = {}): Promise<TestKafka> {
    const kafka = new TestKafka(await KafkaBroker.start(tempFolder(), further));
    // The first group has the brokers make their own topic for groups; until then there is no coordinator.
    const topic = await kafka.topic();
    await until(
      async () =>
        await kafka.committed('first', topic).then(
          () => true,
          () => false,
        ),
    );
    return kafka;
  }

  private constructor(broker: KafkaBroker) {
    this.broker = broker;
    this.#producer = new Producer({ clientId: 'tests', bootstrapBrokers: [broker.address] });
  }

  /** Makes a topic, waits until what writes to it knows of all its partitions and of who leads them, and says its name. */
  async topic(partitions = 1, configs: Record<string, string> = {}): Promise<string> {
    const topic = `changes-${randomUUID()}`;
    await this.broker.admin.createTopics({
      topics: [topic],
      partitions,
      replicas: 1,
      configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
    });
    await this.#knowsOf(topic, partitions);
    return topic;
  }

  /**
   * The producer would put into other partitions what is for those that it does not know. A broker names itself the leader of a new partition a moment
   * before it is (NOT_LEADER_OR_FOLLOWER): a consumer that is started in between looks again, and "latest" begins where the topic ends by then.
   */
  async #knowsOf(topic: string, count: number): Promise<void> {
    await until(async () => {
      const metadata = await this.#producer.metadata({ topics: [topic], forceUpdate: true }).catch(() => undefined);
      const partitions = metadata?.topics.get(topic)?.partitions.filter(({ leader }) => leader >= 0) ?? [];
      return partitions.length === count;
    });
    await this.#asking('looks', async (consumer) => {
      const ends = async () => await consumer.listOffsets({ topics: [topic] }).catch(() => undefined);
      await until(async () => (await ends())?.get(topic)?.length === count);
    });
  }

  /** Adds partitions to a topic, and waits as for a new one. */
  async addPartitions(topic: string, count: number): Promise<void> {
    await this.broker.admin.createPartitions({ topics: [{ name: topic, count, assignments: null }] });
    await this.#knowsOf(topic, count);
  }

  /** Forgets the messages of the first partition before an offset, as retention does. */
  async forgetBefore(topic: string, offset: number): Promise<void> {
    const partitions = [{ partition: 0, offset: BigInt(offset) }];
    await this.broker.admin.deleteRecords({ topics: [{ name: topic, partitions }] });
  }

  /** Says, as a member of the group, that so much of the first partition is done. */
  async commit(groupId: string, topic: string, offset: number): Promise<void> {
    await this.#asking(groupId, async (consumer) => {
      consumer.topics.trackAll(topic);
      await consumer.joinGroup({});
      await consumer.commit({ offsets: [{ topic, partition: 0, offset: BigInt(offset), leaderEpoch: -1 }] });
    });
  }

  /** Writes messages, one after the other; JSON, unless the value is a text, or null. */
  async write(
    topic: string,
    messages: readonly Written[],
    compression: CompressionAlgorithmValue = 'none',
  ): Promise<void> {
    await this.#producer.send({
      acks: -1,
      compression,
      messages: messages.map((written) => messageOf(topic, written)),
    });
  }

  /** How far the group has committed each partition; -1: not at all. */
  async committed(group: string, topic: string, partitions: readonly number[] = [0]): Promise<number[]> {
    return await this.#asking(group, async (consumer) => {
      const offsets = await consumer.listCommittedOffsets({ topics: [{ topic, partitions: [...partitions] }] });
      return partitions.map((partition) => Number(offsets.get(topic)?.[partition] ?? -1n));
    });
  }

  /** A program that has joined a group, and shares the partitions of its topic out among all members, as the client does by itself. */
  async joined(groupId: string, topic: string): Promise<{ leave: () => Promise<void> }> {
    const consumer = new Consumer({ clientId: 'another', groupId, bootstrapBrokers: [this.broker.address] });
    consumer.topics.trackAll(topic);
    await consumer.joinGroup({ heartbeatInterval: 250 });
    return { leave: async () => await new Promise<void>((resolve) => consumer.close(true, () => resolve())) };
  }

  /** All messages of a topic. */
  async read(topic: string): Promise<Message[]> {
    return await this.#asking(`reads-${randomUUID()}`, async (consumer) => {
      const [end = 0n] = (await consumer.listOffsets({ topics: [topic] })).get(topic) ?? [];
      const found: Message[] = [];
      if (end === 0n) return found;
      const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
      for await (const message of stream) {
        found.push(message);
        if (message.offset + 1n >= end) break;
      }
      return found;
    });
  }

  async stop(): Promise<void> {
    await this.#producer.close();
    await this.broker.stop();
  }

  async #asking<T>(groupId: string, ask: (consumer: Consumer) => Promise<T>): Promise<T> {
    const consumer = new Consumer({ clientId: 'tests', groupId, bootstrapBrokers: [this.broker.address] });
    try {
      return await ask(consumer);
    } finally {
      await new Promise<void>((resolve) => consumer.close(true, () => resolve()));
    }
  }
}

function messageOf(topic: string, { value, key, partition, timestamp, headers = {} }: Written): MessageToProduce {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return {
    topic,
    ...(value === null ? {} : { value: Buffer.from(text) }),
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    ...(partition === undefined ? {} : { partition }),
    ...(timestamp === undefined ? {} : { timestamp: BigInt(timestamp) }),
    headers: new Map(Object.entries(headers).map(([name, one]) => [Buffer.from(name), Buffer.from(one)])),
  };
}
