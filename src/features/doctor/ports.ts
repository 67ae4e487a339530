import type { WorkerHealth } from '../../worker/worker-health.ts';
import type { WorkerRpc } from '../../domain/worker-rpc.ts';

/** The activity by which a worker says how it is. */
export interface DoctorActivities {
  /** The health of the worker that runs this. */
  readonly describeWorker: () => Promise<WorkerHealth>;
}

export const DESCRIBE_WORKER: WorkerRpc<DoctorActivities['describeWorker']> = {
  method: 'describeWorker',
  id: 'describe-worker',
  summary: 'Asks a worker how it is',
  runs: 'short',
};
