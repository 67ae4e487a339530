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
export const LONGEST = 300;

export function bare(key: string): string {
  return key.toLowerCase().replaceAll(/[-_ ]/g, '');
}

/** How many letters differ, one row at a time; two neighbours that are swapped count as one. */
export function editDistance(a: string, b: string): number {
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
