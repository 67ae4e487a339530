import type { ToldQuery } from '../../contract/replay.ts';
import type { WorkerRpc } from '../../domain/worker-rpc.ts';
import type { ToldCounts } from './found-told.ts';

/** The activity that counts what a job told; a backfill reads it (`listTold`). */
export interface ReplayActivities {
  /** Counts what would be told again, and shows the first; null on a worker without a delivery log. */
  readonly countTold: (query: ToldQuery) => Promise<ToldCounts | null>;
}

export const COUNT_TOLD: WorkerRpc<ReplayActivities['countTold']> = {
  method: 'countTold',
  id: 'count-told',
  summary: 'Counts what would be sent again',
  runs: 'long',
};
