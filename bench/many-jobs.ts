// npm run many-jobs [-- --jobs 2000 --workers 2 --cluster] : so many jobs, most of them quiet, beside some with a backlog and some whose endpoint hangs. Progress on standard error, one JSON line on standard output.
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventTrigger } from '../src/contract/trigger.ts';
import { manyAtOnce, steadily } from './calls.ts';
import { Endpoint, latenciesMs } from './endpoint.ts';
import { residentMb } from './memory.ts';
import { processorUs } from './processor-time.ts';
import { percentile } from './report.ts';
import { type BenchStage, openBenchStage } from './stage.ts';
import { optionsOf } from '../chaos/options.ts';

const values = optionsOf('npm run many-jobs --', {
  jobs: 2_000,
  workers: 2,
  /** Jobs that have a backlog, and jobs whose endpoint never answers. */
  busy: 20,
  hanging: 50,
  /** `requestsPerSecond` of the jobs that have a backlog; 0: no limit. */
  'per-second': 0,
  seconds: 60,
  cluster: false,
});
const SECONDS = values.seconds;
/** Over all quiet jobs together. */
const QUIET_PER_S = 20;
const BACKLOG = 5_000;
const UNANSWERED = 100;
const AT_ONCE = 20;
/** Longer than anybody looks. */
const HANGING_MS = 3_600_000;

const say = (text: string): void => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
const rounded = (value: number): number => Number(value.toPrecision(3));

interface Jobs {
  readonly quiet: readonly string[];
  readonly busy: readonly string[];
  readonly hanging: readonly string[];
}

async function startAll(stage: BenchStage, busy: Endpoint, hanging: Endpoint) {
  const webhookUrls = [
    ...Array.from({ length: values.busy }, () => busy.url),
    ...Array.from({ length: values.hanging }, () => hanging.url),
  ];
  const pace = values['per-second'] > 0 ? { requestsPerSecond: values['per-second'] } : {};
  const ids: string[] = [];
  const { perS } = await manyAtOnce(Array.from({ length: values.jobs }).keys(), AT_ONCE, async (i) => {
    const webhookUrl = webhookUrls[i];
    ids[i] = await stage.start({
      parallelRequestCount: 5,
      ...(webhookUrl && { webhookUrl, authorization: null }),
      ...(i < values.busy ? pace : {}),
    });
  });
  const [backlogs, hangs] = [values.busy, values.hanging];
  const jobs: Jobs = {
    busy: ids.slice(0, backlogs),
    hanging: ids.slice(backlogs, backlogs + hangs),
    quiet: ids.slice(backlogs + hangs),
  };
  return { jobs, startedPerS: rounded(perS) };
}

/** Triggers come to one quiet job after another; how long each takes from the call to its arrival. */
async function quietLatencies(stage: BenchStage, { quiet }: Jobs, seconds: number) {
  const count = seconds * QUIET_PER_S;
  const done = stage.endpoint.expect(count, { times: true });
  const triggers = Array.from({ length: count }, (_, i) => ({
    user: stage.users[i] ?? '',
    jobId: quiet[(i * 7) % quiet.length] ?? '',
  }));
  const sentAtNs = await steadily(triggers, QUIET_PER_S, ({ user, jobId }) =>
    stage.jobs.enter(jobId, { user, audience: 'everyone' }),
  );
  const { arrivals } = await done;
  const tookMs = latenciesMs(sentAtNs, arrivals);
  return {
    p50Ms: rounded(percentile(tookMs, 50)),
    p99Ms: rounded(percentile(tookMs, 99)),
    mostMs: rounded(Math.max(...tookMs)),
    /** Of the second half: beside backlogs, these have been signalled by then. */
    laterP99Ms: rounded(percentile(tookMs.slice(count / 2), 99)),
  };
}

