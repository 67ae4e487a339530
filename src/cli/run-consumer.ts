import type { Logger } from 'pino';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/config.ts';
import type { ConsumerMetrics } from '../consumers/consumer-metrics.ts';
import type { ConsumerLog, Handover } from '../consumers/handover.ts';
import type { RunningConsumer } from '../consumers/running-consumer.ts';
import type { Invocation } from './command.ts';
import { listening } from './listening.ts';
import { aborted, interruption } from './terminal.ts';

/** How long, in ms, what is under way when it is to end may take; a little longer than a consumer itself waits for it. */
const GRACE_MS = 6_000;

/** What a consumer works with. */
export interface ConsumerWorld {
  readonly handover: Handover;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

/** Longest wait, in ms, for one signal to be accepted, before what a job is to be told is begun again. */
const PATIENCE_MS = 5_000;

/**
 * Runs a consumer until Ctrl-C, or until the process is asked to end.
 * @param jobs the only ones that are told; undefined: all that listen.
 * @throws ServerUnreachable, JobsUnreadable, PortTaken; what `start` throws
 */
export async function runConsumer(
  {
    jobs,
    host,
    port,
    start,
    ready,
  }: {
    readonly jobs: readonly string[] | undefined;
    readonly host: string;
    /** Where it says how it is; undefined: nowhere. */
    readonly port: number | undefined;
    readonly start: (world: ConsumerWorld) => Promise<RunningConsumer>;
    readonly ready: string;
  },
  { terminal, print }: Pick<Invocation, 'terminal' | 'print'>,
): Promise<void> {
  const taskQueue = configuredTaskQueue();
  const [connecting, asking, lists, service, grouped, handovers, metric, logs, servers] = await Promise.all([
    import('../client/connect.ts'),
    import('../client/temporal-problem.ts'),
    import('../client/jobs/job-list.ts'),
    import('../client/jobs/job-service.ts'),
    import('../client/push/grouped-signals.ts'),
    import('../consumers/handover.ts'),
    import('../consumers/consumer-metrics.ts'),
    import('../worker/log.ts'),
    import('../worker/metrics/metrics-server.ts'),
  ]);
  const stop = interruption();
  const { client, abandon } = await connecting.connectClient(connecting.loadConnectConfig(), configuredPayloadKeys());
  const ends: (() => Promise<void>)[] = [abandon];
  try {
    const log = inSdkOrder(logs.createLog('info', { write: (line) => terminal.err(line.trimEnd()) }));
    const metrics = new metric.ConsumerMetrics();
    const directory = lists.jobDirectory(client, taskQueue);
    // A job that cannot be read here would get nothing, unseen: this throws.
    await directory.list();
    const signals = new grouped.GroupedSignals((jobId) => service.jobSignals(client, jobId), PATIENCE_MS);
    const signal = signals.signal.bind(signals);
    const handover = new handovers.Handover({ directory, signal, jobs, log, metrics });
    await handover.lookAtJobs();
    const consumer = await start({ handover, log, metrics });
    // A Temporal that is there and never answers would keep it, and the process, for as long as a call may take.
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
    const isReady = problem === undefined ? ready : `It waits, and is tried again: ${problem}`;
    print({ metricsUrl: server?.url, taskQueue, problem }, () => `${isReady}${where} Stop it with Ctrl-C.`);
    await aborted(stop.signal);
  } finally {
    for (const end of ends) await end();
    stop.dispose();
  }
}

/** Our code logs as the SDK does: the message first. */
function inSdkOrder(log: Logger): ConsumerLog {
  return {
    info: (message, fields = {}) => log.info(fields, message),
    warn: (message, fields = {}) => log.warn(fields, message),
    error: (message, fields = {}) => log.error(fields, message),
  };
}
