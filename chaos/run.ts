import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from '../demo/dice.ts';
import { JobEndpoint } from './endpoint.ts';
import { Faults } from './faults.ts';
import { type Incidents, judge, type Verdict } from './judge.ts';
import type { StageLimits } from './limits.ts';
import { Pushing } from './pushing.ts';
import type { ChaosServer, Outage } from './server.ts';
import { openStage, REQUEST_TIMEOUT_MS, type Stage } from './stage.ts';
import { Trouble } from './trouble.ts';
import type { WorkerLog } from './worker-log.ts';
import { changeOf, EVERYONE, liveTriggers, memberChange } from './workload.ts';

export interface ChaosOptions {
  /** Live triggers, over all jobs. */
  readonly triggers: number;
  readonly people: number;
  readonly jobs: number;
  readonly workers: number;
  readonly seed: number;
  /** Longest run, in ms; what has not arrived by then is lost. */
  readonly longestMs: number;
  /** Mean time between two kills of a worker, in ms. */
  readonly killEveryMs: number;
  /** Most kills of workers. */
  readonly mostKills: number;
  /** How often Temporal is killed. */
  readonly restarts: number;
  /** Most failed attempts of one delivery: each wait is longer than the one before. */
  readonly mostFailures: number;
  /** Longest time an answer takes, in ms. */
  readonly longestAnswerMs: number;
  /** Most triggers of a job that may be accepted and not delivered yet. */
  readonly lead: number;
  readonly limits: StageLimits;
  readonly startServer?: (folder: string) => Promise<ChaosServer>;
  /** Hears a line every few seconds. */
  readonly onProgress: (line: string) => void;
}

export interface ChaosReport {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** Live triggers and members, over all jobs. */
  readonly expected: number;
  /** Live triggers that were not accepted before the end. */
  readonly notAccepted: number;
  readonly repeated: number;
  readonly requests: number;
  readonly kills: number;
  readonly crashes: readonly string[];
  readonly log: WorkerLog;
  readonly outages: readonly Outage[];
  readonly mostWorkerBytes: number;
  readonly ms: number;
  /** Where the workers' logs are. */
  readonly folder: string;
}

/** Requests in flight that the jobs may have: few, some, many. */
const CAPS = [4, 12, 40];
/** The fourth job sends in batches. */
const BATCHING = 3;
const BATCH = { size: 10, afterMs: 200 };
const PROGRESS_MS = 5_000;
const LOOK_MS = 100;
/** When so much is done, the second job's endpoint goes down: long enough for its breaker. */
const DOWN_AT = 0.4;
const DOWN_MS = 2_000;
const STATUS_AGAIN_MS = 500;

interface Job {
  readonly jobId: string;
  readonly cap: number;
  readonly endpoint: JobEndpoint;
  readonly trouble: Trouble;
  readonly pushing: Pushing;
  readonly live: ReturnType<typeof changeOf>[];
  readonly members: ReturnType<typeof memberChange>[];
}

/** One run from beginning to end: everything is started here, and nothing is left. */
export async function runChaos(options: ChaosOptions, keepFolder: boolean): Promise<ChaosReport> {
  const troubles = Array.from({ length: options.jobs }, (_, i) => new Trouble({ ...options, seed: options.seed + i }));
  const endpoints = await Promise.all(troubles.map((trouble, i) => JobEndpoint.open(`job-${i + 1}`, trouble)));
  try {
    const origins = endpoints.map(({ url }) => new URL(url).origin);
    const stage = await openStage({ ...options, origins });
    try {
      return await play(stage, endpoints, troubles, options);
    } finally {
      await stage.close({ keepFolder });
    }
  } finally {
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  }
}

