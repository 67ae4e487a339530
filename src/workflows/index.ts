export { alerts } from './alerts.ts';
export { workerRpc } from './worker-rpc.ts';
export { backfill } from './backfill.ts';
export { deadLetter } from './dead-letter.ts';
export { exportJob } from './export-job.ts';
export { holder } from './holder.ts';
export { watchAudience } from './watch-audience.ts';
