import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import { messagesLeft, writeToTopic } from '../../chaos/kafka-ledger.ts';
import { judgeChanges, killAtRandom } from '../../chaos/outbox-ledger.ts';
import { readExposition } from '../support/exposition.ts';
import { describeWithKafka, TestKafka } from '../support/kafka.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';

const page = readFileSync(new URL('../../docs/consumers.md', import.meta.url), 'utf8');
const [, ofKafka = ''] = page.split('\n## Topics of Apache Kafka\n');
const [, exampleConfig = ''] = /^```json\n(\{\n {2}"kafka":.*?)^```$/ms.exec(ofKafka) ?? [];
const [, exampleMessage = ''] = /^```json\n(\{ "audience":.*?)^```$/ms.exec(ofKafka) ?? [];

describeWithKafka('triggers consume kafka', () => {
  let lab: Lab;
  let kafka: TestKafka;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'consume-kafka-test-'));
    [lab, kafka] = await Promise.all([Lab.open({ receiver: { keepBodies: true } }), TestKafka.start()]);
  });
  afterAll(async () => {
    await Promise.all([lab?.close(), kafka?.stop()]);
    rmSync(folder, { recursive: true });
  });

  async function consumer(config: string, options: readonly string[] = []): Promise<Program> {
    const file = join(folder, 'triggers.config.json');
    writeFileSync(file, config);
    const env = { TRIGGERS_CONFIG: file, TRIGGERS_TASK_QUEUE: lab.taskQueue };
    const program = startTriggers(['consume', 'kafka', '--json', ...options], { env });
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    return program;
  }

  test('whatever a topic has is told, in order per person, although consumers and the broker are killed', async () => {
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
    expect(judgeChanges(lab.receiver.ledger.entries, counts)).toMatchObject({ arrived: 6_000, lost: 0, outOfOrder: 0 });
  });

  test('the example of the page is told; a consumer says how it is, names no person, ends in peace, and its metrics are those of the page', async () => {
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
    const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string }; // As `consume --json` says it.
    const get = async (path: string): Promise<string> => {
      const { statusCode, body } = await request(new URL(path, metricsUrl));
      return `${statusCode} ${await body.text()}`;
    };
    expect(await get('/healthz')).toBe('200 {"ok":true}\n');
    expect(await get('/readyz')).toBe('200 {"ok":true}\n');
    await until(async () =>
      (await get('/metrics')).includes('triggers_consumer_triggers_total{outcome="accepted"} 1\n'),
    );
    const text = await get('/metrics');
    const exposed = [...readExposition(text.slice(4)).keys()];
    const metrics = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const documented = Array.from(
      metrics.matchAll(/^\| `(triggers_(?:consumer|kafka)_\w+)`/gm),
      ([, name = '']) => name,
    );
    expect(documented.toSorted()).toEqual(exposed.toSorted());
    expect(text).not.toContain(user);
    program.signal('SIGTERM');
    const { code, stderr } = await program.end();
    expect([code, stderr]).toEqual([0, '']);
    expect(await kafka.committed('audience-triggers', 'audience-changes')).toEqual([1]);
  });
});
