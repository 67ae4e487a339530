import { isRecord } from './json.ts';

/** The version (`v`) of what workflows carry and are given that this release writes; it reads none that is newer. */
const KNOWN = 1;

/**
 * This release was given what a newer one wrote: after a rollback, or while both are running. It does not fail the workflow: only its task
 * fails, and is handed out again until a worker that knows the version takes it.
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
 * Refuses what a newer release wrote.
 *
 * @param what the subject of the error's sentence.
 * @throws NewerState
 */
export function refuseNewer(what: string, input: unknown): void {
  const version = isRecord(input) ? input['v'] : undefined;
  if (typeof version === 'number' && version > KNOWN) throw new NewerState(what, version);
}
