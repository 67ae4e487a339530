import type { GroupPartitionsAssigner } from '@platformatic/kafka';

/**
 * Shares partitions out, in turn, among those members that subscribe to their topic. (The client's own way gives everybody those of the leader's topics:
 * when a topic is added to the configuration of one consumer after the other, or another program has the same group, members get what they cannot read, and
 * nobody gets what the leader does not know.)
 */
export const sharedAmongSubscribers: GroupPartitionsAssigner = (_leader, members, _topicsOfLeader, metadata) => {
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
