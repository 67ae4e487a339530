import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SliceKind } from '../../contract/slice.ts';
import { JobMetrics } from './job-metrics.ts';

/** From a nearby endpoint to the longest request that a worker can be configured for, in seconds. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];
/** From immediately to the end of the retry schedule, in seconds. */
const AGE_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400];
/** From an answer out of memory to the longest scan, in seconds. */
const SOURCE_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30];

/**
 * What a worker counts of its own work, for Prometheus. No label contains a user, a URL, an audience or a text that somebody else chose,
 * except the job ids in `jobs`, whose number is limited. docs/metrics.md says what each means; a test holds them together.
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
    // So that a rate has a beginning, and "none failed" is 0 rather than absent.
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
