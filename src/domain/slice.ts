import type { DeliveryLane } from '../contract/delivery.ts';
import type {
  JudgedAttempt,
  HalvedBatches,
  PackedSlice,
  PackedSliceTrigger,
  SliceInput,
  SliceKind,
  SliceProgress,
  SliceReport,
  SliceTrigger,
  SpacingEnd,
} from '../contract/slice.ts';
import { definedOf, isRecord } from './json.ts';
import { ATTEMPT_CODES, isDecidedVerdict, isVerdict, judge } from './verdict.ts';

/** Makes a slice small by repeating nothing. */
export function packSlice(slice: SliceInput): PackedSlice {
  const places = new Map(slice.audiences.map(({ id }, place) => [id, place]));
  let before = '';
  const triggers = slice.triggers.map(({ user, audience, event, at, ...rest }): PackedSliceTrigger => {
    const place = places.get(audience);
    const what = 2 * (place ?? places.size) + (event === 'enter' ? 1 : 0);
    const when = at === before ? '' : at;
    before = at;
    const more = place === undefined ? { ...rest, audience } : rest;
    return Object.keys(more).length === 0 ? [user, what, when] : [user, what, when, more];
  });
  return { ...slice, triggers };
}

/** @throws RangeError for what `packSlice` did not pack. */
export function unpackSlice(packed: PackedSlice): SliceInput {
  const { audiences, sliceId } = packed;
  let before = '';
  const triggers = packed.triggers.map(([user, what, when, more]): SliceTrigger => {
    const place = Math.floor(what / 2);
    const audience = more?.audience ?? audiences[place]?.id;
    if (audience === undefined)
      throw new RangeError(`Slice ${sliceId} names an audience ${place} that it does not list.`);
    const at = when === '' ? before : when;
    before = at;
    return { user, event: what % 2 === 1 ? 'enter' : 'exit', at, ...more, audience };
  });
  return { ...packed, triggers };
}

/** The number of the next request for a trigger, from 1, over its whole life. */
export function nextAttempt({ attempts, failures = 0 }: Pick<SliceTrigger, 'attempts' | 'failures'>): number {
  return (attempts ?? failures) + 1;
}

/** Why a trigger is sent. A slice of live triggers may have members among them, and one of members may have dead letters that came back. */
export function laneOf({ kind = 'live' }: Pick<SliceInput, 'kind'>, trigger: SliceTrigger): DeliveryLane {
  if (trigger.replay === true) return 'replay';
  if (trigger.redelivery !== undefined) return 'redelivery';
  return trigger.member === true ? 'backfill' : kind;
}

/** Says what replaced a trigger. */
export function supersededText({ event, at }: Pick<SliceTrigger, 'event' | 'at'>): string {
  return `replaced by the newer ${event} of ${at}`;
}

/** Whether it counts with live triggers, or with members and dead letters that came back. */
export function kindOf(slice: Pick<SliceInput, 'kind'>, trigger: SliceTrigger): SliceKind {
  return laneOf(slice, trigger) === 'live' ? 'live' : 'backfill';
}

// Another build may have written a report or a heartbeat, so both are foreign data: they are read completely before anything depends on
// them. Which triggers failed must be clear; how each of them failed may be unclear.

/** Reads the result of `deliver` for a slice of `size` triggers; undefined when the outcome of any of them is not certain. */
export function readReport(raw: unknown, size: number): SliceReport<JudgedAttempt> | undefined {
  if (!isRecord(raw)) return undefined;
  const failed = readFailed(raw['failed'], size);
  const unsent: unknown = raw['unsent'];
  if (failed === undefined || !Array.isArray(unsent)) return undefined;
  if (!unsent.every((place): place is number => isPlace(place, size))) return undefined;
  const { worker } = raw;
  return {
    failed,
    unsent,
    sendingMs: readMs(raw['sendingMs']) ?? 0,
    ...definedOf({
      spacing: readSpacing(raw['spacing']),
      requests: readMs(raw['requests']),
      worker: typeof worker === 'string' ? worker.slice(0, MOST_NAME) : undefined,
    }),
    ...readHalved(raw['halved'], size),
  };
}

