import type { Json, JsonObject } from '../contract/trigger.ts';

/**
 * The part of a profile that Export Fields let through. Empty fields: all of it.
 * A field that is exactly a key takes that key; otherwise its dots lead into nested objects (`user_attributes.value`), and what it
 * takes keeps its place there. A field that the profile lacks takes nothing.
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
