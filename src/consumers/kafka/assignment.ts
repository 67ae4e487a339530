import { type Consumer, ListOffsetTimestamps } from '@platformatic/kafka';
import type { ConsumerLog } from '../handover.ts';
import { needsRejoin } from './kafka-client.ts';
import { OwnedPartition, type PartitionWorld } from './owned-partition.ts';
import { recordsFrom } from './record-batches.ts';

/** A partition of a topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export interface AssignmentOptions {
  /** A member of the group. */
  readonly member: Consumer;
  /** Reads topics, and is no member: what it waits for holds up no heartbeat. */
  readonly reader: Consumer;
  /** Where a partition begins of which the group has read nothing yet; undefined: at its beginning. */
  readonly beginsAt: (place: Place) => bigint | undefined;
  readonly world: Omit<PartitionWorld, 'onChange' | 'messagesAtOnce'>;
  /** Called with each answer to what is read, and once when there is nothing to read. */
  readonly onRead: () => void;
  readonly log: ConsumerLog;
}

/** Longest time, in ms, that brokers wait for messages before they answer; with a message they answer at once. */
const LONGEST_WAIT_MS = 500;
/**
 * Messages of a partition, and of all of them, that are handed over at a time: some signals' worth of triggers, and few enough that a job still knows
 * them all if they are sent again, since a broker or a consumer was gone before they were committed.
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

  /** Finds out where to begin, and begins. @throws what the clients throw */
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

  /** Resolves when it is ended. @throws what fails before */
  async untilEnd(): Promise<void> {
    try {
      await Promise.all(this.#work);
    } catch (error) {
      // What is given up says so.
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

  /** Tells the group how far the partitions are that are still this consumer's. @throws what the client throws */
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

  /** One commit at a time, of all that is done meanwhile: of two at a time, the older one might be the last. */
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
    // Whichever was served goes to the end: an answer has room for the first ones only.
    let queue = partitions;
    while (!this.#ending.signal.aborted) {
      const wanted = queue.filter(({ wantsMore }) => wantsMore);
      if (wanted.length === 0) {
        await this.#untilChange();
        continue;
      }
      const { responses } = await reader.fetch({
        node,
        maxWaitTime: LONGEST_WAIT_MS,
        maxBytes: MOST_BYTES,
        topics: wanted.map((one) => ({ topicId: idOf(one.topic), partitions: [askedOf(one)] })),
      });
      onRead();
      const served = new Set<OwnedPartition>();
      for (const { topicId, partitions: answers } of responses)
        for (const answer of answers) {
          const one = wanted.find(
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
 * Where each partition begins: where the group left off, or, when it has not begun yet, where the configuration says; then the group is told so before
 * anything is read, so that whoever takes over begins there, too.
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
      const wanted = beginsAt(place);
      // Another one than the offsets of this partition: the topic was deleted and made anew.
      const start = wanted !== undefined && wanted >= first && wanted <= end ? wanted : first;
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
  const told = further.map((one) => ({ one, offset: one.done }));
  await member.commit({
    offsets: told.map(({ one: { topic, partition }, offset }) => ({ topic, partition, offset, leaderEpoch: -1 })),
  });
  for (const { one, offset } of told) one.isCommitted(offset);
}
