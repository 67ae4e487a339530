// npm run bench [-- --quick --workers 2 --members 1000000 --only live-20 --source postgres --plain --cluster --log postgres --rounds 9] : every case in one run on one machine, as ratios to what undici alone does here.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventTrigger } from '../src/contract/trigger.ts';
import { type BenchApi, manyAtOnce, openApi, steadily } from './calls.ts';
import { costOf } from './cost.ts';
import { latenciesMs } from './endpoint.ts';
import { rawRate } from './raw.ts';
import { BENCH_SOURCES, type BenchStage, endProcess, openBenchStage } from './stage.ts';
import { MemoryCurve } from './memory.ts';
import { processorUs } from './processor-time.ts';
import { postSignal, SDK_TASK_QUEUE, sdkAlone } from './sdk-workflow.ts';
import { median, percentile, print, type Row, table } from './report.ts';
import { optionsOf } from '../chaos/options.ts';

const values = optionsOf('npm run bench --', {
  quick: false,
  /** Names of cases, with commas; all but the long ones where none is given. */
  only: '',
  workers: 1,
  source: 'file',
  /** 0: as many as are usual. */
  members: 0,
  plain: false,
  cluster: false,
  /** `postgres` or `file`: each case runs in turn without a delivery log and with one there. */
  log: '',
  /** 0: as many as are usual. */
  rounds: 0,
});
const ROUNDS = values.rounds || (values.quick ? 1 : 3);
const MEMBERS = values.members || (values.quick ? 50_000 : 200_000);
const LIVE = 20_000;
/** More than a job keeps in its own state: most go through holders. */
const FLOOD = 200_000;
const INLINE = 2_000;
const IDLE_PER_SECOND = 20;
const IDLE_SAMPLES = values.quick ? 100 : 300;
/** While workers are killed: so many triggers for each kill, at so many a second. */
const STEADY = 1_000;
const STEADY_PER_SECOND = 50;
const KILLS = values.quick ? 4 : 10;
/** Triggers a second that come one by one without a pause: long enough for runs to end several times. */
const STREAMS = [50, 200];
const STREAM_SECONDS = values.quick ? 20 : 60;
/** Four jobs, each with more than it delivers while workers come and go. */
const ELASTIC_JOBS = 4;
const ELASTIC_BACKLOG = 150_000;
const ELASTIC_SETTLES_MS = 3_000;
const ELASTIC_PHASE_MS = 10_000;
const BODY_BYTES = 1_400;
/** As people write it for an endpoint that has names of its own. */
const TEMPLATE = `{
  "email": {{ data.email | json }},
  "external_id": {{ id | json }},
  "properties": {
    "first_name": {{ data.first_name | json }},
    "last_name": {{ data.last_name | json }},
    "score": {{ data.score_quantity | json }},
    "attributes": {{ data.user_attributes | json }}
  },
  "list": {{ audience.slug | json }},
  "action": "{{ action }}",
  "at": {{ at | json }}
}`;

const ONLY = values.only.split(',').filter((name) => name !== '');
const wanted = (name: string): boolean => ONLY.length === 0 || ONLY.includes(name);

function* triggersOf(stage: BenchStage, count: number, inline: boolean): Generator<EventTrigger> {
  const { users, profiles } = stage;
  for (let i = 0; i < count; i++) {
    const user = users[i % users.length] ?? '';
    const profile = inline ? profiles[i] : undefined;
    // With fewer people than triggers, everybody comes and goes.
    const event = Math.floor(i / users.length) % 2 === 0 ? 'enter' : 'exit';
    yield { audience: 'everyone', user, event, ...(profile === undefined ? {} : { profile }) };
  }
}

