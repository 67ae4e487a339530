import type { Json, JsonObject } from '../contract/trigger.ts';

/**
 * The part of a profile that Export Fields select. Without fields: all of it. A field that is exactly a key selects that key; otherwise its
 * dots lead into nested objects (`user_attributes.value`), and what it selects keeps its place there. A field that the profile does not
 * have selects nothing.
 */
export function selectFields(profile: JsonObject, fields: readonly string[]): JsonObject {
  if (fields.length === 0) return profile;
  const selected = new Map<string, Json | Branch>();
  for (const field of fields) {
    if (Object.hasOwn(profile, field)) selected.set(field, profile[field] ?? null);
    else take(profile, field.split('.'), selected);
  }
  return toObject(selected);
}

type Branch = Map<string, Json | Branch>;

function take(from: JsonObject, path: readonly string[], into: Branch): void {
  const [key, ...rest] = path;
  if (key === undefined || !Object.hasOwn(from, key)) return;
  const value = from[key] ?? null;
  if (rest.length === 0) {
    into.set(key, value);
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const known = into.get(key);
  if (known !== undefined && !(known instanceof Map)) return; // The whole of it is taken already.
  const branch: Branch = known ?? new Map<string, Json | Branch>();
  take(value as JsonObject, rest, branch);
  if (branch.size > 0) into.set(key, branch);
}

function toObject(branch: Branch): JsonObject {
  // fromEntries defines keys rather than assigning them, so that a field called __proto__ is a field like any other.
  return Object.fromEntries([...branch].map(([key, value]) => [key, value instanceof Map ? toObject(value) : value]));
}

/** How many levels of nested objects have their fields listed. */
const DEEPEST = 8;
/** The form accepts no more fields, and no longer ones (`contract/export-job.ts`). */
const MOST_FIELDS = 1000;
const LONGEST_FIELD = 255;

/**
 * What Export Fields may name in a profile: its keys and, after each object, the paths to what is in it (`user_attributes`,
 * `user_attributes.value`). At most 1,000. What no path can name, such as a nested key with a dot, is left out.
 */
export function fieldPaths(profile: JsonObject): string[] {
  const paths = new Set<string>();
  collectPaths(profile, '', DEEPEST, paths);
  return [...paths];
}

function collectPaths(from: JsonObject, prefix: string, levels: number, into: Set<string>): void {
  for (const key of Object.keys(from).sort()) {
    const path = prefix + key;
    const isNameable = path.trim() === path && key !== '' && path.length <= LONGEST_FIELD && path.isWellFormed();
    if (!isNameable || (prefix !== '' && key.includes('.')) || into.size >= MOST_FIELDS) continue;
    into.add(path);
    const value = from[key] ?? null;
    // After a key that itself contains a dot, a path would lead elsewhere.
    if (levels > 1 && typeof value === 'object' && !Array.isArray(value) && value !== null && !key.includes('.'))
      collectPaths(value as JsonObject, `${path}.`, levels - 1, into);
  }
}
