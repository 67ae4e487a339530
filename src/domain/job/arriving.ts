import type { MemberPage } from '../../contract/backfill.ts';
import type { AddressedAnswer, AskingLetter, RedeliveryRefusal } from '../../contract/dead-letter.ts';
import type { PackedTriggers, ProfileRef } from '../../contract/holder.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { type ReadRedelivery, readRedelivery } from './dead-letter.ts';
import { deliveryText, membershipText } from '../delivery-id.ts';
import { undecodableReason } from '../errors.ts';
import { instantOf, nextNanosecond, withOffset } from '../instant.ts';
import { jsonStringBytes } from '../json.ts';
import { findAudience } from '../names.ts';
import { readTrigger, wantsEvent } from '../trigger.ts';
import { type QueuedTrigger, acceptedNow, unpackTriggers, withSuperseded } from './queue/chain.ts';
import type { Member } from './queue/waiting-pages.ts';
import { type Change, instantIn, isSameDelivery, newerChange } from './queue/memory.ts';
import { returnPermits } from './settling.ts';
import { type DispatcherState, chainRoom, countDiscarded, countLeft, hasRoom } from './state.ts';
import type { Arrival } from './steps.ts';
import { isDroppedNow } from './throttles/calendar.ts';

/** How many of the last rejects `status` shows. */
const REJECTS_KEPT = 10;
const REASON_LENGTH = 200;

/**
 * A live arrival overrides pages that were read up to this long after it. Both are dated by the server's clock, but a server on several
 * hosts has several clocks. Allowing more is harmless: the live trigger about a member that is left out is sent anyway.
 */
const CLOCK_MARGIN_MS = 10_000;

/**
 * Takes in a signal. Returns why it was rejected, if it was.
 *
 * @param trustsLog for a page of a replay: what came before the replay began leaves nothing out.
 */
export function admitArrival(
  state: DispatcherState,
  arrival: Arrival,
  now: number,
  trustsLog: boolean,
): string | undefined {
  const unreadable = 'raw' in arrival ? undecodableReason(arrival.raw) : undefined;
  if (unreadable !== undefined) return reject(state, `a payload that cannot be read: ${unreadable}`, now);
  switch (arrival.kind) {
    case 'trigger':
      return admit(state, arrival.raw, arrival.event, now);
    case 'redelivery':
      return admitRedelivery(state, arrival.raw, now);
    case 'page':
      return admitPage(state, arrival.raw, now, trustsLog);
    case 'permits':
      return returnPermits(state, arrival.raw, now);
    case 'unknown':
      return reject(state, `no such signal: "${arrival.name}"`, now);
    case 'surplus':
      return reject(state, `a "${arrival.name}" signal with more than one argument`, now);
  }
}

/** Takes in one trigger. Whatever it is, it ends up in a chain or among the rejects. Returns why it was rejected. */
export function admit(
  state: DispatcherState,
  raw: unknown,
  event: TriggerEvent | undefined,
  now: number,
): string | undefined {
  const reading = readTrigger(raw, event, state.budgets.triggerBytes);
  if (!reading.ok) return reject(state, reading.reason, now);
  const { trigger } = reading;
  const audience = findAudience(state.job.audiences, trigger.audience);
  if (audience === undefined) {
    passesBy(state, trigger);
    return reject(state, `the job does not subscribe to audience "${trigger.audience}"`, now);
  }
  state.counters.received++;
  const { user, event: happened } = trigger;
  const at = trigger.at ?? uniqueAt(state, now);
  if (comesLate(state, { user, audience: audience.id, at }, trigger.at !== undefined)) {
    passesBy(state, trigger);
    state.counters.staleDropped = (state.counters.staleDropped ?? 0) + 1;
    return undefined;
  }
  if (wantsEvent(state.job.definition, happened) && !isDroppedNow(state, now)) {
    const isNews = arrive(state, user, {
      audience: audience.id,
      event: happened,
      at,
      ...waitingProfile(trigger),
      ...acceptedNow(at, now),
    });
    if (!isNews) return undefined;
  } else {
    passesBy(state, trigger);
    filterOut(state, user, audience.id);
  }
  if (needsMemory(state)) state.arrived.remember(membershipText(user, audience.id), now);
  return undefined;
}

