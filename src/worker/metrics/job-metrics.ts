import { Counter, Gauge, type Registry } from 'prom-client';
import type { JobStatus } from '../../contract/job-status.ts';
import type { WatchPhase } from '../../contract/watch.ts';

/** Numbers of a status that go up and down. */
const GAUGES: readonly Measure[] = [
  ['triggers_job_waiting', 'Triggers that are waiting, including those in running slices.', (job) => job.waiting],
  [
    'triggers_job_oldest_waiting_timestamp_seconds',
    'The "at" of the trigger that has waited longest; absent while nothing is waiting.',
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

/** The states of a watch that a gauge tells apart. */
const WATCH_STATES: Readonly<Record<WatchPhase | 'unknown', string>> = {
  scanning: 'running',
  confirming: 'running',
  telling: 'running',
  waiting: 'running',
  stopped: 'running',
  held: 'held',
  failing: 'failing',
  unknown: 'unknown',
};

/** What jobs report about themselves. A job that has ended is gone at the next look, together with its series. */
export class JobMetrics {
  readonly #told;
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
    this.#told = new Gauge({
      name: 'triggers_jobs',
      help: 'Running jobs of the task queue, by whether they answered when they were last asked.',
      labelNames: ['told'],
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

  /** Why somebody has to look at the watches, as far as is known; undefined: there is no reason. */
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
      count('held') === 0 ? [] : `${count('held')} holding exits`,
    ].flat();
    this.#watchProblem =
      troubles.length === 0 ? undefined : `Watches need attention: ${troubles.join(', ')}. See: triggers watch --list`;
  }

  /**
   * Forgets what was set before.
   * @param untold running jobs that did not tell, or were too many to be asked.
   */
  replace(told: readonly JobStatus[], untold: number): void {
    for (const { metric } of [...this.#gauges, ...this.#counters]) metric.reset();
    this.#states.reset();
    this.#told.set({ told: 'yes' }, told.length);
    this.#told.set({ told: 'no' }, untold);
    for (const status of told) {
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
