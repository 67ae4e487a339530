import { askedWait, type WithAskedWait } from './asked-wait.ts';
import { batching, type WithGathering } from './batching.ts';
import { calendar } from './calendar.ts';
import { leftForMembers, quota, type WithQuota } from './quota.ts';
import { requestRate, type WithSpacing } from './request-rate.ts';
import {
  max,
  min,
  NEVER,
  isIdle,
  type EndedSlice,
  type Held,
  type SliceLimits,
  type Throttle,
  type Throttled,
  type WaitTimes,
} from './throttle.ts';

/** The fields that throttles keep, as plain JSON: they are carried from run to run under these names. */
export interface ThrottleState extends WithAskedWait, WithGathering, WithQuota, WithSpacing {}

export const CARRIED_BY_THROTTLES = {
  endpointWait: true,
  gathering: true,
  quota: true,
  spacing: true,
} as const satisfies Record<keyof ThrottleState, true>;

type Throttling = Throttled & ThrottleState;

/**
 * All throttles but two. The breaker (`breaker.ts`) decides not only when something is sent, but also about whom, and the pace of a backfill
 * (`pace.ts`) belongs to that. How a batch and a slice are filled is asked in `dispatching.ts`, too.
 */
const THROTTLES: readonly Throttle<ThrottleState>[] = [askedWait, calendar, quota, requestRate, batching];

/** The answers of all that have one. They are taken out once, since they are asked with every step. */
function all<Name extends keyof Throttle>(name: Name, throttles = THROTTLES) {
  return throttles.map((throttle) => throttle[name]).filter((one) => one !== undefined);
}

type Answer = (state: Throttling, now: number) => number;

function latest(times: readonly Answer[]): Answer {
  return (state, now) => times.reduce((most, time) => max(most, time(state, now)), 0);
}

function least(figures: readonly Answer[]): Answer {
  return (state, now) => figures.reduce((few, one) => min(few, one(state, now)), NEVER);
}

// `throttle.ts` says what they mean. Without any throttle, times have passed, and figures are `Infinity`.
export const barredUntil = latest(all('barredUntil'));
export const spacedUntil = latest(all('spacedUntil'));
export const firstsLeft = least(all('firstsLeft'));
export const firstsFrom = latest(all('firstsFrom'));
export const heldUntil = latest(all('heldUntil'));
export const wakesAt = least(all('wakesAt'));

const wakingIdle = THROTTLES.filter(({ wakesIdle }) => wakesIdle === true);
const idleUntil = latest(all('barredUntil', wakingIdle));
const busyUntil = latest([...all('barredUntil'), ...all('spacedUntil')]);

/** The job does not wake before then in order to send. */
export function sleepsUntil(state: Throttling, now: number): number {
  return isIdle(state) ? idleUntil(state, now) : busyUntil(state, now);
}

/** How many members of a backfill may have their first attempt now: as many as the ready live triggers leave. */
export function firstsLeftForMembers(state: Throttling, now: number): number {
  return leftForMembers(state, firstsLeft(state, now));
}

const TAKING = all('take');

export function take(state: Throttling, firsts: number, now: number): SliceLimits {
  let limits: SliceLimits = {};
  for (const one of TAKING) {
    const more = one(state, firsts, now);
    if (more !== undefined) limits = { ...limits, ...more };
  }
  return limits;
}

export function settled(state: Throttling, ended: EndedSlice, now: number): void {
  for (const one of THROTTLES) one.settled?.(state, ended, now);
}

export function edited(state: Throttling, now: number): void {
  for (const one of THROTTLES) one.edited?.(state, now);
}

/** When each wait ends that holds back such triggers; in the past: there is no wait. */
export function waitTimes(state: Throttling, now: number, held: Held): WaitTimes {
  const waits = all('wait').filter(({ holds }) => holds === held);
  return Object.fromEntries(waits.map(({ why, until }) => [why, until(state, now)]));
}