/** Tells the profile holders of a trigger that joins no chain, unless older ones wait in the overflow. */
function passesBy(state: DispatcherState, trigger: { readonly profileRef?: ProfileRef }): void {
  if (state.overflow.isEmpty) state.profileHolders.enters(trigger);
}

/** Drops a trigger that the job does not want, without a request. It is still news: a backfill does not send a member that it makes outdated. */
function filterOut(state: DispatcherState, user: string, audience: string): void {
  state.counters.filtered = (state.counters.filtered ?? 0) + 1;
  supersedeBackfill(state, user, audience);
}

/**
 * Takes in a dead letter that is to be sent after all: it is queued after the person's waiting triggers, with the same id. The dead letter
 * keeps it until it is told that it was taken.
 */
export function admitRedelivery(state: DispatcherState, raw: unknown, now: number): string | undefined {
  const reading = readRedelivery(raw, state.budgets.triggerBytes);
  if (!reading.ok) {
    if (reading.asking !== undefined) oweAnswer(state, reading.asking, 'unreadable');
    return reject(state, `a "redeliver" signal that does not hold a dead letter: ${reading.reason}`, now);
  }
  const { redelivery } = reading;
  const { subscriptionId, asking, user, trigger } = redelivery;
  // It belongs to an earlier job with this id, so it is not for this one to send.
  if (subscriptionId !== state.job.subscriptionId) {
    oweAnswer(state, asking, 'other-subscription');
    return reject(state, `a dead letter of another job, subscription ${subscriptionId}`, now);
  }
  // It asks again because it has no answer, or had none yet.
  const refusal = state.takenLetters.knows(asking.runId) ? undefined : redeliveryRefusal(state, redelivery);
  oweAnswer(state, asking, refusal);
  if (refusal !== undefined || state.takenLetters.knows(asking.runId)) return undefined;
  state.takenLetters.remember(asking.runId);
  // It comes from its own workflow, so it has been kept, even if that was not confirmed yet.
  state.deadLetters.confirmWhere((dead) => dead.user === user && isSameDelivery(state.instants, dead.trigger, trigger));
  const { profile: _, ...rest } = trigger;
  arrive(state, user, { ...rest, ...waitingProfile(trigger), ...acceptedNow(trigger.at, now) });
  return undefined;
}

/** A profile as it waits: as text, which costs a fraction of the work of an object at each holder, slice and history. */
function waitingProfile({
  profile: json,
  profileRef,
}: {
  readonly profile?: string;
  readonly profileRef?: ProfileRef;
}): Pick<QueuedTrigger, 'profile' | 'profileBytes' | 'profileRef'> {
  if (profileRef !== undefined) return { profileRef };
  if (json === undefined) return {};
  return { profile: json, profileBytes: jsonStringBytes(json) };
}

/** Returns why the job does not take a dead letter of its own; undefined when it does. */
function redeliveryRefusal(
  { job, stopping }: DispatcherState,
  { isWithdrawn, force, trigger }: ReadRedelivery,
): RedeliveryRefusal | undefined {
  if (isWithdrawn) return 'withdrawn';
  if (stopping?.stoppedAt !== undefined) return 'stopped';
  // It would be dropped at once, but nobody asked for that: the stop is about triggers that were waiting.
  if (stopping?.waiting === 'discard') return 'discarding';
  if (!force && !job.audiences.some(({ id }) => id === trigger.audience)) return 'audience-left';
  return undefined;
}

/** Owes a dead letter the answer whether the job took it. */
function oweAnswer(
  state: DispatcherState,
  { workflowId, runId, question }: AskingLetter,
  refusal?: RedeliveryRefusal,
): void {
  const answer = { runId, question, ...(refusal === undefined ? {} : { refusal }) };
  state.owedAnswers.push({ workflowId, answer });
}

/** Forgets answers that were sent, or could not be: a dead letter without an answer asks again. */
export function answersGone(state: DispatcherState, answers: readonly AddressedAnswer[]): void {
  state.owedAnswers.splice(0, answers.length);
}

