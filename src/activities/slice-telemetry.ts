import type { Logger } from '@temporalio/common';
import type { LoggedDeed } from '../contract/audit.ts';
import type { DeadLetter } from '../contract/dead-letter.ts';
import type { Exchange } from '../contract/delivery.ts';
import type { FailedAttempt, SliceInput, SliceKind } from '../contract/slice.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { kindOf } from '../domain/slice.ts';
import type { AttemptVerdict } from '../contract/verdict.ts';
import { sha256 } from '../webhook/sha256.ts';

/** An attempt, as far as it is traced. */
export type TracedAttempt = { readonly verdict: AttemptVerdict } & Pick<FailedAttempt, 'status' | 'code'>;

/** Reports the outcomes of one slice's triggers, named by their places in it, as spans of their traces. */
export interface SliceTracing {
  /** The source was asked for the profiles of people whose triggers came without one. @param startedAtMs epoch ms. */
  profilesRead(startedAtMs: number, isAnswered: boolean): void;
  /** A request is about to be made; returns the trace context that it carries, if any. */
  requestBegins(index: number): string | undefined;
  requestEnded(index: number, attempt: TracedAttempt): void;
  /** The attempt ended without a request. */
  attempted(index: number, attempt: TracedAttempt): void;
}

/** Reports deliveries as traces. Nothing waits for the traces, and nothing depends on whether they arrive. */
export interface DeliveryTracing {
  sliceBegan(slice: SliceInput, jobId: string): SliceTracing;
  /** A trigger has become a dead letter. May be called again for the same one. */
  died(letter: DeadLetter): void;
}

/** The request of an attempt, for the delivery log. */
export interface LoggedRequest {
  /** The delivery id of the trigger. */
  readonly id: string | undefined;
  /** The header `webhook-id` of a request for several triggers; undefined: it is the delivery id. */
  readonly batchId: string | undefined;
  /** Bytes of its body. */
  readonly bytes: number;
  /** Undefined: it is not wanted, or another trigger of the request has it. */
  readonly exchange: Exchange | undefined;
}

/** Keeps the attempts of one slice's triggers, named by their places in it. */
export interface SliceLog {
  /** Whether what was sent and answered is wanted. */
  wantsExchange(verdict: AttemptVerdict): boolean;
  /**
   * @param shown the attempt as people may see it, without secrets.
   * @param request undefined: none was made.
   */
  attempted(index: number, shown: EndedAttempt, verdict: AttemptVerdict, request?: LoggedRequest): void;
}

/** Keeps what became of each attempt, and what people did. Nothing waits for it, and nothing depends on whether it is kept. */
export interface DeliveryLog {
  /** @param scheduledAtMs when the server scheduled the slice, epoch ms by its clock. */
  sliceBegan(slice: SliceInput, jobId: string, scheduledAtMs: number): SliceLog;
  /** @param id of one deed, however often it is told. */
  deedDone(id: string, deed: LoggedDeed): void;
}

/** The metrics of deliveries. A status class is `2xx` … `5xx`, or `none` without a status. */
export interface DeliveryMetrics {
  sliceBegan(permits: number): void;
  sliceEnded(permits: number): void;
  requestBegan(): void;
  requestEnded(statusClass: string, durationMs: number): void;
  attempted(kind: SliceKind, verdict: AttemptVerdict, statusClass: string, count: number): void;
  /** `ageMs`: from the trigger's `at` until now. */
  delivered(kind: SliceKind, ageMs: number): void;
}

/** An attempt, with or without a request, as far as it is counted, logged and traced. */
export interface EndedAttempt extends Pick<FailedAttempt, 'status' | 'code' | 'durationMs' | 'answer'> {
  /** Why we made no request: a code of ours, and never an endpoint's text. */
  readonly reason?: string | undefined;
}

interface Tally {
  readonly kind: SliceKind;
  readonly verdict: AttemptVerdict;
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  count: number;
  /** Duration of the longest one. */
  durationMs: number;
}

export interface SliceTelemetryOptions {
  readonly slice: SliceInput;
  readonly log: Logger;
  /** Each attempt is logged, at `debug`. */
  readonly logsAttempts: boolean;
  /** Absent: nothing is counted. */
  readonly metrics?: DeliveryMetrics | undefined;
  /** Absent: nothing is traced. */
  readonly tracing?: SliceTracing | undefined;
  /** Absent: nothing is kept. */
  readonly deliveries?: SliceLog | undefined;
}

/**
 * Counts, logs and traces the attempts of one slice. At the usual level it logs one line for each kind of failure in a slice, with a count. A million
 * deliveries then log nothing, and a million refusals do not log a million lines. `debug` has a line for each attempt. No line names a person.
 */
export class SliceTelemetry {
  readonly #options: SliceTelemetryOptions;
  readonly #tallies: Tally[] = [];

