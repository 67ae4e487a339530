import type { SliceInput } from '../../../src/contract/slice.ts';
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
  return { quiet, untilMs: from + KNOWN_MS };
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
