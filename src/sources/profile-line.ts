import type { Json } from '../contract/trigger.ts';
import { isRecord, jsonMistake, parseJson } from '../domain/json.ts';
import { type Profile, ProfileText } from '../domain/profile.ts';
import { readUser } from './user-id.ts';

/** A line of a profile file: the person and the profile, or what is wrong with it. */
export type ProfileLine =
  | { readonly ok: true; readonly user: string; readonly profile: Profile }
  | { readonly ok: false; readonly problem: string };

/**
 * Reads `{"user":"…","profile":{…}}`. Never throws.
 *
 * @param likely the person whom the line is probably about: if so, and spelt the usual way, nothing needs parsing.
 */
export function readProfileLine(text: string, likely?: string): ProfileLine {
  if (likely !== undefined) {
    const start = `{"user":${JSON.stringify(likely)},"profile":`;
    const usual = text.startsWith(start) && text.endsWith('}');
    const profile = usual ? ProfileText.read(text, start.length, text.length - 1) : undefined;
    // If there is a whole JSON object between that beginning and the last brace, the line is what it looks like.
    if (profile !== undefined) return { ok: true, user: likely, profile };
  }
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text;
  let value: Json;
  try {
    value = parseJson(plain);
  } catch {
    const { character } = jsonMistake(plain);
    return { ok: false, problem: `this is not JSON (something is wrong at character ${character})` };
  }
  if (!isRecord(value)) return { ok: false, problem: 'a line must be {"user":"…","profile":{…}}' };
  const { profile } = value;
  const reading = readUser(value['user']);
  if (!reading.ok) return reading;
  if (!isRecord(profile)) return { ok: false, problem: 'there is no object under "profile"' };
  return { ok: true, user: reading.user, profile };
}
