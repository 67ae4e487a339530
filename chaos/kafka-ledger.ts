import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, type MessageToProduce, Producer } from '@platformatic/kafka';

/** Who has changes, and how many: each person's are numbered from 1 in the order in which they are written. */
export interface Writing {
  readonly people: readonly string[];
  readonly messages: number;
}

export interface Written {
  /** How many changes each person has. */
  readonly counts: ReadonlyMap<string, number>;
  /** Messages that were written again, since it was not known whether the broker had them. */
  readonly writtenAgain: number;
}

const MESSAGES_AT_ONCE = 200;

/** Writes changes of people at random, keyed by the person; what a broker does not acknowledge is written again. */
export async function writeToTopic(address: string, topic: string, { people, messages }: Writing): Promise<Written> {
  const counts = new Map<string, number>();
  const changeOf = (): MessageToProduce => {
    const user = people[Math.floor(Math.random() * people.length)] ?? '';
    const n = (counts.get(user) ?? 0) + 1;
    counts.set(user, n);
    const change = { audience: 'vip', user, event: n % 2 === 1 ? 'enter' : 'exit', profile: { n } };
    return { topic, key: Buffer.from(user), value: Buffer.from(JSON.stringify(change)) };
  };
  let writtenAgain = 0;
  for (let left = messages; left > 0; left -= MESSAGES_AT_ONCE) {
    const batch = Array.from({ length: Math.min(left, MESSAGES_AT_ONCE) }, changeOf);
    while (!(await acknowledged(address, batch))) {
      writtenAgain += batch.length;
      await sleep(500);
    }
  }
  return { counts, writtenAgain };
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
  const asker = new Consumer({ clientId: 'ledger', groupId: group, bootstrapBrokers: [address], retries: 0 });
  try {
    const ends = (await asker.listOffsets({ topics: [topic] })).get(topic) ?? [];
    const committed = await asker.listCommittedOffsets({ topics: [{ topic, partitions: [...ends.keys()] }] });
    return ends.reduce((sum, end, i) => sum + Number(end) - Math.max(0, Number(committed.get(topic)?.[i] ?? 0)), 0);
  } catch {
    return Infinity;
  } finally {
    await new Promise<void>((resolve) => asker.close(true, () => resolve()));
  }
}
