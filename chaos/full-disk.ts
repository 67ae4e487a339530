// npx tsx chaos/full-disk.ts : the disk of Temporal's PostgreSQL fills up in the middle of a backlog, while triggers are being signalled; then there is
// room again. What whoever signals is told meanwhile, and one line for each statement about what holds then; exits 1 when one does not. It mounts a
// small file system, so it needs Linux and root.
import { appendFileSync, chmodSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { findPostgres } from '../demo/postgres-server.ts';
import type { ExportJobs } from '../src/app/export-jobs.ts';
import { freePort } from '../src/network/free-ports.ts';
import { reasonOf, runProgram } from '../src/features/local/run-program.ts';
import { ApiFleet } from './api-fleet.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { JobEndpoint } from './endpoint.ts';
import { type Change, judge } from './judge.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { MAIN } from './program.ts';
import { openStage, REQUEST_TIMEOUT_MS, type Stage } from './stage.ts';
import { holds, must, seconds, until } from './statements.ts';
import { findTemporalServer } from './temporal-build.ts';
import { changeOf, liveTriggers, type TimedTrigger } from './workload.ts';

const JOB = 'crm';
const CAP = 20;
const PEOPLE = 2_000;
const BACKLOG = 6_000;
const TRIGGERS = 60_000;
const PUSH_SIZE = 100;
const PUSH_EVERY_MS = 500;
const SLOW_MS = 80;
const QUICK_MS = 2;
const MIB = 1024 ** 2;
const DISK_BYTES = 400 * MIB;
const TAKE_EVERY_MS = 20;
/** So that old log is used again, and what fills the disk is the filler. */
const SETTINGS = { max_wal_size: '96MB', min_wal_size: '32MB' };
const FULL_MS = 30_000;
const ASK_EVERY_MS = 500;
const ASK_MS = 10_000;
const MOUNT_MS = 10_000;
const LONGEST_MS = 180_000;

/** A file system of its own, which can be filled. */
class SmallDisk {
  readonly folder: string;
  readonly #filler: string;
  #taking: NodeJS.Timeout | undefined;

  static async mount(): Promise<SmallDisk> {
    const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-disk-'));
    const size = ['-o', `size=${DISK_BYTES},mode=755`];
    await runProgram('mount', ['-t', 'tmpfs', ...size, 'audience-triggers', folder], { timeoutMs: MOUNT_MS });
    return new SmallDisk(folder);
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.#filler = join(folder, 'filler');
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Leaves nothing, and takes what becomes free, until there is to be room again. */
  fill(): void {
    this.#taking = setInterval(() => {
      try {
        appendFileSync(this.#filler, Buffer.alloc(this.freeBytes));
      } catch {
        // The database took it first.
      }
    }, TAKE_EVERY_MS);
  }

  makeRoom(): void {
    clearInterval(this.#taking);
    rmSync(this.#filler);
  }

  async unmount(): Promise<void> {
    await runProgram('umount', [this.folder], { timeoutMs: MOUNT_MS });
    rmSync(this.folder, { recursive: true });
  }
}

/** What was answered to somebody who asked again and again: each answer, when it came first and how often. */
class Answers {
  readonly #sinceMs = performance.now();
  readonly #seen = new Map<string, { count: number; readonly firstMs: number }>();

  heard(who: string, answer: string): void {
    const key = `${who}: ${answer.replaceAll(/\s+/g, ' ').slice(0, 400)}`;
    const seen = this.#seen.get(key) ?? { count: 0, firstMs: performance.now() - this.#sinceMs };
    seen.count++;
    this.#seen.set(key, seen);
  }

  print(): void {
    for (const [key, { count, firstMs }] of this.#seen)
      console.log(`        ${String(count).padStart(4)} × from ${(firstMs / 1000).toFixed(1)} s on: ${key}`);
  }
}

/** Those who signal, each in its own way, or ask how things are. */
class Askers {
  /** What each was told is accepted. */
  readonly accepted: Change[] = [];
  readonly #answers: Answers;
  readonly #end = new AbortController();
  readonly #running: Promise<void>[] = [];
  #asked = 0;

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** @param ask signals a trigger, and says what was answered and whether it is accepted. */
  signals(
    who: string,
    ask: (trigger: TimedTrigger) => Promise<{ readonly said: string; readonly isAccepted: boolean }>,
  ) {
    this.asks(who, async () => {
      const at = `2026-01-01T00:00:02.${String(this.#asked++).padStart(9, '0')}Z`;
      const trigger: TimedTrigger = { user: `asked-${this.#asked}`, audience: 'vip', event: 'enter', at };
      const { said, isAccepted } = await ask(trigger);
      if (isAccepted) this.accepted.push(changeOf(trigger));
      return said;
    });
  }

  asks(who: string, ask: () => Promise<string>): void {
    const run = async () => {
      while (!this.#end.signal.aborted) {
        this.#answers.heard(who, await ask().catch(reasonOf));
        await sleep(ASK_EVERY_MS, undefined, { signal: this.#end.signal }).catch(() => undefined);
      }
    };
    this.#running.push(run());
  }

  async end(): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#running);
  }
}

async function got(url: string, body?: unknown): Promise<{ status: number; text: string }> {
  const answer = await request(url, {
    signal: AbortSignal.timeout(ASK_MS),
    ...(body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: answer.statusCode, text: await answer.body.text() };
}

function askEverybody(askers: Askers, stage: Stage, cluster: Cluster, urls: { api: string; metrics: string }): void {
  const signal = `http://127.0.0.1:${cluster.httpPort}/api/v1/namespaces/default/workflows/export-job-${JOB}/signal/enter`;
  askers.signals('HTTP API of Temporal', async (trigger) => {
    const { status, text } = await got(signal, { input: [trigger] });
    return { said: `${status} ${text}`, isAccepted: status === 200 };
  });
  askers.signals('HTTP API of ours', async (trigger) => {
    const { status, text } = await got(`${urls.api}/v1/jobs/${JOB}/triggers`, [trigger]);
    return { said: `${status} ${text}`, isAccepted: status === 202 };
  });
  askers.signals('SDK', async ({ event, ...trigger }) => {
    const handle = stage.connected.client.workflow.getHandle(`export-job-${JOB}`);
    await stage.connected.client.withDeadline(Date.now() + ASK_MS, async () => await handle.signal(event, trigger));
    return { said: 'accepted', isAccepted: true };
  });
  askers.signals('triggers push', async ({ user, audience, at }) => {
    const args = [MAIN, 'push', JOB, '--audience', audience, '--enter', '--user', user, '--at', at];
    const env = { ...process.env, TEMPORAL_ADDRESS: cluster.address };
    const { stderr } = await runProgram(process.execPath, args, { env, timeoutMs: LONGEST_MS });
    return { said: `exit code 0 ${stderr}`, isAccepted: true };
  });
  askers.asks('triggers status', async () => {
    const env = { ...process.env, TEMPORAL_ADDRESS: cluster.address };
    await runProgram(process.execPath, [MAIN, 'status', JOB], { env, timeoutMs: LONGEST_MS });
    return 'exit code 0';
  });
  askers.asks('/readyz', async () => {
    const { status, text } = await got(new URL('/readyz', urls.metrics).href);
    return `${status} ${text}`;
  });
  askers.asks('/readyz of the HTTP API', async () => {
    const { status, text } = await got(`${urls.api}/readyz`);
    return `${status} ${text}`;
  });
  askers.asks('metrics', async () => {
    const { text } = await got(new URL('/metrics', urls.metrics).href);
    const lines = text.split('\n').filter((line) => /^triggers_(?:jobs_unknown|job_errors|temporal)/.test(line));
    return lines.join(', ') || 'answered';
  });
}

/** Signals triggers in their order, a backlog of them as fast as they are taken, and then some at a time until it is to end. */
class Pushing {
  accepted = 0;
  #isEnding = false;
  readonly #jobs: ExportJobs;
  readonly #triggers: readonly TimedTrigger[];
  readonly #running: Promise<void>;

  constructor(jobs: ExportJobs, triggers: readonly TimedTrigger[]) {
    this.#jobs = jobs;
    this.#triggers = triggers;
    this.#running = this.#run();
    // Told to whoever ends it.
    this.#running.catch(() => undefined);
  }

  /** Resolves with what was accepted. */
  async end(): Promise<readonly TimedTrigger[]> {
    this.#isEnding = true;
    await this.#running;
    return this.#triggers.slice(0, this.accepted);
  }

  async #run(): Promise<void> {
    await this.#push(BACKLOG);
    while (!this.#isEnding && this.accepted < this.#triggers.length) {
      await this.#push(PUSH_SIZE);
      await sleep(PUSH_EVERY_MS);
    }
  }

  async #push(count: number): Promise<void> {
    const some = this.#triggers.slice(this.accepted, this.accepted + count);
    await this.#jobs.push(JOB, some);
    this.accepted += some.length;
  }
}

async function play(
  stage: Stage,
  cluster: Cluster,
  disk: SmallDisk,
  metrics: string,
  slow: { ms: number },
  endpoint: JobEndpoint,
) {
  const { jobs, fleet, folder, people, stalls } = stage;
  await jobs.start(
    {
      label: 'CRM',
      audiences: ['newsletter', 'vip'],
      webhookUrl: endpoint.url,
      authorization: 'chaos',
      parallelRequestCount: CAP,
    },
    { jobId: JOB },
  );
  const apis = await ApiFleet.open(1, { folder, address: cluster.address });
  const triggers = liveTriggers(people, TRIGGERS, 1);
  const pushing = new Pushing(jobs, triggers);
  await until('there is a backlog', () => pushing.accepted > BACKLOG);
  const answers = new Answers();
  const askers = new Askers(answers);
  const fromMs = Date.now();
  const before = { accepted: pushing.accepted, delivered: endpoint.delivered };
  disk.fill();
  askEverybody(askers, stage, cluster, { api: apis.url, metrics });
  await sleep(FULL_MS);
  const meanwhile = pushing.accepted - before.accepted;
  await holds('the disk is full', () => {
    const said = cluster.postgres.log.filter((line) => /No space left/.test(line));
    must(said.length > 0, `${disk.freeBytes} bytes are free`);
    const kinds = new Set(said.map((line) => / (ERROR|FATAL|PANIC|LOG|WARNING): /.exec(line)?.[1]));
    return `${said.length} lines of PostgreSQL's log say so (${[...kinds].join(', ')}); ${meanwhile} triggers were accepted since, and ${endpoint.delivered - before.delivered} delivered`;
  });
  const trouble = cluster.postgres.log.filter((line) => /No space left|PANIC|shut down|recovery/.test(line));
  for (const line of new Set(trouble.map((words) => words.replace(/^.*?\] /, '')))) console.log(`        ${line}`);
  const wasRunning = cluster.postgres.isRunning;
  disk.makeRoom();
  const roomMs = performance.now();
  if (!wasRunning) await cluster.postgres.startAgain();
  console.log(`        PostgreSQL ${wasRunning ? 'runs still' : 'had ended, and was started again'}`);
  const stood = pushing.accepted;
  await holds('with room again, triggers are accepted and delivered by themselves', async () => {
    const delivered = endpoint.delivered;
    await until('accepted', () => pushing.accepted > stood);
    const acceptedMs = performance.now() - roomMs;
    await until('delivered', () => endpoint.delivered > delivered);
    return `accepted after ${seconds(acceptedMs)}, delivered after ${seconds(performance.now() - roomMs)}`;
  });
  const toMs = Date.now();
  await sleep(2 * ASK_EVERY_MS);
  await askers.end();
  answers.print();
  slow.ms = QUICK_MS;
  const live = (await pushing.end()).map(changeOf);
  const waiting = async (): Promise<number> => (await jobs.status(JOB).catch(() => undefined))?.waiting ?? NaN;
  await until('nothing waits', async () => (await waiting()) === 0);
  const { lost, outOfOrder, duplicates, unexplainedDuplicates, changedIds, violations, unexplainedOverCap } = judge(
    { cap: CAP, live, members: askers.accepted, requests: endpoint.requests() },
    {
      kills: fleet.kills,
      outages: [{ fromMs, toMs }],
      repeated: new Set(),
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      stalls,
    },
  );
  await holds('all that was accepted is delivered', () => {
    must(lost === 0, `${lost} lost: ${violations[0]}`);
    return `${live.length} pushed, ${askers.accepted.length} told otherwise`;
  });
  await holds('in order per person', () => must(outOfOrder === 0, `${outOfOrder}: ${violations[0]}`));
  await holds('repeats are only of what was sent while the disk was full, or within 3 s', () => {
    must(unexplainedDuplicates === 0, `${unexplainedDuplicates} of ${duplicates}: ${violations[0]}`);
    return String(duplicates);
  });
  await holds('a repeat has the same id, and the cap is kept', () =>
    must(changedIds + unexplainedOverCap === 0, `${changedIds}, ${unexplainedOverCap}: ${violations[0]}`),
  );
  await holds('no worker and no API ended by itself, and none failed a workflow task', () => {
    const log = fleet.readLogs();
    for (const [kind, { count }] of log.complaints) console.log(`        ${count} × ${kind}`);
    must(fleet.crashes.length + apis.crashes.length === 0, [...fleet.crashes, ...apis.crashes].join('; '));
    must(log.workflowTaskFailures === 0, `${log.workflowTaskFailures} workflow tasks failed`);
  });
  await apis.close();
}

async function main(): Promise<void> {
  const disk = await SmallDisk.mount();
  try {
    await playOn(disk);
  } finally {
    await disk.unmount();
  }
}

async function playOn(disk: SmallDisk): Promise<void> {
  const slow = { ms: SLOW_MS };
  const endpoint = await JobEndpoint.open(JOB, {
    answer: () => ({ status: 200, delayMs: slow.ms }),
    isShy: () => false,
  });
  const metricsPort = await freePort();
  let cluster: Cluster | undefined;
  const stage = await openStage({
    people: PEOPLE,
    workers: 1,
    origins: [new URL(endpoint.url).origin],
    config: () => ({ metrics: { port: metricsPort } }),
    startServer: async (folder) => {
      const programs = { temporal: await findTemporalServer(console.error), postgres: await findPostgres(folder) };
      // Whoever runs PostgreSQL has to be able to reach its programs.
      chmodSync(folder, 0o755);
      return (cluster = await startCluster(programs, folder, DEFAULT_LIMITS.dynamicConfig, {
        postgresFolder: disk.folder,
        postgresSettings: SETTINGS,
      }));
    },
  });
  try {
    if (cluster === undefined) throw new Error('Nothing was started.');
    await play(stage, cluster, disk, `http://127.0.0.1:${metricsPort}/`, slow, endpoint);
  } finally {
    await stage.close();
    await endpoint.close();
  }
}

await main();
