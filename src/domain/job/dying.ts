import type { DeadLetter } from '../../contract/dead-letter.ts';
import type { LastFailure } from '../../contract/job-status.ts';
import type { JsonObject } from '../../contract/trigger.ts';
import { deliveryId } from '../delivery-id.ts';
import { instantOf } from '../instant.ts';
import { parseJson, stringifyJson, utf8Bytes } from '../json.ts';
import { audienceById } from '../names.ts';
import type { QueuedTrigger } from './chain.ts';
import type { JobRecord } from './state.ts';

/** A trigger that will not be sent unless a person decides so. */
export interface DeadTrigger {
  readonly user: string;
  readonly trigger: QueuedTrigger;
  /** Its last attempt. */
  readonly failure: LastFailure;
  /** Attempts that were made. */
  readonly attempts: number;
}

/** Most dead triggers that go to their workflows at once. */
const MOST_AT_ONCE = 50;

/** Dead triggers on their way to a workflow of their own. Until that is confirmed they count as waiting. */
export class DeadLetters {
  readonly #dying = new Map<number, DeadTrigger>();
  readonly #leaving = new Set<number>();
  #nextKey = 0;
  #bytes = 0;

  constructor(carried: readonly DeadTrigger[] = []) {
    for (const dead of carried) this.add(dead);
  }

  get size(): number {
    return this.#dying.size;
  }

  /** Bytes that they take when carried. */
  get bytes(): number {
    return this.#bytes;
  }

  some(matches: (dead: DeadTrigger) => boolean): boolean {
    for (const dead of this.#dying.values()) if (matches(dead)) return true;
    return false;
  }

  count(matches: (dead: DeadTrigger) => boolean): number {
    return [...this.#dying.values()].filter(matches).length;
  }

  add(dead: DeadTrigger): void {
    this.#dying.set(this.#nextKey++, dead);
    this.#bytes += bytesOf(dead);
  }

  /** Those to be kept next, by key; undefined when all are on their way. */
  next(mostBytes: number): { readonly letters: ReadonlyMap<number, DeadTrigger>; readonly bytes: number } | undefined {
    const letters = new Map<number, DeadTrigger>();
    let bytes = 0;
    for (const [key, dead] of this.#dying) {
      if (this.#leaving.has(key)) continue;
      if (letters.size > 0 && (letters.size >= MOST_AT_ONCE || bytes + bytesOf(dead) > mostBytes)) break;
      letters.set(key, dead);
      bytes += bytesOf(dead);
    }
    if (letters.size === 0) return undefined;
    for (const key of letters.keys()) this.#leaving.add(key);
    return { letters, bytes };
  }

  /** Confirms that they are kept. */
  confirm(keys: Iterable<number>): void {
    for (const key of keys) {
      const dead = this.#dying.get(key);
      if (dead === undefined) continue;
      this.#bytes -= bytesOf(dead);
      this.#dying.delete(key);
      this.#leaving.delete(key);
    }
  }

  /** Confirms that those that match are kept. */
  confirmWhere(matches: (dead: DeadTrigger) => boolean): void {
    this.confirm([...this.#dying].filter(([, dead]) => matches(dead)).map(([key]) => key));
  }

  /** It is not known whether they were kept, so they are to be kept again. */
  failed(keys: Iterable<number>): void {
    for (const key of keys) this.#leaving.delete(key);
  }

  carry(): DeadTrigger[] {
    return [...this.#dying.values()];
  }
}

function bytesOf(dead: DeadTrigger): number {
  return utf8Bytes(stringifyJson(dead));
}

/** What the workflow of a dead letter is given. */
export function deadLetterOf(job: JobRecord, dead: DeadTrigger, jobWorkflowId: string, now: number): DeadLetter {
  const { user, trigger, failure, attempts } = dead;
  const { audience: audienceId, event, at, profile, profileBytes, held, redelivery = 0 } = trigger;
  const audience = audienceById(job, audienceId) ?? { id: audienceId, slug: audienceId, name: audienceId };
  return {
    v: 1,
    jobWorkflowId,
    subscriptionId: job.subscriptionId,
    deliveryId: deliveryId(job.subscriptionId, { user, ...trigger }),
    redeliveries: redelivery,
    user,
    audience,
    event,
    at,
    ...(profile === undefined
      ? {}
      : {
          profile: parseJson(profile) as JsonObject,
          profileBytes: profileBytes ?? 0,
        }),
    ...(held === undefined ? {} : { held }),
    failure,
    attempts,
    diedAt: instantOf(now),
    hasSearchAttributes: job.missingSearchAttributes.length === 0,
  };
}
