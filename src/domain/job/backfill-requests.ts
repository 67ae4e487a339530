import type { SentInstead } from '../../contract/backfill.ts';
import type { BackfillStatus } from '../../contract/job-status.ts';
import { shortKey } from '../delivery-id.ts';
import { jsonStringBytes, stringifyJson } from '../json.ts';
import type { BackfillIntake } from './backfill.ts';

/** A backfill that was requested under an id of the requester's. */
export interface CarriedBackfillRequest {
  readonly id: string;
  /** The number of that backfill. */
  readonly n: number;
  /** The content of the request (`askedFor`). */
  readonly asked: string;
  /** How it ended, once it is no longer the last one. */
  readonly ended?: BackfillStatus['state'];
}

const MOST = 64;
/** The most bytes of all ids together. */
const MOST_BYTES = 8 * 1024;

/**
 * Returns the content of a request for a backfill, in few bytes: a repeat under the same id must have the same content. The `at` is no part
 * of it, since our clients set it anew for each request; nor is the `until` of a replay.
 *
 * @param audiences their ids, in any order; undefined: all to which the job then subscribes.
 */
export function askedFor(
  audiences: readonly string[] | undefined,
  sample: number | undefined,
  { difference, replay }: SentInstead = {},
): string {
  const ids = audiences === undefined ? null : [...new Set(audiences)].toSorted();
  const { since = null, user = null, deliveryId = null, onlyLast = false, newIds = false } = replay ?? {};
  const again = replay === undefined ? [] : [since, user, deliveryId, onlyLast, newIds];
  return shortKey(stringifyJson([ids, sample ?? null, ...(difference === undefined ? [] : [difference.id]), ...again]));
}

/**
 * The last 64 ids under which backfills were requested (fewer where they take more than 8 KiB). Another request under any of them starts
 * nothing: an answer may be lost, and a repeat may come late.
 */
export class BackfillRequests {
  #known: readonly CarriedBackfillRequest[];

  constructor(carried: readonly CarriedBackfillRequest[] = []) {
    this.#known = carried;
  }

  /** The backfill that was requested under this id, and its state; undefined when none is remembered. */
  standing(id: string, last: BackfillIntake | undefined): Pick<BackfillStatus, 'n' | 'state'> | undefined {
    const found = this.#known.find((known) => known.id === id);
    if (found === undefined) return undefined;
    return { n: found.n, state: last?.n === found.n ? last.state : (found.ended ?? 'finished') };
  }

  /** The number of a different backfill that was requested under this id; undefined when none is remembered. */
  otherThan(id: string, content: string): number | undefined {
    return this.#known.find((known) => known.id === id && known.asked !== content)?.n;
  }

  /** Remembers the id and the content of a request for a new backfill, and how the last one ended. */
  remember(id: string | undefined, content: string, n: number, last: BackfillIntake | undefined): void {
    const before = this.#known.map((known) => (known.n === last?.n ? { ...known, ended: last.state } : known));
    const all = id === undefined ? before : [...before, { id, n, asked: content }];
    let bytes = 0;
    const fits = all.toReversed().findIndex(({ id }, index) => {
      bytes += jsonStringBytes(id);
      return index === MOST || bytes > MOST_BYTES;
    });
    this.#known = fits === -1 ? all : all.slice(all.length - fits);
  }

  get bytes(): number {
    return this.#known.reduce((sum, { id }) => sum + jsonStringBytes(id) + ENTRY_BYTES, 0);
  }

  carry(): readonly CarriedBackfillRequest[] {
    return this.#known;
  }
}

// {"id":,"n":1234567,"asked":"0123456789abcdef01","ended":"cancelled"},
const ENTRY_BYTES = 80;
