// npm run chaos [-- --triggers 3000 --seed 7 --shrunk --cluster --api --log postgres] : everything is killed and everything fails, and the endpoints' ledgers
// say whether the promises held. npm run upgrade [-- --from 0.1.0 --versioned] : the same, while workers of an older release and of this one take turns.
// One JSON line on standard output, everything else on standard error; exit code 0 only if they did.
import { PostgresNotFound } from '../demo/postgres-server.ts';
import type { LogPlace } from '../src/features/delivery-log/open-log.ts';
import { startRealServer } from './cluster.ts';
import type { Verdict } from './judge.ts';
import type { LogVerdict } from './judge-log.ts';
import { openLog } from './log-place.ts';
import { DEFAULT_LIMITS, SHRUNK_LIMITS } from './limits.ts';
import { optionsOf } from './options.ts';
import type { ReplayVerdict } from './replay.ts';
import { type ChaosReport, runChaos } from './run.ts';
import { ReleaseNotFound } from './release-build.ts';
import { planUpgrade } from './upgrade.ts';
import { TemporalServerNotFound } from './temporal-build.ts';
import { INLINE_EVERY } from './workload.ts';

const values = optionsOf('npm run chaos --', {
  triggers: 100_000,
  people: 5_000,
  jobs: 4,
  workers: 3,
  /** The same seed gives the same triggers, answers and choice of victims; what they meet depends on time. */
  seed: Math.floor(Math.random() * 1e6),
  /** Longest run; what has not arrived by then is lost. */
  minutes: 30,
  'kill-every-s': 4,
  kills: Infinity,
  restarts: 2,
  /** Most failed attempts of one delivery: 0 to 2. */
  failures: 2,
  /** Longest time an answer takes. */
  'answer-ms': 4,
  /** Most triggers of a job that wait at once. */
  lead: 20_000,
  /** One trigger in so many brings its profile along. */
  'inline-every': INLINE_EVERY,
  shrunk: false,
  /** A real Temporal server on PostgreSQL, which is killed once, too. */
  cluster: false,
  /** All triggers come through two processes of the HTTP API, which are killed as workers are. */
  api: false,
  /** `postgres` or `file`: workers keep each attempt in a delivery log there, which is compared with the ledgers. */
  log: '',
  /** An older release, which works first, and again after the first moves to this one. Empty: only this one. */
  from: '',
  /** Moves by Worker Versioning; otherwise workers are stopped and started. */
  versioned: false,
  /** Leaves the workers' logs where they are. */
  keep: false,
});

// The API knows nothing of a server with other limits, and signals as much as a server allows by default.
if (values.api && values.shrunk) throw new Error('--api is for a server with its own limits, not for --shrunk.');
const APIS = 2;
const LIMITS = values.shrunk ? SHRUNK_LIMITS : DEFAULT_LIMITS;

function say(line: string): void {
  console.error(`▸ ${line}`);
}

function sumOf(report: ChaosReport, figure: (verdict: Verdict) => number): number {
  return [...report.verdicts.values()].reduce((sum, verdict) => sum + figure(verdict), 0);
}

