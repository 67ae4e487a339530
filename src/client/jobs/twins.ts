import type { UrlDigests } from '../../domain/workflow-visibility.ts';

/** The changes that a job sends, and where. */
export interface Destination {
  readonly jobId: string;
  readonly urls: UrlDigests;
  readonly audiences: readonly { readonly id: string }[];
}

/** Whether two jobs tell the same URL of the same changes: of an audience that both have, enters or exits. */
export function areTwins(one: Destination, other: Destination): boolean {
  const isShared = ({ id }: { readonly id: string }): boolean => other.audiences.some((audience) => audience.id === id);
  return one.audiences.some(isShared) && one.urls.some((url, i) => url !== '' && url === other.urls[i]);
}

/** Whether one job may be the other under another id: it tells the same URLs of the same audiences. */
export function isRenamed(one: Destination, other: Destination): boolean {
  const audiences = ({ audiences: all }: Destination): string => JSON.stringify(all.map(({ id }) => id).sort());
  return audiences(one) === audiences(other) && JSON.stringify(one.urls) === JSON.stringify(other.urls);
}

export function twinText(jobId: string): string {
  return `The job "${jobId}" sends changes of the same audience to the same URL, so the endpoint is told of them twice.`;
}

/** Why a folder of job files may be the wrong one, by how many running jobs it would stop. */
export type PruneDoubt = 'none' | 'most';

/** This many jobs may be stopped, whatever share of the running jobs they are. */
const FEW = 3;

/**
 * Returns why jobs that a folder does not have must not be stopped unless a person confirms it.
 * @param stopped how many running jobs have no file, and would be stopped
 * @param kept how many running jobs have one
 */
export function pruneDoubt(stopped: number, kept: number): PruneDoubt | undefined {
  if (stopped === 0) return undefined;
  if (kept === 0) return 'none';
  return stopped > FEW && stopped > kept ? 'most' : undefined;
}
