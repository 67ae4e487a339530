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
 * A live arrival overrides pages that were read up to this long after it. Both are dated by the server's clock, but a server on several
 * hosts has several clocks. Allowing more is harmless, since the live trigger about a member that is left out is sent anyway.
 */
const CLOCK_MARGIN_MS = 10_000;

/** One thing that was signalled, as it came; nothing in it has been checked yet. */
export type Arrival =
  | { readonly kind: 'trigger'; readonly raw: unknown; readonly event: TriggerEvent | undefined }
  | { readonly kind: 'redelivery'; readonly raw: unknown }
  | { readonly kind: 'page'; readonly raw: unknown }
  | { readonly kind: 'permits'; readonly raw: unknown }
  | { readonly kind: 'unknown'; readonly name: string };

/** Takes in something that was signalled. Returns why it was rejected, if it was. */
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

/** Takes in one trigger. Whatever it is, it ends up in a chain or among the rejects. Returns why it was rejected. */
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

/** A dead letter is to be sent after all: it is queued after what is waiting for that person, with the id that it had. */
export function admitRedelivery(state: JobState, raw: unknown, now: number): string | undefined {
  const reading = readRedelivery(raw, state.budgets.triggerBytes);
  if (typeof reading === 'string')
    return reject(state, `a "redeliver" signal that does not hold a dead letter: ${reading}`, now);
  const { subscriptionId, user, trigger } = reading;
  // It belongs to an earlier job with this id, so it is not for this one to send.
  if (subscriptionId !== state.job.subscriptionId)
    return reject(state, `a dead letter of another job, subscription ${subscriptionId}`, now);
  // It comes from its own workflow, so it has been kept, even if that was not confirmed yet.
  state.deadLetters.confirmWhere((dead) => dead.user === user && isSameDelivery(dead.trigger, trigger));
  arrive(state, user, trigger);
  return undefined;
}

/** Gives a trigger its place: in its person's chain, or after all others in the overflow. */
function arrive(state: JobState, user: string, trigger: QueuedTrigger): void {
  state.changes++;
  // What a backfill has not sent yet is older news, wherever this trigger has to wait.
  supersedeBackfill(state, user, trigger.audience);
  if (state.overflow.isEmpty && hasRoom(state)) putIntoChain(state, user, trigger);
  else state.overflow.push({ user, trigger });
}

/** From the overflow into chains, oldest first, as long as there is room. */
export function drainOverflow(state: JobState): void {
  const { overflow, chains } = state;
  // Of the tail, as many as there is room for now: what fits may be less than what is wanted.
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

/** Counts something that is not a trigger for this job, and keeps the reason. Returns the reason as it is kept. */
export function reject(state: JobState, reason: string, now: number): string {
  state.changes++;
  const kept = reason.slice(0, REASON_LENGTH);
  state.counters.rejected++;
  state.rejects = [...state.rejects.slice(1 - REJECTS_KEPT), { at: instantOf(now), reason: kept }];
  return kept;
}

/** Takes in a page of a backfill. */
export function admitPage(state: JobState, raw: unknown, now: number): string | undefined {
  if (!isMemberPage(raw)) return reject(state, 'a "page" signal that does not hold a page of members', now);
  const { backfill, memory, job } = state;
  if (raw.subscriptionId !== job.subscriptionId || backfill?.isOf(raw.n) !== true) {
    state.unwantedPage = { n: raw.n, number: raw.number };
    return undefined;
  }
  const since = raw.readAt - job.sourceLagMs - CLOCK_MARGIN_MS;
  // An edit removed the audience: its members are no longer sent.
  const isFormer = !job.audiences.some(({ id }) => id === raw.audience);
  // A source may list somebody on two pages: whoever is already being sent is not sent again.
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

/** The `at` of what came without one: now, and later than any given before, so that two such triggers are two deliveries. */
export function settleAt(state: JobState, now: number): string {
  const instant = instantOf(now);
  state.lastAt = instant > state.lastAt ? instant : nextNanosecond(state.lastAt);
  return state.lastAt;
}

function supersedeBackfill(state: JobState, user: string, audience: string): void {
  countLeft(state, state.chains.dropFromBackfill(user, audience), 'superseded');
  state.backfill?.supersede(user, audience);
}

// Without a backfill, a page can come now at the earliest, and be as old as the source's lag.
function needsMemory(state: JobState): boolean {
  return state.backfill?.expectsPages === true || state.job.sourceLagMs > 0;
}

/** Forgets arrivals that no page can ask for any more. */
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