/** From the first signal to the last arrival, in deliveries a second. */
async function liveRate(stage: BenchStage, { count, inFlight, delayMs = 0, inline = false, body, batch }: LiveCase) {
  const jobId = await stage.start({
    parallelRequestCount: inFlight,
    ...(body === undefined ? {} : { body }),
    ...(batch === undefined ? {} : { batch: { size: batch } }),
  });
  const used = usedUs(stage);
  const done = stage.endpoint.expect(count, { delayMs, lists: batch !== undefined });
  const startedAtNs = process.hrtime.bigint();
  await stage.jobs.push(jobId, triggersOf(stage, count, inline));
  const { lastAtNs, mostInFlight } = await done;
  const ratePerS = (count * 1e9) / Number(BigInt(lastAtNs) - startedAtNs);
  return { ratePerS, mostInFlight, usPerDelivery: used(count), ...(await ended(stage, jobId, count)) };
}

interface LiveCase {
  readonly count: number;
  readonly inFlight: number;
  readonly delayMs?: number;
  readonly inline?: boolean;
  /** A template of the body; absent: the default body. */
  readonly body?: string;
  /** Triggers in a request; absent: one, and no list. */
  readonly batch?: number;
}

/** How the calls of a case bring triggers. */
interface CallsCase {
  readonly atOnce: number;
  /** Triggers in a call. */
  readonly size: number;
  readonly call: (jobId: string, triggers: readonly EventTrigger[]) => Promise<unknown>;
  readonly api?: BenchApi;
  /** Triggers in all. Default: 20,000. */
  readonly count?: number;
  readonly inline?: boolean;
  readonly inFlight?: number;
  readonly delayMs?: number;
}

/** From the first call to the last arrival, in deliveries a second; and how many triggers a second were accepted meanwhile. */
async function callsRate(
  stage: BenchStage,
  { atOnce, size, call, api, count = LIVE, inline = false, inFlight = 20, delayMs = 0 }: CallsCase,
): Promise<Measured> {
  const used = usedUs(stage, api);
  const jobId = await stage.start({ parallelRequestCount: inFlight });
  const done = stage.endpoint.expect(count, { delayMs });
  const startedAtNs = process.hrtime.bigint();
  const calls = await manyAtOnce(parts(triggersOf(stage, count, inline), size), atOnce, (some) => call(jobId, some));
  const { lastAtNs, mostInFlight } = await done;
  return {
    ratePerS: (count * 1e9) / Number(BigInt(lastAtNs) - startedAtNs),
    acceptedPerS: calls.perS * size,
    p50Ms: percentile(calls.latenciesMs, 50),
    p99Ms: percentile(calls.latenciesMs, 99),
    longestMs: Math.max(...calls.latenciesMs),
    mostInFlight,
    usPerDelivery: used(count),
    ...(await ended(stage, jobId, count)),
  };
}

/** Of each process, the processor time from now on, in µs a delivery. */
function usedUs({ temporalPid, workerPids, endpoint }: BenchStage, api?: BenchApi) {
  const pids = {
    temporal: [temporalPid],
    worker: workerPids,
    receiver: [endpoint.pid],
    ...(api === undefined ? {} : { api: [api.pid] }),
    caller: [process.pid],
  };
  const before = processorUs(pids);
  return (deliveries: number): Record<string, number> =>
    Object.fromEntries(
      Object.entries(processorUs(pids)).map(([name, us]) => [
        name,
        Math.round((us - (before[name] ?? 0)) / deliveries),
      ]),
    );
}

function* parts<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let part: T[] = [];
  for (const item of items) {
    part.push(item);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}

/** One call after another: how long a caller that is alone waits until Temporal has a trigger. */
async function aloneMs(stage: BenchStage, api: BenchApi): Promise<Measured> {
  const jobId = await stage.start({ parallelRequestCount: 5 });
  const done = stage.endpoint.expect(IDLE_SAMPLES);
  const triggers = triggersOf(stage, IDLE_SAMPLES, false);
  const { perS, latenciesMs } = await manyAtOnce(triggers, 1, (trigger) => api.send(jobId, trigger));
  await done;
  await ended(stage, jobId, IDLE_SAMPLES);
  return { ratePerS: perS, p50Ms: percentile(latenciesMs, 50), p99Ms: percentile(latenciesMs, 99) };
}

