import type { Client } from '@temporalio/client';
import type { JobDefinition, JobDefinitionInput } from '../../contract/export-job.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { JobSettings } from '../../contract/sample.ts';
import { editableOf, FORM_DEFAULTS, FORM_FIELDS } from '../../domain/job-form.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { settingsQuery, statusQuery } from '../../workflows/messages.ts';
import { ask } from '../asking.ts';
import type { Destination } from '../../domain/twins.ts';
import { RequestRefused } from '../errors.ts';
import { queryQuickly, START_WAIT_MS, statusWhen } from './job-service.ts';

/** A job, with its form as it goes by it now: webhook URLs in full, audiences by the slugs that it knows them by. */
export interface WholeJob {
  readonly status: JobStatus;
  readonly form: JobDefinition;
}

/** How often the two answers that make a form are asked for before a job counts as being edited all the time. */
const TRIES = 5;

/**
 * The whole definition of a job, in the form that `start` takes: what has its default is left out. So is whether existing users are sent, which is
 * about a start, and has been done.
 * @throws JobNotFound, NoWorker, UnknownPayloadKey; RequestRefused when it has not begun
 */
export async function definitionOf(client: Client, jobId: string): Promise<JobDefinitionInput> {
  const { form } = await wholeJob(client, jobId);
  return withoutDefaults(form);
}

/** @throws as `definitionOf` */
export async function wholeJob(client: Client, jobId: string): Promise<WholeJob> {
  for (let tries = 0; tries < TRIES; tries++) {
    const status = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
    const told = status.state === 'starting' ? null : await ask(client, jobWorkflowId(jobId), settingsQuery);
    if (told === null)
      throw new RequestRefused(
        jobId,
        `It has not begun yet, so that nobody has checked its definition. ${status.reason ?? ''}`.trim(),
      );
    // It may have been edited between the two.
    if (told.settings.revision === status.revision) return { status, form: formOf(status, told) };
  }
  throw new RequestRefused(jobId, 'It was edited each time it was asked. Ask again.');
}

/** What a running job sends where; undefined when it is stopping, or does not say so in time. */
export async function quickDestination(
  client: Client,
  jobId: string,
  timeoutMs: number,
): Promise<Destination | undefined> {
  const workflowId = jobWorkflowId(jobId);
  const [status, told] = await Promise.all([
    queryQuickly(client, workflowId, statusQuery, timeoutMs),
    queryQuickly(client, workflowId, settingsQuery, timeoutMs),
  ]);
  return status && told && status.state !== 'stopping'
    ? { jobId, form: formOf(status, told), audiences: status.audiences }
    : undefined;
}

/** What a status shows of a form, with the URLs that it masks. `existingUsers` is about a start alone. */
function formOf(status: JobStatus, { settings: { webhookUrl, request } }: JobSettings): JobDefinition {
  const { onEnter, onExit } = status;
  return {
    ...FORM_DEFAULTS,
    ...editableOf(status),
    exportFields: [...status.exportFields],
    audiences: status.audiences.map(({ slug }) => slug),
    webhookUrl,
    onEnter: withUrl(onEnter, request?.onEnter),
    onExit: withUrl(onExit, request?.onExit),
  };
}

type OfEvent = JobDefinition['onEnter'];

function withUrl(shown: OfEvent | undefined, sent: OfEvent | undefined): OfEvent {
  if (shown?.webhookUrl == null || sent?.webhookUrl == null) return shown ?? null;
  return { ...shown, webhookUrl: sent.webhookUrl };
}

/** Exported for its test. */
export function withoutDefaults(form: JobDefinition): JobDefinitionInput {
  const defaults: { readonly [Field in keyof JobDefinition]?: unknown } = { ...FORM_DEFAULTS, description: '' };
  const isSaid = (field: keyof JobDefinition): boolean =>
    form[field] !== undefined && JSON.stringify(form[field]) !== JSON.stringify(defaults[field]);
  const said = FORM_FIELDS.filter(isSaid).map((field) => [field, form[field]]);
  return Object.fromEntries(said) as JobDefinitionInput; // What has no default is there.
}