async function play(
  stage: Stage,
  endpoints: readonly JobEndpoint[],
  troubles: readonly Trouble[],
  options: ChaosOptions,
): Promise<ChaosReport> {
  const startedAt = performance.now();
  const timeIsUp = AbortSignal.timeout(options.longestMs);
  const jobs: Job[] = [];
  for (const [i, endpoint] of endpoints.entries()) {
    const trouble = troubles[i];
    if (trouble !== undefined) jobs.push(await startJob(stage, endpoint, trouble, i, options, timeIsUp));
  }
  const expected = jobs.reduce((sum, { live, members }) => sum + live.length + members.length, 0);
  const delivered = () => jobs.reduce((sum, { endpoint }) => sum + endpoint.delivered, 0);
  const progress = () => delivered() / expected;
  const dice = new Dice(options.seed);
  const faults = new Faults({ ...stage, ...options, dice, progress });
  const line = () => {
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const accepted = jobs.reduce((sum, { pushing }) => sum + pushing.accepted, 0);
    const { fleet } = stage;
    return `${seconds} s: ${accepted} accepted, ${delivered()} of ${expected} delivered; ${fleet.kills.size} kills, ${faults.outages.length} outages, ${fleet.ready} workers up`;
  };
  const ticker = setInterval(() => options.onProgress(line()), PROGRESS_MS);
  const pushings = Promise.all(jobs.map(({ pushing }) => pushing.run()));
  faults.start();
  try {
    const weak = jobs[1] ?? jobs[0];
    let wasDown = false;
    while (delivered() < expected && !timeIsUp.aborted) {
      if (!wasDown && progress() >= DOWN_AT) {
        wasDown = true;
        weak?.trouble.goDown(DOWN_MS);
      }
      await sleep(LOOK_MS);
    }
    await pushings;
    await faults.end();
    // What a job believes to be undelivered it will send again: wait for that, too.
    for (const { jobId } of jobs) await untilNothingWaits(stage, jobId, timeIsUp);
  } finally {
    clearInterval(ticker);
    await faults.end().catch(() => undefined);
  }
  options.onProgress(line());
  return report(stage, jobs, faults, startedAt);
}

async function startJob(
  stage: Stage,
  endpoint: JobEndpoint,
  trouble: Trouble,
  i: number,
  { triggers, jobs, seed, lead, limits }: ChaosOptions,
  signal: AbortSignal,
): Promise<Job> {
  const jobId = `job-${i + 1}`;
  const cap = CAPS[i % CAPS.length] ?? 1;
  const share = Math.floor(triggers / jobs) + (i < triggers % jobs ? 1 : 0);
  const own = liveTriggers(stage.people, share, seed * 1000 + i);
  const backfilled = i === 0;
  await stage.jobs.start(
    {
      label: `Chaos ${i + 1}`,
      audiences: backfilled ? ['newsletter', 'vip', EVERYONE] : ['newsletter', 'vip'],
      webhookUrl: endpoint.url,
      authorization: 'chaos',
      parallelRequestCount: cap,
      batch: i === BATCHING ? BATCH : null,
    },
    { jobId },
  );
  if (backfilled) await stage.jobs.backfill(jobId, { audiences: [EVERYONE] });
  const pushing = new Pushing({
    jobs: stage.jobs,
    jobId,
    triggers: own,
    pushSize: limits.pushSize,
    lead,
    delivered: () => endpoint.delivered,
    signal,
  });
  const members = backfilled ? stage.people.map(({ user }) => memberChange(user)) : [];
  return { jobId, cap, endpoint, trouble, pushing, live: own.map(changeOf), members };
}

async function untilNothingWaits({ jobs }: Stage, jobId: string, timeIsUp: AbortSignal): Promise<void> {
  while (!timeIsUp.aborted) {
    const status = await jobs.status(jobId).catch(() => undefined);
    if (status?.waiting === 0 && status.backfill?.state !== 'running') return;
    await sleep(STATUS_AGAIN_MS);
  }
}

function report({ fleet, folder }: Stage, jobs: readonly Job[], faults: Faults, startedAt: number): ChaosReport {
  const { outages } = faults;
  const repeated = new Set(jobs.flatMap(({ jobId, pushing }) => [...pushing.repeated].map((key) => `${jobId} ${key}`)));
  const verdicts = new Map<string, Verdict>();
  for (const { jobId, cap, endpoint, pushing, live, members } of jobs) {
    const incidents: Incidents = {
      kills: fleet.kills,
      outages,
      repeated: pushing.repeated,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    };
    verdicts.set(
      jobId,
      judge({ cap, live: live.slice(0, pushing.accepted), members, requests: endpoint.requests() }, incidents),
    );
  }
  const sum = (of: (job: Job) => number) => jobs.reduce((total, job) => total + of(job), 0);
  return {
    verdicts,
    expected: sum(({ live, members }) => live.length + members.length),
    notAccepted: sum(({ live, pushing }) => live.length - pushing.accepted),
    repeated: repeated.size,
    requests: sum(({ endpoint }) => endpoint.requestCount),
    kills: fleet.kills.size,
    crashes: fleet.crashes,
    log: fleet.readLogs(),
    outages,
    mostWorkerBytes: fleet.mostRssBytes,
    ms: performance.now() - startedAt,
    folder,
  };
}