async function backfillRate(stage: BenchStage) {
  const used = usedUs(stage);
  const done = stage.endpoint.expect(MEMBERS);
  const startedAtNs = process.hrtime.bigint();
  const memory = new MemoryCurve(stage.workerPids);
  const jobId = await stage.start({ parallelRequestCount: 20, existingUsers: true });
  const { lastAtNs, mostInFlight } = await done;
  const ratePerS = (MEMBERS * 1e9) / Number(BigInt(lastAtNs) - startedAtNs);
  const workerMemoryMb = memory.end();
  return {
    ratePerS,
    mostInFlight,
    workerMemoryMb,
    usPerDelivery: used(MEMBERS),
    ...(await ended(stage, jobId, MEMBERS)),
  };
}

/** Stops a job once it has nothing left, and says what each delivery cost. */
async function ended(stage: BenchStage, jobId: string, deliveries: number) {
  await stage.jobs.stop(jobId);
  while (await stage.jobs.isRunning(jobId)) await sleep(50);
  const { events, actions, longestRunEvents } = await costOf(stage.connected.client, jobId);
  return { eventsPerDelivery: events / deliveries, actionsPerDelivery: actions / deliveries, longestRunEvents };
}

/** What a single trigger takes of Temporal and its SDK alone: the least that `idle` can take. */
async function sdkIdle({ endpoint, connected, users, address }: BenchStage): Promise<Row> {
  const worker = fork(new URL('./sdk-worker.ts', import.meta.url), [address], { execArgv: ['--import', 'tsx'] });
  await once(worker, 'message');
  const workflow = await connected.client.workflow.start(sdkAlone, {
    taskQueue: SDK_TASK_QUEUE,
    workflowId: 'sdk-alone',
    args: [endpoint.url],
  });
  const signalAll = (some: readonly string[]) =>
    steadily(
      some.map((user) => ({ user })),
      IDLE_PER_SECOND,
      ({ user }) => workflow.signal(postSignal, user),
    );
  const warmUp = endpoint.expect(IDLE_PER_SECOND);
  await signalAll(users.slice(0, IDLE_PER_SECOND));
  await warmUp;
  const done = endpoint.expect(IDLE_SAMPLES, { times: true });
  const sentAtNs = await signalAll(users.slice(0, IDLE_SAMPLES));
  const tookMs = latenciesMs(sentAtNs, (await done).arrivals);
  await workflow.signal(postSignal, undefined);
  await workflow.result();
  await endProcess(worker);
  return { case: 'sdk-idle', inFlight: 1, p50Ms: percentile(tookMs, 50), p99Ms: percentile(tookMs, 99) };
}

async function idle(stage: BenchStage): Promise<Row> {
  const jobId = await stage.start({ parallelRequestCount: 5 });
  const warmUp = stage.endpoint.expect(IDLE_PER_SECOND);
  for (const trigger of triggersOf(stage, IDLE_PER_SECOND, false)) await signal(stage, jobId, trigger);
  await warmUp;
  const used = usedUs(stage);
  const done = stage.endpoint.expect(IDLE_SAMPLES, { times: true });
  const sentAtNs = await signalled(stage, jobId, IDLE_SAMPLES, IDLE_PER_SECOND);
  const { arrivals } = await done;
  const usPerDelivery = used(IDLE_SAMPLES);
  const tookMs = latenciesMs(sentAtNs, arrivals);
  const cost = await ended(stage, jobId, IDLE_SAMPLES + IDLE_PER_SECOND);
  const [p50Ms, p99Ms] = [percentile(tookMs, 50), percentile(tookMs, 99)];
  return { case: 'idle', inFlight: 5, p50Ms, p99Ms, usPerDelivery, ...cost };
}

/**
 * How long nothing arrives, while triggers come steadily, when a worker is killed and another started in its place; each once, in turn, and again as
 * soon as what the one before had in flight has arrived.
 */
