export { backfill } from './backfill.ts';
export { checkExportJob } from './check-export-job.ts';
export { deadLetter } from './dead-letter.ts';
export { exportJob } from './export-job.ts';
export { holder } from './holder.ts';
export { keptJob } from './kept-job.ts';
export { listAudiences, listProfileFields } from './list-audiences.ts';
export { listAuthorizations } from './list-authorizations.ts';
export { sampleRequest, sendSample } from './sample.ts';
