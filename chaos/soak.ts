// npm run soak [-- --triggers 50000 --cluster] : an endpoint is dead while triggers are signalled, then heals. All must arrive, in order, and
// nothing may have grown beyond its bounds. Curves on standard error, one JSON line on standard output.
import { setTimeout as sleep } from 'node:timers/promises';
import type { SamplePerson } from '../demo/sample-people.ts';
import type { EventTrigger } from '../src/contract/trigger.ts';
import { startRealServer } from './cluster.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { SoakEndpoint } from './soak-endpoint.ts';
import { SoakLedger } from './soak-ledger.ts';
import { openStage, type Stage } from './stage.ts';
import { type LargestRun, largestRun, lookAt, peak, type Vitals } from './vitals.ts';
import { optionsOf } from './options.ts';

const values = optionsOf('npm run soak --', {
  triggers: 1_000_000,
  people: 5_000,
  workers: 2,
  /** A real Temporal server on PostgreSQL. */
  cluster: false,
  /** Longest wait for the last arrival once the endpoint is well. */
  minutes: 60,
});
const TRIGGERS = values.triggers;
const PEOPLE = values.people;
const JOB_ID = 'soak';
const CAP = 20;
const LOOK_MS = 2_000;
const MIB = 1024 ** 2;

/** Enters and exits of all people in turn, made as they are asked for. */
function* triggersOf(people: readonly SamplePerson[]): Generator<EventTrigger> {
  for (let i = 0; i < TRIGGERS; i++) {
    const { user } = people[i % PEOPLE] ?? { user: '' };
    const event = Math.floor(i / PEOPLE) % 2 === 0 ? 'enter' : 'exit';
    yield { user, audience: 'vip', event, at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z` };
  }
}

/** Looks at everything again and again, prints what it sees, and keeps the peaks. */
class Curves {
  peak: Vitals | undefined;
  last: Vitals | undefined;
  phase = 'dead';
  accepted = 0;
  readonly #stage: Stage;
  readonly #ledger: SoakLedger;
  readonly #startedAt = performance.now();
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(stage: Stage, ledger: SoakLedger) {
    this.#stage = stage;
    this.#ledger = ledger;
    console.error(
      [
        's',
        'endpoint',
        'accepted',
        'delivered',
        'state KiB',
        'run KiB',
        'run events',
        'workers MiB',
        'db MiB',
        'own MiB',
      ].join('\t'),
    );
    this.#running = this.#run();
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { jobs, connected, fleet, server } = this.#stage;
    const of = { jobs, client: connected.client, jobId: JOB_ID, fleet, server };
    do {
      const vitals = await lookAt(of);
      if (vitals === undefined) continue;
      this.last = vitals;
      this.peak = peak(this.peak, vitals);
      this.#print(vitals);
    } while (await sleep(LOOK_MS, true, { signal: this.#end.signal }).catch(() => false));
  }

  #print({ state, history, historyEvents, workers, database, own }: Vitals): void {
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
    const sizes = [Math.round(state / 1024), Math.round(history / 1024), historyEvents];
    const large = [workers, database, own].map((bytes) => Math.round(bytes / MIB));
    console.error([seconds, this.phase, this.accepted, this.#ledger.delivered, ...sizes, ...large].join('\t'));
  }
}

async function soak(stage: Stage, endpoint: SoakEndpoint, ledger: SoakLedger): Promise<void> {
  const { jobs, server, fleet, people } = stage;
  const databaseBefore = server.databaseBytes();
  await jobs.start(
    {
      label: 'Soak',
      audiences: ['vip'],
      webhookUrl: endpoint.url,
      authorization: null,
      parallelRequestCount: CAP,
    },
    { jobId: JOB_ID },
  );
  const curves = new Curves(stage, ledger);
  const startedAt = performance.now();
  await jobs.push(JOB_ID, triggersOf(people), { onProgress: ({ accepted }) => (curves.accepted = accepted) });
  const signalledAt = performance.now();

  curves.phase = 'well';
  await endpoint.heal();
  let firstAt: number | undefined;
  const deadline = performance.now() + values.minutes * 60_000;
  while (ledger.delivered < TRIGGERS && performance.now() < deadline) {
    await sleep(10);
    if (ledger.delivered > 0) firstAt ??= performance.now();
  }
  const drainedAt = performance.now();
  // What the job believes to be undelivered it would send again.
  while ((await jobs.status(JOB_ID)).waiting > 0 && performance.now() < deadline) await sleep(500);
  await curves.end();
  report({
    ledger,
    curves,
    databaseBefore,
    run: await largestRun(stage.connected.client, JOB_ID),
    mostWorkerBytes: fleet.mostRssBytes,
    signalMs: signalledAt - startedAt,
    firstMs: (firstAt ?? drainedAt) - signalledAt,
    drainMs: drainedAt - (firstAt ?? drainedAt),
    crashes: fleet.crashes,
  });
}

interface SoakReport {
  readonly ledger: SoakLedger;
  readonly curves: Curves;
  readonly databaseBefore: number;
  readonly run: LargestRun;
  readonly mostWorkerBytes: number;
  readonly signalMs: number;
  /** From the endpoint's recovery to the first arrival. */
  readonly firstMs: number;
  /** From the first arrival to the last. */
  readonly drainMs: number;
  readonly crashes: readonly string[];
}

function report({ ledger, curves, run, ...rest }: SoakReport): void {
  const { lost, outOfOrder, duplicates, unexpected } = ledger;
  const { peak, last } = curves;
  const mib = (bytes: number | undefined) => Math.round((bytes ?? Number.NaN) / MIB);
  const seconds = (ms: number) => Math.round(ms / 100) / 10;
  const figures = {
    triggers: TRIGGERS,
    lost,
    outOfOrder,
    duplicates,
    unexpected,
    // What arrived and is on its way into holders counts here; a run ends when it has left.
    stateBytes: peak?.state,
    carriedBytes: run.carriedBytes,
    stateBudgetBytes: peak?.stateBudget,
    runs: run.runs,
    historyBytes: Math.max(run.bytes, peak?.history ?? 0),
    historyEvents: Math.max(run.events, peak?.historyEvents ?? 0),
    workerMiB: mib(rest.mostWorkerBytes),
    workersMiB: { most: mib(peak?.workers), last: mib(last?.workers) },
    databaseMiB: { before: mib(rest.databaseBefore), most: mib(peak?.database), last: mib(last?.database) },
    ownMiB: mib(peak?.own),
    workerCrashes: rest.crashes.length,
    secondsToSignal: seconds(rest.signalMs),
    secondsToFirst: seconds(rest.firstMs),
    secondsToDrain: seconds(rest.drainMs),
    signalsPerSecond: Math.round((TRIGGERS * 1000) / rest.signalMs),
    perSecond: Math.round((TRIGGERS * 1000) / rest.drainMs),
  };
  for (const crash of rest.crashes) console.error(`worker ended by itself: ${crash}`);
  console.log(JSON.stringify(figures));
  const isOverBudget = run.carriedBytes > (peak?.stateBudget ?? 0);
  if (lost + outOfOrder + duplicates + unexpected + rest.crashes.length > 0 || isOverBudget) process.exitCode = 1;
}

async function main(): Promise<void> {
  const ledger = new SoakLedger(TRIGGERS, PEOPLE);
  const endpoint = await SoakEndpoint.reserve(ledger);
  const origins = [new URL(endpoint.url).origin];
  const { dynamicConfig } = DEFAULT_LIMITS;
  const stage = await openStage({
    people: PEOPLE,
    workers: values.workers,
    origins,
    ...(values.cluster ? { startServer: (folder) => startRealServer(folder, dynamicConfig, console.error) } : {}),
  });
  try {
    await soak(stage, endpoint, ledger);
  } finally {
    await stage.close();
    await endpoint.close();
  }
}

await main();
