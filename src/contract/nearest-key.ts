/**
 * The known key that a person most likely meant, or undefined when none is close. Case, dashes and underscores are ignored; then at most a
 * third of the letters may differ. Failing that, a part of a known key counts (`url` for `webhookUrl`).
 */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const plain = bare(key);
  if (plain.length > LONGEST) return undefined;
  let best: string | undefined;
  let mayDiffer = Math.max(1, Math.floor(plain.length / 3));
  for (const candidate of known) {
    const other = bare(candidate);
    // The lengths alone show how many letters differ at least; comparing all letters takes long.
    if (Math.abs(other.length - plain.length) > mayDiffer) continue;
    const distance = editDistance(plain, other);
    if (distance <= mayDiffer) [best, mayDiffer] = [candidate, distance - 1];
  }
  if (best !== undefined) return best;
  return plain.length < 3 ? undefined : known.find((candidate) => bare(candidate).includes(plain));
}

/** Anything longer is not a misspelt key, and would take long to compare. */
const LONGEST = 300;

function bare(key: string): string {
  return key.toLowerCase().replaceAll(/[-_ ]/g, '');
}

/** How many letters differ, one row at a time; two neighbours that are swapped count as one. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution, swap));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** A key that nothing reads, and what to do about it. */
export interface UnknownKey {
  readonly field: string;
  readonly message: string;
}

/** Most keys that are reported: an object from outside may have as many as its bytes allow. */
const MOST_UNKNOWN = 100;

/** The first hundred keys of an object that are not among the known ones, each with the one that was most likely meant. */
export function unknownKeys(fields: object, known: readonly string[]): UnknownKey[] {
  return Object.keys(fields)
    .filter((key) => !known.includes(key))
    .slice(0, MOST_UNKNOWN)
    .map((key) => ({ field: key, message: adviceFor(key, known) }));
}

function adviceFor(key: string, known: readonly string[]): string {
  const near = nearestKey(key, known);
  if (near !== undefined) return `There is no such field. Did you mean "${near}"?`;
  return known.length === 0 ? 'There is no such field.' : `There is no such field. The fields are ${known.join(', ')}.`;
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
