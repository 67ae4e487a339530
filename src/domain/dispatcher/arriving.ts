import type { MemberPage } from '../../contract/backfill.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { findAudience } from '../audience.ts';
import { membershipText } from '../delivery-id.ts';
import { instantOf, nextNanosecond } from '../instant.ts';
import { readRedelivery } from '../redelivery.ts';
import { readTrigger } from '../trigger.ts';
import { undecodableReason } from '../undecodable.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import { countLeft, type JobState } from './job-state.ts';
import { isRepeat, isSameDelivery } from './repeats.ts';
import { chainRoom, hasRoom } from './room.ts';
import { returnPermits } from './settling.ts';

/** How many of the last rejects `status` shows. */
const REJECTS_KEPT = 10;
const REASON_LENGTH = 200;

/**
 * A live arrival is news for pages read up to this much before it. Both are dated by the server's clock, but a server of several hosts
 * has several. A live trigger that leaves out a member says more than the page, so more is harmless.
 */
const CLOCK_MARGIN_MS = 10_000;

/** One signalled thing, as it came: nothing in it was looked at yet. */
export type Arrival =
  | { readonly kind: 'trigger'; readonly raw: unknown; readonly event: TriggerEvent | undefined }
  | { readonly kind: 'redelivery'; readonly raw: unknown }
  | { readonly kind: 'page'; readonly raw: unknown }
  | { readonly kind: 'permits'; readonly raw: unknown }
  | { readonly kind: 'unknown'; readonly name: string };

/** Something was signalled. Returns why it was refused, if it was. */
export function admitArrival(state: JobState, arrival: Arrival, now: number): string | undefined {
  switch (arrival.kind) {
    case 'trigger':
      return admit(state, arrival.raw, arrival.event, now);
    case 'redelivery':
      return admitRedelivery(state, arrival.raw, now);
    case 'page':
      return admitPage(state, arrival.raw, now);
    case 'permits':
      return returnPermits(state, arrival.raw);
    case 'unknown':
      return reject(state, `no such signal: "${arrival.name}"`, now);
  }
}

/** One trigger arrived. Whatever it is, it ends in a chain or among the rejects. Returns why it was refused. */
export function admit(state: JobState, raw: unknown, event: TriggerEvent | undefined, now: number): string | undefined {
  const unreadable = undecodableReason(raw);
  if (unreadable !== undefined) return reject(state, `a payload that cannot be read: ${unreadable}`, now);
  const reading = readTrigger(raw, event, state.budgets.triggerBytes);
  if (!reading.ok) return reject(state, reading.reason, now);
  const { trigger } = reading;
  const audience = findAudience(state.job.audiences, trigger.audience);
  if (audience === undefined) return reject(state, `the job does not listen to audience "${trigger.audience}"`, now);

  state.counters.received++;
  arrive(state, trigger.user, {
    audience: audience.id,
    event: trigger.event,
    at: trigger.at ?? settleAt(state, now),
    ...(trigger.profile === undefined ? {} : { profile: trigger.profile, profileBytes: trigger.profileBytes ?? 0 }),
  });
  if (needsMemory(state)) state.memory.remember(membershipText(trigger.user, audience.id), now);
  return undefined;
}

/** A dead letter is to be sent after all: it goes behind what waits for that person, with the id that it had. */
export function admitRedelivery(state: JobState, raw: unknown, now: number): string | undefined {
  const reading = readRedelivery(raw, state.budgets.triggerBytes);
  if (typeof reading === 'string')
    return reject(state, `a "redeliver" signal that does not hold a dead letter: ${reading}`, now);
  const { subscriptionId, user, trigger } = reading;
  // Of a job that was here under this id before: it is not ours to send.
  if (subscriptionId !== state.job.subscriptionId)
    return reject(state, `a dead letter of another job, subscription ${subscriptionId}`, now);
  // It comes from its workflow: so it is kept, though we may not have heard of it yet.
  state.deadLetters.confirmWhere((dead) => dead.user === user && isSameDelivery(dead.trigger, trigger));
  arrive(state, user, trigger);
  return undefined;
}

/** A trigger finds its place: in its person's chain, or behind all others in the overflow. */
function arrive(state: JobState, user: string, trigger: QueuedTrigger): void {
  state.changes++;
  // What a backfill has not sent yet is older news, wherever this one has to wait.
  supersedeBackfill(state, user, trigger.audience);
  if (state.overflow.isEmpty && hasRoom(state)) putIntoChain(state, user, trigger);
  else state.overflow.push({ user, trigger });
}

