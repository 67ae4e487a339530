import { Consumer, type GroupPartitionsAssigner, Producer } from '@platformatic/kafka';
import { sleep } from '../../client/calls/with-retries.ts';
import type { KafkaConfig } from './config.ts';
import type { ConsumerLog } from './handover.ts';
import {
  Assignment,
  type DeadLetterTopic,
  type OwnedPartition,
  type PartitionWorld,
  type Place,
  type PoisonMessage,
} from './kafka-assignment.ts';
import { clientOptions, closeClient, KafkaError, needsRejoin } from './kafka-client.ts';

export interface MembershipOptions {
  readonly config: KafkaConfig;
  readonly world: Omit<PartitionWorld, 'onChange' | 'messagesAtOnce' | 'untilOwned' | 'deadLetters'>;
  readonly beginsAt: (place: Place) => bigint | undefined;
  /**
   * Called once the assigned partitions are being read.
   * @param strange topics that are not configured, and of which the group has assigned partitions nevertheless. They are not read.
   */
  readonly onRead: (strange: readonly string[]) => void;
  readonly log: ConsumerLog;
  /** The member that could not leave, if there is one: the group would wait for it until its session times out. */
  readonly leftBehind: string | undefined;
}

/** Longest wait for an answer of a broker, in ms, but for those about the group. */
const REQUEST_MS = 10_000;
/** How long, in ms, other members have to join again when one comes or goes. An answer about the group may take `ANSWER_MARGIN_MS` longer. */
const LEAST_REBALANCE_MS = 60_000;
const ANSWER_MARGIN_MS = 10_000;
const LONGEST_HEARTBEAT_MS = 3_000;
/** How often, in ms, it looks where partitions end, and whether there are more of them. */
const LOOK_MS = 10_000;
/** How long, in ms, work in hand may take when the group reassigns partitions, and when the consumer ends. All of its end takes 10 s at most. */
const REBALANCE_GRACE_MS = 1_000;
const STOP_GRACE_MS = 5_000;
/** How long, in ms, leaving the group may take. */
const LEAVE_MS = 3_000;