/** What processes take while something goes on: processor time in seconds a second, and memory at its end. */
async function costWhile<T>(stage: BenchStage, something: () => Promise<T>) {
  const pids = { temporal: [stage.temporalPid], workers: stage.workerPids };
  const [before, startedAt] = [processorUs(pids), performance.now()];
  const result = await something();
  const seconds = (performance.now() - startedAt) / 1000;
  const processor = Object.fromEntries(
    Object.entries(processorUs(pids)).map(([name, us]) => [name, rounded((us - (before[name] ?? 0)) / 1e6 / seconds)]),
  );
  const workersMb = stage.workerPids.reduce((sum, pid) => sum + residentMb(pid), 0);
  const memoryMb = { temporal: residentMb(stage.temporalPid), workers: workersMb };
  return { result, cost: { processor, memoryMb } };
}

async function backlogs(stage: BenchStage, { busy, hanging }: Jobs): Promise<void> {
  const triggers = function* (count: number): Generator<EventTrigger> {
    for (let i = 0; i < count; i++) yield { audience: 'everyone', user: stage.users[i] ?? '', event: 'enter' };
  };
  await manyAtOnce(hanging, AT_ONCE, async (jobId) => await stage.jobs.push(jobId, triggers(UNANSWERED)));
  await manyAtOnce(busy, AT_ONCE, async (jobId) => await stage.jobs.push(jobId, triggers(BACKLOG)));
}

/** How long something takes, in ms. */
async function timed(something: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await something();
  return Math.round(performance.now() - startedAt);
}

async function main(): Promise<void> {
  const [busy, hanging] = [await Endpoint.open(), await Endpoint.open()];
  void hanging.expect(Number.MAX_SAFE_INTEGER, { delayMs: HANGING_MS });
  const stage = await openBenchStage({
    people: Math.max(BACKLOG, SECONDS * QUIET_PER_S),
    kept: 0,
    workers: values.workers,
    source: 'file',
    isPlain: false,
    isOnCluster: values.cluster,
  });
  try {
    say(`starting ${values.jobs} jobs`);
    const started = await costWhile(stage, async () => await startAll(stage, busy, hanging));
    const { jobs, startedPerS } = started.result;
    say('nothing to do');
    const nothing = await costWhile(stage, async () => await sleep(20_000));
    say('a trigger now and then');
    const alone = await costWhile(stage, async () => await quietLatencies(stage, jobs, SECONDS));
    say('beside backlogs and endpoints that hang');
    const drained = busy.expect(jobs.busy.length * BACKLOG);
    const beginMs = performance.now();
    const drainedMs = drained.then(() => performance.now() - beginMs);
    const beside = await costWhile(stage, async () => {
      const pushed = backlogs(stage, jobs);
      const latencies = await quietLatencies(stage, jobs, SECONDS);
      await pushed;
      return latencies;
    });
    const backlogsPerS = rounded((jobs.busy.length * BACKLOG * 1000) / (await drainedMs));
    say('asking all jobs');
    const listMs = await timed(async () => await stage.jobs.list());
    const overviewMs = await timed(async () => await stage.jobs.overview());
    say('replacing all workers');
    const replacedMs = await timed(async () => {
      await Promise.all(stage.workerPids.map(async (_, index) => await stage.replaceWorker(index)));
    });
    const allAnswerMs = await timed(
      async () => await manyAtOnce(jobs.quiet, AT_ONCE, async (jobId) => await stage.jobs.status(jobId)),
    );
    const after = await costWhile(stage, async () => await quietLatencies(stage, jobs, SECONDS));
    const figures = {
      jobs: values.jobs,
      workers: stage.workerPids.length,
      temporal: values.cluster ? 'server on PostgreSQL' : 'development server',
      start: { startedPerS, ...started.cost },
      nothingToDo: nothing.cost,
      quietAlone: { ...alone.result, ...alone.cost },
      quietBesideBacklogs: { ...beside.result, ...beside.cost, backlogsPerS },
      listMs,
      overviewMs,
      workersReplacedMs: replacedMs,
      allAnswerMs,
      quietAfterwards: { ...after.result, ...after.cost },
    };
    console.log(JSON.stringify(figures));
  } finally {
    await stage.close();
    busy.close();
    hanging.close();
  }
}

await main();