/**
 * Gives a trigger its place: in its person's chain, or after all others in the overflow. Returns false for a repeat of what a replay would
 * otherwise leave out: it is dropped, and no news.
 */
function arrive(state: DispatcherState, user: string, trigger: QueuedTrigger): boolean {
  if (state.backfill?.instead.replay !== undefined && isRepeat(state, user, trigger)) {
    state.profileHolders.enters(trigger);
    state.counters.repeated++;
    return false;
  }
  // Unsent members of a backfill are older news, wherever this trigger has to wait.
  const informed = withSuperseded(trigger, supersedeBackfill(state, user, trigger.audience));
  if (state.overflow.isEmpty && hasRoom(state)) putIntoChain(state, user, informed);
  else state.overflow.push({ user, trigger: informed });
  return true;
}

/** Moves triggers from the overflow into chains, oldest first, as long as there is room. */
export function drainOverflow(state: DispatcherState): void {
  const { overflow, chains } = state;
  // From the tail, only as many as there is room for now.
  const room = chainRoom(state);
  while (!overflow.isEmpty) {
    const holder = hasRoom(state) ? overflow.takeHolder() : undefined;
    if (holder !== undefined) {
      for (const { user, trigger } of holder.triggers) putIntoChain(state, user, trigger);
      state.owedDrops.push(String(holder.number));
      countDiscarded(state, holder.dropped);
      continue;
    }
    const waiting = chains.bytes < room ? overflow.takeFromTail() : undefined;
    if (waiting === undefined) return;
    putIntoChain(state, waiting.user, waiting.trigger);
  }
}

function putIntoChain(state: DispatcherState, user: string, trigger: QueuedTrigger): void {
  state.profileHolders.enters(trigger);
  if (isRepeat(state, user, trigger)) {
    state.counters.repeated++;
    return;
  }
  state.chains.addLive(user, withSuperseded(trigger, supersedeBackfill(state, user, trigger.audience)));
}

/** Counts something that is not a trigger for this job, and keeps the reason. Returns the reason as it is kept. */
function reject(state: DispatcherState, reason: string, now: number): string {
  const kept = reason.slice(0, REASON_LENGTH);
  state.counters.rejected++;
  state.rejects = [...state.rejects.slice(1 - REJECTS_KEPT), { at: instantOf(now), reason: kept }];
  return kept;
}

/**
 * Whether a job remembers arrivals from before its replay began. They say nothing about a page of the replay: what was told by then is in
 * the delivery log, and the rest is waiting.
 */
export function remembersBeforeReplay({ backfill, arrived }: DispatcherState): boolean {
  return backfill?.beganAt !== undefined && arrived.oldestAt < backfill.beganAt;
}

/** Takes in a page of a backfill. */
export function admitPage(state: DispatcherState, raw: unknown, now: number, trustsLog: boolean): string | undefined {
  if (!isMemberPage(raw)) return reject(state, 'a "page" signal that does not hold a page of members', now);
  const { backfill, arrived, job } = state;
  if (raw.subscriptionId !== job.subscriptionId || backfill?.isOf(raw.n) !== true) {
    state.unwantedPage = { n: raw.n, number: raw.number };
    return undefined;
  }
  const { beganAt } = backfill;
  const since =
    trustsLog && beganAt !== undefined
      ? Math.max(beganAt, raw.readAt - CLOCK_MARGIN_MS)
      : raw.readAt - job.sourceLagMs - CLOCK_MARGIN_MS;
  // An edit removed the audience: its members are no longer sent.
  const isFormer = (audience: string) => !job.audiences.some(({ id }) => id === audience);
  // A source may list somebody on two pages: people who are already being sent are not sent again. A replay is older news than
  // whatever else waits.
  const isReplay = backfill.instead.replay !== undefined;
  const isInChain = ({ user, audience }: Member): boolean =>
    state.chains
      .get(user)
      ?.triggers.some((one) => (one.backfill === backfill.n) !== isReplay && one.audience === audience) === true;
  const reply = backfill.take(
    raw,
    now,
    (one) => arrived.knows(membershipText(one.user, one.audience), since) || isInChain(one),
    arrived.forgottenUntil < since,
    isFormer,
  );
  if (reply === 'read-again') state.pageToReadAgain = raw.number;
  if (reply === 'gap') backfill.restart();
  return undefined;
}

