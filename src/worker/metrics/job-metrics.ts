import { Counter, Gauge, type Registry } from 'prom-client';
import type { JobStatus } from '../../contract/job-status.ts';

/** Numbers of a status that go up and down. */
const GAUGES: readonly Measure[] = [
  ['triggers_job_waiting', 'Triggers that are waiting, including those in running slices.', (job) => job.waiting],
  [
    'triggers_job_oldest_waiting_timestamp_seconds',
    'The "at" of the trigger that has waited longest; absent while nothing is waiting.',
    ({ oldestWaitingAt }) => (oldestWaitingAt === undefined ? undefined : Date.parse(oldestWaitingAt) / 1000),
  ],
  [
    'triggers_job_endpoint_unwell',
    '1 while only probes are sent, because the endpoint is unwell.',
    ({ endpoint }) => (endpoint?.state === 'unwell' ? 1 : 0),
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

/** What jobs report about themselves. A job that has ended is gone at the next look, together with its series. */
export class JobMetrics {
  readonly #told;
  readonly #states;
  readonly #gauges;
  readonly #counters;

  constructor(registers: Registers) {
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
