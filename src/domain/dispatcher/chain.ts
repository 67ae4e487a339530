import { jsonStringBytes } from '../json.ts';
import type { CarriedChain, QueuedTrigger } from './carried.ts';

/** A person's waiting triggers, oldest first. */
export interface Chain {
  readonly user: string;
  readonly triggers: QueuedTrigger[];
  place: 'ready' | 'held' | 'running';
  /** How many of the oldest are in the running slice. */
  running: number;
  /** How many of them come from a backfill. */
  fromBackfill: number;
  failures: number;
  profileTries: number;
  notBefore: number;
}

export function newChain(user: string): Chain {
  return {
    user,
    triggers: [],
    place: 'ready',
    running: 0,
    fromBackfill: 0,
    failures: 0,
    profileTries: 0,
    notBefore: 0,
  };
}

/** Whether nothing but members that a backfill found waits in it. */
export function isOfMembers(chain: Chain): boolean {
  return chain.fromBackfill > 0 && chain.fromBackfill === chain.triggers.length;
}

export function carryChain(chain: Chain): CarriedChain {
  return {
    user: chain.user,
    triggers: chain.triggers,
    ...(chain.failures === 0 ? {} : { failures: chain.failures }),
    ...(chain.profileTries === 0 ? {} : { profileTries: chain.profileTries }),
    ...(chain.place === 'held' ? { notBefore: chain.notBefore } : {}),
  };
}

// {"user":"","triggers":[{"audience":"<32>","event":"enter","at":""}]} and what a failed chain adds, without the values.
const FRAME_BYTES = 140;

/** Bytes that a trigger takes in the state, at most (its person is counted with each). */
export function queuedBytes(user: string, trigger: QueuedTrigger): number {
  return FRAME_BYTES + jsonStringBytes(user) + trigger.at.length + (trigger.profileBytes ?? 0);
}
