// npx tsx chaos/kafka.ts [--messages 100000] [--from 0.1.0: every other consumer] : an application writes changes to a topic while the consumers of a
// group are killed, or ended, and the broker is killed and started again. All must arrive, each person's in the order of their offsets. Then the time
// from a message to its POST. One JSON line on standard output. Needs Java 17 (ops/kafka/broker.sh).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Producer } from '@platformatic/kafka';
import { idleLatencies, openConsumerStage, verdictOf } from './consumer-stage.ts';
import { KafkaBroker, whyNoKafka } from './kafka-broker.ts';
import { messagesIn, messagesLeft, writeToTopic } from './kafka-ledger.ts';
import { killAtRandom, type Victim } from './outbox-ledger.ts';
import { mainsByTurns, Program } from './program.ts';
import { optionsOf } from './options.ts';

const values = optionsOf('npx tsx chaos/kafka.ts', {
  messages: 100_000,
  people: 2_000,
  consumers: 3,
  partitions: 8,
  perSecond: 500,
  from: '',
});
const nextMain = await mainsByTurns(values.from);
const missing = whyNoKafka();
if (missing !== undefined) throw new Error(`There is no Kafka here: ${missing}.`);
const messages = values.messages;
const TOPIC = 'changes';
const GROUP = 'chaos';
let consumers: readonly Victim[] = [];
const folder = mkdtempSync(join(tmpdir(), 'kafka-chaos-'));
const broker = await KafkaBroker.start(folder);
await broker.admin.createTopics({ topics: [TOPIC], partitions: values.partitions, replicas: 1 });
const kafka = {
  brokers: [broker.address],
  topics: [TOPIC],
  group: GROUP,
  jobs: ['chaos'],
  from: 'earliest',
  sessionTimeoutMs: 3_000,
};
const stage = await openConsumerStage(folder, { kafka });
const { receiver, env } = stage;
try {
  await stage.startJob();
  const people = Array.from({ length: values.people }, (_, i) => `p${i}`);
  const beganAt = performance.now();
  let isWritten = false;
  let isOver = false;
  const writing = writeToTopic(broker.address, TOPIC, {
    people,
    messages,
    perSecond: values.perSecond,
  }).finally(() => (isWritten = true));
  const breaking = killTheBroker();
  const { kills, alive } = await killAtRandom(
    async () => await Program.start(['consume', 'kafka', '--json'], env, nextMain()),
    values.consumers,
    async () => isWritten && (await messagesLeft(broker.address, GROUP, TOPIC)) === 0,
    { fromMs: 2_000, toMs: 10_000 },
  );
  consumers = alive;
  isOver = true;
  const brokerKills = await breaking;
  const counts = await writing;
  const writtenTwice = (await messagesIn(broker.address, TOPIC)) - messages;
  const verdict = await verdictOf(receiver, counts);
  const seconds = Math.round((performance.now() - beganAt) / 1000);
  // Of these, a receiver knows by their ids that it has them.
  const { duplicates: repeatedUnderSameId } = receiver.ledger.summary();
  const { repeated: knownByJob } = await stage.jobs.status('chaos');
  const producer = new Producer({ clientId: 'alone', bootstrapBrokers: [broker.address], acks: -1 });
  const idleWriteToPostMs = await idleLatencies(receiver, async (user) => {
    const value = Buffer.from(JSON.stringify({ audience: 'vip', user, event: 'enter', profile: {} }));
    const writtenAtMs = Date.now();
    await producer.send({ messages: [{ topic: TOPIC, key: Buffer.from(user), value }] });
    return writtenAtMs;
  });
  await producer.close();
  console.log(
    JSON.stringify({
      messages,
      seconds,
      kills,
      brokerKills,
      writtenTwice,
      ...verdict,
      repeatedUnderSameId,
      knownByJob,
      idleWriteToPostMs,
    }),
  );

  async function killTheBroker(): Promise<number> {
    let times = 0;
    for (;;) {
      for (const until = performance.now() + 20_000 + Math.random() * 20_000; performance.now() < until;)
        if (isOver) return times;
        else await sleep(250);
      await broker.kill();
      times += 1;
      await sleep(Math.random() * 3_000);
      await broker.startAgain();
    }
  }
} finally {
  await Promise.all(consumers.map(async (consumer) => await consumer.kill()));
  await stage.close();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}
