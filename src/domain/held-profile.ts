import type { ProfileRef } from '../contract/holder.ts';
import { scanMembers } from './json-scan.ts';
import { isRecord, parseJson } from './json.ts';
import { profileHolderPrefix } from './names.ts';

/**
 * A signal has room for 64 KiB. Profiles beyond that go by claim check: the client first starts a workflow that keeps them, a profile
 * holder, and the triggers carry only its name and their places. Profiles then pass through Temporal only once, and never through the
 * memory of the job.
 */
const NAME = /^h[0-9a-f]{15}$/;

/** The name of the holder of a signal's profiles, from the id of that signal (a UUID): a repeated signal finds it there. */
export function profileHolderName(requestId: string): string {
  return `h${requestId.replaceAll('-', '').slice(0, 15).toLowerCase()}`;
}

/** Whether a holder with this name keeps profiles; others keep triggers. */
export function isProfileHolder(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** Whether a workflow is a profile holder of this job. Job ids may share a prefix, or differ only in a character that a list treats as a wildcard. */
export function isProfileHolderOf(jobId: string, workflowId: string): boolean {
  const prefix = profileHolderPrefix(jobId);
  return workflowId.startsWith(prefix) && isProfileHolder(workflowId.slice(prefix.length));
}

/** Reads where a profile is from a signalled value; undefined for anything else. */
export function readProfileRef(holder: unknown, place: unknown): ProfileRef | undefined {
  if (!isProfileHolder(holder)) return undefined;
  return typeof place === 'number' && Number.isSafeInteger(place) && place >= 0 ? [holder, place] : undefined;
}

/**
 * Reads a profile from the content of a holder. Undefined when it is missing or not an object: anybody who can reach Temporal can start
 * such a workflow.
 */
export function profileFrom(content: unknown, [, place]: ProfileRef): string | undefined {
  const profiles: unknown = isRecord(content) ? content['profiles'] : undefined;
  const text: unknown = Array.isArray(profiles) ? profiles[place] : undefined;
  return typeof text === 'string' && isObject(text) ? text : undefined;
}

function isObject(json: string): boolean {
  if (scanMembers(json, 0, json.length) !== undefined) return true; // Text that does not scan is rare.
  try {
    return isRecord(parseJson(json));
  } catch {
    return false;
  }
}
