import type { Client } from '@temporalio/client';
import type { DeliveryLog } from '../../activities/slice-telemetry.ts';
import { pollersOf } from '../../client/calls/asking.ts';
import { sealingWith } from '../../temporal/sealed-text.ts';
import { THIS_WORKER } from '../../worker/identity.ts';
import type { DeliveryLogConfig } from './config.ts';
import type { DeliveryReader } from './delivery-reader.ts';
import { watchFellows } from './fellow-workers.ts';
import type { LogWriter, LogWriterOptions } from './log-writer.ts';
import { openDeliveryReader, openLogWriter, readableLog } from './open-log.ts';
import { deliveryLogOf } from './slice-rows.ts';

export interface WorkerLogOptions {
  readonly config: {
    readonly deliveryLog?: DeliveryLogConfig | undefined;
    readonly payloadKeys: readonly string[];
    readonly taskQueue: string;
  };
  /** The name of the worker in Temporal, and of its writer in the log. */
  readonly identity: string;
  readonly client: Client;
  readonly log: LogWriterOptions['log'];
  /** Counts rows, and shows why they are not written. */
  readonly counts?: LogCounts | undefined;
}

interface LogCounts {
  readonly logged: (outcome: 'written' | 'dropped', rows: number) => void;
  deliveryLogProblem: string | undefined;
}

/** Opens the configured log; undefined: there is none. */
export function openWorkerLog(options: WorkerLogOptions): WorkerLog | undefined {
  const { deliveryLog } = options.config;
  return deliveryLog && new WorkerLog(deliveryLog, options);
}

/** The delivery log of a worker, which starts, and sends, while the log is away. */
export class WorkerLog {
  readonly deliveryLog: DeliveryLog;
  /** The requests that are kept, as they were sent. */
  readonly keeps: 'all' | 'failed';
  /** Where it is, if it is in a folder. */
  readonly folder: string | undefined;
  /** Reads what was told; undefined: the log cannot be read. */
  readonly toldLog: DeliveryReader | undefined;
  readonly #writer: LogWriter;
  readonly #endWatch: () => void;
  #unwritten: string | undefined;

  constructor(place: DeliveryLogConfig, { config, identity, client, log, counts }: WorkerLogOptions) {
    const { bodies, folder } = place;
    const sealing = sealingWith(config.payloadKeys);
    const counted: LogWriterOptions['counted'] = (outcome, rows) => counts?.logged(outcome, rows);
    const noticed = (problem: string | undefined): void => {
      this.#unwritten = problem;
      if (counts !== undefined) counts.deliveryLogProblem = problem;
    };
    const readable = readableLog(place);
    // First, since nothing closes what was opened before a failure here.
    this.toldLog = readable && openDeliveryReader(readable, sealing);
    this.#writer = openLogWriter(place, { log, counted, noticed }, identity);
    this.#endWatch = watchFellows(() => pollersOf(client, config.taskQueue), this.#writer);
    this.deliveryLog = deliveryLogOf({ worker: THIS_WORKER, bodies, seal: sealing.seal, writer: this.#writer });
    this.keeps = bodies === 'all' ? 'all' : 'failed';
    this.folder = folder;
  }

  /** Why the log cannot be used; undefined when it can. Never rejects. */
  async problem(): Promise<string | undefined> {
    if (this.#unwritten !== undefined) return this.#unwritten;
    return await this.toldLog?.attempts('-').then(
      () => undefined,
      ({ message }: Error) => message,
    );
  }

  /** Writes what waits, within its time. */
  async close(): Promise<void> {
    try {
      await this.toldLog?.close();
    } finally {
      this.#endWatch();
      await this.#writer.close();
    }
  }
}
