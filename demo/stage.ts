import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startApi } from '../src/app/api.ts';
import { connectClient } from '../src/client/calls/connect.ts';
import { ExportJobs } from '../src/app/export-jobs.ts';
import { loadConfig, withThisMachine } from '../src/app/config.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { type LocalTemporal, startLocalTemporal } from '../src/features/local/temporal-server.ts';
import { installRuntime } from '../src/worker/runtime.ts';
import { OpenResources, startWorker } from '../src/app/worker.ts';
import { writeSampleSource } from './sample-data.ts';

/** What `npm run demo` builds first, so that its worker starts at once. */
const BUNDLE = fileURLToPath(new URL('../lib/workflow-bundle.js', import.meta.url));

/** Kinds of sources that the demo has. */
export const DEMO_SOURCES = ['file', 'postgres'] as const;
export type DemoSource = (typeof DEMO_SOURCES)[number];

/** Everything that a demo needs, running. */
export interface DemoStage {
  readonly temporal: LocalTemporal;
  /** The sample's audiences, with their sizes. */
  readonly audiences: readonly { readonly size: number }[];
  readonly jobs: ExportJobs;
  /** The HTTP API, which serves the console. */
  readonly apiUrl: string;
  /** Absent when messages go to an endpoint of the user's. */
  readonly receiver?: Recorder;
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
  const opened = new OpenResources();
  const close = (): Promise<void> => opened.close();
  try {
    const folder = opened.with(mkdtempSync(join(tmpdir(), 'audience-triggers-demo-')), (made) =>
      rmSync(made, { recursive: true, force: true }),
    );

    const sample = opened.with(await openSample(folder, options, onStep), (one) => one.stop());

    onStep('starting Temporal with its web UI');
    const temporal = opened.with(
      await startLocalTemporal({ dbFile: join(folder, 'temporal.db'), ui: true, onProgress: onStep }),
      (one) => one.stop(),
    );
    const connection = { connectionOptions: { address: temporal.address }, namespace: temporal.namespace };

    const receiver = opened.with(options.url === undefined ? await startRecorder() : undefined, (one) => one?.close());

    onStep('starting a worker');
    const base = withThisMachine(loadConfig({ env: { TRIGGERS_SOURCE: sample.source } }));
    // What was just written has been written to its end, so nothing has to wait until it is quiet.
    const source = base.source?.kind === 'file' ? { ...base.source, quietMs: 0 } : base.source;
    const config = { ...base, source, logLevel: 'error' as const };
    installRuntime(config);
    const workflowBundle = { codePath: BUNDLE };
    opened.with(await startWorker({ config, connection, workflowBundle, neverTo: temporal.places }), (worker) =>
      worker.shutdown(),
    );

    const client = opened.with(await connectClient(connection, config.payloadKeys), (one) => one.close());
    const jobs = new ExportJobs(client.client, { taskQueue: config.taskQueue });
    const { taskQueue } = config;
    const temporalWorkflowsUrl = `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows/`;
    const serving = { client: client.client, jobs, taskQueue, keys: {}, host: '127.0.0.1', temporalWorkflowsUrl };
    // Whoever opens the console sees what goes wrong there.
    const log = { error: () => undefined, warn: () => undefined };
    const { url: apiUrl } = opened.with(await startApi({ ...serving, port: 0, log }), (api) => api.close());
    return {
      temporal,
      audiences: sample.audiences,
      jobs,
      apiUrl,
      ...(receiver === undefined ? {} : { receiver }),
      close,
    };
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
    const { startDemoPostgres } = await import('./postgres.ts');
    const postgres = await startDemoPostgres(folder, { people }, onStep);
    return { source: postgres.url, audiences: postgres.audiences, stop: () => postgres.stop() };
  }
  onStep(`writing a sample source: ${people.toLocaleString('en')} people`);
  const files = join(folder, 'audiences');
  const { audiences } = await writeSampleSource(files, { people });
  return { source: files, audiences, stop: async () => undefined };
}
