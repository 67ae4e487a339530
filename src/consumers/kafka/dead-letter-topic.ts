import { Producer } from '@platformatic/kafka';
import type { KafkaConfig } from '../../config/consumer-config.ts';
import { clientOptions } from './kafka-client.ts';
import type { DeadLetterTopic, PoisonMessage } from './owned-partition.ts';

const REQUEST_MS = 10_000;
/** All replicas that are in sync. */
const ACKS_OF_ALL = -1;

/** Where messages go of which nothing can be made: as they came, with headers that say why, and where they were. */
export class KafkaDeadLetters implements DeadLetterTopic {
  readonly #topic: string;
  readonly #producer: Producer;

  constructor(topic: string, config: KafkaConfig) {
    this.#topic = topic;
    this.#producer = new Producer({ ...clientOptions(config, REQUEST_MS), acks: ACKS_OF_ALL });
  }

  async send(poisons: readonly PoisonMessage[]): Promise<void> {
    await this.#producer.send({ messages: poisons.map((poison) => this.#letterOf(poison)) });
  }

  async close(): Promise<void> {
    await this.#producer.close();
  }

  #letterOf({ message, reason }: PoisonMessage) {
    const { topic, partition, offset, key, value, headers } = message;
    const own = { reason, topic, partition: String(partition), offset: String(offset) };
    return {
      topic: this.#topic,
      ...(key === null ? {} : { key }),
      ...(value === null ? {} : { value }),
      headers: new Map([
        ...headers.map(([name, text]) => [name ?? Buffer.alloc(0), text ?? Buffer.alloc(0)] as const),
        ...Object.entries(own).map(([name, text]) => [Buffer.from(`triggers-${name}`), Buffer.from(text)] as const),
      ]),
    };
  }
}
