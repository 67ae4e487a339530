import type { DeadLetter } from '../contract/dead-letter.ts';
import type { FailedAttempt, SliceInput } from '../contract/slice.ts';
import type { RequestMarks } from '../webhook/request.ts';

/** An attempt, as far as it is traced. */
export type TracedAttempt = { readonly ok: boolean } & Pick<FailedAttempt, 'status' | 'code' | 'retryAfterMs'>;

/** Reports what becomes of the triggers of one slice, named by their places in it, as spans of their traces. */
export interface SliceTracing {
  /** The source was asked for the profiles of those who came without one. @param startedAtMs epoch ms. */
  profilesRead(startedAtMs: number, isAnswered: boolean): void;
  /** A request is about to be made; returns the trace context that it carries. */
  requestBegins(index: number): RequestMarks;
  requestEnded(index: number, attempt: TracedAttempt): void;
  /** The attempt ended without a request. */
  attempted(index: number, attempt: TracedAttempt): void;
}

/** Where deliveries are reported as traces. Nothing waits for it, and nothing depends on whether they arrive. */
export interface DeliveryTracing {
  sliceBegan(slice: SliceInput, jobId: string): SliceTracing;
  /** A trigger has become a dead letter. May be called again for the same one. */
  died(letter: DeadLetter): void;
}
