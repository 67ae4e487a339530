import type { SliceTracing, TracedAttempt } from '../../activities/slice-telemetry.ts';
import type { SliceInput, SliceTrigger } from '../../contract/slice.ts';
import { deliveryId } from '../../domain/delivery-id.ts';
import { rootSpanId, traceparentOf } from './trace-ids.ts';
import { knownInstant } from '../../domain/instant.ts';
import { kindOf, nextAttempt } from '../../domain/slice.ts';
import { sha256 } from '../../webhook/sha256.ts';

/** A span that has ended. See docs/tracing.md for their names and attributes. */
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Absent for a root. */
  readonly parentSpanId?: string;
  /** Whether it is a request to another system. */
  readonly isRequest: boolean;
  /** Epoch ms, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  /** Nothing that identifies a person, and nothing of a URL except its host and port. */
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
}

export interface TriggerEnd {
  readonly deliveryId: string;
  /** How often it was redelivered. */
  readonly redelivery: number;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** Epoch ms by which it had certainly arrived, by our own clocks, not the sender's. */
  readonly latestMs: number;
  readonly endMs: number;
  readonly attributes: Span['attributes'];
  readonly isError: boolean;
}

/** The span of a trigger, from its `at` to its last answer: the parent of all other spans in its trace. */
export function triggerSpan({ deliveryId, redelivery, at, latestMs, ...rest }: TriggerEnd): Span {
  const more = redelivery === 0 ? {} : { 'triggers.redelivery': redelivery };
  return {
    name: 'trigger',
    traceId: deliveryId,
    spanId: rootSpanId(deliveryId, redelivery, sha256),
    isRequest: false,
    startMs: startOf(at, latestMs),
    endMs: rest.endMs,
    attributes: { ...rest.attributes, ...more },
    isError: rest.isError,
  };
}

/** No span begins before 1970: OTLP has no number for it. */
function startOf(at: string, latestMs: number): number {
  const instant = knownInstant(at);
  if (instant === undefined) return latestMs;
  return Math.min(Math.max(0, Date.parse(`${instant.slice(0, 23)}Z`)), latestMs);
}

export interface SliceSpansOptions {
  readonly slice: SliceInput;
  readonly jobId: string;
  readonly sendsTraceparent: boolean;
  readonly isSampled: (traceId: string) => boolean;
  readonly newSpanId: () => string;
  readonly tell: (span: Span) => void;
}

interface OpenRequest {
  readonly deliveryId: string;
  readonly spanId: string;
  /** Epoch ms. */
  readonly startMs: number;
  /** By the clock that is never set back. */
  readonly startedAt: number;
}

/**
 * Makes spans of what a slice does: one for each request, one for each attempt that failed without a request, and the trigger's own when it
 * is delivered. The look-up for the whole slice appears in the trace of every trigger that was looked up: that is where people search for
 * it, and a trace of its own would have no trigger's id, and be sampled independently.
 */
export class SliceSpans implements SliceTracing {
  readonly #options: SliceSpansOptions;
  readonly #server: Readonly<Record<string, string | number>>;
  /** Requests whose spans will be exported, by the places of their triggers. */
  readonly #open = new Map<number, OpenRequest>();
  readonly #withLookUp = new Set<number>();
  #lookUp: Pick<Span, 'startMs' | 'endMs' | 'isError'> | undefined;

  constructor(options: SliceSpansOptions) {
    this.#options = options;
    this.#server = serverOf(new URL(options.slice.settings.webhookUrl));
  }

  profilesRead(startedAtMs: number, isAnswered: boolean): void {
    this.#lookUp = { startMs: startedAtMs, endMs: Date.now(), isError: !isAnswered };
  }

  /** The header `traceparent` of the request, if it is configured. */
  requestBegins(index: number): string | undefined {
    const { sendsTraceparent, newSpanId } = this.#options;
    const deliveryId = this.#deliveryIdOf(this.#triggerAt(index));
    const isSampled = this.#options.isSampled(deliveryId);
    if (!isSampled && !sendsTraceparent) return undefined; // Most, where few are sampled.
    const spanId = newSpanId();
    if (isSampled) this.#open.set(index, { deliveryId, spanId, startMs: Date.now(), startedAt: performance.now() });
    return sendsTraceparent ? traceparentOf(deliveryId, spanId, isSampled) : undefined;
  }

