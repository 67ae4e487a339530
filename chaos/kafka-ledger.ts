import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, type MessageToProduce, Producer } from '@platformatic/kafka';

/** Who has changes, and how many: each person's are numbered from 1 in the order in which they are written. */
export interface Writing {
  readonly people: readonly string[];
  readonly messages: number;
  /** At most. */
  readonly perSecond: number;
}

const MESSAGES_AT_ONCE = 200;

/**
 * Writes changes of people at random, keyed by the person. What a broker does not acknowledge is written again, so it may be there twice.
 * @returns how many changes each person has
 */
export async function writeToTopic(
  address: string,
  topic: string,
  { people, messages, perSecond }: Writing,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const changeOf = (): MessageToProduce => {
    const user = people[Math.floor(Math.random() * people.length)] ?? '';
    const n = (counts.get(user) ?? 0) + 1;
    counts.set(user, n);
    const change = { audience: 'vip', user, event: n % 2 === 1 ? 'enter' : 'exit', profile: { n } };
    return { topic, key: Buffer.from(user), value: Buffer.from(JSON.stringify(change)) };
  };
  const beganAt = performance.now();
  for (let done = 0; done < messages; done += MESSAGES_AT_ONCE) {
    const batch = Array.from({ length: Math.min(messages - done, MESSAGES_AT_ONCE) }, changeOf);
    while (!(await acknowledged(address, batch))) await sleep(500);
    await sleep(Math.max(0, beganAt + ((done + batch.length) / perSecond) * 1000 - performance.now()));
  }
  return counts;
}

async function acknowledged(address: string, messages: MessageToProduce[]): Promise<boolean> {
  const producer = new Producer({ clientId: 'writer', bootstrapBrokers: [address], retries: 0, acks: -1 });
  try {
    await producer.send({ messages });
    return true;
  } catch {
    return false;
  } finally {
    await producer.close().catch(() => undefined);
  }
}

/** How many messages the group has not committed; infinite while that cannot be said. */
export async function messagesLeft(address: string, group: string, topic: string): Promise<number> {
  try {
    return await asking(address, group, async (asker) => {
      const ends = (await asker.listOffsets({ topics: [topic] })).get(topic) ?? [];
      const committed = await asker.listCommittedOffsets({ topics: [{ topic, partitions: [...ends.keys()] }] });
      return ends.reduce((sum, end, i) => sum + Number(end) - Math.max(0, Number(committed.get(topic)?.[i] ?? 0)), 0);
    });
  } catch {
    return Infinity;
  }
}

export async function messagesIn(address: string, topic: string): Promise<number> {
  return await asking(address, 'ledger', async (asker) => {
    const ends = (await asker.listOffsets({ topics: [topic] })).get(topic) ?? [];
    return ends.reduce((sum, end) => sum + Number(end), 0);
  });
}

async function asking<T>(address: string, groupId: string, ask: (asker: Consumer) => Promise<T>): Promise<T> {
  const asker = new Consumer({ clientId: 'ledger', groupId, bootstrapBrokers: [address], retries: 0 });
  try {
    return await ask(asker);
  } finally {
    await new Promise<void>((resolve) => asker.close(true, () => resolve()));
  }
}