async function failover(stage: BenchStage): Promise<Row> {
  const jobId = await stage.start({ parallelRequestCount: 20 });
  const workers = stage.workerPids.length;
  const standStillsMs: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const done = stage.endpoint.expect(STEADY, { times: true });
    const replaced = sleep(1_000).then(() => stage.replaceWorker(kill % workers));
    const sent = [...(await signalled(stage, jobId, STEADY, STEADY_PER_SECOND)).values()];
    const { arrivals } = await done;
    await replaced;
    standStillsMs.push(longestGapMs(sent, Object.values(arrivals).map(BigInt)));
  }
  await stage.jobs.stop(jobId, { waiting: 'discard' });
  const [p50Ms, p99Ms] = [percentile(standStillsMs, 50), percentile(standStillsMs, 99)];
  return { case: 'failover', inFlight: 20, p50Ms, p99Ms };
}

/** The longest time without an arrival that began while something was still sent. */
function longestGapMs(sentAtNs: readonly bigint[], arrivedAtNs: readonly bigint[]): number {
  const [first, last] = [sentAtNs[0] ?? 0n, sentAtNs.at(-1) ?? 0n];
  const times = [first, ...arrivedAtNs.toSorted((a, b) => Number(a - b))];
  const gaps = times.slice(1).map((at, i) => ({ from: times[i] ?? at, at }));
  return Math.max(...gaps.map(({ from, at }) => (from < last ? Number((at - from) / 1_000_000n) : 0)));
}

/** What four jobs deliver together from a backlog, while a worker is added and taken away again; and the longest that nothing arrived, that included. */
async function elastic(stage: BenchStage): Promise<Row[]> {
  const jobIds = await Promise.all(
    Array.from({ length: ELASTIC_JOBS }, () => stage.start({ parallelRequestCount: 20 })),
  );
  for (const jobId of jobIds) {
    await stage.jobs.pause(jobId);
    await stage.jobs.push(jobId, triggersOf(stage, ELASTIC_BACKLOG, false));
  }
  // Asked of the endpoint: that a job answers is not a matter of course here.
  const measured = async (name: string): Promise<Row> => {
    await sleep(ELASTIC_SETTLES_MS);
    const { longestGapMs: before } = await stage.endpoint.count();
    const startedAtMs = performance.now();
    await sleep(ELASTIC_PHASE_MS);
    const { requests, longestGapMs } = await stage.endpoint.count();
    const ratePerS = (requests * 1000) / (performance.now() - startedAtMs);
    return print({ case: name, inFlight: 20, ratePerS, longestMs: Math.max(before, longestGapMs) });
  };
  for (const jobId of jobIds) await stage.jobs.resume(jobId);
  await stage.endpoint.count();
  const workers = stage.workerPids.length;
  const rows = [await measured(`elastic-${workers}`)];
  await stage.addWorker();
  rows.push(await measured(`elastic-${workers + 1}`));
  await stage.endWorker();
  rows.push(await measured(`elastic-${workers}-again`));
  for (const jobId of jobIds) await stage.jobs.stop(jobId, { waiting: 'discard' });
  return rows;
}

/** How long triggers take that come one by one without a pause, as from many upstreams: through the ends of runs, too. */
async function stream(stage: BenchStage, perSecond: number): Promise<Row> {
  const jobId = await stage.start({ parallelRequestCount: 20 });
  const count = perSecond * STREAM_SECONDS;
  const used = usedUs(stage);
  const done = stage.endpoint.expect(count, { times: true });
  const sentAtNs = await signalled(stage, jobId, count, perSecond);
  const { arrivals } = await done;
  const usPerDelivery = used(count);
  const tookMs = latenciesMs(sentAtNs, arrivals);
  const cost = await ended(stage, jobId, count);
  const at = (percent: number) => percentile(tookMs, percent);
  return {
    case: `stream-${perSecond}`,
    inFlight: 20,
    p50Ms: at(50),
    p90Ms: at(90),
    p99Ms: at(99),
    longestMs: Math.max(...tookMs),
    usPerDelivery,
    ...cost,
  };
}

