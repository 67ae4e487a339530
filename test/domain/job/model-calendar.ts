import type { SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import type { Calendar, QuietHours } from '../../../src/contract/timing.ts';
import { maySend } from '../../../src/domain/job/dispatching.ts';
import { quotaLeft } from '../../../src/domain/job/throttles/quota.ts';
import { type DispatcherState, permitsInUse } from '../../../src/domain/job/state.ts';
import { type Delivery, keyOf, type ModelLedger, must } from './model-ledger.ts';

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

/** No slice is dispatched in quiet hours, nor may one start a request in them. */
export function checkQuiet(state: DispatcherState, { notAfterMs = Infinity }: SliceInput, now: number): void {
  if (state.job.definition.quietHours === null) return;
  must(!isQuiet(state, now), 'nothing is sent in quiet hours');
  must(notAfterMs <= (Math.floor(now / ROUND_MS) + 1) * ROUND_MS, 'no slice starts a request in quiet hours');
}

/** The job wakes when what a status says of the calendar changes, whether or not there is anything to send. */
export function checkTold(state: DispatcherState, until = Infinity, now: number): void {
  if (state.stopping?.waiting === 'keep') return;
  const { quietHours, quota } = state.job.definition;
  const round = Math.floor(now / ROUND_MS) * ROUND_MS;
  const edge = now < round + QUIET_MS ? round + QUIET_MS : round + ROUND_MS;
  must(quietHours === null || until <= edge, 'a job wakes when it begins or ceases to be quiet');
  const isUsed = quota !== null && quotaLeft(state, now) < quota.people;
  must(!isUsed || until <= periodOf(now) + ROUND_MS, 'a job wakes when its quota is fresh');
}

/** Counts first attempts in the model, by the periods in which their slices were dispatched. */
export class ModelQuota {
  /** Triggers of which a request was made, ever. */
  readonly #asked = new Set<string>();
  /** What was dispatched under a quota, by slice and in the order of dispatching. */
  readonly #dispatched = new Map<number, { readonly period: number; readonly most: number; firsts: number }>();
  readonly #ledger: ModelLedger;

  constructor(ledger: ModelLedger) {
    this.#ledger = ledger;
  }

  dispatched(state: DispatcherState, slice: SliceInput, now: number): void {
    const { quota } = state.job.definition;
    if (quota === null) return;
    must(
      slice.notAfterMs !== undefined && slice.notAfterMs <= periodOf(now) + ROUND_MS,
      'what a slice starts is of one period of the quota',
    );
    this.#dispatched.set(slice.sliceId, { period: periodOf(now), most: quota.people, firsts: 0 });
    const parts = state.slices.get(slice.sliceId)?.parts ?? [];
    const isOfRetries = parts.every(({ chain, count }) => count === 1 && chain.failures > 0);
    if (slice.kind === 'backfill' && !isOfRetries)
      must(quotaLeft(state, now) >= this.#liveToBegin(state), 'a backfill gets of a quota what live triggers leave');
  }

  /** The job waits: for no quota with what has failed before. */
  waits(state: DispatcherState, now: number): void {
    const { quota, batch, requestsPerSecond, parallelRequestCount } = state.job.definition;
    const { isOpen, isUnproven, isRecovering, barredUntil } = state.breaker;
    if (quota === null || requestsPerSecond !== null || (batch !== null && batch.afterMs > 0)) return;
    if (isOpen || isUnproven || isRecovering || barredUntil > now || !maySend(state, now)) return;
    if (permitsInUse(state) >= parallelRequestCount || state.slices.size >= Math.min(parallelRequestCount, 16)) return;
    for (const user of this.#ledger.people) {
      const chain = state.chains.get(user);
      if (chain?.place !== 'ready' || chain.triggers[0]?.backfill !== undefined) continue;
      must(chain.failures === 0, `${user} has had a first attempt`);
    }
  }

  /** How many live triggers could be sent, but for the quota. */
  #liveToBegin({ chains }: DispatcherState): number {
    let count = 0;
    for (const user of this.#ledger.people) {
      const chain = chains.get(user);
      if (chain?.place !== 'ready' || chain.triggers.every(({ backfill }) => backfill !== undefined)) continue;
      count += chain.triggers.length - (chain.failures > 0 ? 1 : 0);
    }
    return count;
  }

  /** A slice is over; of those in neither list it is known that a request was made. */
  answered({ sliceId, triggers }: SliceInput, report: SliceReport): void {
    const unasked = unaskedOf(report);
    const slice = this.#dispatched.get(sliceId);
    for (const [index, trigger] of triggers.entries()) {
      const key = keyWithTurn(trigger);
      if (unasked.has(index) || this.#asked.has(key)) continue;
      this.#asked.add(key);
      if (slice !== undefined) slice.firsts++;
    }
    if (slice !== undefined) this.#checkPeriod(slice.period);
  }

  /** Of what was dispatched in a period up to any slice with first attempts, there are no more of them than its quota allowed, in whatever order they are answered. */
  #checkPeriod(period: number): void {
    let firsts = 0;
    for (const slice of this.#dispatched.values()) {
      if (slice.period !== period) continue;
      firsts += slice.firsts;
      must(slice.firsts === 0 || firsts <= slice.most, 'no more people are told of in a period than the quota allows');
    }
  }
}

/** Of a slice, the places for which no request was made. */
function unaskedOf({ failed, unsent, halved = [] }: SliceReport): Set<number> {
  const unasked = new Set(unsent);
  for (const { index, status, like } of failed) if (status === undefined && like === undefined) unasked.add(index);
  for (const [place] of halved) unasked.delete(place);
  return unasked;
}

/** A trigger that comes back from the dead is another. */
function keyWithTurn(trigger: Delivery & { readonly redelivery?: number }): string {
  return `${keyOf(trigger)} ${trigger.redelivery ?? 0}`;
}
