import type { Handover } from '../handover.ts';
import type { MessageReader } from './message-reader.ts';
import type { FetchedRecords, KafkaMessage } from './record-batches.ts';

/** What takes messages of which nothing can be made. */
export interface DeadLetterTopic {
  /** Resolves once the brokers have all of them. @throws the reason of `over`, once that is aborted, and what the client throws */
  send(messages: readonly PoisonMessage[], over: AbortSignal): Promise<void>;
}

export interface PoisonMessage {
  readonly message: KafkaMessage;
  /** Why it is no trigger. */
  readonly reason: string;
}

/** What a partition is worked off with. */
export interface PartitionWorld {
  readonly reader: MessageReader;
  /** Most messages that are handed over at a time. */
  readonly messagesAtOnce: number;
  readonly handover: Pick<Handover, 'give' | 'nameOf'>;
  /** Undefined: a message of which nothing can be made stops its partition. */
  readonly deadLetters: DeadLetterTopic | undefined;
  /** Resolves as soon as the group still counts on this consumer, as far as is known. */
  readonly untilOwned: (over: AbortSignal) => Promise<void>;
  /** Called when a partition can be asked for more, and when more of it is done. */
  readonly onChange: () => void;
  readonly onPoison: (poison: PoisonMessage, isStopped: boolean) => void;
  readonly onNothing: (messages: number) => void;
}

/** A partition that the group has given to this consumer, until it takes it away. */
export class OwnedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Everything before it is done: accepted by Temporal, or nothing to be told, or in the dead-letter topic. */
  done: bigint;
  /** As the group knows it. */
  committed: bigint;
  /** Where to read on. */
  nextOffset: bigint;
  /** The end of the partition, as far as is known. */
  end: bigint;
  /** Why nothing more of it is read. */
  stoppedBy: string | undefined;
  readonly #world: PartitionWorld;
  readonly #waiting: KafkaMessage[] = [];
  #wake: () => void = () => undefined;

  constructor(
    place: { readonly topic: string; readonly partition: number },
    from: bigint,
    end: bigint,
    world: PartitionWorld,
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.done = from;
    this.committed = from;
    this.nextOffset = from;
    this.end = end;
    this.#world = world;
  }

  /** Messages that are not done yet. */
  get lag(): number {
    return Math.max(0, Number(this.end - this.done));
  }

  /** Few enough of its messages wait here. */
  get wantsMore(): boolean {
    return this.stoppedBy === undefined && this.#waiting.length < this.#world.messagesAtOnce;
  }

  add({ messages, nextOffset }: FetchedRecords): void {
    for (const message of messages) this.#waiting.push(message);
    this.nextOffset = nextOffset;
    if (nextOffset > this.end) this.end = nextOffset;
    this.#wake();
  }

  /** The group knows that everything before it is done. */
  isCommitted(offset: bigint): void {
    this.committed = offset;
    this.#wake();
  }

  /**
   * Hands over what is added, in its order, until `isEnding`, and what is in hand then to its end. Nothing is handed over before the group knows of all
   * that was: what another consumer sends again is never more than a job remembers, however long a commit takes.
   * @param over what is in hand is given up, too.
   * @throws the reason of `over`, and what the world throws
   */
  async run(isEnding: AbortSignal, over: AbortSignal): Promise<void> {
    isEnding.addEventListener('abort', () => this.#wake(), { once: true });
    while (!isEnding.aborted && this.stoppedBy === undefined) {
      if (this.#waiting.length === 0) {
        // What has offsets and is no message is done with what is before it.
        this.#isDone(this.nextOffset);
        await this.#untilWoken();
        continue;
      }
      if (this.done > this.committed) {
        await this.#untilWoken();
        continue;
      }
      const batch = this.#waiting.splice(0, this.#world.messagesAtOnce);
      this.#world.onChange();
      await this.#world.untilOwned(over);
      await this.#take(batch, over);
    }
  }

  async #take(batch: readonly KafkaMessage[], over: AbortSignal): Promise<void> {
    const { reader, handover, deadLetters, onNothing, onPoison } = this.#world;
    const triggers = [];
    const poisons: PoisonMessage[] = [];
    let nothing = 0;
    let stop: PoisonMessage | undefined;
    for (const message of batch) {
      const reading = await reader.read(message, async (names) => await handover.nameOf(names, over));
      if (reading.kind === 'triggers') triggers.push(...reading.triggers);
      else if (reading.kind === 'nothing') nothing += 1;
      else {
        const poison = { message, reason: reading.reason };
        if (deadLetters !== undefined) poisons.push(poison);
        else {
          stop = poison;
          break;
        }
      }
    }
    await Promise.all([handover.give(triggers, over), poisons.length > 0 && deadLetters?.send(poisons, over)]);
    onNothing(nothing);
    for (const poison of poisons) onPoison(poison, false);
    if (stop !== undefined) {
      this.stoppedBy = `The message ${stop.message.offset} of partition ${this.partition} of the topic ${this.topic} is no trigger: ${stop.reason}.`;
      onPoison(stop, true);
    }
    this.#isDone(stop?.message.offset ?? (batch.at(-1)?.offset ?? -1n) + 1n);
  }

  #isDone(offset: bigint): void {
    if (offset <= this.done) return;
    this.done = offset;
    this.#world.onChange();
  }

  /** Until something is added, or committed, or it is to end. */
  async #untilWoken(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
