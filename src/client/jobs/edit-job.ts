import type { Client } from '@temporalio/client';
import type { By } from '../../contract/audit.ts';
import type { Audience, AudienceListing } from '../../contract/audience.ts';
import type { JobEdit } from '../../contract/export-job.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import { EDITABLE_FIELDS, editableOf, FIELDS_WITH_URL } from '../../domain/form.ts';
import { findAudience } from '../../domain/names.ts';
import { notEditableIn } from '../../domain/requests.ts';
import { counted } from '../../domain/text.ts';
import { isBackfillOver } from '../../domain/job-state.ts';
import { editUpdate, revisionQuery } from '../../workflows/messages.ts';
import { AudienceMoved, InvalidJob, RevisionUnknown } from '../calls/errors.ts';
import type { DeedOptions } from '../calls/options.ts';
import { prepare } from './job-definition.ts';
import { askJob, describeExecution, START_WAIT_MS, statusWhen, updateJob } from './job-service.ts';
import { type Allows, fieldWarnings } from './start-job.ts';

export interface EditedJob {
  readonly status: JobStatus;
  /** The fields that are different now, or may be: only the origin of a webhook URL is shown. */
  readonly changes: readonly FieldChange[];
  readonly warnings: readonly string[];
}

/** A field of the form before and after an edit, as people may see it: audiences by slug, a webhook URL without its secret parts. */
export interface FieldChange {
  readonly field: keyof JobEdit;
  readonly from: Shown;
  readonly to: Shown;
}

type Shown = Exclude<{ [Field in keyof JobEdit]: Readonly<JobEdit[Field]> }[keyof JobEdit], undefined>;

export interface EditOptions extends DeedOptions {
  /** Take the job back to how it was at this revision, where it still knows that. `edit` is empty then. */
  readonly toRevision?: number;
  /**
   * Called before an edit that would leave out people who were to be sent, with its effect in words. False: the edit is not made. Absent: it is made,
   * and `warnings` says so.
   */
  readonly isMeant?: (loss: string) => Promise<boolean>;
  /** See `Allows`. Default: all may be used. */
  readonly allows?: Allows;
}

/** How long, in ms, an edit may take: the job checks it again, and its source may take a minute. */
const EDIT_MS = 75_000;

/**
 * Checks a job as it would be, then has the job edit itself, and waits until that has taken effect. Undefined when `isMeant` said no.
 * @throws InvalidJob, AudienceMoved, JobNotFound, JobNotRunning, RequestRefused, NoWorker: nothing was changed; OutcomeUnknown when it takes longer
 *   than 75 s.
 */
export async function editJob(
  client: Client,
  jobId: string,
  edit: JobEdit,
  by: By,
  { isMeant, allows }: Pick<EditOptions, 'isMeant' | 'allows'> = {},
): Promise<EditedJob | undefined> {
  const { before, taskQueue, prepared, loss } = await checkedEdit(client, jobId, edit, allows);
  if (loss !== undefined && (await isMeant?.(loss)) === false) return undefined;
  // By their ids: the job looks its audiences up again by itself, and others may have their slugs by then.
  const audiences = edit.audiences && { audiences: prepared.audiences.map(({ id }) => id) };
  const status = await updateJob(client, jobId, editUpdate, [{ ...edit, ...audiences }, by], {
    answerMs: EDIT_MS,
  });
  const aboutFields = isAboutFields(edit) ? await fieldWarnings(client, taskQueue, status) : [];
  const changes = changesOf(before, status, edit);
  return { status, changes, warnings: [...warningsOf(before, prepared, loss), ...aboutFields] };
}

/**
 * Returns the edit that takes a job back to a revision.
 * @throws RevisionUnknown; JobNotFound, NoWorker
 */
export async function editTo(client: Client, jobId: string, revision: number): Promise<JobEdit> {
  const answer = (await askJob(client, jobId, revisionQuery, [revision])) ?? { oldest: 0, current: 0 };
  if (answer.edit === undefined) throw new RevisionUnknown(jobId, revision, answer);
  return answer.edit;
}

/** The results of checking an edit, for people. */
export interface CheckedEdit {
  /** Warnings about people it would leave out, triggers it would still send, and the job as it would be. */
  readonly warnings: readonly string[];
  /** The audiences that the job would subscribe to, with their sizes if the source gives them. */
  readonly audiences: readonly AudienceListing[];
}

/** Returns the effects of an edit without making it. @throws as `editJob` */
export async function checkEdit(client: Client, jobId: string, edit: JobEdit, allows?: Allows): Promise<CheckedEdit> {
  const { before, taskQueue, prepared, loss } = await checkedEdit(client, jobId, edit, allows);
  const { definition, audiences } = prepared;
  const aboutFields = isAboutFields(edit) ? await fieldWarnings(client, taskQueue, { ...definition, audiences }) : [];
  return { warnings: [...warningsOf(before, prepared, loss), ...aboutFields], audiences };
}

