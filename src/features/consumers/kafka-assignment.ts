import { type Consumer, ListOffsetTimestamps } from '@platformatic/kafka';
import type { ConsumerLog, Handover } from './handover.ts';
import { needsRejoin } from './kafka-client.ts';
import { type FetchedRecords, type KafkaMessage, type MessageReader, recordsFrom } from './kafka-message-reader.ts';

/** A partition of a topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export interface AssignmentOptions {
  /** A member of the group. */
  readonly member: Consumer;
  /** Reads topics, but is not a member: its waiting delays no heartbeat. */
  readonly reader: Consumer;
  /** Where to begin a partition that the group has not read yet; undefined: at its beginning. */
  readonly beginsAt: (place: Place) => bigint | undefined;
  readonly world: Omit<PartitionWorld, 'onChange' | 'messagesAtOnce'>;
  /** Called with each answer while reading, and once when there is nothing to read. */
  readonly onRead: () => void;
  readonly log: ConsumerLog;
}

/** Longest time, in ms, that brokers wait for messages before they answer; with a message they answer at once. */
const LONGEST_WAIT_MS = 500;
/**
 * Most messages of a partition, and of all of them, that are handed over at a time: some signals' worth of triggers. A broker or a consumer may be
 * gone before they are committed. They are few enough that a job still knows them all when they are sent again.
 */
const MOST_OF_PARTITION = 500;
const MOST_AT_ONCE = 1_000;
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_BYTES_OF_PARTITION = 1024 * 1024;

/** The partitions that one generation of the group gives to this consumer, and the work on them, until the next one. */
export class Assignment {
  readonly partitions: readonly OwnedPartition[];
  readonly #options: AssignmentOptions;
  readonly #ending = new AbortController();
  readonly #over = new AbortController();
  readonly #changed = new Set<() => void>();
  readonly #work: Promise<void>[];

  /** Finds out where to begin, and begins. @throws errors of the clients */
  static async begin(places: readonly Place[], options: AssignmentOptions): Promise<Assignment> {
    const starts = await startsOf(places, options);
    return new Assignment(starts, options);
  }

  private constructor(starts: readonly Start[], options: AssignmentOptions) {
    this.#options = options;
    const messagesAtOnce = Math.max(1, Math.floor(Math.min(MOST_OF_PARTITION, MOST_AT_ONCE / starts.length)));
    const world = { ...options.world, messagesAtOnce, onChange: () => this.#change() };
    this.partitions = starts.map(({ place, from, end }) => new OwnedPartition(place, from, end, world));
    const signals = [this.#ending.signal, this.#over.signal] as const;
    this.#work = [
      ...this.partitions.map((partition) => partition.run(...signals)),
      this.#committing(),
      this.#fetching(),
    ];
  }

  /** Resolves when it is ended. @throws an earlier failure */
  async untilEnd(): Promise<void> {
    try {
      await Promise.all(this.#work);
    } catch (error) {
      // Work that is given up rejects, too.
      if (!this.#ending.signal.aborted) throw error;
    }
  }

  /** Reads nothing more, finishes what is in hand, or gives it up after `graceMs`. Never rejects. */
  async end(graceMs: number): Promise<void> {
    this.#ending.abort();
    this.#change();
    const timer = setTimeout(() => this.#over.abort(new Error('The partition is given up.')), graceMs);
    await Promise.allSettled(this.#work);
    clearTimeout(timer);
  }

  /** Commits the progress of the partitions that are still this consumer's. @throws errors of the client */
  async commit(isStillOurs: (place: Place) => boolean = () => true): Promise<void> {
    await commitDone(this.#options.member, this.partitions.filter(isStillOurs));
  }

  #change(): void {
    for (const wake of this.#changed) wake();
    this.#changed.clear();
  }

  async #untilChange(): Promise<void> {
    await new Promise<void>((resolve) => this.#changed.add(resolve));
  }

  /** One commit at a time, of all that was done meanwhile: if there were two, the older one might come last. */
  async #committing(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      if (this.partitions.every(({ done, committed }) => done === committed)) {
        await this.#untilChange();
        continue;
      }
      try {
        await this.commit();
      } catch (error) {
        // The group is about to begin a new generation, with which all of this ends.
        if (needsRejoin(error)) return;
        throw error;
      }
    }
  }

  async #fetching(): Promise<void> {
    const { reader, onRead } = this.#options;
    const topics = [...new Set(this.partitions.map(({ topic }) => topic))];
    if (topics.length === 0) return onRead();
    const metadata = await reader.metadata({ topics });
    const byLeader = new Map<number, OwnedPartition[]>();
    for (const one of this.partitions) {
      const leader = metadata.topics.get(one.topic)?.partitions[one.partition]?.leader ?? -1;
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), one]);
    }
    const idOf = (topic: string): string => metadata.topics.get(topic)?.id ?? '';
    await Promise.all([...byLeader].map(([node, partitions]) => this.#fetchingFrom(node, partitions, idOf)));
  }

  async #fetchingFrom(
    node: number,
    partitions: readonly OwnedPartition[],
    idOf: (topic: string) => string,
  ): Promise<void> {
    const { reader, onRead } = this.#options;
    // Partitions that were served go to the end: an answer has room for the first ones only.
    let queue = partitions;
    while (!this.#ending.signal.aborted) {
      const toFetch = queue.filter(({ wantsMore }) => wantsMore);
      if (toFetch.length === 0) {
        await this.#untilChange();
        continue;
      }
      const { responses } = await reader.fetch({
        node,
        maxWaitTime: LONGEST_WAIT_MS,
        maxBytes: MOST_BYTES,
        topics: toFetch.map((one) => ({ topicId: idOf(one.topic), partitions: [askedOf(one)] })),
      });
      onRead();
      const served = new Set<OwnedPartition>();
      for (const { topicId, partitions: answers } of responses)
        for (const answer of answers) {
          const one = toFetch.find(
            ({ topic, partition }) => idOf(topic) === topicId && partition === answer.partitionIndex,
          );
          if (one === undefined) continue;
          if (answer.lastStableOffset > one.end) one.end = answer.lastStableOffset;
          if ((answer.records?.length ?? 0) === 0) continue;
          one.add(recordsFrom(one.topic, answer, one.nextOffset));
          served.add(one);
        }
      queue = [...queue.filter((one) => !served.has(one)), ...served];
    }
  }
}

