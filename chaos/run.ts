import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliveryRow } from '../src/features/delivery-log/delivery.ts';
import { type LogPlace, openDeliveryReader } from '../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../src/temporal/sealed-text.ts';
import { Dice } from '../demo/dice.ts';
import { ApiFleet } from './api-fleet.ts';
import { Calling } from './calling.ts';
import { JobEndpoint } from './endpoint.ts';
import { Faults } from './faults.ts';
import { type Incidents, type JobEvidence, judge, type Verdict } from './judge.ts';
import { judgeLog, type LogVerdict } from './judge-log.ts';
import type { StageLimits } from './limits.ts';
import { judgeReplay, Replaying, type ReplayVerdict } from './replay.ts';
import { Pushing, type Upstream } from './pushing.ts';
import type { ChaosServer, Outage } from './server.ts';
import { openStage, REQUEST_TIMEOUT_MS, type Stage } from './stage.ts';
import type { Stall } from './stalls.ts';
import { Trouble } from './trouble.ts';
import { runUpgrade, type Upgrade, type Upgraded } from './upgrade.ts';
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
  /** Processes of the HTTP API through which all triggers come; 0: they are pushed by the client. */
  readonly apiCount: number;
  /** How often Temporal is killed. */
  readonly restarts: number;
  /** Most failed attempts of one delivery: each wait is longer than the one before. */
  readonly mostFailures: number;
  /** Longest time an answer takes, in ms. */
  readonly longestAnswerMs: number;
  /** Most triggers of a job that may be accepted and not delivered yet. */
  readonly lead: number;
  /** One trigger in so many brings its profile along. */
  readonly inlineEvery: number;
  readonly limits: StageLimits;
  readonly startServer?: (folder: string) => Promise<ChaosServer>;
  /** Where workers keep each attempt; absent: nowhere. */
  readonly deliveryLog?: LogPlace;
  /** Moves between two releases meanwhile; absent: all workers are of this checkout. */
  readonly upgrade?: Upgrade;
  /** Hears a line every few seconds. */
  readonly onProgress: (line: string) => void;
}

