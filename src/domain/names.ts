/** Workflow types, as any Temporal client starts them. */
export const EXPORT_JOB = 'exportJob';
export const BACKFILL = 'backfill';
/** Holds a job definition against the worker's source and configuration, and returns what it found; starts nothing. */
export const CHECK_EXPORT_JOB = 'checkExportJob';

/** Where jobs and workers meet unless the configuration says otherwise. */
export const DEFAULT_TASK_QUEUE = 'audience-triggers';

/** The search attributes of a job and their types; registered by `triggers up` and `triggers setup`. */
export const SEARCH_ATTRIBUTES = {
  ExportJobId: 'KEYWORD',
  ExportJobStatus: 'KEYWORD',
  ExportAudiences: 'KEYWORD_LIST',
} as const;

const JOB_PREFIX = 'export-job-';

/** A job id: what people type. Letters, digits, dots, dashes and underscores, 1..100, beginning with a letter or digit. */
export const JOB_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export function jobWorkflowId(jobId: string): string {
  return JOB_PREFIX + jobId;
}

/** The job id of a job's workflow id; a workflow that was started under a foreign id is its own job id. */
export function jobIdOf(workflowId: string): string {
  return workflowId.startsWith(JOB_PREFIX) ? workflowId.slice(JOB_PREFIX.length) : workflowId;
}

export function backfillWorkflowId(jobWorkflow: string, n: number): string {
  return `${jobWorkflow}-backfill-${n}`;
}

/** How an audience id stands in `ExportAudiences`: its first 16 digits, so that 100 fit into the attribute's 2,048 bytes. */
export function audienceAttribute(audienceId: string): string {
  return audienceId.slice(0, 16);
}