  requestEnded(index: number, attempt: TracedAttempt): void {
    const request = this.#open.get(index);
    if (request === undefined) return;
    this.#open.delete(index);
    const { deliveryId, spanId, startMs, startedAt } = request;
    const endMs = startMs + performance.now() - startedAt;
    const status = attempt.status === undefined ? {} : { 'http.response.status_code': attempt.status };
    const http = { 'http.request.method': 'POST', ...this.#server, ...status };
    this.#tell(index, { name: 'POST', deliveryId, spanId, isRequest: true, startMs, endMs }, attempt, http);
    if (attempt.verdict === 'delivered') this.#tellDelivered(index, deliveryId, startMs, endMs);
  }

  attempted(index: number, attempt: TracedAttempt): void {
    this.#open.delete(index);
    const deliveryId = this.#deliveryIdOf(this.#triggerAt(index));
    if (!this.#options.isSampled(deliveryId)) return;
    const now = Date.now();
    const spanId = this.#options.newSpanId();
    this.#tell(
      index,
      { name: 'not sent', deliveryId, spanId, isRequest: false, startMs: now, endMs: now },
      attempt,
      {},
    );
  }

  #tell(
    index: number,
    { deliveryId, ...span }: Omit<Span, 'traceId' | 'parentSpanId' | 'attributes' | 'isError'> & { deliveryId: string },
    { verdict, status, code }: TracedAttempt,
    more: Span['attributes'],
  ): void {
    const isError = verdict !== 'delivered';
    const trigger = this.#triggerAt(index);
    const parentSpanId = rootSpanId(deliveryId, trigger.redelivery ?? 0, sha256);
    const place = { traceId: deliveryId, parentSpanId };
    this.#tellLookUp(index, trigger, place);
    const attributes = {
      ...this.#jobOf(trigger),
      'triggers.event': trigger.event,
      'triggers.attempt': nextAttempt(trigger),
      'triggers.verdict': verdict,
      ...more,
      ...(isError ? { 'error.type': String(status ?? code ?? 'UNKNOWN') } : {}),
    };
    this.#options.tell({ ...span, ...place, attributes, isError });
  }

  /** Once per trigger, even if two requests are made for it. */
  #tellLookUp(index: number, trigger: SliceTrigger, place: Pick<Span, 'traceId' | 'parentSpanId'>): void {
    if (this.#lookUp === undefined || trigger.profile !== undefined || this.#withLookUp.has(index)) return;
    this.#withLookUp.add(index);
    const spanId = this.#options.newSpanId();
    this.#options.tell({
      name: 'look up profiles',
      ...place,
      spanId,
      isRequest: false,
      attributes: this.#jobOf(trigger),
      ...this.#lookUp,
    });
  }

  #tellDelivered(index: number, deliveryId: string, requestMs: number, endMs: number): void {
    const trigger = this.#triggerAt(index);
    const { at, event, redelivery = 0 } = trigger;
    const attributes = { ...this.#jobOf(trigger), 'triggers.event': event, 'triggers.verdict': 'delivered' };
    this.#options.tell(
      triggerSpan({ deliveryId, redelivery, at, latestMs: requestMs, endMs, attributes, isError: false }),
    );
  }

  #jobOf(trigger: SliceTrigger): Readonly<Record<string, string>> {
    const { slice, jobId } = this.#options;
    return { 'triggers.job_id': jobId, 'triggers.kind': kindOf(slice, trigger) };
  }

  #triggerAt(index: number): SliceTrigger {
    const trigger = this.#options.slice.triggers[index];
    if (trigger === undefined) throw new Error(`The slice has no trigger at the place ${index}.`);
    return trigger;
  }

  #deliveryIdOf(trigger: SliceTrigger): string {
    return deliveryId(this.#options.slice.settings.subscriptionId, trigger, sha256);
  }
}

function serverOf({ protocol, hostname, port }: URL): Record<string, string | number> {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return { 'server.address': address, 'server.port': port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}