/** The `at` of a trigger that came without one: now, and later than any given before, so two such triggers are two deliveries. */
export function uniqueAt(state: DispatcherState, now: number): string {
  const instant = instantOf(now);
  state.lastAt = instant > state.lastAt ? instant : nextNanosecond(state.lastAt);
  return withOffset(state.lastAt);
}

/** Drops what a backfill has found of a person and audience, and returns it. */
function supersedeBackfill(state: DispatcherState, user: string, audience: string): readonly QueuedTrigger[] {
  const { backfill } = state;
  const dropped = state.chains.dropFromBackfill(user, audience);
  countLeft(state, dropped, 'superseded');
  const waiting = backfill?.supersede(user, audience) ?? [];
  // A trigger in a chain counts before one in a page: there may be attempts at it.
  return waiting.length === 0 ? dropped : [...waiting, ...dropped];
}

// Without a backfill, a page can come now at the earliest, and be as old as the source's lag.
function needsMemory(state: DispatcherState): boolean {
  return state.backfill?.expectsPages === true || state.job.sourceLagMs > 0;
}

/** Forgets arrivals that no page can ask for any more. */
export function tidyMemory(state: DispatcherState, now: number): void {
  if (state.backfill?.expectsPages === true || state.arrived.size === 0) return;
  state.arrived.forgetBefore(now - state.job.sourceLagMs - CLOCK_MARGIN_MS);
}

/** Whether a signal holds a page of a backfill. */
export function isMemberPage(raw: unknown): raw is MemberPage {
  if (typeof raw !== 'object' || raw === null) return false;
  const page = raw as Partial<Record<keyof MemberPage, unknown>>;
  return (
    typeof page.subscriptionId === 'string' &&
    typeof page.n === 'number' &&
    typeof page.number === 'number' &&
    typeof page.audience === 'string' &&
    typeof page.readAt === 'number' &&
    typeof page.last === 'boolean' &&
    isIds(page.ids) &&
    (page.told === undefined || isTold(page.told)) &&
    (page.exits === undefined || isIds(page.exits)) &&
    (page.outdated === undefined || typeof page.outdated === 'number')
  );
}

function isTold(told: unknown): boolean {
  try {
    const triggers = unpackTriggers(told as PackedTriggers); // Anything else throws, or is seen here.
    return triggers.every(({ user, trigger: { audience, at } }) => isIds([user, audience, at]));
  } catch {
    return false;
  }
}

function isIds(ids: unknown): boolean {
  return Array.isArray(ids) && ids.every((id) => typeof id === 'string');
}

/** Whether this trigger is already waiting (in a chain, a slice or as a new dead letter), or was among the last few thousand delivered. */
function isRepeat(state: DispatcherState, user: string, trigger: QueuedTrigger): boolean {
  if (trigger.redelivery !== undefined) return false;
  const chain = state.chains.get(user);
  if (chain?.triggers.some((one) => isSameDelivery(state.instants, trigger, one)) === true) return true;
  if (state.deadLetters.some((dead) => dead.user === user && isSameDelivery(state.instants, dead.trigger, trigger)))
    return true;
  return state.delivered.knows(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}

/**
 * Whether a job that drops late changes has accepted a newer one. A change without a time of its own is never late, but makes older ones
 * late.
 */
function comesLate(state: DispatcherState, change: Change, isDated: boolean): boolean {
  if (state.job.definition.stale !== 'drop') return false;
  let waiting = '';
  for (const one of state.chains.get(change.user)?.triggers ?? []) {
    if (one.audience !== change.audience || one.backfill !== undefined) continue;
    const instant = instantIn(state.instants, one) ?? '';
    if (instant > waiting) waiting = instant;
  }
  const newer = newerChange(state.newest, change, { most: state.budgets.rememberedChanges, waiting });
  return isDated && newer !== undefined;
}
