import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes, randomUUID } from 'node:crypto';
import { type ConnectedClient, connectClient } from '../src/client/connect.ts';
import { ExportJobs } from '../src/client/export-jobs.ts';
import { loadConfig } from '../src/config.ts';
import type { JobDefinitionInput } from '../src/contract/export-job.ts';
import { writeSampleSource } from '../src/local/sample-data.ts';
import { samplePeople, type SamplePerson } from '../src/local/sample-people.ts';
import { type LocalTemporal, startLocalTemporal } from '../src/local/temporal-server.ts';
import { Endpoint } from './endpoint.ts';

/** What the cases run on: Temporal on a database file, a worker and a receiver in processes of their own. */
export interface BenchStage {
  readonly endpoint: Endpoint;
  readonly connected: ConnectedClient;
  readonly jobs: ExportJobs;
  /** Everybody in the source. */
  readonly users: readonly string[];
  /** What it knows of the first of them. */
  readonly profiles: readonly SamplePerson['profile'][];
  readonly workerPids: readonly number[];
  start(definition: Partial<JobDefinitionInput>): Promise<string>;
  close(): Promise<void>;
}

export async function openBenchStage(people: number, kept: number, workerCount = 1): Promise<BenchStage> {
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-bench-'));
  const source = join(folder, 'audiences');
  await writeSampleSource(source, { people });
  const users: string[] = [];
  const profiles: SamplePerson['profile'][] = [];
  for (const { user, profile } of samplePeople({ people })) {
    users.push(user);
    if (profiles.length < kept) profiles.push(profile);
  }
  // An audience of everybody, so that a backfill has a round number of members.
  const header = JSON.stringify({ audience: { id: 'e'.repeat(32), name: 'Everyone' } });
  const lines = [header, ...users.map((user) => JSON.stringify(user))];
  writeFileSync(join(source, 'audiences', 'everyone.ndjson'), `${lines.join('\n')}\n`);
  const endpoint = await Endpoint.open();
  const temporal: LocalTemporal = await startLocalTemporal({ dbFile: join(folder, 'temporal.db') });
  const connection = { connectionOptions: { address: temporal.address }, namespace: temporal.namespace };
  const configFile = join(folder, 'triggers.config.json');
  const signing = {
    origins: [new URL(endpoint.url).origin],
    signingSecrets: [`whsec_${randomBytes(32).toString('base64')}`],
  };
  writeFileSync(
    configFile,
    JSON.stringify({
      source: { kind: 'file', folder: source },
      logLevel: 'error',
      authorizations: { signed: signing },
    }),
  );
  const { TRIGGERS_PAYLOAD_KEYS } = process.env; // The workers hear of them, too: what encryption costs.
  const config = loadConfig({ path: configFile, env: { TRIGGERS_PAYLOAD_KEYS } });
  const workers = Array.from({ length: workerCount }, () =>
    fork(new URL('./worker.ts', import.meta.url), {
      execArgv: [...process.execArgv.filter((arg) => arg.startsWith('--cpu-prof')), '--import', 'tsx'],
      env: { ...process.env, TRIGGERS_CONFIG: configFile, BENCH_TEMPORAL: temporal.address },
    }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const connected = await connectClient(connection, config.payloadKeys);
  const jobs = new ExportJobs(connected.client, { taskQueue: config.taskQueue });
  return {
    endpoint,
    connected,
    jobs,
    users,
    profiles,
    workerPids: workers.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
    start: async (definition) => {
      const jobId = randomUUID();
      const job = {
        label: 'bench',
        audiences: ['everyone'],
        webhookUrl: endpoint.url,
        authorization: 'signed',
        ...definition,
      };
      await jobs.start(job, { jobId });
      return jobId;
    },
    close: async () => {
      await connected.close();
      for (const worker of workers) {
        worker.disconnect();
        await once(worker, 'exit');
      }
      await temporal.stop();
      endpoint.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
