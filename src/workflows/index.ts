export { backfill } from './backfill.ts';
export { checkExportJob } from './check-export-job.ts';
export { exportJob } from './export-job.ts';