  constructor(options: SliceTelemetryOptions) {
    this.#options = options;
    options.metrics?.sliceBegan(options.slice.permits);
  }

  requestBegan(): void {
    this.#options.metrics?.requestBegan();
  }

  /** A request for the triggers at these places is about to be made. Returns the trace context that it carries, if there are traces. */
  requestBegins(places: readonly number[]): string | undefined {
    const { tracing } = this.#options;
    if (tracing === undefined) return undefined;
    const carried = places.flatMap((place) => tracing.requestBegins(place) ?? []);
    return carried.find(isSampled) ?? carried[0];
  }

  /**
   * The request for the triggers at these places has ended.
   * @param isAttempt whether it was an attempt for each of them. A refused request is not one if its triggers are then sent in smaller batches.
   */
  requestEnded(places: readonly number[], attempt: EndedAttempt, verdict: AttemptVerdict, isAttempt = true): void {
    const { metrics, tracing } = this.#options;
    metrics?.requestEnded(statusClassOf(attempt.status), attempt.durationMs);
    for (const place of places) {
      tracing?.requestEnded(place, { ...attempt, verdict });
      if (isAttempt) this.#settled(place, attempt, verdict);
    }
  }

  #settled(index: number, attempt: EndedAttempt, verdict: AttemptVerdict): void {
    const { metrics, slice } = this.#options;
    const trigger = slice.triggers[index];
    // If this clock is behind the clock of `at`, the age would be negative.
    if (verdict === 'delivered' && metrics !== undefined && trigger !== undefined)
      metrics.delivered(kindOf(slice, trigger), Math.max(0, Date.now() - Date.parse(trigger.at)));
    this.#count(index, attempt, verdict);
  }

  /** The attempt for the trigger at this place ended without a request. */
  attempted(index: number, attempt: EndedAttempt, verdict: AttemptVerdict): void {
    this.#options.tracing?.attempted(index, { ...attempt, verdict });
    this.#options.deliveries?.attempted(index, attempt, verdict);
    this.#count(index, attempt, verdict);
  }

  /** Where the attempts that made a request are kept once their outcomes are final. Undefined: nowhere. */
  get deliveries(): SliceLog | undefined {
    return this.#options.deliveries;
  }

  /** Attempts could not be given to the delivery log. */
  notKept(error: unknown): void {
    this.#options.log.warn('attempts are missing in the delivery log', { error });
  }

  /** The source was asked for profiles. @param startedAtMs epoch ms. */
  profilesRead(startedAtMs: number, isAnswered: boolean): void {
    this.#options.tracing?.profilesRead(startedAtMs, isAnswered);
  }

  /** The slice is over. Called once. */
  close(): void {
    const { slice, log, metrics } = this.#options;
    metrics?.sliceEnded(slice.permits);
    for (const { kind, verdict, status, code, reason, count, durationMs } of this.#tallies) {
      metrics?.attempted(kind, verdict, statusClassOf(status), count);
      if (verdict === 'delivered') continue;
      log.warn('attempts failed', { slice: slice.sliceId, verdict, status, code, reason, count, durationMs });
    }
  }

  #count(index: number, attempt: EndedAttempt, verdict: AttemptVerdict): void {
    const { status, code, reason, durationMs } = attempt;
    const trigger = this.#options.slice.triggers[index];
    const kind = trigger === undefined ? 'live' : kindOf(this.#options.slice, trigger);
    // A 503 has two verdicts: it may ask to wait, or not. There are few tallies, and a map would need a new key for each attempt.
    const known = this.#tallies.find(
      (one) =>
        one.kind === kind &&
        one.verdict === verdict &&
        one.status === status &&
        (status !== undefined || one.code === code),
    );
    if (known === undefined) {
      this.#tallies.push({ kind, verdict, status, code, reason, count: 1, durationMs });
    } else {
      known.count++;
      known.durationMs = Math.max(known.durationMs, durationMs);
    }
    if (this.#options.logsAttempts) this.#logAttempt(index, attempt, verdict);
  }

  #logAttempt(index: number, attempt: EndedAttempt, verdict: AttemptVerdict): void {
    const { slice, log } = this.#options;
    const trigger = slice.triggers[index];
    if (trigger === undefined) return;
    const { status, code, durationMs } = attempt;
    log.debug('attempted', {
      slice: slice.sliceId,
      deliveryId: deliveryId(slice.settings.subscriptionId, trigger, sha256),
      verdict,
      status,
      code,
      durationMs,
    });
  }
}

/** Whether a trace context says that its span is recorded. */
function isSampled(traceparent: string): boolean {
  return traceparent.endsWith('-01');
}

/** HTTP's statuses have three digits. */
const STATUS_CLASSES = Array.from({ length: 10 }, (_, hundreds) => `${hundreds}xx`);

function statusClassOf(status: number | undefined): string {
  return (status === undefined ? undefined : STATUS_CLASSES[Math.floor(status / 100)]) ?? 'none';
}
