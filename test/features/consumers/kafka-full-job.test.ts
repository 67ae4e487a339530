import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { messagesLeft, writeToTopic } from '../../../chaos/kafka-ledger.ts';
import { judgeChanges, killAtRandom } from '../../../chaos/outbox-ledger.ts';
import { kafkaSchema } from '../../../src/features/consumers/config.ts';
import { startKafka } from '../../../src/features/consumers/kafka.ts';
import { DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';
import type { LocalTemporal } from '../../../src/features/local/temporal-server.ts';
import { describeWithKafka, TestKafka } from '../../support/kafka.ts';
import { Lab } from '../../support/lab.ts';
import { until } from '../../support/patience.ts';
import { startTightServer } from '../../support/tight-server.ts';
import { type Program, startTriggers } from '../../support/triggers-cli.ts';
import { expectServed, worldOf } from './a-consumer.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** A job without a worker is full after so many signals. */
const SIGNALS_PER_RUN = 20;
const anyCharacter = (): string => String.fromCharCode(0x4e00 + randomInt(20_000));

const page = readFileSync(new URL('../../../docs/consumers.md', import.meta.url), 'utf8');
const [, ofKafka = ''] = page.split('\n## Topics of Apache Kafka\n');
const [, exampleConfig = ''] = /^```json\n(\{\n {2}"kafka":.*?)^```$/ms.exec(ofKafka) ?? [];
const [, exampleMessage = ''] = /^```json\n(\{ "audience":.*?)^```$/ms.exec(ofKafka) ?? [];

describeWithKafka('a consumer of Kafka whose job is full', () => {
  let server: LocalTemporal;
  let lab: Lab;
  let kafka: TestKafka;
  beforeAll(async () => {
    [server, kafka] = await Promise.all([startTightServer({ signalsPerRun: SIGNALS_PER_RUN }), TestKafka.start()]);
    const serverLimits = { ...DEFAULT_SERVER_LIMITS, signalsPerRun: SIGNALS_PER_RUN };
    lab = await Lab.open({ address: server.address, config: { serverLimits }, receiver: { keepBodies: true } });
  });
  afterAll(async () => {
    await Promise.all([lab?.close(), kafka?.stop()]);
    await server?.stop();
  });

  test('a consumer of large messages stops committing for a full job, says so, and continues in order with a worker', async () => {
    const job = await lab.start({ parallelRequestCount: 50 });
    await lab.stopWorkers();
    const topic = await kafka.topic();
    const { handover, log, metrics } = worldOf(lab, [job]);
    const config = kafkaSchema.parse({
      brokers: [kafka.broker.address],
      topics: [topic],
      group: 'full',
      from: 'earliest',
    });
    const consumer = await startKafka({ config, handover, log, metrics });
    try {
      // The first two have about 1 MB, hardly compressible, and little of it in profiles.
      const messages = 10;
      const people = Array.from({ length: 1_100 }, () => Array.from({ length: 255 }, anyCharacter).join(''));
      const peopleOf = (n: number): string[] => (n < 2 ? people : people.slice(0, 16));
      for (let n = 0; n < messages; n++) {
        const event = n % 2 === 0 ? 'enter' : 'exit';
        const value = peopleOf(n).map((user) => ({ audience: 'vip', user, event, profile: { n } }));
        await kafka.write(topic, [{ value }]);
      }
      await until(() => handover.problem !== undefined);
      expect(handover.problem).toContain(`The job "${job}" accepts no more signals`);
      expect(log.lines).toEqual(['warn a job is not accepting triggers; its triggers wait']);
      const [committed = 0] = await kafka.committed('full', topic);
      expect(committed).toBeLessThan(messages);
      expect(await metrics.text()).toContain(
        `triggers_kafka_lag{topic="${topic}",partition="0"} ${messages - committed}\n`,
      );
      await lab.addWorker();
      await until(async () => (await kafka.committed('full', topic))[0] === messages);
      expect([handover.problem, consumer.problem, log.lines.at(-1)]).toEqual([
        undefined,
        undefined,
        'info the job accepts triggers again',
      ]);
      const told = (user: string): number[] =>
        lab.receiver.ledger.entries
          .filter(({ message }) => message?.user === user)
          .map(({ body = '' }) => Number(/"n":(\d+)/.exec(body)?.[1]));
      await until(() => lab.receiver.ledger.delivered >= 2 * people.length + 16 * (messages - 2));
      for (const user of people.slice(0, 16)) expect(told(user)).toEqual(Array.from({ length: messages }, (_, n) => n));
      await lab.jobs.stop(job);
    } finally {
      await consumer.stop();
    }
  });

  describe('triggers consume kafka', () => {
    let lab: Lab;
    let folder: string;
    beforeAll(async () => {
      folder = tempFolder();
      lab = await Lab.open({ receiver: { keepBodies: true } });
    });
    afterAll(async () => {
      await lab.close();
    });

    async function consumer(config: string, options: readonly string[] = []): Promise<Program> {
      const file = join(folder, 'triggers.config.json');
      writeFileSync(file, config);
      const env = { TRIGGERS_CONFIG: file, TRIGGERS_TASK_QUEUE: lab.taskQueue };
      const program = startTriggers(['consume', 'kafka', '--json', ...options], { env });
      await program.says(({ stdout }) => stdout.endsWith('\n'));
      return program;
    }

    test('every message of a topic is sent, in order per person, although consumers and the broker are killed', async () => {
      const job = await lab.start({ parallelRequestCount: 50 });
      const topic = await kafka.topic(4);
      const group = 'killed';
      const brokers = [kafka.broker.address];
      const config = { brokers, topics: [topic], group, jobs: [job], from: 'earliest', sessionTimeoutMs: 1_000 };
      const people = Array.from({ length: 200 }, (_, i) => `streamed-${i}`);
      let isWritten = false;
      const writing = writeToTopic(kafka.broker.address, topic, { people, messages: 6_000, perSecond: 500 }).finally(
        () => (isWritten = true),
      );
      let isBrokerBack = false;
      const breaking = (async () => {
        await until(() => lab.receiver.ledger.entries.length > 500);
        await kafka.broker.kill();
        await kafka.broker.startAgain();
        isBrokerBack = true;
      })();
      const { kills, alive } = await killAtRandom(
        async () => await consumer(JSON.stringify({ kafka: config })),
        2,
        async () => isBrokerBack && isWritten && (await messagesLeft(kafka.broker.address, group, topic)) === 0,
        { fromMs: 1_000, toMs: 4_000 },
      );
      await breaking;
      const counts = await writing;
      await until(() => judgeChanges(lab.receiver.ledger.entries, counts).lost === 0);
      await Promise.all(alive.map((program) => program.kill()));
      expect(kills).toBeGreaterThan(0);
      expect(judgeChanges(lab.receiver.ledger.entries, counts)).toMatchObject({
        arrived: 6_000,
        lost: 0,
        outOfOrder: 0,
      });
    });

    test('a consumer sends the documented example, reports its state, names no person, ends cleanly, and has the documented metrics', async () => {
      const job = await lab.start();
      await kafka.broker.admin.createTopics({
        topics: ['audience-changes', 'audience-changes-dead'],
        partitions: 1,
        replicas: 1,
      });
      const program = await consumer(
        exampleConfig.replace('vips-to-the-crm', job).replace('kafka.example.com:9092', kafka.broker.address),
        ['--port', '0'],
      );
      await until(async () => (await kafka.committed('audience-triggers', 'audience-changes'))[0] === 0);
      const { user } = JSON.parse(exampleMessage) as { user: string }; // As the page has it.
      await kafka.write('audience-changes', [{ key: user, value: exampleMessage }]);
      await lab.arrives(user);
      await expectServed(program, 'kafka', user);
      program.signal('SIGTERM');
      const { code, stderr } = await program.end();
      expect([code, stderr]).toEqual([0, '']);
      expect(await kafka.committed('audience-triggers', 'audience-changes')).toEqual([1]);
    });
  });
});