/** So many signals, at so many a second; when each was sent, by person. */
async function signalled(stage: BenchStage, jobId: string, count: number, perSecond: number) {
  return await steadily(triggersOf(stage, count, false), perSecond, (trigger) => signal(stage, jobId, trigger));
}

/** One signal, as a foreign upstream sends it. */
async function signal(stage: BenchStage, jobId: string, { user, audience }: EventTrigger): Promise<void> {
  await stage.jobs.enter(jobId, { user, audience });
}

const BODY = JSON.stringify({ text: 'x'.repeat(BODY_BYTES - 11) });
const raw = (inFlight: number, requests: number, delayMs?: number) => (stage: BenchStage) =>
  rawRate(stage.endpoint, { inFlight, requests, body: BODY, ...(delayMs === undefined ? {} : { delayMs }) }).then(
    (ratePerS) => ({ ratePerS }),
  );
const live = (options: LiveCase) => (stage: BenchStage) => liveRate(stage, options);
const viaApi =
  (measure: (stage: BenchStage, api: BenchApi) => Promise<Measured>) =>
  async (stage: BenchStage): Promise<Measured> => {
    const api = await openApi(stage.address, 50);
    try {
      return await measure(stage, api);
    } finally {
      await api.close();
    }
  };
/** Callers of the API that bring one trigger a call. */
const callers = (options: Omit<CallsCase, 'size' | 'call' | 'api'>) =>
  viaApi((stage, api) =>
    callsRate(stage, { ...options, size: 1, api, call: (jobId, [one]) => api.send(jobId, one ?? []) }),
  );
const CASES: readonly (readonly [
  name: string,
  inFlight: number,
  baseline: string | undefined,
  run: (stage: BenchStage) => Promise<Measured>,
])[] = [
  ['raw-1', 1, undefined, raw(1, 5_000)],
  ['raw-5', 5, undefined, raw(5, 20_000)],
  ['raw-20', 20, undefined, raw(20, 40_000)],
  ['raw-50', 50, undefined, raw(50, 40_000)],
  ['raw-5-50ms', 5, undefined, raw(5, 500, 50)],
  ['raw-50-50ms', 50, undefined, raw(50, 5_000, 50)],
  ['live-20', 20, 'raw-20', live({ count: LIVE, inFlight: 20 })],
  ['template-20', 20, 'raw-20', live({ count: LIVE, inFlight: 20, body: TEMPLATE })],
  ['batch-100', 20, 'raw-20', live({ count: LIVE, inFlight: 20, batch: 100 })],
  [
    'client-single-20',
    20,
    'raw-20',
    (stage) => callsRate(stage, { atOnce: 20, size: 1, call: (jobId, some) => stage.jobs.signal(jobId, some) }),
  ],
  ['callers-2', 20, 'raw-20', callers({ atOnce: 2, count: 4_000 })],
  ['callers-8', 20, 'raw-20', callers({ atOnce: 8, count: 8_000 })],
  ['callers-32', 20, 'raw-20', callers({ atOnce: 32 })],
  ['callers-32-inline', 20, 'raw-20', callers({ atOnce: 32, inline: true })],
  ['callers-50-50ms', 50, 'raw-50-50ms', callers({ atOnce: 50, inFlight: 50, delayMs: 50 })],
  [
    'api-batch-100',
    20,
    'raw-20',
    viaApi((stage, api) =>
      callsRate(stage, { atOnce: 10, size: 100, api, call: (jobId, some) => api.send(jobId, some) }),
    ),
  ],
  ['api-alone', 5, undefined, viaApi((stage, api) => aloneMs(stage, api))],
  ['live-inline-20', 20, 'raw-20', live({ count: INLINE, inFlight: 20, inline: true })],
  ['live-200k', 20, 'raw-20', live({ count: FLOOD, inFlight: 20 })],
  ['inline-20k', 20, 'raw-20', live({ count: LIVE, inFlight: 20, inline: true })],
  ['backfill-20', 20, 'raw-20', (stage) => backfillRate(stage)],
  ['live-5-50ms', 5, 'raw-5-50ms', live({ count: 1_000, inFlight: 5, delayMs: 50 })],
  ['live-50-50ms', 50, 'raw-50-50ms', live({ count: 10_000, inFlight: 50, delayMs: 50 })],
  ['inline-50-50ms', 50, 'raw-50-50ms', live({ count: LIVE, inFlight: 50, delayMs: 50, inline: true })],
];
/** They take minutes, most of them waiting: only by their names. */
const LONG = [...STREAMS.map((perSecond) => `stream-${perSecond}`), 'elastic', 'failover'];
const NAMES = [...CASES.map(([name]) => name), 'idle', ...LONG];

