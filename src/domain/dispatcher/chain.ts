import type { PackedTrigger } from '../../contract/holder.ts';
import { jsonStringBytes } from '../json.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import { type AudienceTable, packTrigger, unpackTrigger } from './packed.ts';

/** The oldest triggers of a held chain, kept by a holder meanwhile. */
export interface ParkedTriggers {
  /** Number of the holder. */
  readonly number: number;
  readonly count: number;
  readonly bytes: number;
}

/** A person's waiting triggers, oldest first, as they are carried through continue-as-new. */
export type CarriedChain = readonly [user: string, triggers: readonly PackedTrigger[], more?: CarriedHead];

/** What has happened to the oldest trigger of a chain. */
export interface CarriedHead {
  /** Its failed attempts. */
  readonly failures?: number;
  /** How often the source did not know the person when it was to be sent. */
  readonly profileTries?: number;
  /** Epoch ms before which it is not sent: the chain is held. */
  readonly notBefore?: number;
  /** The oldest triggers, while a holder keeps them. */
  readonly parked?: ParkedTriggers;
}

/** A person's waiting triggers, oldest first. */
export interface Chain {
  readonly user: string;
  /** After the parked ones, if there are any. */
  readonly triggers: QueuedTrigger[];
  place: 'ready' | 'held' | 'running';
  /** How many of the oldest are in the running slice. */
  running: number;
  /** How many of them come from a backfill. */
  fromBackfill: number;
  /** Bytes that it takes when carried. */
  bytes: number;
  failures: number;
  profileTries: number;
  notBefore: number;
  parked: ParkedTriggers | undefined;
}

export function newChain(user: string): Chain {
  return {
    user,
    triggers: [],
    place: 'ready',
    running: 0,
    fromBackfill: 0,
    bytes: 0,
    failures: 0,
    profileTries: 0,
    notBefore: 0,
    parked: undefined,
  };
}

/** What happened to the previous oldest trigger does not concern the one that is now the oldest. */
export function forgetFailures(chain: Chain): void {
  chain.failures = 0;
  chain.profileTries = 0;
  chain.notBefore = 0;
}

/** Whether it contains only members that a backfill found. */
export function isOfMembers(chain: Chain): boolean {
  return chain.fromBackfill > 0 && chain.fromBackfill === chain.triggers.length && chain.parked === undefined;
}

export function carryChain(chain: Chain, table: AudienceTable): CarriedChain {
  const { user, triggers, failures, profileTries, place, notBefore, parked } = chain;
  const packed = triggers.map((trigger) => packTrigger(trigger, table));
  const more = {
    ...(failures === 0 ? {} : { failures }),
    ...(profileTries === 0 ? {} : { profileTries }),
    ...(place === 'held' ? { notBefore } : {}),
    ...(parked === undefined ? {} : { parked }),
  };
  return Object.keys(more).length === 0 ? [user, packed] : [user, packed, more];
}

export function restoreTriggers([, triggers]: CarriedChain, audiences: readonly string[]): QueuedTrigger[] {
  return triggers.map((trigger) => unpackTrigger(trigger, audiences));
}

// [,["",199,1]],
const FRAME_BYTES = 18;
// ,{"backfill":12,"redelivery":12}
const KIND_BYTES = 34;
// "profile":,"profileBytes":65536,{},
const PROFILE_FRAME_BYTES = 40;
// [],{"failures":12,"profileTries":12,"notBefore":1795625131000}
/** Bytes that a chain takes besides its triggers. They are counted from the start, since all chains of a state may fail at once. */
export const CHAIN_BYTES = 66;
// [,[],{"parked":{"number":1234567,"count":1234,"bytes":1234567}}],
const PARKED_FRAME_BYTES = 66;

/** Most bytes that a trigger takes in a holder, and in the state besides its chain's own (its person is counted with each trigger). */
export function queuedBytes(user: string, trigger: QueuedTrigger): number {
  const { at, backfill, redelivery, profileBytes } = trigger;
  const kindBytes = backfill === undefined && redelivery === undefined ? 0 : KIND_BYTES;
  const profile = profileBytes === undefined ? 0 : PROFILE_FRAME_BYTES + profileBytes;
  return FRAME_BYTES + jsonStringBytes(user) + at.length + kindBytes + profile;
}

/** Bytes that a chain takes for its parked triggers, however many they are. */
export function parkedBytes(user: string): number {
  return PARKED_FRAME_BYTES + jsonStringBytes(user);
}