/** Whether an edit changes which fields are sent, or about whom. */
export function isAboutFields(edit: JobEdit): boolean {
  return (['exportFields', 'audiences', 'webhookUrl', 'headers', 'body', 'onEnter', 'onExit'] as const).some(
    (field) => edit[field] !== undefined,
  );
}

type Prepared = Extract<PreparedJob, { readonly ok: true }>;

function warningsOf(before: JobStatus, { audiences, warnings }: Prepared, loss: string | undefined): string[] {
  return [...[loss, stillSentOf(before, audiences)].filter((one) => one !== undefined), ...warnings];
}

/** Returns a job as it is, and as an edit would make it. @throws InvalidJob, AudienceMoved, JobNotFound, NoWorker */
async function checkedEdit(
  client: Client,
  jobId: string,
  edit: JobEdit,
  allows?: Allows,
): Promise<{
  readonly before: JobStatus;
  readonly taskQueue: string;
  readonly prepared: Prepared;
  /** See `lossOf`. */
  readonly loss: string | undefined;
}> {
  const before = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
  // The job's own queue, whatever the client's is: only its workers have the source and the authorizations that it uses.
  const { taskQueue } = await describeExecution(client, jobId);
  const form = { ...definitionOf(before), ...edit };
  await allows?.(form, edit);
  const prepared = await prepare(client, taskQueue, form, jobId);
  const problems = notEditableIn(edit);
  if (!prepared.ok || problems.length > 0)
    throw new InvalidJob([...problems, ...(prepared.ok ? [] : prepared.problems)], { isEdit: true });
  await allows?.({ ...prepared.definition, audiences: prepared.audiences }, edit);
  if (edit.audiences !== undefined) refuseMoved(jobId, before, edit.audiences, prepared.audiences);
  return { before, taskQueue, prepared, loss: lossOf(before, prepared.audiences) };
}

/** Returns the changes of an edit, in the order of the form; exported for its test. */
export function changesOf(before: JobStatus, after: JobStatus, edit: JobEdit): FieldChange[] {
  const [from, to] = [shownFields(before), shownFields(after)];
  return EDITABLE_FIELDS.flatMap((field) => {
    const isSame = JSON.stringify(from[field]) === JSON.stringify(to[field]);
    // Two URLs may look alike.
    const isDifferent = !isSame || (FIELDS_WITH_URL.includes(field) && edit[field] != null);
    return isDifferent ? [{ field, from: from[field] ?? null, to: to[field] ?? null }] : [];
  });
}

function shownFields(status: JobStatus): { readonly [Field in keyof JobEdit]: Shown | undefined } {
  return { description: '', ...definitionOf(status), audiences: status.audiences.map(({ slug }) => slug) };
}

/** Returns in words which triggers of audiences that the job drops are still sent; undefined: none. */
export function stillSentOf(
  { audiences, waiting }: Pick<JobStatus, 'audiences' | 'waiting'>,
  next: readonly Audience[],
): string | undefined {
  const removed = audiences.filter(({ id }) => !next.some((one) => one.id === id)).map(({ slug }) => slug);
  if (removed.length === 0 || waiting === 0) return undefined;
  return `${counted(waiting, 'waiting trigger')} stay with the job: those about ${removed.join(', ')} are still sent, to wherever the job sends by then. To drop what waits, stop the job and discard it.`;
}

/** Returns in words the people that the backfill under way would leave out because the job drops their audience; undefined: nobody. */
export function lossOf(
  { audiences, backfill }: Pick<JobStatus, 'audiences' | 'backfill'>,
  next: readonly Audience[],
): string | undefined {
  if (backfill === undefined || isBackfillOver(backfill.state)) return undefined;
  const removed = audiences
    .filter(({ id, slug }) => backfill.audiences.includes(slug) && !next.some((one) => one.id === id))
    .map(({ slug }) => slug);
  if (removed.length === 0) return undefined;
  const { n, delivered, taken, expected = taken } = backfill;
  return `Backfill ${n} has sent ${delivered} of ${expected}. It will skip the people it has not yet sent in ${removed.join(', ')}. If you put an audience back, they stay skipped: start another backfill to send them.`;
}

/**
 * Refuses a slug from the status that has moved since: naming it again would replace the audience by another one.
 * @throws AudienceMoved
 */
export function refuseMoved(
  jobId: string,
  before: Pick<JobStatus, 'audiences'>,
  names: readonly string[],
  meant: readonly AudienceListing[],
): void {
  for (const name of names.map((name) => name.trim())) {
    const known = before.audiences.find(({ slug }) => slug === name);
    const now = findAudience(meant, name);
    if (known !== undefined && now?.slug === name && now.id !== known.id)
      throw new AudienceMoved(name, now, { id: known.id, by: `The job "${jobId}"` });
  }
}

/**
 * The definition that a job runs by, as far as it can be edited and is shown: enough to check an edit against, not to start a job. Audiences are
 * named by id, since their slugs may have changed. The URL is only its origin: a check needs no more of a URL that was accepted before.
 */
function definitionOf(status: JobStatus) {
  return { ...editableOf(status), audiences: status.audiences.map(({ id }) => id) };
}
