import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExportJobs } from '../src/app/export-jobs.ts';
import { type Recorder, startRecorder } from '../demo/recorder.ts';
import { startLocalTemporal } from '../src/features/local/temporal-server.ts';
import { judgeChanges, type OutboxVerdict } from './outbox-ledger.ts';
import { Program } from './program.ts';

/** Longest wait for the last arrival. */
const LONGEST_MS = 600_000;

/** What the consumers of a chaos run tell: Temporal, a worker, an endpoint, and the job `chaos`, which subscribes to `vip`. */
export interface ConsumerStage {
  readonly receiver: Recorder;
  readonly jobs: ExportJobs;
  /** Of the programs, with a configuration that has the consumer's part. */
  readonly env: NodeJS.ProcessEnv;
  /** Has the job begin. */
  startJob(): Promise<void>;
  close(): Promise<void>;
}

/** @param consumes the part of the configuration that is the consumer's. */
export async function openConsumerStage(folder: string, consumes: object): Promise<ConsumerStage> {
  const temporal = await startLocalTemporal({ dbFile: join(folder, 'temporal.db') });
  const receiver = await startRecorder({ keepBodies: true });
  const configFile = join(folder, 'triggers.config.json');
  const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
  const source = { kind: 'file', folder: join(folder, 'source') };
  mkdirSync(join(source.folder, 'audiences'), { recursive: true });
  writeFileSync(join(source.folder, 'profiles.ndjson'), '');
  writeFileSync(
    join(source.folder, 'audiences', 'vip.ndjson'),
    `${JSON.stringify({ audience: { id: 'ab'.repeat(16), name: 'VIP' } })}\n`,
  );
  writeFileSync(configFile, JSON.stringify({ source, network, ...consumes }));
  const env = { ...process.env, TRIGGERS_CONFIG: configFile, TEMPORAL_ADDRESS: temporal.address };
  const worker = await Program.start(['worker', '--json'], env);
  const jobs = await ExportJobs.connect({
    connection: { connectionOptions: { address: temporal.address }, namespace: temporal.namespace },
  });
  return {
    receiver,
    jobs,
    env,
    async startJob() {
      await jobs.start(
        { label: 'Chaos', audiences: ['vip'], webhookUrl: receiver.url, authorization: null, parallelRequestCount: 50 },
        { jobId: 'chaos' },
      );
    },
    async close() {
      await jobs.close();
      await worker.kill();
      await temporal.stop();
      await receiver.close();
    },
  };
}

/** Waits until all has arrived, or for so long that the rest is lost, and judges it. */
export async function verdictOf(receiver: Recorder, counts: ReadonlyMap<string, number>): Promise<OutboxVerdict> {
  // Judged now and then only: this process is the endpoint, too.
  const giveUpAt = performance.now() + LONGEST_MS;
  while (judgeChanges(receiver.ledger.entries, counts).lost > 0 && performance.now() < giveUpAt) await sleep(2_000);
  return judgeChanges(receiver.ledger.entries, counts);
}

/**
 * From what an application writes to the arrival of its request, one at a time, in ms.
 * @param write writes about a person, and says when, epoch ms.
 */
export async function idleLatencies(
  receiver: Recorder,
  write: (user: string) => Promise<number>,
): Promise<{ readonly p50: number; readonly p99: number }> {
  const found: number[] = [];
  for (let i = 0; i < 200; i++) {
    await sleep(100);
    const user = `alone-${i}`;
    const writtenAtMs = await write(user);
    const of = ({ message }: { readonly message: { readonly user: string } | undefined }): boolean =>
      message?.user === user;
    await receiver.ledger.waitFor(({ entries }) => entries.slice(-5).some(of));
    found.push((receiver.ledger.entries.findLast(of)?.arrivedAtMs ?? NaN) - writtenAtMs);
  }
  found.sort((a, b) => a - b);
  return { p50: found[99] ?? NaN, p99: found[197] ?? NaN };
}
