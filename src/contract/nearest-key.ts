/**
 * The known key that a person most likely meant, or undefined when none is close. Case, dashes and underscores are ignored; then at most a
 * third of the letters may differ. Failing that, a part of a known key counts (`url` for `webhookUrl`).
 */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const plain = bare(key);
  if (plain.length > LONGEST) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const distance = editDistance(plain, bare(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  if (bestDistance <= Math.max(1, Math.floor(plain.length / 3))) return best;
  return plain.length < 3 ? undefined : known.find((candidate) => bare(candidate).includes(plain));
}

/** Anything longer is not a misspelt key, and would take long to compare. */
const LONGEST = 300;

function bare(key: string): string {
  return key.toLowerCase().replaceAll(/[-_ ]/g, '');
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
