export { alerts } from '../workflows/alerts.ts';
export { workerRpc } from '../workflows/worker-rpc.ts';
export { backfill } from '../workflows/backfill.ts';
export { deadLetter } from '../workflows/dead-letter.ts';
export { exportJob } from '../workflows/export-job.ts';
export { holder } from '../workflows/holder.ts';
export { watchAudience } from '../workflows/watch-audience.ts';
