/** Workflow types, as any Temporal client starts them. */
export const EXPORT_JOB = 'exportJob';
export const BACKFILL = 'backfill';
/** Checks a job definition against the worker's source and configuration, and returns what it found; starts nothing. */
export const CHECK_EXPORT_JOB = 'checkExportJob';

/** Returns which authorizations a worker has. */
export const LIST_AUTHORIZATIONS = 'listAuthorizations';

/** Finds the changes of an audience whose source has no event stream. */
export const WATCH_AUDIENCE = 'watchAudience';
/** Checks the audiences of a watch against the worker's source; starts nothing. */
export const CHECK_WATCH = 'checkWatch';
/** Returns which audiences a worker's source has. */
export const LIST_AUDIENCES = 'listAudiences';
/** Returns which fields a member's profile has. */
export const LIST_PROFILE_FIELDS = 'listProfileFields';
/** Makes the request that a job would send about a real person, and sends nothing. */
export const SAMPLE_REQUEST = 'sampleRequest';
/** Sends a request about a real person, once. */
export const SEND_SAMPLE = 'sendSample';

/** Keeps waiting triggers for a job, outside the job's own state. */
export const HOLDER = 'holder';
/** Keeps a trigger until a person decides what to do with it. */
export const DEAD_LETTER = 'deadLetter';
/** Keeps what a stopped job carried, until it is resumed or discarded. */
export const KEPT_JOB = 'keptJob';

/** Sends one alert of a job, however long its webhook is down. */
export const ALERT = 'alert';

/** The task queue on which jobs and workers meet, by default. */
export const DEFAULT_TASK_QUEUE = 'audience-triggers';

/** Our search attributes and their types; registered by `triggers up` and `triggers setup`. */
export const SEARCH_ATTRIBUTES = {
  ExportJobId: 'KEYWORD',
  ExportJobStatus: 'KEYWORD',
  ExportAudiences: 'KEYWORD_LIST',
  /** Whose trigger a dead letter is. */
  ExportPerson: 'KEYWORD',
  /** The result of the last attempt of a dead letter: `HTTP 422`, or a code. */
  ExportFailure: 'KEYWORD',
} as const;

const JOB_PREFIX = 'export-job-';

/** A job id: what people type. Letters, digits, dots, dashes and underscores, 1..100, beginning with a letter or digit. */
export const JOB_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export function jobWorkflowId(jobId: string): string {
  return JOB_PREFIX + jobId;
}

/** The job id for a job's workflow id; the id of a workflow that was started under a foreign id is itself the job id. */
export function jobIdOf(workflowId: string): string {
  return workflowId.startsWith(JOB_PREFIX) ? workflowId.slice(JOB_PREFIX.length) : workflowId;
}

export function backfillWorkflowId(jobWorkflow: string, n: number): string {
  return `${jobWorkflow}-backfill-${n}`;
}

/** One watch for each audience, by its canonical id. */
export function watchWorkflowId(audienceId: string): string {
  return `watch-${audienceId}`;
}

/** @param holder a number of the overflow, or a letter and a number for what is parked. */
export function holderWorkflowId(subscriptionId: string, holder: string): string {
  return `holder-${subscriptionId}-${holder}`;
}

export function deadLetterWorkflowId(deliveryId: string, redeliveries: number): string {
  return `dead-letter-${deadLetterId(deliveryId, redeliveries)}`;
}

/** The name by which people refer to a dead letter. */
export function deadLetterId(deliveryId: string, redeliveries: number): string {
  return `${deliveryId}-${redeliveries}`;
}

export function alertWorkflowId(subscriptionId: string, n: number): string {
  return `alert-${subscriptionId}-${n}`;
}

export function keptWorkflowId(jobWorkflow: string): string {
  return `${jobWorkflow}-kept`;
}

/** An audience id as it is written in `ExportAudiences`: its first 16 digits, so that 100 fit into the attribute's 2,048 bytes. */
export function audienceAttribute(audienceId: string): string {
  return audienceId.slice(0, 16);
}
