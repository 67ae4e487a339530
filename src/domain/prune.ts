/** Why a folder of job files may be a wrong one, by how many running jobs it would stop. */
export type PruneDoubt = 'strangers' | 'most';

/** So many jobs may be stopped whatever share of them that is. */
const FEW = 3;

/**
 * What speaks against stopping the running jobs that a folder does not have, without a person who says that it is meant.
 * @param stopped how many running jobs have no file, and would be stopped
 * @param wanted how many running jobs have one
 */
export function pruneDoubt(stopped: number, wanted: number): PruneDoubt | undefined {
  if (stopped === 0) return undefined;
  if (wanted === 0) return 'strangers';
  return stopped > FEW && stopped > wanted ? 'most' : undefined;
}
