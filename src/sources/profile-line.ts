import type { Json, JsonObject } from '../contract/trigger.ts';
import { parseJson } from '../domain/json.ts';
import { readUser } from './user-id.ts';

/** A line of a profile file: whose it is and what it says, or what is wrong with it. */
export type ProfileLine =
  | { readonly ok: true; readonly user: string; readonly profile: JsonObject }
  | { readonly ok: false; readonly problem: string };

/**
 * Reads `{"user":"…","profile":{…}}`. Never throws.
 *
 * @param likely whose line it probably is: then, spelt the usual way, only the profile itself needs parsing.
 */
export function readProfileLine(text: string, likely?: string): ProfileLine {
  if (likely !== undefined) {
    const start = `{"user":${JSON.stringify(likely)},"profile":`;
    const profile = text.startsWith(start) && text.endsWith('}') ? parsed(text.slice(start.length, -1)) : undefined;
    // A whole JSON object between that beginning and the last brace: then the line is what it looks like.
    if (isObject(profile)) return { ok: true, user: likely, profile };
  }
  let value: Json;
  try {
    value = parseJson(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (error) {
    return { ok: false, problem: `this is not JSON (${error instanceof Error ? error.message : String(error)})` };
  }
  if (!isObject(value)) return { ok: false, problem: 'a line must be {"user":"…","profile":{…}}' };
  const { profile } = value;
  const reading = readUser(value['user']);
  if (!reading.ok) return reading;
  if (!isObject(profile)) return { ok: false, problem: 'there is no object under "profile"' };
  return { ok: true, user: reading.user, profile };
}

function parsed(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
