import { JOB_RPCS } from '../domain/worker-rpc.ts';
import { DESCRIBE_WORKER } from '../features/doctor/ports.ts';
import { SAMPLE_REQUEST, SEND_SAMPLE } from '../features/preview/ports.ts';
import { COMPARE_MEMBERS, FORGET_DIFFERENCE, KEEP_THEIR_MEMBERS } from '../features/reconcile/ports.ts';
import { COUNT_TOLD } from '../features/replay/ports.ts';
import { PREPARE_WATCH } from '../features/watch/sandbox/ports.ts';
import { detailsOf } from '../words/status-rows.ts';
import { exportingJobs } from '../workflows/export-job.ts';
import { askingWorkers } from '../workflows/worker-rpc.ts';

export { alerts } from '../features/alerts/sandbox/alerts.ts';
export { backfill } from '../workflows/backfill.ts';
export { deadLetter } from '../workflows/dead-letter.ts';
export { holder } from '../workflows/holder.ts';
export { watchAudience } from '../features/watch/sandbox/watch-audience.ts';

/** The workflow of an export job. */
export const exportJob = exportingJobs(detailsOf);

/** The workflow by which clients ask workers. */
export const workerRpc = askingWorkers([
  ...JOB_RPCS,
  DESCRIBE_WORKER,
  PREPARE_WATCH,
  KEEP_THEIR_MEMBERS,
  COMPARE_MEMBERS,
  FORGET_DIFFERENCE,
  COUNT_TOLD,
  SAMPLE_REQUEST,
  SEND_SAMPLE,
]);
