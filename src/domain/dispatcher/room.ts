import type { JobState } from './job-state.ts';

/** Whether all whose triggers could be sent have failed before, so that nobody else is tried. */
export function isCrowdedOut({ chains, slices }: JobState): boolean {
  return slices.size === 0 && chains.freshCount === 0;
}

/**
 * Bytes that chains may take. A few others are let in beside those who failed, since only others can show whether the endpoint is unwell or
 * just does not accept these.
 */
export function chainRoom(state: JobState): number {
  const { chainBytes, sliceBytes } = state.budgets;
  return isCrowdedOut(state) ? chainBytes + 2 * sliceBytes : chainBytes;
}

/** Whether chains may take in more. */
export function hasRoom(state: JobState): boolean {
  return state.chains.bytes < chainRoom(state);
}