/**
 * One life as a member of the group. It ends with any error, and then a new one begins: the client cannot be relied on after an error. (After a
 * heartbeat that failed it sends no more, for example, and it never asks for another coordinator.)
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #member: Consumer;
  readonly #reader: Consumer;
  readonly #deadLetters: KafkaDeadLetters | undefined;
  readonly #sessionTimeoutMs: number;
  /** How many partitions each topic had when the group shared them out. */
  readonly #shared = new Map<string, number>();
  #beatAt = -Infinity;
  #assignment: Assignment | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  #leftBehind: string | undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { config } = options;
    const sessionTimeout = config.sessionTimeoutMs;
    const rebalanceTimeout = Math.max(LEAST_REBALANCE_MS, sessionTimeout);
    this.#sessionTimeoutMs = sessionTimeout;
    this.#member = new Consumer({
      ...clientOptions(config, rebalanceTimeout + ANSWER_MARGIN_MS),
      groupId: config.group,
      sessionTimeout,
      rebalanceTimeout,
      heartbeatInterval: Math.min(LONGEST_HEARTBEAT_MS, sessionTimeout / 4),
      partitionAssigner: sharedAmongSubscribers,
    });
    this.#reader = new Consumer({ ...clientOptions(config, REQUEST_MS), groupId: config.group });
    this.#member.memberId = options.leftBehind ?? null;
    for (const client of [this.#member, this.#reader]) client.topics.trackAll(...config.topics);
    this.#deadLetters =
      config.poisoned === 'stop'
        ? undefined
        : new KafkaDeadLetters(config.poisoned.deadLetterTopic, config, options.log);
  }

  /** Why the dead-letter topic accepts nothing; undefined when it does. */
  get deadLetterProblem(): string | undefined {
    return this.#deadLetters?.problem;
  }

  /** The member as which it could not leave the group. */
  get leftBehind(): string | undefined {
    return this.#leftBehind;
  }

  /** The partitions that this consumer has at the moment. */
  get partitions(): readonly OwnedPartition[] {
    return this.#assignment?.partitions ?? [];
  }

  /**
   * Works as a member until it is to stop, or the topics have other partitions; then it finishes what is in hand, and leaves.
   * @throws the error that ended it
   */
  async run(stop: AbortSignal): Promise<void> {
    const failed = new Promise<never>((_, reject) => (this.#fail = reject));
    failed.catch(() => undefined);
    let stopNow: () => void = () => undefined;
    const stopped = new Promise<void>((resolve) => (stopNow = resolve));
    stop.addEventListener('abort', stopNow, { once: true });
    this.#listen();
    let graceMs = 0;
    try {
      if (stop.aborted) return;
      await Promise.race([this.#member.joinGroup({}), failed, stopped]);
      await Promise.race([this.#looking(stop), failed, stopped]);
      graceMs = STOP_GRACE_MS;
    } finally {
      // While brokers are away, many lives follow each other: listeners must not pile up.
      stop.removeEventListener('abort', stopNow);
      await this.#end(graceMs);
    }
  }

  #listen(): void {
    const member = this.#member;
    member.on('error', (error: Error) => this.#fail(error));
    this.#reader.on('error', (error: Error) => this.#fail(error));
    member.on('consumer:heartbeat:error', ({ error }) => this.#fail(error));
    let askedAt = -Infinity;
    member.on('consumer:heartbeat:start', () => (askedAt = performance.now()));
    // An answer may be older than it looks: the machine may have been asleep since it came.
    member.on('consumer:heartbeat:end', () => (this.#beatAt = askedAt));
    member.on('consumer:group:rebalance', () => {
      // Perhaps since a topic has more partitions: the member that shares them out must not use its old list.
      member.clearMetadata();
      this.#next(async () => await this.#assignment?.end(REBALANCE_GRACE_MS));
    });
    member.on('consumer:group:join', ({ assignments = [] }) => {
      const joinedAt = performance.now();
      const { topics } = this.#options.config;
      for (const topic of topics) {
        const known = member.currentMetadata?.topics.get(topic);
        if (known !== undefined) this.#shared.set(topic, known.partitionsCount);
      }
      const places = assignments
        .filter(({ topic }) => topics.includes(topic))
        .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
      const strange = assignments.map(({ topic }) => topic).filter((topic) => !topics.includes(topic));
      this.#next(async () => await this.#takeOn(places, strange, joinedAt));
    });
  }

  /** Runs the steps of the membership one after the other. */
  #next(step: () => Promise<void>): void {
    this.#turn = this.#turn.then(async () => {
      if (!this.#isOver) await step();
    });
    this.#turn = this.#turn.catch((error: unknown) => this.#fail(error));
  }

  /** All partitions begin again, even those that it had before: another consumer may have had them in between. */
  async #takeOn(places: readonly Place[], strange: readonly string[], joinedAt: number): Promise<void> {
    const before = this.#assignment;
    await before?.end(0);
    // Not earlier: partitions of the generation before may no longer be handed over.
    this.#beatAt = Math.max(this.#beatAt, joinedAt);
    const isOurs = ({ topic, partition }: Place): boolean =>
      places.some((place) => place.topic === topic && place.partition === partition);
    try {
      await before?.commit(isOurs);
      const { world, beginsAt, onRead, log } = this.#options;
      const assignment = await Assignment.begin(places, {
        member: this.#member,
        reader: this.#reader,
        beginsAt,
        world: { ...world, deadLetters: this.#deadLetters, untilOwned: async (over) => await this.#untilOwned(over) },
        onRead: () => onRead(strange),
        log,
      });
      this.#assignment = assignment;
      // It ended while this began.
      if (this.#isOver) return await assignment.end(0);
      assignment.untilEnd().catch((error: unknown) => this.#fail(error));
    } catch (error) {
      // Another generation has begun meanwhile, and assigns partitions again.
      if (!needsRejoin(error)) throw error;
      this.#assignment = undefined;
    }
  }

  /** Once the session has timed out without a heartbeat, the group may have given the partitions to another. */
  async #untilOwned(over: AbortSignal): Promise<void> {
    while (performance.now() - this.#beatAt >= this.#sessionTimeoutMs) await sleep(100, over);
  }

  /** Follows where the partitions end. Resolves when it is to stop, and when there are new partitions, which the group has to assign. */
  async #looking(stop: AbortSignal): Promise<void> {
    const { topics } = this.#options.config;
    while (!stop.aborted) {
      const ends = await this.#reader.listOffsets({ topics: [...topics] });
      for (const [topic, { length }] of ends) if (length !== (this.#shared.get(topic) ?? length)) return;
      for (const one of this.partitions) {
        const end = ends.get(one.topic)?.[one.partition] ?? 0n;
        if (end > one.end) one.end = end;
      }
      await sleep(LOOK_MS, stop).catch(() => undefined);
    }
  }

  /** @param graceMs how long work in hand may take; 0: it is given up, and nothing more is committed. */
  async #end(graceMs: number): Promise<void> {
    this.#isOver = true;
    const assignment = this.#assignment;
    await assignment?.end(graceMs);
    if (graceMs > 0) await within(LEAVE_MS, assignment?.commit());
    await within(LEAVE_MS, leaveGroup(this.#member));
    this.#leftBehind = this.#member.memberId ?? undefined;
    // Even after a failure, the client is no longer a member, and will not join again by itself.
    this.#member.memberId = null;
    await within(LEAVE_MS, leaveGroup(this.#member));
    const closing = [closeClient(this.#member), closeClient(this.#reader)];
    if (this.#deadLetters !== undefined) closing.push(this.#deadLetters.close());
    await within(LEAVE_MS, Promise.all(closing));
    await this.#turn;
    this.#assignment = undefined;
  }
}

async function leaveGroup(member: Consumer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    member.leaveGroup(true, (error) => (error instanceof Error ? reject(error) : resolve()));
  });
}

/** Waits for something, but not for long, and ignores its result. */
async function within(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    void Promise.resolve(work)
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer);
        resolve();
      });
  });
}

/**
 * Shares partitions out, in turn, among those members that subscribe to their topic. (The client's own way gives everybody those of the leader's topics.
 * A topic may be added to one consumer's configuration after the other's, or another program may have the same group. Members would then get what they
 * cannot read, and nobody would get what the leader does not know.)
 */
const sharedAmongSubscribers: GroupPartitionsAssigner = (_leader, members, _topicsOfLeader, metadata) => {
  const topics = new Set([...members.values()].flatMap((member) => member.topics ?? []));
  const shares = [...members.keys()].map((memberId) => ({
    memberId,
    assignments: new Map<string, { topic: string; partitions: number[] }>(),
  }));
  let turn = 0;
  for (const topic of topics) {
    const subscribers = shares.filter(({ memberId }) => members.get(memberId)?.topics?.includes(topic));
    const count = metadata.topics.get(topic)?.partitionsCount ?? 0;
    for (let partition = 0; partition < count && subscribers.length > 0; partition++) {
      const { assignments } = subscribers[turn++ % subscribers.length]!;
      const own = assignments.get(topic);
      if (own === undefined) assignments.set(topic, { topic, partitions: [partition] });
      else own.partitions.push(partition);
    }
  }
  return shares;
};

/** All replicas that are in sync. */
const ACKS_OF_ALL = -1;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** The messages sent at once are too large; a single one may be, too. */
const TOO_LARGE = /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/;

/** The topic for messages that are not triggers: as they came, with headers that say why, and where they were. */
class KafkaDeadLetters implements DeadLetterTopic {
  /** Why the topic accepts nothing; undefined when it does, as far as is known. */
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

  /** Retries until the topic accepts them: meanwhile other partitions go on. */
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

  /** Brokers limit a request's messages together as they limit one message. */
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
    return new KafkaError(this.#config.brokers, error, `accepts no messages for the topic "${this.#topic}"`);
  }

  #isRefused({ message }: KafkaError): void {
    if (this.problem !== message)
      this.#log.error('the dead-letter topic accepts no messages; what waits for it is tried again', {
        problem: message,
      });
    this.problem = message;
  }

  #isTaken(): void {
    if (this.problem !== undefined) this.#log.info('the dead-letter topic accepts messages again');
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
