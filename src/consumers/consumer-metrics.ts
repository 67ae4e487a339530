import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** From an idle job's answer to the longest wait for one that is full, in seconds. */
const HANDOVER_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const OUTCOMES = ['accepted', 'unmatched', 'poisoned', 'ignored'] as const;

/** What a consumer counts, for Prometheus. No label contains anything of a person. docs/metrics.md says what each means. */
export class ConsumerMetrics {
  readonly registry = new Registry();
  readonly #triggers;
  readonly #handover;
  readonly #waitedFor;

  constructor() {
    const registers = [this.registry];
    this.#triggers = new Counter({
      name: 'triggers_consumer_triggers_total',
      help: 'What was consumed, by what became of it.',
      labelNames: ['outcome'],
      registers,
    });
    this.#handover = new Histogram({
      name: 'triggers_consumer_handover_seconds',
      help: 'Until every job that listens had accepted what was read at once.',
      buckets: HANDOVER_BUCKETS,
      registers,
    });
    this.#waitedFor = new Gauge({
      name: 'triggers_consumer_jobs_waited_for',
      help: 'Jobs that take nothing at the moment, so that the consumer waits.',
      registers,
    });
    for (const outcome of OUTCOMES) this.#triggers.inc({ outcome }, 0);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  async text(): Promise<string> {
    return await this.registry.metrics();
  }

  handedOver(
    { accepted, unmatched }: { readonly accepted: number; readonly unmatched: number },
    seconds: number,
  ): void {
    this.#triggers.inc({ outcome: 'accepted' }, accepted);
    this.#triggers.inc({ outcome: 'unmatched' }, unmatched);
    if (accepted > 0) this.#handover.observe(seconds);
  }

  poisoned(): void {
    this.#triggers.inc({ outcome: 'poisoned' });
  }

  ignored(count: number): void {
    this.#triggers.inc({ outcome: 'ignored' }, count);
  }

  waitsForJobs(jobs: number): void {
    this.#waitedFor.set(jobs);
  }
}
