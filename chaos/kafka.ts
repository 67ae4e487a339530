// npx tsx chaos/kafka.ts [--messages 100000] : an application writes changes to a topic while the consumers of a group are killed, or ended, and the
// broker is killed and started again. All must arrive, each person's in the order of their offsets. Then the time from a message to its POST. One JSON
// line on standard output. Needs Java 17 (ops/kafka/broker.sh).
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Producer } from '@platformatic/kafka';
import { ExportJobs } from '../src/client/export-jobs.ts';
import { startReceiver } from '../src/local/receiver.ts';
import { startLocalTemporal } from '../src/local/temporal-server.ts';
import { KafkaBroker, whyNoKafka } from './kafka-broker.ts';
import { messagesIn, messagesLeft, writeToTopic } from './kafka-ledger.ts';
import { judgeChanges, killAtRandom, type Victim } from './outbox-ledger.ts';
import { Program } from './program.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    people: { type: 'string', default: '2000' },
    consumers: { type: 'string', default: '3' },
    partitions: { type: 'string', default: '8' },
    perSecond: { type: 'string', default: '500' },
  },
});
const missing = whyNoKafka();
if (missing !== undefined) throw new Error(`There is no Kafka here: ${missing}.`);
const messages = Number(values.messages);
/** Longest wait for the last arrival. */
const LONGEST_MS = 600_000;
const TOPIC = 'changes';
const GROUP = 'chaos';
let consumers: readonly Victim[] = [];
const folder = mkdtempSync(join(tmpdir(), 'kafka-chaos-'));
const broker = await KafkaBroker.start(folder);
const temporal = await startLocalTemporal({ dbFile: join(folder, 'temporal.db') });
const receiver = await startReceiver({ keepBodies: true });
await broker.admin.createTopics({ topics: [TOPIC], partitions: Number(values.partitions), replicas: 1 });
const configFile = join(folder, 'triggers.config.json');
const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
const source = { kind: 'file', folder: join(folder, 'source') };
mkdirSync(join(source.folder, 'audiences'), { recursive: true });
writeFileSync(join(source.folder, 'profiles.ndjson'), '');
writeFileSync(
  join(source.folder, 'audiences', 'vip.ndjson'),
  `${JSON.stringify({ audience: { id: 'ab'.repeat(16), name: 'VIP' } })}\n`,
);
const kafka = {
  brokers: [broker.address],
  topics: [TOPIC],
  group: GROUP,
  jobs: ['chaos'],
  from: 'earliest',
  sessionTimeoutMs: 3_000,
};
writeFileSync(configFile, JSON.stringify({ source, network, kafka }));
const env = { ...process.env, TRIGGERS_CONFIG: configFile, TEMPORAL_ADDRESS: temporal.address };
const worker = await Program.start(['worker', '--json'], env);
const jobs = await ExportJobs.connect({
  connection: { connectionOptions: { address: temporal.address }, namespace: temporal.namespace },
});
try {
  await jobs.start(
    { label: 'Chaos', audiences: ['vip'], webhookUrl: receiver.url, authorization: null, parallelRequestCount: 50 },
    { jobId: 'chaos' },
  );
  const people = Array.from({ length: Number(values.people) }, (_, i) => `p${i}`);
  const beganAt = performance.now();
  let isWritten = false;
  let isOver = false;
  const writing = writeToTopic(broker.address, TOPIC, {
    people,
    messages,
    perSecond: Number(values.perSecond),
  }).finally(() => (isWritten = true));
  const breaking = killTheBroker();
  const { kills, alive } = await killAtRandom(
    async () => await Program.start(['consume', 'kafka', '--json'], env),
    Number(values.consumers),
    async () => isWritten && (await messagesLeft(broker.address, GROUP, TOPIC)) === 0,
    { fromMs: 2_000, toMs: 10_000 },
  );
  consumers = alive;
  isOver = true;
  const brokerKills = await breaking;
  const counts = await writing;
  const writtenTwice = (await messagesIn(broker.address, TOPIC)) - messages;
  // Judged now and then only: this process is the endpoint, too.
  const giveUpAt = performance.now() + LONGEST_MS;
  while (judgeChanges(receiver.ledger.entries, counts).lost > 0 && performance.now() < giveUpAt) await sleep(2_000);
  const seconds = Math.round((performance.now() - beganAt) / 1000);
  const verdict = judgeChanges(receiver.ledger.entries, counts);
  // Of these, a receiver knows by their ids that it has them.
  const { duplicates: repeatedUnderSameId } = receiver.ledger.summary();
  const { repeated: knownByJob } = await jobs.status('chaos');
  const idleWriteToPostMs = await idleLatencies();
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
  await jobs.close();
  await worker.kill();
  await temporal.stop();
  await receiver.close();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** From a message to the arrival of its request, one at a time. */
async function idleLatencies(): Promise<{ readonly p50: number; readonly p99: number }> {
  const producer = new Producer({ clientId: 'alone', bootstrapBrokers: [broker.address], acks: -1 });
  const found: number[] = [];
  for (let i = 0; i < 200; i++) {
    await sleep(100);
    const user = `alone-${i}`;
    const value = Buffer.from(JSON.stringify({ audience: 'vip', user, event: 'enter', profile: {} }));
    const writtenAt = Date.now();
    await producer.send({ messages: [{ topic: TOPIC, key: Buffer.from(user), value }] });
    const of = ({ message }: { readonly message: { readonly user: string } | undefined }): boolean =>
      message?.user === user;
    await receiver.ledger.waitFor(({ entries }) => entries.slice(-5).some(of));
    found.push((receiver.ledger.entries.findLast(of)?.arrivedAtMs ?? NaN) - writtenAt);
  }
  await producer.close();
  found.sort((a, b) => a - b);
  return { p50: found[99] ?? NaN, p99: found[197] ?? NaN };
}
