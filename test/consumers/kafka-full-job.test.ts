import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { kafkaSchema } from '../../src/config/consumer-config.ts';
import { startKafka } from '../../src/consumers/kafka/kafka.ts';
import type { LocalTemporal } from '../../src/local/temporal-server.ts';
import { describeWithKafka, TestKafka } from '../support/kafka.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { startTightServer } from '../support/tight-server.ts';
import { worldOf } from './a-consumer.ts';

/** A job without a worker is full after so many signals. */
const SIGNALS_PER_RUN = 20;
const anyCharacter = (): string => String.fromCharCode(0x4e00 + randomInt(20_000));

describeWithKafka('a consumer of Kafka whose job is full', () => {
  let server: LocalTemporal;
  let lab: Lab;
  let kafka: TestKafka;
  beforeAll(async () => {
    [server, kafka] = await Promise.all([startTightServer({ signalsPerRun: SIGNALS_PER_RUN }), TestKafka.start()]);
    lab = await Lab.open({ address: server.address, receiver: { keepBodies: true } });
  });
  afterAll(async () => {
    await Promise.all([lab?.close(), kafka?.stop()]);
    await server?.stop();
  });

  test('commits nothing more, says so, and goes on by itself, in order, once a worker is there; messages may be as large as Kafka takes', async () => {
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
      expect(handover.problem).toContain(`The job "${job}" takes no more signals`);
      expect(log.lines).toEqual(['warn a job takes nothing; what it is to be told waits']);
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
        'info the job takes triggers again',
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
});