function figuresOf(report: ChaosReport) {
  const sum = (figure: (verdict: Verdict) => number) => sumOf(report, figure);
  const logSum = (figure: (verdict: LogVerdict & ReplayVerdict) => number) =>
    [...report.logVerdicts.values()].reduce((total, verdict) => total + figure(verdict), 0);
  const seconds = report.ms / 1000;
  // An older release cannot replay a run with a decision that a newer one has changed.
  const taskFailures = report.log.failedTasks.filter((runId) => !report.upgraded.changedRuns.has(runId)).length;
  return {
    seed: values.seed,
    triggers: report.expected,
    delivered: sum(({ delivered }) => delivered),
    lost: sum(({ lost }) => lost),
    notAccepted: report.notAccepted,
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
    overCap: sum(({ overCap }) => overCap),
    unexplainedOverCap: sum(({ unexplainedOverCap }) => unexplainedOverCap),
    mostInFlight: Object.fromEntries([...report.verdicts].map(([job, { mostInFlight }]) => [job, mostInFlight])),
    longestAbandonedMs: Math.max(...[...report.verdicts.values()].map((verdict) => verdict.longestAbandonedMs)),
    duplicates: sum(({ duplicates }) => duplicates),
    unexplainedDuplicates: sum(({ unexplainedDuplicates }) => unexplainedDuplicates),
    changedIds: sum(({ changedIds }) => changedIds),
    unexpected: sum(({ unexpected }) => unexpected),
    repeated: report.repeated,
    requests: report.requests,
    kills: report.kills,
    ...(values.api ? { apiKills: report.apiKills, interruptions: report.interruptions } : {}),
    ...(values.log === ''
      ? {}
      : {
          logged: logSum(({ logged }) => logged),
          unlogged: logSum(({ unlogged }) => unlogged),
          unexplainedUnlogged: logSum(({ unexplainedUnlogged }) => unexplainedUnlogged),
          inventedRows: logSum(({ invented }) => invented),
          misnumberedRows: logSum(({ misnumbered }) => misnumbered),
          replayed: logSum(({ replayed }) => replayed),
          leftOut: logSum(({ leftOut }) => leftOut),
          replayLost: logSum(({ replayLost }) => replayLost),
          replayOutOfOrder: logSum(({ replayOutOfOrder }) => replayOutOfOrder),
          replayOutdated: logSum(({ replayOutdated }) => replayOutdated),
          replayWrongLane: logSum(({ replayWrongLane }) => replayWrongLane),
        }),
    workerCrashes: report.crashes.length,
    apiCrashes: report.apiCrashes.length,
    workflowTaskFailures: taskFailures,
    temporalRestarts: report.outages.filter(({ what }) => what === 'temporal').length,
    ...(values.from === ''
      ? {}
      : {
          from: values.from,
          missingKeepsakes: report.upgraded.missingKeepsakes,
          changedDecisions: report.upgraded.changedRuns.size,
          changedDecisionsMet: report.log.workflowTaskFailures - taskFailures,
        }),
    databaseRestarts: report.outages.filter(({ what }) => what === 'postgresql').length,
    stalls: report.stalls.length,
    longestStallMs: Math.max(0, ...report.stalls.map(({ fromMs, toMs }) => toMs - fromMs)),
    mostWorkerMiB: Math.round(report.mostWorkerBytes / 1024 ** 2),
    seconds: Math.round(seconds * 10) / 10,
    perSecond: Math.round(report.expected / seconds),
  };
}

const LONGEST_COMPLAINT = 500;
const MUST_BE_NONE = [
  'lost',
  'notAccepted',
  'outOfOrder',
  'unexplainedOverCap',
  'unexplainedDuplicates',
  'changedIds',
  'unexpected',
  'unexplainedUnlogged',
  'inventedRows',
  'misnumberedRows',
  'replayLost',
  'replayOutOfOrder',
  'replayOutdated',
  'replayWrongLane',
  'missingKeepsakes',
  'workerCrashes',
  'apiCrashes',
  'workflowTaskFailures',
] as const;

async function main(): Promise<void> {
  const log = values.log === '' ? undefined : await openLog(values.log);
  try {
    await play(log?.place);
  } finally {
    await log?.stop();
  }
}

async function play(deliveryLog: LogPlace | undefined): Promise<void> {
  const upgrade = values.from === '' ? undefined : await planUpgrade(values.from, values.versioned, say);
  const report = await runChaos(
    {
      triggers: values.triggers,
      people: values.people,
      jobs: values.jobs,
      workers: upgrade?.workers ?? values.workers,
      seed: values.seed,
      longestMs: values.minutes * 60_000,
      killEveryMs: values['kill-every-s'] * 1000,
      mostKills: values.kills,
      restarts: values.restarts,
      apiCount: values.api ? APIS : 0,
      mostFailures: values.failures,
      longestAnswerMs: values['answer-ms'],
      lead: values.lead,
      inlineEvery: values['inline-every'],
      limits: LIMITS,
      ...(deliveryLog === undefined ? {} : { deliveryLog }),
      ...(upgrade === undefined ? {} : { upgrade }),
      ...(values.cluster
        ? { startServer: (folder: string) => startRealServer(folder, LIMITS.dynamicConfig, say) }
        : {}),
      onProgress: say,
    },
    values.keep,
  );
  const figures = figuresOf(report);
  for (const [job, { violations }] of report.verdicts)
    for (const violation of [...violations, ...(report.logVerdicts.get(job)?.violations ?? [])])
      console.error(`${job}: ${violation}`);
  for (const crash of [...report.crashes, ...report.apiCrashes]) console.error(`ended by itself: ${crash}`);
  for (const { count, first } of report.log.complaints.values())
    console.error(`workers said ${count} times: ${first.slice(0, LONGEST_COMPLAINT)}`);
  if (values.keep) console.error(`The workers' logs are in ${report.folder}`);
  console.log(JSON.stringify(figures));
  if (MUST_BE_NONE.some((figure) => (figures[figure] ?? 0) > 0)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(
    error instanceof PostgresNotFound ||
    error instanceof TemporalServerNotFound ||
    error instanceof ReleaseNotFound
  ))
    throw error;
  console.error(error.message);
  process.exitCode = 2;
}
