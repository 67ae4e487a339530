import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectClient } from '../client/connect.ts';
import { ExportJobs } from '../client/export-jobs.ts';
import { loadConfig, withThisMachine } from '../config.ts';
import { installRuntime } from '../runtime.ts';
import { startWorker } from '../worker.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import { writeSampleSource } from './sample-data.ts';
import { type LocalTemporal, startLocalTemporal } from './temporal-server.ts';

/** Kinds of sources that the demo has. */
export const DEMO_SOURCES = ['file', 'postgres'] as const;
export type DemoSource = (typeof DEMO_SOURCES)[number];

/** Everything that a demo needs, running. */
export interface DemoStage {
  readonly temporal: LocalTemporal;
  /** The sample's audiences, with their sizes. */
  readonly audiences: readonly { readonly size: number }[];
  readonly jobs: ExportJobs;
  /** Absent when messages go to an endpoint of the user's. */
  readonly receiver?: Receiver;
  /** Ends everything, in the order of dependence, and removes what it wrote. */
  close(): Promise<void>;
}

/**
 * Starts Temporal with its web UI on a database file, a sample source, a receiver and a worker. Whatever was started is ended when a later
 * part fails.
 *
 * @param onStep called with what is being done, a line each.
 */
export async function openDemoStage(
  options: { readonly people: number; readonly url?: string | undefined; readonly source: DemoSource },
  onStep: (text: string) => void,
): Promise<DemoStage> {
  const releases: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const release of releases.splice(0).reverse()) await release();
  };
  try {
    const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-demo-'));
    releases.push(() => rmSync(folder, { recursive: true, force: true }));

    const sample = await openSample(folder, options, onStep);
    releases.push(() => sample.stop());

    onStep('starting Temporal with its web UI');
    const temporal = await startLocalTemporal({ dbFile: join(folder, 'temporal.db'), ui: true, onProgress: onStep });
    releases.push(() => temporal.stop());
    const connection = { connectionOptions: { address: temporal.address }, namespace: temporal.namespace };

    const receiver = options.url === undefined ? await startReceiver() : undefined;
    if (receiver !== undefined) releases.push(() => receiver.close());

    onStep('starting a worker');
    const config = {
      ...withThisMachine(loadConfig({ env: { TRIGGERS_SOURCE: sample.source } })),
      logLevel: 'error' as const,
    };
    installRuntime(config);
    const worker = await startWorker({ config, connection });
    releases.push(() => worker.shutdown());

    const client = await connectClient(connection, config.payloadKeys);
    releases.push(() => client.close());
    const jobs = new ExportJobs(client.client, { taskQueue: config.taskQueue });
    return { temporal, audiences: sample.audiences, jobs, ...(receiver === undefined ? {} : { receiver }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Invented people, in the kind of source that was asked for. */
interface Sample {
  /** What to give as `TRIGGERS_SOURCE`. */
  readonly source: string;
  readonly audiences: DemoStage['audiences'];
  stop(): Promise<void>;
}

async function openSample(
  folder: string,
  { people, source }: { readonly people: number; readonly source: DemoSource },
  onStep: (text: string) => void,
): Promise<Sample> {
  if (source === 'postgres') {
    onStep(`starting PostgreSQL, and writing ${people.toLocaleString('en')} sample people into it`);
    // Loaded only here: the server is a development dependency, which nothing else needs.
    const { startDemoPostgres } = await import('./demo-postgres.ts');
    const postgres = await startDemoPostgres(folder, { people }, onStep);
    return { source: postgres.url, audiences: postgres.audiences, stop: () => postgres.stop() };
  }
  onStep(`writing a sample source: ${people.toLocaleString('en')} people`);
  const files = join(folder, 'audiences');
  const { audiences } = await writeSampleSource(files, { people });
  return { source: files, audiences, stop: async () => undefined };
}
