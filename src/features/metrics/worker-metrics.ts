import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SliceKind } from '../../contract/slice.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { WatchPhase } from '../watch/sandbox/watch.ts';

/** Numbers of a status that go up and down. */
const GAUGES: readonly Measure[] = [
  ['triggers_job_waiting', 'Triggers that are waiting, including those in running slices.', (job) => job.waiting],
  [
    'triggers_job_oldest_waiting_timestamp_seconds',
    'When the trigger that has waited longest was accepted; absent while nothing is waiting.',
    ({ oldestWaitingAt }) => (oldestWaitingAt === undefined ? undefined : Date.parse(oldestWaitingAt) / 1000),
  ],
  [
    'triggers_job_endpoint_unhealthy',
    '1 while only probes are sent, because the endpoint is unhealthy.',
    ({ endpoint }) => (endpoint?.state === 'unhealthy' ? 1 : 0),
  ],
  ['triggers_job_permits', 'Requests that may be in flight now.', (job) => job.inFlight],
];
/** Numbers of a status that only go up while the job lives. */
const COUNTERS: readonly Measure[] = [
  ['triggers_job_received_total', 'Triggers accepted since the job began.', (job) => job.received],
  ['triggers_job_delivered_total', 'Triggers delivered since the job began.', (job) => job.delivered],
  ['triggers_job_retried_total', 'Attempts after the first that were made.', (job) => job.retried],
  [
    'triggers_job_dead_letters_total',
    'Triggers that became dead letters since the job began.',
    (job) => job.deadLetters,
  ],
];

type Measure = readonly [name: string, help: string, valueOf: (status: JobStatus) => number | undefined];
type Registers = Registry[];

/** The states of a watch that a gauge distinguishes. */
const WATCH_STATES: Readonly<Record<WatchPhase | 'unknown', string>> = {
  scanning: 'running',
  confirming: 'running',
  publishing: 'running',
  waiting: 'running',
  stopped: 'running',
  held: 'held',
  failing: 'failing',
  unknown: 'unknown',
};

/** Metrics that jobs report about themselves. A job that has ended is gone at the next look, together with its series. */
export class JobMetrics {
  readonly #answered;
  readonly #states;
  readonly #gauges;
  readonly #counters;
  readonly #watches;
  #watchProblem: string | undefined;