function askedOf({ partition, nextOffset }: OwnedPartition) {
  return {
    partition,
    fetchOffset: nextOffset,
    partitionMaxBytes: MOST_BYTES_OF_PARTITION,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
  };
}

interface Start {
  readonly place: Place;
  readonly from: bigint;
  readonly end: bigint;
}

/**
 * Returns where each partition begins: where the group left off or, if it has not begun yet, where the configuration says. In that case it commits this
 * before anything is read: a consumer that takes over then begins there, too.
 */
async function startsOf(places: readonly Place[], options: AssignmentOptions): Promise<Start[]> {
  const { member, reader, beginsAt, log } = options;
  if (places.length === 0) return [];
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of places) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  const topics = [...byTopic.keys()];
  const [committed, firsts, ends] = await Promise.all([
    member.listCommittedOffsets({ topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) }),
    reader.listOffsets({ topics, timestamp: ListOffsetTimestamps.EARLIEST }),
    reader.listOffsets({ topics, timestamp: ListOffsetTimestamps.LATEST }),
  ]);
  const begun: Progress[] = [];
  const starts = places.map((place) => {
    const { topic, partition } = place;
    const first = firsts.get(topic)?.[partition] ?? 0n;
    const end = ends.get(topic)?.[partition] ?? first;
    const known = committed.get(topic)?.[partition] ?? -1n;
    if (known < 0n) {
      const beginning = beginsAt(place);
      // If it is outside of this partition's offsets, the topic was deleted and made again.
      const start = beginning !== undefined && beginning >= first && beginning <= end ? beginning : first;
      begun.push({ ...place, done: start, committed: -1n, isCommitted: () => undefined });
      return { place, from: start, end };
    }
    if (known >= first && known <= end) return { place, from: known, end };
    const fields = {
      topic,
      partition,
      offset: String(known),
      count: Number(known < first ? first - known : known - end),
    };
    if (known < first) log.error('messages were deleted before they were read; those that are left are read', fields);
    else log.error('a partition ends before what was read of it; it is read from its beginning', fields);
    return { place, from: first, end };
  });
  await commitDone(member, begun);
  return starts;
}

type Progress = Pick<OwnedPartition, 'topic' | 'partition' | 'done' | 'committed' | 'isCommitted'>;

async function commitDone(member: Consumer, partitions: readonly Progress[]): Promise<void> {
  const further = partitions.filter(({ done, committed }) => done > committed);
  if (further.length === 0) return;
  const commits = further.map((one) => ({ one, offset: one.done }));
  await member.commit({
    offsets: commits.map(({ one: { topic, partition }, offset }) => ({ topic, partition, offset, leaderEpoch: -1 })),
  });
  for (const { one, offset } of commits) one.isCommitted(offset);
}

/** A topic for messages that are not triggers. */
export interface DeadLetterTopic {
  /** Resolves once the brokers have all of them. @throws the reason of `over`, once that is aborted, and errors of the client */
  send(messages: readonly PoisonMessage[], over: AbortSignal): Promise<void>;
}

export interface PoisonMessage {
  readonly message: KafkaMessage;
  /** Why it is not a trigger. */
  readonly reason: string;
}

/** Everything that work on a partition needs. */
export interface PartitionWorld {
  readonly reader: MessageReader;
  /** Most messages that are handed over at a time. */
  readonly messagesAtOnce: number;
  readonly handover: Pick<Handover, 'give' | 'nameOf'>;
  /** Undefined: a message that is not a trigger stops its partition. */
  readonly deadLetters: DeadLetterTopic | undefined;
  /** Resolves as soon as the partition is still this consumer's, as far as is known. */
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
  /** Everything before it is done: accepted by Temporal, without a change, or in the dead-letter topic. */
  done: bigint;
  /** As the group knows it. */
  committed: bigint;
  /** Where to continue reading. */
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

  /** Whether few enough of its messages wait here. */
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
   * Hands over added messages, in their order, until `isEnding`, and then finishes what is in hand. Before each handover, the last one must be
   * committed: another consumer then never sends more again than a job remembers, however long a commit takes.
   * @param over gives up what is in hand, too.
   * @throws the reason of `over`, and errors of the world
   */
  async run(isEnding: AbortSignal, over: AbortSignal): Promise<void> {
    isEnding.addEventListener('abort', () => this.#wake(), { once: true });
    while (!isEnding.aborted && this.stoppedBy === undefined) {
      if (this.#waiting.length === 0) {
        // Offsets without a message are done when all before them is.
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

  /** Waits until something is added or committed, or it is to end. */
  async #untilWoken(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
