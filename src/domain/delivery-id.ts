import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { TriggerEvent } from '../contract/trigger.ts';
import { knownInstant } from './instant.ts';

/** SHA-256 of a text's UTF-8, in hex. */
export type Sha256 = (text: string) => string;

/** In plain JavaScript, because it also runs in the workflow sandbox; outside, Node's own is ten times as fast. */
const plainSha256: Sha256 = (text) => bytesToHex(sha256(utf8ToBytes(text)));

/**
 * The id of a trigger's delivery, the header `webhook-id`: the same on every attempt, from every worker, after every crash. 32 hex digits.
 * Made from the instant of `at`, not from its spelling. Contains no dot (Standard Webhooks 1.0: dots separate the parts of the signed
 * content).
 */
export function deliveryId(
  subscriptionId: string,
  trigger: { user: string; audience: string; event: TriggerEvent; at: string },
  hash: Sha256 = plainSha256,
): string {
  return hash(deliveryText(subscriptionId, trigger)).slice(0, WHOLE_ID_DIGITS);
}

/** The text whose hash is a delivery's id. */
export function deliveryText(
  subscriptionId: string,
  { user, audience, event, at }: { user: string; audience: string; event: TriggerEvent; at: string },
): string {
  return joined([subscriptionId, user, audience, event, knownInstant(at) ?? at]);
}

/** Least digits of a delivery id to look it up by: fewer would find the deliveries of many. */
export const LEAST_ID_DIGITS = 8;
/** Digits of a whole one. */
export const WHOLE_ID_DIGITS = 32;

/** The text that identifies a person in an audience. */
export function membershipText(user: string, audience: string): string {
  return joined([user, audience]);
}

/** A short name (72 bits, 18 hex digits) of such a text, for remembering many of them in few bytes. */
export function shortKey(text: string): string {
  return plainSha256(text).slice(0, 18);
}

/** Length-prefixed parts, so that no two lists of parts look alike. */
function joined(parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join('');
}