async function main(): Promise<void> {
  const source = BENCH_SOURCES.find((kind) => kind === values.source);
  if (source === undefined) throw new Error(`--source is one of ${BENCH_SOURCES.join(', ')}, not "${values.source}".`);
  const unknown = ONLY.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) throw new Error(`There is no case ${unknown.join(', ')}. There are ${NAMES.join(', ')}.`);
  const options = {
    people: MEMBERS,
    kept: LIVE,
    workers: values.workers,
    source,
    isPlain: values.plain,
    isOnCluster: values.cluster,
  };
  const stage = await openBenchStage({ ...options, log: values.log });
  // The same without a log: each case runs on both in turn, so that both meet the same machine.
  const bare = values.log === '' ? undefined : await openBenchStage({ ...options, log: '' });
  const rows: Row[] = [];
  try {
    for (const [name, inFlight, baseline, run] of CASES.filter(
      ([name, , baseline]) => wanted(name) || name === baseline || isBaseline(name),
    )) {
      const rounds: Measured[] = [];
      const bareRounds: Measured[] = [];
      for (let round = 0; round < ROUNDS; round++)
        for (const one of round % 2 === 0 ? [stage, bare] : [bare, stage])
          if (one !== undefined) (one === stage ? rounds : bareRounds).push(await run(one));
      const ratiosToBare = bareRounds.map((one, i) => (rounds[i]?.ratePerS ?? Number.NaN) / one.ratePerS);
      const ratePerS = median(rounds.map((one) => one.ratePerS));
      const against = rows.find((row) => row.case === baseline)?.ratePerS;
      const rest = rounds.find((one) => one.ratePerS === ratePerS) ?? rounds[0];
      rows.push(
        print({
          case: name,
          inFlight,
          ...rest,
          ratePerS,
          ...(against === undefined ? {} : { ratioToRaw: ratePerS / against }),
          ...(bare === undefined ? {} : { ratioToBare: median(ratiosToBare), ratiosToBare }),
        }),
      );
    }
    if (wanted('idle')) rows.push(print(await sdkIdle(stage)), print(await idle(stage)));
    for (const perSecond of STREAMS)
      if (ONLY.includes(`stream-${perSecond}`)) rows.push(print(await stream(stage, perSecond)));
    if (ONLY.includes('elastic')) rows.push(...(await elastic(stage)));
    if (ONLY.includes('failover')) rows.push(print(await failover(stage)));
    console.error(table(rows));
  } finally {
    await stage.close();
    await bare?.close();
  }
}

interface Measured {
  readonly ratePerS: number;
  readonly mostInFlight?: number;
  /** Triggers that callers were told are accepted. */
  readonly acceptedPerS?: number;
  /** How long each call took. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly longestMs?: number;
  /** Processor time of each process. */
  readonly usPerDelivery?: Readonly<Record<string, number>>;
  readonly eventsPerDelivery?: number;
  readonly actionsPerDelivery?: number;
  readonly longestRunEvents?: number;
  /** Of all workers together, over the time. */
  readonly workerMemoryMb?: readonly number[];
}

function isBaseline(name: string): boolean {
  return CASES.some(([other, , baseline]) => baseline === name && wanted(other));
}

await main();
