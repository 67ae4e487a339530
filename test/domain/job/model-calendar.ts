import type { SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import type { Calendar, QuietHours } from '../../../src/contract/timing.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { must } from './model-ledger.ts';

const HOUR_MS = 3_600_000;
/** Half a day is when a calendar is read anew, so this one soon is. */
const KNOWN_MS = 13 * HOUR_MS;
/** In the world of the model it is quiet for a quarter of each of these, in ms. */
const ROUND_MS = 2_000_000;
const QUIET_MS = ROUND_MS / 4;

export const MODEL_NIGHT: QuietHours = { from: '22:00', to: '08:00', timeZone: 'UTC', meanwhile: 'wait' };

/** A worker's answer in the model: whatever the form says, it is quiet at the beginning of each round. */
export function modelCalendar(from: number): Calendar {
  const quiet: [number, number][] = [];
  for (let round = Math.floor(from / ROUND_MS) - 1; round * ROUND_MS < from + KNOWN_MS; round++)
    quiet.push([round * ROUND_MS, round * ROUND_MS + QUIET_MS]);
  const periods: number[] = [];
  for (let round = Math.floor(from / ROUND_MS); round * ROUND_MS < from + KNOWN_MS + 2 * ROUND_MS; round++)
    periods.push(round * ROUND_MS + QUIET_MS);
  // The present one began before the first of these, in the first quarter of a round.
  return { quiet, periods: [periodOf(from), ...periods.filter((at) => at > from)], untilMs: from + KNOWN_MS };
}

/** When the period of the quota began, in the world of the model: with the end of each quiet time. */
function periodOf(now: number): number {
  return Math.floor((now - QUIET_MS) / ROUND_MS) * ROUND_MS + QUIET_MS;
}

function isQuiet({ job }: DispatcherState, now: number): boolean {
  return job.definition.quietHours !== null && now % ROUND_MS < QUIET_MS;
}

/** Whether a job is not to send what comes now. */
export function drops(state: DispatcherState, now: number): boolean {
  return state.job.definition.quietHours?.meanwhile === 'drop' && isQuiet(state, now);
}

/** No slice is cut in quiet hours, nor may one start a request in them. */
export function checkQuiet(state: DispatcherState, { notAfterMs = Infinity }: SliceInput, now: number): void {
  if (state.job.definition.quietHours === null) return;
  must(!isQuiet(state, now), 'nothing is sent in quiet hours');
  must(notAfterMs <= (Math.floor(now / ROUND_MS) + 1) * ROUND_MS, 'no slice starts a request in quiet hours');
}

/** Counts first attempts in the model, by the periods in which their slices were cut. */
export class ModelQuota {
  /** Triggers of which a request was made, ever. */
  readonly #asked = new Set<string>();
  readonly #cut = new Map<number, { readonly period: number; readonly most: number }>();
  /** Since the quota was edited last. */
  #firsts = new Map<number, number>();

  edited(): void {
    this.#firsts = new Map();
    this.#cut.clear();
  }

  cut(state: DispatcherState, { sliceId, notAfterMs = Infinity }: SliceInput, now: number): void {
    const { quota } = state.job.definition;
    if (quota === null) return;
    must(notAfterMs <= periodOf(now) + ROUND_MS, 'what a slice starts is of one period of the quota');
    this.#cut.set(sliceId, { period: periodOf(now), most: quota.people });
  }

  /** A slice is over; of those in neither list it is known that a request was made. */
  answered({ sliceId, triggers }: SliceInput, { failed, unsent, halved = [] }: SliceReport): void {
    const unasked = new Set(unsent);
    for (const { index, status, like } of failed) if (status === undefined && like === undefined) unasked.add(index);
    for (const [place] of halved) unasked.delete(place);
    const { period = 0, most = Infinity } = this.#cut.get(sliceId) ?? {};
    for (const [index, { user, audience, event, at, redelivery = 0 }] of triggers.entries()) {
      const key = `${user} ${audience} ${event} ${at} ${redelivery}`;
      if (unasked.has(index) || this.#asked.has(key)) continue;
      this.#asked.add(key);
      this.#firsts.set(period, (this.#firsts.get(period) ?? 0) + (most === Infinity ? 0 : 1));
      must((this.#firsts.get(period) ?? 0) <= most, 'no more people are told of in a period than the quota allows');
    }
  }
}
