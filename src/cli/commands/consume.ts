import { configuredKafka, configuredOutbox, configWarnings } from '../../config/config.ts';
import { command, commandGroup, type CommandMaker } from '../command.ts';
import { portNumber } from '../options.ts';
import { runConsumer } from '../run-consumer.ts';

/** What a consumer is, besides the port where it says how it is. */
interface ConsumerTerms {
  readonly name: string;
  readonly description: string;
  readonly notes: string;
  readonly example: string;
  /** Reads its configuration, and loads what consumes: only one of them is ever needed. */
  readonly load: () => Promise<Omit<Parameters<typeof runConsumer>[0], 'host' | 'port'>>;
}

function consumer({ name, description, notes, example, load }: ConsumerTerms): CommandMaker {
  return command({
    name,
    description,
    takes: (it) =>
      it
        .option(
          '--port <port>',
          'serve /healthz, /readyz and /metrics there; 0: a free one; default: nowhere',
          portNumber,
        )
        .option('--host <address>', 'address for that', '127.0.0.1'),
    json: ': one object when it is ready',
    notes,
    examples: [example],
    async run(_args, { port, host }, invocation) {
      configWarnings().forEach(invocation.note);
      await runConsumer({ ...(await load()), host, port }, invocation);
    },
  });
}

const outbox = consumer({
  name: 'outbox',
  description: 'tell jobs what an application writes to a table of PostgreSQL, until Ctrl-C',
  notes: `The database is "outbox" of the configuration, the table is made by
examples/postgres/outbox.sql (docs/consumers.md). Several may run.`,
  example: 'triggers consume outbox --port 9465',
  async load() {
    const config = configuredOutbox();
    const { startOutbox } = await import('../../consumers/outbox/outbox.ts');
    return {
      jobs: config.jobs,
      start: async (world) => await startOutbox({ config, ...world }),
      ready: `Outbox consumer ready: the table ${config.table}.`,
    };
  },
});

const kafka = consumer({
  name: 'kafka',
  description: 'tell jobs what messages of Apache Kafka say, until Ctrl-C',
  notes: `Brokers, topics and group are "kafka" of the configuration (docs/consumers.md).
Consumers of one group share its partitions.`,
  example: 'triggers consume kafka --port 9465',
  async load() {
    const config = configuredKafka();
    const { startKafka } = await import('../../consumers/kafka/kafka.ts');
    return {
      jobs: config.jobs,
      start: async (world) => await startKafka({ config, ...world }),
      ready: `Kafka consumer ready: the group ${config.group}.`,
    };
  },
});

export const consumeCommand = commandGroup({
  name: 'consume',
  description: 'tell jobs what comes by a stream of your own',
  parts: [kafka, outbox],
  examples: ['triggers consume outbox', 'triggers consume kafka'],
});
