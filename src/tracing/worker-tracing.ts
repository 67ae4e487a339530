import { ROOT_CONTEXT } from '@opentelemetry/api';
import { RandomIdGenerator, SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace';
import type { DeliveryTracing } from '../activities/slice-telemetry.ts';
import type { DeadLetter } from '../contract/dead-letter.ts';
import type { SliceInput } from '../contract/slice.ts';
import { knownInstant } from '../domain/instant.ts';
import { jobIdOf } from '../domain/names.ts';
import { SliceSpans, triggerSpan } from './slice-spans.ts';
import { SpanExport, type SpanExportOptions } from './span-export.ts';

export interface WorkerTracingOptions extends SpanExportOptions {
  /** The share of triggers whose traces are exported, 0 to 1. */
  readonly sampleRatio: number;
  readonly sendTraceparent: boolean;
}

/**
 * Exports a worker's deliveries to a collector, as traces. Which triggers are exported depends only on their trace ids, so that every
 * worker with the same ratio exports the same ones, and a trace is either complete or absent.
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