export interface ChaosReport {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** By job; empty without a delivery log. */
  readonly logVerdicts: ReadonlyMap<string, LogVerdict & ReplayVerdict>;
  /** Live triggers and members, over all jobs. */
  readonly expected: number;
  /** Live triggers that were not accepted before the end. */
  readonly notAccepted: number;
  readonly repeated: number;
  readonly requests: number;
  readonly kills: number;
  /** Of API processes. */
  readonly apiKills: number;
  /** How often something had to be brought again, by the reason. */
  readonly interruptions: Readonly<Record<string, number>>;
  readonly crashes: readonly string[];
  readonly apiCrashes: readonly string[];
  readonly log: WorkerLog;
  readonly outages: readonly Outage[];
  /** When the endpoints' process stood still, before it judged. */
  readonly stalls: readonly Stall[];
  readonly upgraded: Upgraded;
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
/** Most triggers that may wait while others are sent again. */
const TRICKLE = 2;
const PROGRESS_MS = 5_000;
const LOOK_MS = 100;
/** When so much is done, the second job's endpoint goes down: long enough for its breaker. */
const DOWN_AT = 0.4;
const DOWN_MS = 2_000;
const STATUS_AGAIN_MS = 500;
const LOG_WRITTEN_MS = 3_000;

interface Job {
  readonly jobId: string;
  readonly cap: number;
  readonly endpoint: JobEndpoint;
  readonly trouble: Trouble;
  readonly upstream: Upstream;
  readonly replaying: Replaying;
  readonly live: ReturnType<typeof changeOf>[];
  readonly members: ReturnType<typeof memberChange>[];
}

/** One run from beginning to end: everything is started here, and nothing is left. */
export async function runChaos(options: ChaosOptions, keepFolder: boolean): Promise<ChaosReport> {
  const troubles = Array.from({ length: options.jobs }, (_, i) => new Trouble({ ...options, seed: options.seed + i }));
  const endpoints = await Promise.all(troubles.map((trouble, i) => JobEndpoint.open(`job-${i + 1}`, trouble)));
  try {
    const origins = endpoints.map(({ url }) => new URL(url).origin);
    const { deliveryLog, upgrade } = options;
    const config = (folder: string) => ({
      ...(deliveryLog === undefined ? {} : { deliveryLog }),
      ...(upgrade === undefined ? {} : { watch: { folder: join(folder, 'watch') } }),
    });
    const stage = await openStage({ ...options, config, origins, releaseOf: upgrade?.releaseOf });
    try {
      await upgrade?.begin?.(stage);
      const { folder, server } = stage;
      const apis =
        options.apiCount === 0 ? undefined : await ApiFleet.open(options.apiCount, { folder, address: server.address });
      try {
        return await play({ ...stage, apis }, endpoints, troubles, options);
      } finally {
        await apis?.close();
      }
    } finally {
      await stage.close({ keepFolder });
    }
  } finally {
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  }
}

interface StageWithApis extends Stage {
  readonly apis: ApiFleet | undefined;
}

async function play(
  stage: StageWithApis,
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
    const accepted = jobs.reduce((sum, { upstream }) => sum + upstream.accepted, 0);
    const { fleet, apis } = stage;
    const ofApis = apis === undefined ? '' : `, ${apis.kills} of APIs`;
    return `${seconds} s: ${accepted} accepted, ${delivered()} of ${expected} delivered; ${fleet.kills.size} kills${ofApis}, ${faults.outages.length} outages, ${fleet.ready} workers up`;
  };
  const ticker = setInterval(() => options.onProgress(line()), PROGRESS_MS);
  const upstreams = Promise.all(jobs.map(({ upstream }) => upstream.run()));
  let hasMoved = options.upgrade === undefined;
  const upgrading =
    options.upgrade &&
    runUpgrade(options.upgrade, stage, progress, { timeIsUp, say: options.onProgress, moved: () => (hasMoved = true) });
  const { deliveryLog } = options;
  const replay = ({ replaying }: Job): Promise<void> => replaying.run(stage.jobs, () => hasMoved, timeIsUp);
  const replays = Promise.all(deliveryLog ? jobs.map(replay) : []);
  replays.catch(() => undefined); // Thrown below.
  upgrading?.catch(() => undefined); // Thrown below.
  let upgraded: Upgraded = { missingKeepsakes: 0, changedRuns: new Set() };
  faults.start();
  try {
    const weak = jobs[1] ?? jobs[0];
    let wasDown = false;
    while (delivered() < expected && !timeIsUp.aborted) {
      if (!wasDown && progress() >= DOWN_AT) {
        wasDown = true;
        weak?.trouble.goDown(DOWN_MS);
      }
      faults.check();
      await sleep(LOOK_MS);
    }
    await upstreams;
    await replays;
    upgraded = (await upgrading) ?? upgraded;
    await faults.end();
    // What a job believes to be undelivered it will send again: wait for that, too.
    for (const { jobId } of jobs) await untilNothingWaits(stage, jobId, timeIsUp);
  } finally {
    clearInterval(ticker);
    await faults.end().catch(() => undefined);
  }
  options.onProgress(line());
  const stalls = [...stage.stalls]; // Judging is one, too.
  const seen = jobs.map((job) => seenOf(job, stage, faults));
  const logVerdicts =
    deliveryLog === undefined ? new Map<string, never>() : await judgedLogs(deliveryLog, seen, options.onProgress);
  return { ...report(stage, jobs, seen, faults, startedAt, logVerdicts), stalls, upgraded };
}

async function startJob(
  stage: StageWithApis,
  endpoint: JobEndpoint,
  trouble: Trouble,
  i: number,
  { triggers, jobs, seed, lead, inlineEvery, limits, deliveryLog }: ChaosOptions,
  signal: AbortSignal,
): Promise<Job> {
  const jobId = `job-${i + 1}`;
  const cap = CAPS[i % CAPS.length] ?? 1;
  const share = Math.floor(triggers / jobs) + (i < triggers % jobs ? 1 : 0);
  const own = liveTriggers(stage.people, share, seed * 1000 + i, inlineEvery);
  const backfilled = i === 0;
  await stage.jobs.start(
    {
      label: `Chaos ${i + 1}`,
      audiences: backfilled ? ['newsletter', 'vip', EVERYONE] : ['newsletter', 'vip'],
      webhookUrl: endpoint.url,
      authorization: 'chaos',
      parallelRequestCount: cap,
      batch: i === BATCHING ? BATCH : null,
      // What is sent again takes some 15 s, in which newer things happen.
      backfillPerSecond: deliveryLog === undefined ? null : Math.ceil(share / 50),
    },
    { jobId },
  );
  if (backfilled) await stage.jobs.backfill(jobId, { audiences: [EVERYONE] });
  const members = backfilled ? stage.people.map(({ user }) => memberChange(user)) : [];
  const delivered = () => endpoint.delivered;
  const replaying = new Replaying(jobId, i % 2 === 1, trouble, () => delivered() / (own.length + members.length));
  // Some triggers are to come while others are sent again.
  const most = deliveryLog === undefined ? lead : Math.ceil(Math.min(lead, share / 10));
  const bringing = { jobId, triggers: own, lead: () => (replaying.isUnderWay ? TRICKLE : most), delivered, signal };
  const { apis } = stage;
  const upstream =
    apis === undefined
      ? new Pushing({ ...bringing, jobs: stage.jobs, pushSize: limits.pushSize })
      : new Calling({ ...bringing, apis, seed: seed * 1000 + i });
  return { jobId, cap, endpoint, trouble, upstream, replaying, live: own.map(changeOf), members };
}

