import type { Logger } from 'pino';
import { configuredKafka, configuredOutbox } from './config.ts';
import { configuredPayloadKeys, configuredTaskQueue, configWarnings } from '../../config/file.ts';
import { command, commandGroup, type CommandMaker, type Invocation } from '../../cli/command.ts';
import { portNumber } from '../../cli/options.ts';
import type { ConsumerLog, ConsumerMetrics, Handover, RunningConsumer } from './handover.ts';
import { aborted, interruption, listening } from '../../cli/terminal.ts';

/** The parts of a consumer, besides the port for its state. */
interface ConsumerTerms {
  readonly name: string;
  readonly description: string;
  readonly notes: string;
  readonly example: string;
  /** Reads its configuration, and loads its code: only one of the consumers is ever needed. */
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
          'serve /healthz, /readyz and /metrics on this port; 0: any free port; default: off',
          portNumber,
        )
        .option('--host <address>', 'address to listen on', '127.0.0.1'),
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
  description: 'publish the changes in a PostgreSQL outbox table, until Ctrl-C',
  notes: `"outbox" in the configuration names the database. To create the table, run
examples/postgres/outbox.sql (docs/consumers.md). You can run several.`,
  example: 'triggers consume outbox --port 9465',
  async load() {
    const config = configuredOutbox();
    const { startOutbox } = await import('./outbox.ts');
    return {
      jobs: config.jobs,
      start: async (world) => await startOutbox({ config, ...world }),
      ready: `Outbox consumer ready: the table ${config.table}.`,
    };
  },
});

const kafka = consumer({
  name: 'kafka',
  description: 'publish the changes in Apache Kafka messages, until Ctrl-C',
  notes: `"kafka" in the configuration has brokers, topics and group (docs/consumers.md).
Consumers of one group share its partitions.`,
  example: 'triggers consume kafka --port 9465',
  async load() {
    const config = configuredKafka();
    const { startKafka } = await import('./kafka.ts');
    return {
      jobs: config.jobs,
      start: async (world) => await startKafka({ config, ...world }),
      ready: `Kafka consumer ready: the group ${config.group}.`,
    };
  },
});

export const consumeCommand = commandGroup({
  name: 'consume',
  description: 'publish the changes from a stream of your own',
  parts: [kafka, outbox],
  examples: ['triggers consume outbox', 'triggers consume kafka'],
});

/** How long, in ms, a consumer has to end its work; a little longer than it waits for that itself. */
const GRACE_MS = 6_000;

/** The tools of a consumer. */
interface ConsumerWorld {
  readonly handover: Handover;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

/** Longest wait, in ms, for one signal to be accepted, before the signal is begun again. */
const PATIENCE_MS = 5_000;

/**
 * Runs a consumer until Ctrl-C, or until the process is asked to end.
 * @param jobs the only ones that get triggers; undefined: all that subscribe.
 * @throws ServerUnreachable, JobsUnreadable, PortTaken; the errors of `start`
 */
async function runConsumer(
  {
    jobs,
    host,
    port,
    start,
    ready,
  }: {
    readonly jobs: readonly string[] | undefined;
    readonly host: string;
    /** The port for its state; undefined: none. */
    readonly port: number | undefined;
    readonly start: (world: ConsumerWorld) => Promise<RunningConsumer>;
    readonly ready: string;
  },
  { terminal, print }: Pick<Invocation, 'terminal' | 'print'>,
): Promise<void> {
  const taskQueue = configuredTaskQueue();
  const [connecting, asking, lists, senders, grouped, handovers, logs, servers] = await Promise.all([
    import('../../client/calls/connect.ts'),
    import('../../client/calls/temporal-problem.ts'),
    import('../../client/push/job-directory.ts'),
    import('../../client/push/signal-sender.ts'),
    import('../../client/push/job-pusher.ts'),
    import('./handover.ts'),
    import('../../worker/log.ts'),
    import('../metrics/metrics-server.ts'),
  ]);
  const stop = interruption();
  const { client, abandon } = await connecting.connectClient(connecting.loadConnectConfig(), configuredPayloadKeys());
  const ends: (() => Promise<void>)[] = [abandon];
  try {
    const log = inSdkOrder(logs.createLog('info', { write: (line) => terminal.err(line.trimEnd()) }));
    const metrics = new handovers.ConsumerMetrics();
    const directory = lists.jobDirectory(client, taskQueue);
    // This throws: a job that cannot be read here would get nothing, unnoticed.
    await directory.list();
    const signals = new grouped.GroupedSignals((jobId) => senders.jobSignals(client, jobId), PATIENCE_MS);
    const signal = signals.signal.bind(signals);
    const handover = new handovers.Handover({ directory, signal, jobs, log, metrics });
    await handover.lookAtJobs();
    const consumer = await start({ handover, log, metrics });
    // A Temporal that accepts calls and never answers would delay the end of the process by as long as a call may take.
    ends.unshift(async () => {
      const late = setTimeout(() => void abandon(), GRACE_MS);
      await consumer.stop().finally(() => clearTimeout(late));
    });
    const options = { host, port: port ?? 0, contentType: metrics.contentType, text: () => metrics.text() };
    const server =
      port === undefined
        ? undefined
        : await listening(
            servers.startMetricsServer({
              ...options,
              problem: async () =>
                consumer.problem ?? handover.problem ?? (await asking.temporalProblem(client))?.message,
            }),
            { host, port },
          );
    if (server !== undefined) ends.push(() => server.close());
    const where = server === undefined ? '' : ` Metrics: ${server.url}.`;
    const { problem } = consumer;
    const isReady = problem === undefined ? ready : `Waiting to retry: ${problem}`;
    print({ metricsUrl: server?.url, taskQueue, problem }, () => `${isReady}${where} Stop it with Ctrl-C.`);
    await aborted(stop.signal);
  } finally {
    for (const end of ends) await end();
    stop.dispose();
  }
}

/** Logs like the SDK: the message first. */
function inSdkOrder(log: Logger): ConsumerLog {
  return {
    info: (message, fields = {}) => log.info(fields, message),
    warn: (message, fields = {}) => log.warn(fields, message),
    error: (message, fields = {}) => log.error(fields, message),
  };
}