  constructor(registers: Registers) {
    this.#watches = new Gauge({
      name: 'triggers_watches',
      help: 'Running watches, by their state when they were last asked.',
      labelNames: ['state'],
      registers,
    });
    this.#answered = new Gauge({
      name: 'triggers_jobs',
      help: 'Running jobs of the task queue, by whether they answered when they were last asked.',
      labelNames: ['answered'],
      registers,
    });
    this.#states = new Gauge({
      name: 'triggers_job_state',
      help: '1 for the state that the job is in.',
      labelNames: ['job_id', 'state'],
      registers,
    });
    const labelNames = ['job_id'] as const;
    this.#gauges = GAUGES.map(([name, help, valueOf]) => ({
      metric: new Gauge({ name, help, labelNames, registers }),
      valueOf,
    }));
    this.#counters = COUNTERS.map(([name, help, valueOf]) => ({
      metric: new Counter({ name, help, labelNames, registers }),
      valueOf,
    }));
  }

  /** Why a person has to look at the watches, as far as is known; undefined: there is no reason. */
  get watchProblem(): string | undefined {
    return this.#watchProblem;
  }

  /** @param phases of all running watches; undefined for one that did not answer. */
  replaceWatches(phases: readonly (WatchPhase | undefined)[]): void {
    const states = phases.map((phase) => WATCH_STATES[phase ?? 'unknown']);
    this.#watches.reset();
    const count = (state: string) => states.filter((one) => one === state).length;
    for (const state of new Set(Object.values(WATCH_STATES))) this.#watches.set({ state }, count(state));
    const troubles = [
      count('failing') === 0 ? [] : `${count('failing')} failing`,
      count('held') === 0 ? [] : `${count('held')} holding a large exit`,
    ].flat();
    this.#watchProblem =
      troubles.length === 0 ? undefined : `Watches need attention: ${troubles.join(', ')}. See: triggers watch --list`;
  }

  /**
   * Forgets what was set before.
   * @param unanswered running jobs that did not answer, or were too many to be queried.
   */
  replace(answered: readonly JobStatus[], unanswered: number): void {
    for (const { metric } of [...this.#gauges, ...this.#counters]) metric.reset();
    this.#states.reset();
    this.#answered.set({ answered: 'yes' }, answered.length);
    this.#answered.set({ answered: 'no' }, unanswered);
    for (const status of answered) {
      const job_id = status.jobId;
      this.#states.set({ job_id, state: status.state }, 1);
      for (const { metric, valueOf } of this.#gauges) {
        const value = valueOf(status);
        if (value !== undefined) metric.set({ job_id }, value);
      }
      for (const { metric, valueOf } of this.#counters) metric.inc({ job_id }, valueOf(status));
    }
  }
}

/** From a nearby endpoint to the longest request that a worker can be configured for, in seconds. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];
/** From immediately to the end of the retry schedule, in seconds. */
const AGE_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400];
/** From an answer out of memory to the longest scan, in seconds. */
const SOURCE_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Metrics of a worker's own work, for Prometheus. No label contains a user, a URL, an audience or a text that somebody else chose. The job
 * ids in `jobs` are an exception; their number is limited. docs/metrics.md explains the metrics; a test compares it with them.
 */
export class WorkerMetrics {
  readonly jobs: JobMetrics;
  readonly #registry = new Registry();
  readonly #attempts;
  readonly #requestSeconds;
  readonly #ageSeconds;
  readonly #sourceCalls;
  readonly #sourceSeconds;
  readonly #tokenFetches;
  readonly #logRows;
  /** Why the delivery log is not written; undefined while it is, or there is none. */
  deliveryLogProblem: string | undefined;
  // Plain numbers, read when somebody scrapes: they change with every request.
  #slices = 0;
  #permits = 0;
  #requests = 0;

  constructor() {
    const registers = [this.#registry];
    this.#attempts = new Counter({
      name: 'triggers_attempts_total',
      help: 'Attempts that ended, by result; "delivered" are the deliveries.',
      labelNames: ['kind', 'verdict', 'status_class'],
      registers,
    });
    this.#requestSeconds = new Histogram({
      name: 'triggers_request_duration_seconds',
      help: "From a request's start to the end of its answer.",
      labelNames: ['status_class'],
      buckets: REQUEST_BUCKETS,
      registers,
    });
    this.#ageSeconds = new Histogram({
      name: 'triggers_delivery_age_seconds',
      help: 'Age of a trigger when it was delivered, from its "at".',
      labelNames: ['kind'],
      buckets: AGE_BUCKETS,
      registers,
    });
    this.#sourceCalls = new Counter({
      name: 'triggers_source_calls_total',
      help: 'Calls of the audience source that ended.',
      labelNames: ['call', 'outcome'],
      registers,
    });
    this.#sourceSeconds = new Histogram({
      name: 'triggers_source_call_duration_seconds',
      help: 'How long calls of the audience source took.',
      labelNames: ['call'],
      buckets: SOURCE_BUCKETS,
      registers,
    });
    this.#tokenFetches = new Counter({
      name: 'triggers_token_fetches_total',
      help: 'Access tokens that authorization servers were asked for.',
      labelNames: ['outcome'],
      registers,
    });
    this.#gauge('triggers_slices_running', 'Slices that are being sent.', () => this.#slices);
    this.#gauge('triggers_permits', 'Permits that the running slices hold.', () => this.#permits);
    this.#gauge('triggers_requests_in_flight', 'Requests that are open.', () => this.#requests);
    this.#logRows = new Counter({
      name: 'triggers_delivery_log_rows_total',
      help: 'Rows of the delivery log that were written, or dropped since too many waited.',
      labelNames: ['outcome'],
      registers,
    });
    // A rate needs a start, and "none failed" must be 0, not absent.
    for (const outcome of ['written', 'dropped']) this.#logRows.inc({ outcome }, 0);
    this.#attempts.inc({ kind: 'live', verdict: 'delivered', status_class: '2xx' }, 0);
    this.jobs = new JobMetrics(registers);
  }

  /** Also exposes the process: its processor, memory and event loop. This cannot be undone, so call it once per process. */
  tellProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, as Prometheus reads it. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  sliceBegan(permits: number): void {
    this.#slices++;
    this.#permits += permits;
  }

  sliceEnded(permits: number): void {
    this.#slices--;
    this.#permits -= permits;
  }

  requestBegan(): void {
    this.#requests++;
  }

  requestEnded(statusClass: string, durationMs: number): void {
    this.#requests--;
    this.#requestSeconds.observe({ status_class: statusClass }, durationMs / 1000);
  }

  attempted(kind: SliceKind, verdict: string, statusClass: string, count: number): void {
    this.#attempts.inc({ kind, verdict, status_class: statusClass }, count);
  }

  delivered(kind: SliceKind, ageMs: number): void {
    // prom-client throws for any other number, and that would fail a delivery.
    if (Number.isFinite(ageMs)) this.#ageSeconds.observe({ kind }, ageMs / 1000);
  }

  sourceCalled(call: string, isAnswered: boolean, durationMs: number): void {
    this.#sourceCalls.inc({ call, outcome: outcomeOf(isAnswered) });
    this.#sourceSeconds.observe({ call }, durationMs / 1000);
  }

  logged(outcome: 'written' | 'dropped', rows: number): void {
    this.#logRows.inc({ outcome }, rows);
  }

  tokenFetched(isFetched: boolean): void {
    this.#tokenFetches.inc({ outcome: outcomeOf(isFetched) });
  }

  #gauge(name: string, help: string, value: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(value());
      },
    });
    this.#registry.registerMetric(gauge);
  }
}

function outcomeOf(isAnswered: boolean): 'answered' | 'failed' {
  return isAnswered ? 'answered' : 'failed';
}
