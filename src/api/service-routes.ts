import type { Client } from '@temporalio/client';
import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { temporalProblem } from '../client/calls/temporal-problem.ts';
import { ofAllJobs, problem } from './refusal.ts';

/** From an answer out of memory to the longest wait for Temporal, in seconds. */
const REQUEST_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The metrics of the HTTP API, for Prometheus. No label contains anything that a caller wrote. docs/metrics.md explains each one. */
export class ApiMetrics {
  readonly #registry = new Registry();
  readonly #requests;
  readonly #triggers;
  readonly #keyUsed;
  readonly #ingestRequests;
  readonly #ingestTriggers;

  constructor() {
    const registers = [this.#registry];
    this.#requests = new Histogram({
      name: 'triggers_api_request_duration_seconds',
      help: 'From the headers of a request to its answer.',
      labelNames: ['route', 'status_class'],
      buckets: REQUEST_BUCKETS,
      registers,
    });
    this.#triggers = new Counter({
      name: 'triggers_api_triggers_total',
      help: 'Triggers that requests brought, by what became of them.',
      labelNames: ['outcome'],
      registers,
    });
    this.#keyUsed = new Gauge({
      name: 'triggers_api_key_used_timestamp_seconds',
      help: 'When a key was used last.',
      labelNames: ['key'],
      registers,
    });
    this.#ingestRequests = new Counter({
      name: 'triggers_api_ingest_requests_total',
      help: 'Requests of senders that ingests are configured for, by what became of them.',
      labelNames: ['ingest', 'outcome'],
      registers,
    });
    this.#ingestTriggers = new Counter({
      name: 'triggers_api_ingest_triggers_total',
      help: 'Triggers received by ingests, by outcome.',
      labelNames: ['ingest', 'outcome'],
      registers,
    });
    for (const outcome of ['accepted', 'refused', 'unmatched']) this.#triggers.inc({ outcome }, 0);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** @param route the pattern of its path; undefined where there is none. */
  answered(route: string | undefined, status: number, durationMs: number): void {
    this.#requests.observe(
      { route: route ?? 'none', status_class: `${Math.floor(status / 100)}xx` },
      durationMs / 1000,
    );
  }

  takenIn({ accepted, refused, unmatched }: { accepted: number; refused: number; unmatched: number }): void {
    this.#triggers.inc({ outcome: 'accepted' }, accepted);
    this.#triggers.inc({ outcome: 'refused' }, refused);
    this.#triggers.inc({ outcome: 'unmatched' }, unmatched);
  }

  keyUsed(name: string): void {
    this.#keyUsed.set({ key: name }, Math.floor(Date.now() / 1000));
  }

  /** @param ingest its name, as it is configured. */
  ingested(ingest: string, outcome: IngestOutcome): void {
    this.#ingestRequests.inc({ ingest, outcome });
  }

  takenInBy(ingest: string, counts: Readonly<Record<'accepted' | 'refused' | 'unmatched' | 'ignored', number>>): void {
    for (const [outcome, count] of Object.entries(counts)) this.#ingestTriggers.inc({ ingest, outcome }, count);
  }
}

/**
 * The outcome of a sender's request. `taken`: at least a part of it; `repeated`: a repeat; `refused`: all of it was bad; `unproved`: not proved to be
 * from the sender; `unavailable`: not possible at the moment.
 */
export type IngestOutcome = 'taken' | 'repeated' | 'refused' | 'unproved' | 'unavailable';

/** How long, in ms, an answer of Temporal is reused, counted from the call. */
const KEPT_MS = 5_000;

/** Answers for operators of the API: whether it lives, whether it can do its work, and its metrics. */
export function serviceRoutes(
  app: FastifyInstance,
  {
    client,
    metrics,
    configProblem = () => undefined,
  }: {
    readonly client: Client;
    readonly metrics: ApiMetrics;
    readonly configProblem?: (() => string | undefined) | undefined;
  },
): void {
  app.get('/healthz', { schema: { hide: true } }, async () => await Promise.resolve({ ok: true }));
  let lastCheck: { readonly answer: ReturnType<typeof temporalProblem>; readonly atMs: number } | undefined;
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    // Anybody may ask, however often.
    if (lastCheck === undefined || performance.now() - lastCheck.atMs >= KEPT_MS)
      lastCheck = { answer: temporalProblem(client), atMs: performance.now() };
    const inTheWay = await lastCheck.answer;
    // It still serves, by the previous keys. Taking it out of service for that would turn a typing mistake into an outage.
    if (inTheWay === undefined) return { ok: true, problem: configProblem() };
    const { code, message: detail } = inTheWay;
    const { status, headers, body } = problem({ status: 503, code, detail, retryAfterS: 2 });
    return reply.status(status).headers(headers).send(body);
  });
  app.get('/metrics', { config: { right: 'read' }, schema: { hide: true } }, async ({ caller }, reply) => {
    // They name other keys and ingests, and count triggers of other jobs.
    if (caller.jobs !== undefined) throw ofAllJobs('metrics count');
    return await reply.type(metrics.contentType).send(await metrics.text());
  });
}
