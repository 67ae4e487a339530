import type { PackedMore, PackedTrigger, PackedTriggers } from '../../../contract/holder.ts';
import type { TriggerEvent } from '../../../contract/trigger.ts';
import { epochMsOf } from '../../instant.ts';
import { definedOf, jsonStringBytes } from '../../json.ts';

/** A trigger in its person's chain. */
export interface QueuedTrigger extends PackedMore {
  readonly audience: string;
  readonly event: TriggerEvent;
  readonly at: string;
}

/** If `at` is within this many ms of the time of acceptance, it stands for that time, to save a quarter of a trigger's bytes. */
const NEAR_MS = 60_000;

/** Returns the part of a trigger accepted now that says since when it waits. */
export function acceptedNow(at: string, now: number): Pick<QueuedTrigger, 'since'> {
  return Math.abs(now - epochMsOf(at)) <= NEAR_MS ? {} : { since: now };
}

/** Since when it waits, epoch ms. Its `at` may be any time that its signaller gave. */
export function waitsSince({ at, since }: QueuedTrigger): number {
  return since ?? epochMsOf(at);
}

/** The times since when triggers wait, however many there are, and in whatever order they leave. */
export class WaitingTimes {
  readonly #counts = new Map<number, number>();
  /** Undefined: not known. */
  #oldest: number | undefined;

