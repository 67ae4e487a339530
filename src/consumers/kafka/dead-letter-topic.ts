import { Producer } from '@platformatic/kafka';
import { sleep } from '../../client/push/with-retries.ts';
import type { KafkaConfig } from '../../config/consumer-config.ts';
import type { ConsumerLog } from '../handover.ts';
import { clientOptions, KafkaError } from './kafka-client.ts';
import type { DeadLetterTopic, PoisonMessage } from './assignment.ts';

const REQUEST_MS = 10_000;
/** All replicas that are in sync. */
const ACKS_OF_ALL = -1;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** What is sent at once is too much; one message may be, too. */
const TOO_LARGE = /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/;

/** Where messages go of which nothing can be made: as they came, with headers that say why, and where they were. */
export class KafkaDeadLetters implements DeadLetterTopic {
  /** Why the topic takes nothing; undefined when it does, as far as is known. */
  problem: string | undefined;
  readonly #topic: string;
  readonly #config: KafkaConfig;
  readonly #log: ConsumerLog;
  readonly #producer: Producer;

  constructor(topic: string, config: KafkaConfig, log: ConsumerLog) {
    this.#topic = topic;
    this.#config = config;
    this.#log = log;
    this.#producer = new Producer({ ...clientOptions(config, REQUEST_MS), acks: ACKS_OF_ALL });
  }

  /** A topic that refuses them is asked until it takes them: meanwhile other partitions go on. */
  async send(poisons: readonly PoisonMessage[], over: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.#sendInParts(poisons);
        return this.#isTaken();
      } catch (error) {
        const refusal = this.#errorOf(error);
        if (!refusal.isLasting) throw error;
        this.#isRefused(refusal);
      }
      await sleep(pauseMs, over);
    }
  }

  async close(): Promise<void> {
    await this.#producer.close();
  }

  /** Brokers limit what is sent at once as they limit one message. */
  async #sendInParts(poisons: readonly PoisonMessage[]): Promise<void> {
    try {
      await this.#producer.send({ messages: poisons.map((poison) => this.#letterOf(poison)) });
    } catch (error) {
      if (poisons.length === 1 || !TOO_LARGE.test(this.#errorOf(error).code)) throw error;
      const half = Math.ceil(poisons.length / 2);
      await this.#sendInParts(poisons.slice(0, half));
      await this.#sendInParts(poisons.slice(half));
    }
  }

  #errorOf(error: unknown): KafkaError {
    return new KafkaError(this.#config.brokers, error, `takes nothing for the topic "${this.#topic}"`);
  }

  #isRefused({ message }: KafkaError): void {
    if (this.problem !== message)
      this.#log.error('the dead-letter topic takes no messages; what waits for it is tried again', {
        problem: message,
      });
    this.problem = message;
  }

  #isTaken(): void {
    if (this.problem !== undefined) this.#log.info('the dead-letter topic takes messages again');
    this.problem = undefined;
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
