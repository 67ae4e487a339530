import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { writeSampleSource } from '../demo/sample-data.ts';
import { samplePeople, type SamplePerson } from '../demo/sample-people.ts';
import { connectClient, type ConnectedClient } from '../src/client/calls/connect.ts';
import { ExportJobs } from '../src/app/export-jobs.ts';
import { workflowCode } from '../src/worker/deployment.ts';
import { Fleet } from './fleet.ts';
import type { Release } from './release-build.ts';
import { DEFAULT_LIMITS, type StageLimits } from './limits.ts';
import { type ChaosServer, startFileServer } from './server.ts';
import { type Stall, StallWatch } from './stalls.ts';
import { EVERYONE } from './workload.ts';

/** Short, so that a hanging endpoint and a killed worker cost seconds, not minutes. */
export const REQUEST_TIMEOUT_MS = 2_000;

export interface StageOptions {
  readonly people: number;
  readonly workers: number;
  /** Where the jobs may send. */
  readonly origins: readonly string[];
  /** Default: the server's own. */
  readonly limits?: StageLimits;
  /** See `FleetOptions`. */
  readonly releaseOf?: ((place: number) => Release | undefined) | undefined;
  /** More of the workers' configuration; the stage's folder is given. */
  readonly config?: (folder: string) => Readonly<Record<string, unknown>>;
  /** Default: the development server on a database file in the stage's folder. */
  readonly startServer?: (folder: string) => Promise<ChaosServer>;
}

/** What a run plays on: Temporal, workers in processes of their own, a source of invented people, a client. */
export interface Stage {
  readonly server: ChaosServer;
  readonly fleet: Fleet;
  readonly connected: ConnectedClient;
  readonly jobs: ExportJobs;
  readonly people: readonly SamplePerson[];
  /** When this process, which has the endpoints, stood still. */
  readonly stalls: readonly Stall[];
  /** Holds the workers' logs. */
  readonly folder: string;
  close(options?: { readonly keepFolder?: boolean }): Promise<void>;
}

export async function openStage(options: StageOptions): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-chaos-'));
  const { dynamicConfig, serverLimits } = options.limits ?? DEFAULT_LIMITS;
  const start = options.startServer ?? (() => startFileServer(join(folder, 'temporal.db'), dynamicConfig));
  const [server, people, bundle] = await Promise.all([
    start(folder),
    writeSource(join(folder, 'source'), options.people),
    bundleWorkflows(folder),
  ]);
  const fleet = new Fleet({
    size: options.workers,
    folder,
    address: server.address,
    bundle,
    origins: options.origins,
    ...(options.releaseOf === undefined ? {} : { releaseOf: options.releaseOf }),
    config: {
      source: { kind: 'file', folder: join(folder, 'source') },
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      serverLimits,
      logLevel: 'warn',
      ...options.config?.(folder),
    },
  });
  await fleet.open();
  const { address, namespace } = server;
  const connected = await connectClient({ connectionOptions: { address }, namespace }, []);
  const watch = new StallWatch();
  return {
    server,
    fleet,
    connected,
    jobs: new ExportJobs(connected.client),
    people,
    stalls: watch.stalls,
    folder,
    close: async ({ keepFolder = false } = {}) => {
      watch.close();
      await connected.close();
      await fleet.close();
      await server.stop();
      if (!keepFolder) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A source of invented people, of whom all are in one audience. */
export async function writeSource(folder: string, people: number): Promise<SamplePerson[]> {
  await writeSampleSource(folder, { people });
  const everyone = [...samplePeople({ people })];
  const header = JSON.stringify({ audience: { id: 'e'.repeat(32), name: 'Everyone' } });
  const lines = [header, ...everyone.map(({ user }) => JSON.stringify(user))];
  writeFileSync(join(folder, 'audiences', `${EVERYONE}.ndjson`), `${lines.join('\n')}\n`);
  return everyone;
}

/** Once for all workers: each would need seconds for it at every start. */
async function bundleWorkflows(folder: string): Promise<string> {
  const { code } = await bundleWorkflowCode({
    ...workflowCode(),
    logger: new DefaultLogger('ERROR'),
  });
  const path = join(folder, 'workflow-bundle.js');
  writeFileSync(path, code);
  return path;
}