/** Most characters of a worker's name: it is carried from run to run. */
const MOST_NAME = 200;

/** Reads the halved batches. Only the next batches depend on them, so unreadable entries are left out. */
function readHalved(raw: unknown, size: number): { readonly halved?: HalvedBatches } {
  if (!Array.isArray(raw)) return {};
  const halved = raw.flatMap((one: unknown) => {
    const [place, most, isUnrequested] = Array.isArray(one) ? (one as unknown[]) : [];
    return isPlace(place, size) && typeof most === 'number' && Number.isSafeInteger(most) && most > 0
      ? [isUnrequested === true ? ([place, most, true] as const) : ([place, most] as const)]
      : [];
  });
  return { halved };
}

/** Where the spacing of a slice ended, as its worker says; undefined when that cannot be read. */
export function readSpacing(raw: unknown): SpacingEnd | undefined {
  if (!isRecord(raw)) return undefined;
  const { inMs } = raw;
  const nextAtMs = readMs(raw['nextAtMs']);
  return nextAtMs === undefined || typeof inMs !== 'number' || !Number.isFinite(inMs) ? undefined : { nextAtMs, inMs };
}

/** Reads a heartbeat of `deliver` for a slice of `size` triggers; undefined when it cannot be read for certain. */
export function readProgress(raw: unknown, size: number): SliceProgress<JudgedAttempt> | undefined {
  if (!isRecord(raw)) return undefined;
  const failed = readFailed(raw['failed'], size);
  const delivered: unknown = raw['delivered'];
  if (failed === undefined || !Array.isArray(delivered)) return undefined;
  if (!delivered.every((range) => isRange(range, size))) return undefined;
  return { delivered, failed, ...readHalved(raw['halved'], size) };
}

function readFailed(raw: unknown, size: number): JudgedAttempt[] | undefined {
  if (!Array.isArray(raw)) return undefined;
  const attempts = raw.flatMap((one: unknown) => readAttempt(one, size) ?? []);
  if (attempts.length !== raw.length) return undefined;
  const firsts = new Map(attempts.flatMap((one) => (one.like === undefined ? [[one.index, one]] : [])));
  return attempts.map((attempt) => {
    const first = attempt.like === undefined ? undefined : firsts.get(attempt.like);
    return first === undefined ? attempt : { ...first, index: attempt.index, like: first.index };
  });
}

function readAttempt(raw: unknown, size: number): JudgedAttempt | undefined {
  if (!isRecord(raw)) return undefined;
  const { index, status, code, verdict, as, retryAfterMs, durationMs, answer, like } = raw;
  if (!isPlace(index, size)) return undefined;
  const wait = readMs(retryAfterMs);
  const how = {
    ...(isStatus(status) ? { status } : {}),
    ...(typeof code === 'string' ? { code } : {}),
  };
  const attempt = {
    index,
    ...(how.status === undefined && how.code === undefined ? { code: ATTEMPT_CODES.reportUnreadable } : how),
    ...(isDecidedVerdict(as) ? { as } : {}),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
    durationMs: readMs(durationMs) ?? 0,
    ...(typeof answer === 'string' ? { answer } : {}),
    ...(isPlace(like, size) ? { like } : {}),
  };
  // The worker judged it, unless it is of an earlier release, or of a later one with verdicts that nobody knows here.
  return { ...attempt, verdict: isVerdict(verdict) ? verdict : judge(attempt) };
}

function isPlace(value: unknown, size: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < size;
}

function isRange(value: unknown, size: number): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [first, last] = value as unknown[];
  return isPlace(first, size) && isPlace(last, size) && first <= last;
}

function isStatus(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= 999;
}

function readMs(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}