/** From the overflow into chains, oldest first, as long as there is room. */
export function drainOverflow(state: JobState): void {
  const { overflow, chains } = state;
  // Of the tail as many as there is room for now: the first of them may be all that there was room for, but is not all that are wanted.
  const room = chainRoom(state);
  while (!overflow.isEmpty) {
    const holder = hasRoom(state) ? overflow.takeHolder() : undefined;
    if (holder !== undefined) {
      for (const { user, trigger } of holder.triggers) putIntoChain(state, user, trigger);
      state.owedReleases.push(String(holder.number));
      state.changes++; // A job that was kept before this would look for them in a holder that ends.
      continue;
    }
    const waiting = chains.bytes < room ? overflow.takeFromTail() : undefined;
    if (waiting === undefined) return;
    putIntoChain(state, waiting.user, waiting.trigger);
  }
}

function putIntoChain(state: JobState, user: string, trigger: QueuedTrigger): void {
  if (isRepeat(state, user, trigger)) {
    state.counters.repeated++;
    return;
  }
  supersedeBackfill(state, user, trigger.audience);
  state.chains.addLive(user, trigger);
}

/** Counts something that is no trigger for this job, and keeps why. Returns the reason as it is kept. */
export function reject(state: JobState, reason: string, now: number): string {
  state.changes++;
  const kept = reason.slice(0, REASON_LENGTH);
  state.counters.rejected++;
  state.rejects = [...state.rejects.slice(1 - REJECTS_KEPT), { at: instantOf(now), reason: kept }];
  return kept;
}

/** A backfill's page arrived. */
export function admitPage(state: JobState, raw: unknown, now: number): string | undefined {
  if (!isMemberPage(raw)) return reject(state, 'a "page" signal that does not hold a page of members', now);
  const { backfill, memory, job } = state;
  if (raw.subscriptionId !== job.subscriptionId || backfill?.isOf(raw.n) !== true) {
    state.unwantedPage = { n: raw.n, number: raw.number };
    return undefined;
  }
  const since = raw.readAt - job.sourceLagMs - CLOCK_MARGIN_MS;
  // An edit took the audience out: its members are not told about any more.
  const isFormer = !job.audiences.some(({ id }) => id === raw.audience);
  // A source may show somebody on two pages: who is being told already is not told again.
  const isBeingTold = (user: string): boolean =>
    state.chains.get(user)?.triggers.some((one) => one.backfill === backfill.n && one.audience === raw.audience) ===
    true;
  const reply = backfill.take(
    raw,
    now,
    (user) => isFormer || memory.knows(membershipText(user, raw.audience), since) || isBeingTold(user),
    memory.forgottenUntil < since,
  );
  if (reply === 'read-again') state.pageToReadAgain = raw.number;
  return undefined;
}

/** `at` for what came without one: now, and later than any given before, so that two such triggers are two deliveries. */
export function settleAt(state: JobState, now: number): string {
  const instant = instantOf(now);
  state.lastAt = instant > state.lastAt ? instant : nextNanosecond(state.lastAt);
  return state.lastAt;
}

function supersedeBackfill(state: JobState, user: string, audience: string): void {
  countLeft(state, state.chains.dropFromBackfill(user, audience), 'superseded');
  state.backfill?.supersede(user, audience);
}

// Without a backfill a page can come at the earliest now, and reach back by the source's lag.
function needsMemory(state: JobState): boolean {
  return state.backfill?.expectsPages === true || state.job.sourceLagMs > 0;
}

/** Lets go of remembered arrivals that no page can ask for any more. */
export function tidyMemory(state: JobState, now: number): void {
  if (state.backfill?.expectsPages === true || state.memory.size === 0) return;
  state.memory.forgetBefore(now - state.job.sourceLagMs - CLOCK_MARGIN_MS);
}

function isMemberPage(raw: unknown): raw is MemberPage {
  if (typeof raw !== 'object' || raw === null) return false;
  const page = raw as Partial<Record<keyof MemberPage, unknown>>;
  return (
    typeof page.subscriptionId === 'string' &&
    typeof page.n === 'number' &&
    typeof page.number === 'number' &&
    typeof page.audience === 'string' &&
    typeof page.readAt === 'number' &&
    typeof page.last === 'boolean' &&
    Array.isArray(page.ids) &&
    page.ids.every((id) => typeof id === 'string')
  );
}
