import { configuredKafka, configuredOutbox } from '../../config/config.ts';
import { command, commandGroup } from '../command.ts';
import { portNumber } from '../options.ts';
import { runConsumer } from '../run-consumer.ts';

const outbox = command({
  name: 'outbox',
  description: 'tell jobs what an application writes to a table of PostgreSQL, until Ctrl-C',
  takes: (it) =>
    it
      .option(
        '--port <port>',
        'serve /healthz, /readyz and /metrics there; 0: a free one; default: nowhere',
        portNumber,
      )
      .option('--host <address>', 'address for that', '127.0.0.1'),
  json: ': one object when it is ready',
  notes: `The database is "outbox" of the configuration, the table is made by
examples/postgres/outbox.sql (docs/consumers.md). Several may run.`,
  examples: ['triggers consume outbox --port 9465'],
  async run(_args, { port, host }, invocation) {
    const config = configuredOutbox();
    const { startOutbox } = await import('../../consumers/outbox/outbox.ts');
    await runConsumer(
      {
        jobs: config.jobs,
        host,
        port,
        start: async (world) => await startOutbox({ config, ...world }),
        ready: `Outbox consumer ready: the table ${config.table}.`,
      },
      invocation,
    );
  },
});

const kafka = command({
  name: 'kafka',
  description: 'tell jobs what messages of Apache Kafka say, until Ctrl-C',
  takes: (it) =>
    it
      .option(
        '--port <port>',
        'serve /healthz, /readyz and /metrics there; 0: a free one; default: nowhere',
        portNumber,
      )
      .option('--host <address>', 'address for that', '127.0.0.1'),
  json: ': one object when it is ready',
  notes: `Brokers, topics and group are "kafka" of the configuration (docs/consumers.md).
Consumers of one group share its partitions.`,
  examples: ['triggers consume kafka --port 9465'],
  async run(_args, { port, host }, invocation) {
    const config = configuredKafka();
    const { startKafka } = await import('../../consumers/kafka/kafka.ts');
    await runConsumer(
      {
        jobs: config.jobs,
        host,
        port,
        start: async (world) => await startKafka({ config, ...world }),
        ready: `Kafka consumer ready: the group ${config.group}.`,
      },
      invocation,
    );
  },
});

export const consumeCommand = commandGroup({
  name: 'consume',
  description: 'tell jobs what comes by a stream of your own',
  parts: [kafka, outbox],
  examples: ['triggers consume outbox', 'triggers consume kafka'],
});
