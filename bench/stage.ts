import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { startDemoPostgres } from '../demo/postgres.ts';
import { writeSampleSource } from '../demo/sample-data.ts';
import { samplePeople, type SamplePerson } from '../demo/sample-people.ts';
import { connectClient, type ConnectedClient } from '../src/client/calls/connect.ts';
import { ExportJobs } from '../src/app/export-jobs.ts';
import { loadConfig } from '../src/app/config.ts';
import type { JobDefinitionInput } from '../src/contract/export-job.ts';
import { startRealServer } from '../chaos/cluster.ts';
import { DEFAULT_LIMITS } from '../chaos/limits.ts';
import { openLog } from '../chaos/log-place.ts';
import { startFileServer } from '../chaos/server.ts';
import { Endpoint } from './endpoint.ts';

/** Where the cases' people are. */
export const BENCH_SOURCES = ['file', 'postgres'] as const;
type BenchSource = (typeof BENCH_SOURCES)[number];

/** What the cases run on: Temporal, a worker and a receiver in processes of their own. */
export interface BenchStage {
  readonly endpoint: Endpoint;
  /** Of Temporal. */
  readonly address: string;
  readonly connected: ConnectedClient;
  readonly jobs: ExportJobs;
  /** Everybody in the source. */
  readonly users: readonly string[];
  /** What it knows of the first of them. */
  readonly profiles: readonly SamplePerson['profile'][];
  readonly workerPids: readonly number[];
  /** Kills a worker (the how-manieth) and starts another in its place; resolves once that one takes up work. */
  replaceWorker(index: number): Promise<void>;
  /** Starts one more worker; resolves once it takes up work. */
  addWorker(): Promise<void>;
  /** Ends the worker that was started last, as an operator does; resolves once it has ended. */
  endWorker(): Promise<void>;
  readonly temporalPid: number;
  start(definition: Partial<JobDefinitionInput>, jobId?: string): Promise<string>;
  close(): Promise<void>;
}

export interface BenchStageOptions {
  /** In the source. */
  readonly people: number;
  /** Most of their profiles that stay in memory here. */
  readonly kept: number;
  readonly workers: number;
  readonly source: BenchSource;
  /** Temporal's server on PostgreSQL; false: the development server on a database file. */
  readonly isOnCluster: boolean;
  /** Requests carry no bearer token and no signature: what those cost, against a run with them. */
  readonly isPlain: boolean;
  /** `postgres` or `file`: each attempt is kept there, on this machine: what the delivery log costs. Default: nowhere. */
  readonly log?: string;
}

