import { LONGEST, bare, editDistance } from '../../contract/nearest-key.ts';
import type { EventTrigger } from '../../contract/trigger.ts';

/** Most triggers of one request: all of them are read and checked before any is signalled. */
export const MOST_IN_REQUEST = 10_000;

/**
 * Returns why a caller who can fix a trigger should not send it, although its unknown keys would be ignored: one of them most likely is a
 * misspelt `profile` or `at`. Without its `profile`, the person's whole profile would be sent. In words; undefined when none is.
 */
export function misspeltInTrigger(trigger: object, search = triggerKeySearch()): string | undefined {
  const found = search.misspelt(trigger as Readonly<Record<string, unknown>>); // Its keys are all that is read.
  if (found === 'too many keys')
    return 'the request has too many different keys that no trigger has: fields of a person belong into "profile"';
  return found === undefined ? undefined : `it has no "${found.near}" but "${found.key}"`;
}

/** Most different keys that one request may have compared. Requests that repeat their keys, as all but hostile ones do, need few. */
const MOST_COMPARED = 1_000;

/**
 * Looks for known keys that a request misspells. For objects whose other unknown keys are ignored, so it takes less for a misspelling than
 * `nearestKey`: `lat` may well be a latitude. Each different key is compared once, and only with known ones of about its length.
 */
export class KeySearch {
  readonly #known: readonly string[];
  readonly #given: readonly string[];
  /** By key, the known ones that it most likely means. */
  readonly #meant = new Map<string, readonly string[]>();

  /** @param given known keys that no object lacks, since they are given in another way. */
  constructor(known: readonly string[], given: readonly string[] = []) {
    this.#known = known;
    this.#given = given;
  }

  /** How many keys were compared. */
  get compared(): number {
    return this.#meant.size;
  }

  /**
   * Returns an unknown key of an object, and the known one that it misspells and that the object lacks. Undefined: it misspells none. In words: why
   * the object was not searched.
   */
  misspelt(
    fields: Readonly<Record<string, unknown>>,
  ): { readonly key: string; readonly near: string } | 'too many keys' | undefined {
    const missing = this.#known.filter((key) => fields[key] == null && !this.#given.includes(key));
    if (missing.length === 0) return undefined;
    for (const key of Object.keys(fields)) {
      if (this.#known.includes(key)) continue;
      const meant = this.#meantBy(key);
      if (meant === undefined) return 'too many keys';
      const near = meant.find((one) => missing.includes(one));
      if (near !== undefined) return { key, near };
    }
    return undefined;
  }

  /** Undefined: too many were compared already. */
  #meantBy(key: string): readonly string[] | undefined {
    const before = this.#meant.get(key);
    if (before !== undefined || key.length > LONGEST) return before ?? [];
    const plain = bare(key);
    const alike = this.#known.filter((one) => Math.abs(bare(one).length - plain.length) <= mayDiffer(one));
    if (alike.length === 0) return alike;
    if (this.#meant.size >= MOST_COMPARED) return undefined;
    const meant = alike.filter((one) => editDistance(plain, bare(one)) <= mayDiffer(one));
    this.#meant.set(key, meant);
    return meant;
  }
}

function mayDiffer(known: string): number {
  return Math.floor(known.length / 3);
}

const KEYS: readonly (keyof EventTrigger)[] = ['event', 'audience', 'user', 'at', 'profile'];

/** Looks for misspelt keys in the triggers of one request. @param given keys that the triggers need not have. */
export function triggerKeySearch(given: readonly (keyof EventTrigger)[] = []): KeySearch {
  return new KeySearch(KEYS, given);
}
