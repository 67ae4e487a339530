import { isRecord } from './json.ts';

/** The code that Node, undici or a database gave an error (`EADDRINUSE`, `23505`); undefined if it has no text code. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Takes the place of a payload that could not be read: it says why, and nothing throws. */
interface Undecodable {
  readonly undecodablePayload: string;
  /** True: another worker may have the key that it is encrypted with, so only messages from outside may be refused because of it. */
  readonly isKeyMissing?: true;
}

export function undecodable(reason: string): Undecodable {
  return { undecodablePayload: reason };
}

/** The whole text of the error of a query that could not be answered yet (`temporal/sandbox/query-guard.ts`): the SDK hands on no code, and no name. */
export const EVENTS_AHEAD =
  'The workflow has events whose workflow task may not have finished yet. Ask again in a moment; if it has ended, ask by `triggers`.';

/** A payload whose key is not here. */
export function keyMissing(reason: string): Undecodable {
  return { undecodablePayload: reason, isKeyMissing: true };
}

/** Why a value could not be read; undefined when it could. */
export function undecodableReason(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('undecodablePayload' in value)) return undefined;
  return typeof value.undecodablePayload === 'string' ? value.undecodablePayload : undefined;
}

/** Why the first of these that needs a key that is not here could not be read; undefined when none does. */
export function missingKeyReason(values: readonly unknown[]): string | undefined {
  const missing = values.find((value) => isMissing(value));
  return undecodableReason(missing);
}

function isMissing(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'isKeyMissing' in value && value.isKeyMissing === true;
}

/** The version (`v`) of workflow states and inputs that this release writes; it reads no newer one. */
const KNOWN = 1;

/**
 * This release was given the state of a newer one: after a rollback, or while both are running. It does not fail the workflow: only its
 * task fails, and is handed out again until a worker that knows the version takes it.
 */
export class NewerState extends Error {
  override readonly name = 'NewerState';
  readonly version: number;
  constructor(what: string, version: number) {
    super(
      `${what} was written by a newer release: it is of version ${version}, and this release (${KNOWN}) cannot read it. Nothing is lost: run the newer release again.`,
    );
    this.version = version;
  }
}

/**
 * Refuses an input that a newer release wrote.
 *
 * @param what the subject of the error's sentence.
 * @throws NewerState
 */
export function refuseNewer(what: string, input: unknown): void {
  const version = isRecord(input) ? input['v'] : undefined;
  if (typeof version === 'number' && version > KNOWN) throw new NewerState(what, version);
}
