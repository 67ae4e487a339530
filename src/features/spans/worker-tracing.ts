import { randomUUID } from 'node:crypto';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import {
  RandomIdGenerator,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import { type ExportResult, ExportResultCode, hrTimeDuration, millisToHrTime } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import type { DeliveryTracing } from '../../activities/slice-telemetry.ts';
import type { DeadLetter } from '../../contract/dead-letter.ts';
import type { SliceInput } from '../../contract/slice.ts';
import { knownInstant } from '../../domain/instant.ts';
import { jobIdOf } from '../../domain/names.ts';
import { SliceSpans, triggerSpan, type Span } from './slice-spans.ts';

export interface WorkerTracingOptions extends SpanExportOptions {
  /** The share of triggers whose traces are exported, 0 to 1. */
  readonly sampleRatio: number;
  readonly sendTraceparent: boolean;
}

/**
 * Exports a worker's deliveries to a collector, as traces. Only a trigger's trace id decides whether it is exported. All workers with the
 * same ratio therefore export the same ones, and a trace is either complete or absent.
 */
export class WorkerTracing implements DeliveryTracing {
  readonly #export: SpanExport;
  readonly #sampler: TraceIdRatioBasedSampler;
  readonly #ids = new RandomIdGenerator();
  readonly #sendsTraceparent: boolean;

  constructor({ sampleRatio, sendTraceparent, ...options }: WorkerTracingOptions) {
    this.#export = new SpanExport(options);
    this.#sampler = new TraceIdRatioBasedSampler(sampleRatio);
    this.#sendsTraceparent = sendTraceparent;
  }

  sliceBegan(slice: SliceInput, jobId: string): SliceSpans {
    return new SliceSpans({
      slice,
      jobId,
      sendsTraceparent: this.#sendsTraceparent,
      isSampled: (traceId) => this.#isSampled(traceId),
      newSpanId: () => this.#ids.generateSpanId(),
      tell: (span) => this.#export.tell(span),
    });
  }

  died({ deliveryId, redeliveries, jobWorkflowId, event, at, failure, attempts, diedAt }: DeadLetter): void {
    if (!this.#isSampled(deliveryId)) return;
    const endMs = Date.parse(`${(knownInstant(diedAt) ?? diedAt).slice(0, 23)}Z`);
    const attributes = {
      'triggers.job_id': jobIdOf(jobWorkflowId),
      'triggers.event': event,
      'triggers.verdict': 'dead-letter',
      'triggers.attempts': attempts,
      'error.type': String(failure.status ?? failure.code ?? 'UNKNOWN'),
    };
    const end = { deliveryId, redelivery: redeliveries, at, latestMs: endMs, endMs, attributes, isError: true };
    this.#export.tell(triggerSpan(end));
  }

  /** Exports what is left, for at most a few seconds. */
  async close(): Promise<void> {
    await this.#export.close();
  }

  #isSampled(traceId: string): boolean {
    return this.#sampler.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
  }
}

export interface SpanExportOptions {
  /** Where spans go: OTLP over HTTP, as JSON. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly version: string;
  /** Authorities to trust, as `ca` of `tls.createSecureContext`; undefined: Node's own authorities. */
  readonly authorities?: readonly string[] | undefined;
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
}

/** Most spans that may be waiting, some 10 MB; further ones are dropped. */
const MOST_WAITING = 8192;
const BATCH_SPANS = 512;
/** How long a batch may wait to be full, so that little is lost when a worker is killed. */
const BATCH_MS = 1000;
/** Longest time of one batch, its retries included, and hence of the last ones when the worker ends. */
const EXPORT_MS = 5000;
/** How often, in ms, the log says at most how many were dropped. */
const DROPS_LOGGED_EVERY_MS = 60_000;

/**
 * Sends spans to a collector, in batches, in the background: nothing waits for it, and spans that the collector does not accept are dropped. The
 * log then says how many.
 */
export class SpanExport {
  readonly #options: SpanExportOptions;
  readonly #resource;
  readonly #scope;
  readonly #exporter: SpanExporter;
  readonly #processor: BatchSpanProcessor;
  #agent: HttpAgent | undefined;
  #waiting = 0;
  /** Spans of batches that the collector has not answered yet. */
  #underWay = 0;
  #isClosed = false;
  #dropped = 0;
  /** Why the last one was dropped. */
  #code = '';
  #loggedAtMs = -Infinity;

  constructor(options: SpanExportOptions) {
    this.#options = options;
    const { version } = options;
    const ours = {
      'service.name': 'audience-triggers',
      'service.version': version,
      'service.instance.id': randomUUID(),
    };
    this.#resource = defaultResource()
      .merge(resourceFromAttributes(ours))
      .merge(detectResources({ detectors: [envDetector] }));
    this.#scope = { name: 'audience-triggers', version };
    this.#exporter = this.#openExporter();
    this.#processor = new BatchSpanProcessor({
      exporter: this.#counted(this.#exporter),
      maxQueueSize: MOST_WAITING,
      maxExportBatchSize: BATCH_SPANS,
      scheduledDelayMillis: BATCH_MS,
    });
  }

  tell(span: Span): void {
    if (this.#waiting >= MOST_WAITING) return this.#drop(1, 'QUEUE_FULL');
    this.#waiting++;
    this.#processor.onEnd(this.#readable(span));
  }

  /** Sends what is waiting, for at most a little more than `EXPORT_MS`. */
  async close(): Promise<void> {
    const bound = new AbortController();
    const flushed = this.#processor
      .shutdown()
      .catch(() => undefined) // At the first batch that is not accepted, with others under way; losses are counted where they happen.
      .then(() => this.#exporter.shutdown());
    await Promise.race([flushed, sleep(EXPORT_MS + 500, undefined, { signal: bound.signal }).catch(() => undefined)]);
    bound.abort();
    this.#agent?.destroy();
    // Time was up: it will never be known whether these were accepted.
    const unanswered = this.#waiting + this.#underWay;
    this.#isClosed = true;
    if (unanswered > 0) this.#drop(unanswered, 'NO_ANSWER');
    this.#sayDropped();
  }

  #openExporter(): SpanExporter {
    const { endpoint, headers, authorities } = this.#options;
    return new OTLPTraceExporter({
      url: endpoint,
      headers: { ...headers },
      timeoutMillis: EXPORT_MS,
      httpAgentOptions: (protocol) => {
        // Explicit, since otherwise a variable of Node's could turn it off.
        const verified = { keepAlive: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
        const trust = authorities === undefined ? {} : { ca: [...authorities] };
        this.#agent =
          protocol === 'http:' ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ ...verified, ...trust });
        return this.#agent;
      },
    });
  }

  #counted(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) => {
        this.#waiting -= spans.length;
        this.#underWay += spans.length;
        exporter.export(spans, (result) => {
          if (this.#isClosed) return done(result);
          this.#underWay -= spans.length;
          if (result.code !== ExportResultCode.SUCCESS) this.#drop(spans.length, failureCodeOf(result));
          this.#sayDroppedAtTimes();
          done(result);
        });
      },
      shutdown: async () => exporter.shutdown(),
    };
  }

  #drop(count: number, code: string): void {
    this.#dropped += count;
    this.#code = code;
    this.#sayDroppedAtTimes();
  }

  #sayDroppedAtTimes(): void {
    if (performance.now() - this.#loggedAtMs >= DROPS_LOGGED_EVERY_MS) this.#sayDropped();
  }

  #sayDropped(): void {
    if (this.#dropped === 0) return;
    const fields = { code: this.#code, count: this.#dropped };
    this.#options.log.warn('spans were dropped: the tracing collector did not accept them', fields);
    this.#dropped = 0;
    this.#loggedAtMs = performance.now();
  }

  #readable(span: Span): ReadableSpan {
    const { name, traceId, spanId, parentSpanId, attributes } = span;
    const startTime = millisToHrTime(span.startMs);
    const endTime = millisToHrTime(span.endMs);
    const context = { traceId, spanId, traceFlags: TraceFlags.SAMPLED };
    return {
      name,
      kind: span.isRequest ? SpanKind.CLIENT : SpanKind.INTERNAL,
      spanContext: () => context,
      ...(parentSpanId === undefined ? {} : { parentSpanContext: { ...context, spanId: parentSpanId } }),
      startTime,
      endTime,
      duration: hrTimeDuration(startTime, endTime),
      ended: true,
      status: { code: span.isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
      attributes,
      links: [],
      events: [],
      resource: this.#resource,
      instrumentationScope: this.#scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }
}

/** The status that the collector answered, or the code of the failure. */
function failureCodeOf({ error }: ExportResult): string {
  return error !== undefined && 'code' in error ? String(error.code) : (error?.name ?? 'UNKNOWN');
}
