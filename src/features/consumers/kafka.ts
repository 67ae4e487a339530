import { Consumer, ListOffsetTimestamps } from '@platformatic/kafka';
import { Gauge } from 'prom-client';
import { sleep } from '../../client/calls/with-retries.ts';
import type { KafkaConfig } from './config.ts';
import { ingestOf } from '../ingests/ingest.ts';
import { codeOf } from '../../domain/errors.ts';
import type { ConsumerLog, ConsumerMetrics, Handover, RunningConsumer } from './handover.ts';
import type { OwnedPartition, Place, PoisonMessage } from './kafka-assignment.ts';
import { clientOptions, closeClient, KafkaError } from './kafka-client.ts';
import { Membership } from './kafka-membership.ts';
import { MessageReader } from './kafka-message-reader.ts';

export interface KafkaOptions {
  readonly config: KafkaConfig;
  readonly handover: Pick<Handover, 'give' | 'nameOf'>;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

const REQUEST_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Consumes topics until it is stopped, as a member of its group. Waits for brokers that do not answer.
 * @throws KafkaError when only another configuration, topic or grant would help
 */
export async function startKafka(options: KafkaOptions): Promise<RunningConsumer> {
  const kafka = new Kafka(options);
  await kafka.start();
  return kafka;
}

/** The client's code for a topic that does not exist. */
const NO_TOPIC = 'PLT_KFK_USER';

/** As brokers call it. */
class NoTopic extends Error {
  readonly code = 'UNKNOWN_TOPIC_OR_PARTITION';
  constructor(topic: string) {
    super(`there is no topic "${topic}"`);
  }
}

class Kafka implements RunningConsumer {
  readonly #options: KafkaOptions;
  readonly #reader: MessageReader;
  readonly #stopping = new AbortController();
  /**
   * Where the partitions of each topic ended when it was first looked at. A group that begins with the latest begins there: it misses nothing that
   * comes while it is being joined, and nothing of a partition that is added.
   */
  readonly #firstEnds = new Map<string, readonly bigint[]>();
  /** Messages that have stopped their partitions, if that was reported. */
  readonly #reportedStops = new Set<string>();
  #membership: Membership | undefined;
  #leftBehind: string | undefined;
  #problem: string | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: KafkaOptions) {
    this.#options = options;
    const { ingest } = options.config;
    this.#reader = new MessageReader(ingest && ingestOf('kafka', ingest));
    this.#measure(
      'triggers_kafka_lag',
      'Messages of a partition that are not done, as far as is known.',
      ({ lag }) => lag,
    );
    this.#measure(
      'triggers_kafka_partition_stopped',
      '1 for a partition that is read no further, since a message is no trigger.',
      ({ stoppedBy }) => (stoppedBy === undefined ? 0 : 1),
    );
  }

  get problem(): string | undefined {
    return (
      this.#problem ??
      this.#membership?.deadLetterProblem ??
      this.#partitions.find(({ stoppedBy }) => stoppedBy !== undefined)?.stoppedBy
    );
  }

  async start(): Promise<void> {
    try {
      await this.#lookAtTopics();
    } catch (error) {
      const failure = this.#errorOf(error);
      if (failure.isLasting) throw failure;
      this.#fails(failure);
    }
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('The consumer is being ended.'));
    await this.#running;
    await this.#reader.close();
  }

  get #partitions(): readonly OwnedPartition[] {
    return this.#membership?.partitions ?? [];
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        if (this.#firstEnds.size === 0) await this.#lookAtTopics();
        await this.#beMember(() => (pauseMs = FIRST_PAUSE_MS));
      } catch (error) {
        if (signal.aborted) return;
        this.#fails(this.#errorOf(error));
        await sleep(pauseMs, signal).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  async #beMember(onRead: () => void): Promise<void> {
    const { config, handover, log, metrics } = this.#options;
    const membership = new Membership({
      config,
      log,
      leftBehind: this.#leftBehind,
      beginsAt: ({ topic, partition }: Place) =>
        config.from === 'earliest' ? undefined : this.#firstEnds.get(topic)?.[partition],
      onRead: (strange) => {
        onRead();
        if (strange.length > 0) return this.#isInStrangeGroup(strange);
        if (this.#problem !== undefined) log.info('Kafka is read again');
        this.#problem = undefined;
      },
      world: {
        handover,
        reader: this.#reader,
        onNothing: (messages) => metrics.ignored(messages),
        onPoison: (poison, isStopped) => this.#report(poison, isStopped),
      },
    });
    this.#membership = membership;
    try {
      await membership.run(this.#stopping.signal);
    } finally {
      this.#membership = undefined;
      this.#leftBehind = membership.leftBehind;
    }
  }

  /** Checks that the topics exist, and that the group may read them; finds out where they end. */
  async #lookAtTopics(): Promise<void> {
    const { config } = this.#options;
    const client = new Consumer({ ...clientOptions(config, REQUEST_MS), groupId: config.group });
    try {
      const { poisoned } = config;
      const topics = [...config.topics, ...(poisoned === 'stop' ? [] : [poisoned.deadLetterTopic])];
      for (const topic of topics) {
        await client.metadata({ topics: [topic] }).catch((error: unknown) => {
          throw codeOf(error) === NO_TOPIC ? new NoTopic(topic) : error;
        });
      }
      const ends = await client.listOffsets({ topics: [...config.topics], timestamp: ListOffsetTimestamps.LATEST });
      for (const [topic, ofTopic] of ends) this.#firstEnds.set(topic, ofTopic);
      await client.listCommittedOffsets({
        topics: [...ends].map(([topic, { length }]) => ({ topic, partitions: [...Array(length).keys()] })),
      });
    } finally {
      await closeClient(client).catch(() => undefined);
    }
  }

  #isInStrangeGroup(topics: readonly string[]): void {
    const { log, config } = this.#options;
    const problem = `The group ${config.group} is another program's, too, and gave this consumer partitions of topics that are not in "kafka.topics": ${topics.join(', ')}. They are not read. Give each program a group of its own.`;
    if (this.#problem !== problem) log.error('the group is shared with another program', { problem });
    this.#problem = problem;
  }

  #report({ message, reason }: PoisonMessage, isStopped: boolean): void {
    const { log, metrics } = this.#options;
    const { topic, partition } = message;
    const fields = { topic, partition, offset: String(message.offset), reason };
    const place = `${topic}/${partition}/${message.offset}`;
    if (isStopped && this.#reportedStops.has(place)) return;
    metrics.poisoned();
    if (!isStopped) return log.warn('a message is no trigger; the dead-letter topic has it', fields);
    this.#reportedStops.add(place);
    log.error('a message is no trigger; its partition is read no further', fields);
  }

  #errorOf(error: unknown): KafkaError {
    return error instanceof KafkaError ? error : new KafkaError(this.#options.config.brokers, error);
  }

  #fails({ message }: KafkaError): void {
    if (this.#problem !== message)
      this.#options.log.warn('Kafka cannot be read; it is tried again', { problem: message });
    this.#problem = message;
  }

  #measure(name: string, help: string, of: (partition: OwnedPartition) => number): void {
    const partitions = (): readonly OwnedPartition[] => this.#partitions;
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['topic', 'partition'],
      registers: [],
      collect() {
        this.reset();
        for (const one of partitions()) this.set({ topic: one.topic, partition: one.partition }, of(one));
      },
    });
    this.#options.metrics.registry.registerMetric(gauge);
  }
}