  /** The first of them, epoch ms; undefined when nothing waits. */
  get oldest(): number | undefined {
    if (this.#oldest === undefined) for (const since of this.#counts.keys()) this.#take(since);
    return this.#oldest;
  }

  add(since: number): void {
    const isKnown = this.#oldest !== undefined || this.#counts.size === 0;
    this.#counts.set(since, (this.#counts.get(since) ?? 0) + 1);
    if (isKnown) this.#take(since);
  }

  remove(since: number): void {
    const left = (this.#counts.get(since) ?? 0) - 1;
    if (left > 0) {
      this.#counts.set(since, left);
      return;
    }
    this.#counts.delete(since);
    if (since === this.#oldest) this.#oldest = undefined;
  }

  #take(since: number): void {
    this.#oldest = Math.min(this.#oldest ?? since, since);
  }
}

/** Requests that were made for a trigger so far, or may have been, by its place in its chain. */
export function attemptsAt({ triggers, failures }: Chain, place: number): number {
  // A trigger that an older build tried has only its chain's failures.
  return Math.max(triggers[place]?.attempts ?? 0, place === 0 ? failures : 0);
}

/** Returns a trigger that remembers the last of those that it replaced. */
export function withSuperseded(trigger: QueuedTrigger, replaced: readonly QueuedTrigger[]): QueuedTrigger {
  const last = replaced.at(-1);
  if (last === undefined) return trigger;
  const { event, at, attempts, replay } = last;
  return { ...trigger, superseded: { event, at, ...definedOf({ attempts, replay }) } };
}

/** A queued trigger, with its person. */
export interface PersonTrigger {
  readonly user: string;
  readonly trigger: QueuedTrigger;
}

/** Gives each audience its place. */
export class AudienceTable {
  readonly #places = new Map<string, number>();

  get ids(): string[] {
    return [...this.#places.keys()];
  }

  placeOf(audience: string): number {
    const known = this.#places.get(audience);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(audience, place);
    return place;
  }
}

function packTrigger(trigger: QueuedTrigger, table: AudienceTable): PackedTrigger {
  const { audience, event, at, ...more } = trigger;
  const plain = [at, table.placeOf(audience), event === 'enter' ? 1 : 0] as const;
  return Object.keys(more).length === 0 ? plain : [...plain, more];
}

/** @throws RangeError for a place that the table does not have: the packed triggers are incomplete. */
function unpackTrigger([at, place, event, more]: PackedTrigger, audiences: readonly string[]): QueuedTrigger {
  const audience = audiences[place];
  if (audience === undefined) throw new RangeError(`There is no audience ${place} among ${audiences.length}.`);
  return { audience, event: event === 1 ? 'enter' : 'exit', at, ...more };
}

export function packTriggers(waiting: readonly PersonTrigger[]): PackedTriggers {
  const table = new AudienceTable();
  const triggers = waiting.map(({ user, trigger }) => [user, packTrigger(trigger, table)] as const);
  return { audiences: table.ids, triggers };
}

export function unpackTriggers({ audiences, triggers }: PackedTriggers): PersonTrigger[] {
  return triggers.map(([user, trigger]) => ({ user, trigger: unpackTrigger(trigger, audiences) }));
}

/** A person's waiting triggers, oldest first, as they are carried through continue-as-new. */
export type CarriedChain = readonly [user: string, triggers: readonly PackedTrigger[], more?: CarriedHead];

/** The history of the oldest trigger of a chain. */
export interface CarriedHead {
  /** Its failed attempts. */
  readonly failures?: number;
  /** How often the source did not know the person when the trigger was due. */
  readonly profileTries?: number;
  /** Epoch ms before which it is not sent: the chain is delayed. */
  readonly notBefore?: number;
  /** It goes in a batch of at most this many triggers, since a larger one was refused. */
  readonly batchMost?: number;
  /** How many slices with it were lost in a row. */
  readonly losses?: number;
}

/** A person's waiting triggers, oldest first. */
export interface Chain {
  readonly user: string;
  readonly triggers: QueuedTrigger[];
  place: 'ready' | 'delayed' | 'running';
  /** Its place in its lane while it is ready (`Lane`). */
  queue: Set<Chain> | undefined;
  /** How many of the oldest are in the running slice. */
  running: number;
  /** How many of them come from a backfill. */
  fromBackfill: number;
  /** How many of them were dead letters. */
  redelivered: number;
  /** Bytes that it takes when carried. */
  bytes: number;
  failures: number;
  profileTries: number;
  notBefore: number;
  batchMost: number | undefined;
  /** How many slices with its oldest trigger were lost in a row. */
  losses: number;
}

export function newChain(user: string): Chain {
  return {
    user,
    triggers: [],
    place: 'ready',
    queue: undefined,
    running: 0,
    fromBackfill: 0,
    redelivered: 0,
    bytes: 0,
    failures: 0,
    profileTries: 0,
    notBefore: 0,
    batchMost: undefined,
    losses: 0,
  };
}

/** Forgets the failures of the previous oldest trigger: they are not those of the present one. */
export function forgetFailures(chain: Chain): void {
  chain.failures = 0;
  chain.profileTries = 0;
  chain.notBefore = 0;
  chain.batchMost = undefined;
  chain.losses = 0;
}

/** Whether the next attempt at a trigger, by its place in a chain, is its first, as far as is known. */
export function isFresh({ failures }: Chain, place: number): boolean {
  return place > 0 || failures === 0;
}

/** Whether it contains nothing live, only members that a backfill found and dead letters that came back. */
export function hasNothingLive({ fromBackfill, redelivered, triggers }: Chain): boolean {
  return triggers.length > 0 && fromBackfill + redelivered === triggers.length;
}

export function carryChain(chain: Chain, table: AudienceTable): CarriedChain {
  const { user, triggers, failures, profileTries, place, notBefore, batchMost, losses } = chain;
  const packed = triggers.map((trigger) => packTrigger(trigger, table));
  const more = {
    ...(failures === 0 ? {} : { failures }),
    ...(profileTries === 0 ? {} : { profileTries }),
    ...(place === 'delayed' ? { notBefore } : {}),
    ...(batchMost === undefined ? {} : { batchMost }),
    ...(losses === 0 ? {} : { losses }),
  };
  return Object.keys(more).length === 0 ? [user, packed] : [user, packed, more];
}

export function restoreTriggers([, triggers]: CarriedChain, audiences: readonly string[]): QueuedTrigger[] {
  return triggers.map((trigger) => unpackTrigger(trigger, audiences));
}

// [,["",199,1]],
const FRAME_BYTES = 18;
// ,{"backfill":12,"replay":true,"redelivery":12}
const KIND_BYTES = 48;
// ,{"since":1795625131000}
const SINCE_BYTES = 26;
// "profile":,"profileBytes":65536,{},
const PROFILE_FRAME_BYTES = 40;
// "profileRef":["h0123456789abcde",12345],{},
export const PROFILE_REF_BYTES = 44;
// [],{"failures":12,"profileTries":12,"notBefore":1795625131000}
/**
 * Bytes that a chain takes besides its triggers. They are counted from the start, since all chains of a state may fail at once. Hardly any has both
 * `losses` and `profileTries`.
 */
export const CHAIN_BYTES = 66;
// ,"batchMost":1000
/** Bytes that it takes more for the most that a batch may have. */
export const BATCH_MOST_BYTES = 18;

/** Most bytes that a trigger takes in a holder, and in the state besides its chain's own (its person is counted with each trigger). */
export function queuedBytes(user: string, trigger: QueuedTrigger): number {
  const { at, backfill, redelivery, profileBytes, profileRef, since } = trigger;
  const kindBytes = backfill === undefined && redelivery === undefined ? 0 : KIND_BYTES;
  const inline = profileBytes === undefined ? 0 : PROFILE_FRAME_BYTES + profileBytes;
  const profile = profileRef === undefined ? inline : PROFILE_REF_BYTES;
  const sinceBytes = since === undefined ? 0 : SINCE_BYTES;
  return FRAME_BYTES + jsonStringBytes(user) + at.length + kindBytes + profile + sinceBytes;
}
