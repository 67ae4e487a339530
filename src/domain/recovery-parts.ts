import type { RecoveryPart } from '../contract/recovery.ts';
import type { CarriedJob } from './dispatcher/carried.ts';

/** What the run of a terminated job says that it had come to. */
export interface RecoveryState {
  /** So many of the run's arrivals are in it, oldest first; a signal of many triggers is as many arrivals. */
  readonly admitted: number;
  /** Ids of the slices in flight, of which it does not know the outcome: their triggers are carried as waiting. */
  readonly running: readonly number[];
  readonly carried: CarriedJob;
}

/** @param payloadBytes most bytes of one payload. */
export function partOf(text: string, part: unknown, payloadBytes: number): RecoveryPart {
  // Of three bytes each, and escaped, they still pass.
  const length = Math.floor(payloadBytes / 7);
  const from = typeof part === 'number' && part > 0 ? part * length : 0;
  return { v: 1, text: text.slice(from, from + length), parts: Math.ceil(text.length / length) };
}
