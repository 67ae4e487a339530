import type { RecoveryPart } from '../contract/recovery.ts';
import type { CarriedJob } from './dispatcher/carried.ts';

/** The state that the run of a terminated job had reached, according to itself. */
export interface RecoveryState {
  /** How many of the run's arrivals are in it, oldest first; a signal with many triggers is that many arrivals. */
  readonly admitted: number;
  /** Ids of the slices in flight, whose outcome it does not know: their triggers are carried as waiting. */
  readonly running: readonly number[];
  readonly carried: CarriedJob;
}

/** @param payloadBytes most bytes of one payload. */
export function partOf(text: string, part: unknown, payloadBytes: number): RecoveryPart {
  // So many characters fit, even when each takes three bytes and is escaped.
  const length = Math.floor(payloadBytes / 7);
  const from = typeof part === 'number' && part > 0 ? part * length : 0;
  return { v: 1, text: text.slice(from, from + length), parts: Math.ceil(text.length / length) };
}