export async function openBenchStage(options: BenchStageOptions): Promise<BenchStage> {
  const { people, kept, isPlain } = options;
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-bench-'));
  const users: string[] = [];
  const profiles: SamplePerson['profile'][] = [];
  for (const { user, profile } of samplePeople({ people })) {
    users.push(user);
    if (profiles.length < kept) profiles.push(profile);
  }
  const source = options.source === 'file' ? await fileSource(folder, users) : await postgresSource(folder, people);
  const { log: kindOfLog = '' } = options;
  const deliveryLog = kindOfLog === '' ? undefined : await openLog(kindOfLog);
  const endpoint = await Endpoint.open();
  const { dynamicConfig } = DEFAULT_LIMITS;
  const temporal = options.isOnCluster
    ? await startRealServer(folder, dynamicConfig, console.error)
    : await startFileServer(join(folder, 'temporal.db'), dynamicConfig);
  const connection = { connectionOptions: { address: temporal.address }, namespace: temporal.namespace };
  const configFile = join(folder, 'triggers.config.json');
  const authorization = {
    origins: [new URL(endpoint.url).origin],
    bearer: randomBytes(32).toString('base64url'),
    signingSecrets: [`whsec_${randomBytes(32).toString('base64')}`],
  };
  writeFileSync(
    configFile,
    JSON.stringify({
      source: source.config,
      logLevel: 'error',
      network: { allowHttp: true, allowAddresses: ['127.0.0.0/8', '::1'] },
      authorizations: { bench: authorization },
      ...(deliveryLog === undefined ? {} : { deliveryLog: deliveryLog.place }),
    }),
  );
  const { TRIGGERS_PAYLOAD_KEYS } = process.env; // The workers hear of them, too: what encryption costs.
  const config = loadConfig({ path: configFile, env: { TRIGGERS_PAYLOAD_KEYS } });
  const workers = await Promise.all(
    Array.from({ length: options.workers }, () => startWorker({ configFile, address: temporal.address })),
  );
  const connected = await connectClient(connection, config.payloadKeys);
  const jobs = new ExportJobs(connected.client, { taskQueue: config.taskQueue });
  return {
    endpoint,
    address: temporal.address,
    connected,
    jobs,
    users,
    profiles,
    get workerPids() {
      return workers.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    },
    replaceWorker: async (index) => {
      workers[index]?.kill('SIGKILL');
      workers[index] = await startWorker({ configFile, address: temporal.address });
    },
    addWorker: async () => void workers.push(await startWorker({ configFile, address: temporal.address })),
    endWorker: async () => await endProcess(workers.pop()),
    temporalPid: temporal.pid(),
    start: async (definition, jobId = randomUUID()) => {
      const job = {
        label: 'bench',
        audiences: ['everyone'],
        webhookUrl: endpoint.url,
        authorization: isPlain ? null : 'bench',
        ...definition,
      };
      await jobs.start(job, { jobId });
      return jobId;
    },
    close: async () => {
      await connected.close();
      for (const worker of workers) await endProcess(worker);
      await temporal.stop();
      endpoint.close();
      await source.stop();
      await deliveryLog?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A worker as it is shipped and run, resolved once it takes up work. Options for Node are handed on, so that it can be profiled. */
async function startWorker({ configFile, address }: { configFile: string; address: string }): Promise<ChildProcess> {
  const main = fileURLToPath(new URL('../lib/app/main.js', import.meta.url));
  const nodeOptions = process.execArgv.filter((arg) => arg.startsWith('--cpu-prof'));
  const worker = spawn(process.execPath, [...nodeOptions, main, 'worker', '--json'], {
    env: { ...process.env, TRIGGERS_CONFIG: configFile, TEMPORAL_ADDRESS: address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ready = once(createInterface(worker.stdout), 'line');
  const failed = once(worker, 'exit').then(([code]) => {
    throw new Error(`A worker ended with code ${code} before it was ready.`);
  });
  await Promise.race([ready, failed]);
  failed.catch(() => undefined);
  return worker;
}

/** Ends a process as an operator does; resolves once it has ended. */
export async function endProcess(worker: ChildProcess | undefined): Promise<void> {
  if (worker === undefined) return;
  const exited = once(worker, 'exit');
  worker.kill('SIGTERM');
  await exited;
}

// Beside the sample's audiences, one of everybody, so that a backfill has a round number of members.
const EVERYONE = { id: 'e'.repeat(32), slug: 'everyone', name: 'Everyone' };

interface Source {
  readonly config: object;
  stop(): Promise<void>;
}

async function fileSource(folder: string, users: readonly string[]): Promise<Source> {
  const source = join(folder, 'audiences');
  await writeSampleSource(source, { people: users.length });
  const { slug, ...header } = EVERYONE;
  const lines = [JSON.stringify({ audience: header }), ...users.map((user) => JSON.stringify(user))];
  writeFileSync(join(source, 'audiences', `${slug}.ndjson`), `${lines.join('\n')}\n`);
  return { config: { kind: 'file', folder: source, quietMs: 0 }, stop: async () => undefined };
}

async function postgresSource(folder: string, people: number): Promise<Source> {
  const postgres = await startDemoPostgres(folder, { people }, () => undefined);
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query('INSERT INTO audiences VALUES ($1, $2, $3)', [EVERYONE.id, EVERYONE.slug, EVERYONE.name]);
  await client.query('INSERT INTO audience_members SELECT $1, user_id FROM profiles', [EVERYONE.id]);
  await client.query('VACUUM ANALYZE');
  await client.end();
  return { config: { kind: 'postgres', url: postgres.url }, stop: () => postgres.stop() };
}