/** A job's evidence, and what was done to it. */
interface Seen {
  readonly job: Job;
  readonly evidence: JobEvidence;
  readonly incidents: Incidents;
}

function seenOf(job: Job, { fleet: { kills }, stalls }: Stage, { outages }: Faults): Seen {
  const { cap, endpoint, upstream, members } = job;
  const { repeated, told } = upstream;
  return {
    job,
    evidence: { cap, live: told.map(changeOf), members, requests: endpoint.requests() },
    incidents: { kills, outages, repeated, requestTimeoutMs: REQUEST_TIMEOUT_MS, stalls },
  };
}

/** After all workers have had the time to write their last rows. */
async function judgedLogs(
  place: LogPlace,
  seen: readonly Seen[],
  say: (line: string) => void,
): Promise<Map<string, LogVerdict & ReplayVerdict>> {
  await sleep(LOG_WRITTEN_MS);
  const reader = openDeliveryReader(place, sealingWith([]));
  const verdicts = new Map<string, LogVerdict & ReplayVerdict>();
  for (const { job, evidence, incidents } of seen) {
    const { jobId, replaying } = job;
    const rows: DeliveryRow[] = [];
    for await (const page of reader.pages({ jobId })) rows.push(...page);
    say(`${jobId}: judging ${rows.length} rows of the log`);
    const log = judgeLog(evidence.requests, rows, incidents);
    const replay = judgeReplay(evidence, rows, replaying.asked, incidents);
    verdicts.set(jobId, { ...log, ...replay, violations: [...log.violations, ...replay.violations] });
  }
  await reader.close();
  return verdicts;
}

async function untilNothingWaits({ jobs }: Stage, jobId: string, timeIsUp: AbortSignal): Promise<void> {
  while (!timeIsUp.aborted) {
    const status = await jobs.status(jobId).catch(() => undefined);
    if (status?.waiting === 0 && status.backfill?.state !== 'running') return;
    await sleep(STATUS_AGAIN_MS);
  }
}

function report(
  { fleet, apis, folder }: StageWithApis,
  jobs: readonly Job[],
  seen: readonly Seen[],
  faults: Faults,
  startedAt: number,
  logVerdicts: ChaosReport['logVerdicts'],
): Omit<ChaosReport, 'stalls' | 'upgraded'> {
  const { outages } = faults;
  const repeated = new Set(
    jobs.flatMap(({ jobId, upstream }) => [...upstream.repeated].map((key) => `${jobId} ${key}`)),
  );
  const verdicts = new Map<string, Verdict>();
  for (const { job, evidence, incidents } of seen) {
    const { resent } = logVerdicts.get(job.jobId) ?? {};
    verdicts.set(job.jobId, judge({ ...evidence, resent }, incidents));
  }
  const interruptions = new Map<string, number>();
  for (const { upstream } of jobs)
    for (const [reason, count] of upstream.interruptions)
      interruptions.set(reason, (interruptions.get(reason) ?? 0) + count);
  const sum = (of: (job: Job) => number) => jobs.reduce((total, job) => total + of(job), 0);
  return {
    verdicts,
    logVerdicts,
    expected: sum(({ live, members }) => live.length + members.length),
    notAccepted: sum(({ live, upstream }) => live.length - upstream.accepted),
    repeated: repeated.size,
    requests: sum(({ endpoint }) => endpoint.requestCount),
    kills: fleet.kills.size,
    apiKills: apis?.kills ?? 0,
    interruptions: Object.fromEntries(interruptions),
    crashes: fleet.crashes,
    apiCrashes: apis?.crashes ?? [],
    log: fleet.readLogs(),
    outages,
    mostWorkerBytes: fleet.mostRssBytes,
    ms: performance.now() - startedAt,
    folder,
  };
}
