import { NoSample } from './no-sample.ts';
import type { Client } from '@temporalio/client';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import type { JobSettings } from '../../contract/slice.ts';
import type { Sample, Sampled, SampleWish, SentSample } from './sample.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { deliverySettings } from '../../domain/job/job.ts';
import { wantsEvent } from '../../domain/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { settled } from '../../client/calls/asking.ts';
import { InvalidJob, InvalidRequest } from '../../client/calls/errors.ts';
import type { ClientCore } from '../../client/core.ts';
import { anything } from '../../client/calls/kinds.ts';
import { checkOptions } from '../../client/calls/options.ts';
import { flag, name, oneOf } from '../../domain/kinds.ts';
import { workerRpc } from '../../client/jobs/worker-rpc.ts';
import { SAMPLE_REQUEST, SEND_SAMPLE } from './ports.ts';
import { prepare } from '../../client/jobs/job-definition.ts';
import { describeExecution, queryStatus } from '../../client/jobs/job-service.ts';
import { meantBy } from '../../client/jobs/slugs.ts';
import { type FieldsOf, fieldWarnings } from '../../client/jobs/start-job.ts';

/** A running job (or one that the server still keeps), or a definition of one. */
export type SampleOf = { readonly jobId: string } | { readonly definition: unknown };

const SAMPLE_OF = { jobId: name, definition: anything };
const SAMPLE_WISH = {
  user: name,
  audience: name,
  event: oneOf('enter', 'exit'),
  userLegacyMessageFormat: flag,
  onlyMembers: flag,
};

/**
 * Checks the subject of a sample: a job or a definition, and the person.
 * @throws InvalidRequest
 */
function checkSample(of: unknown, wish: unknown): void {
  checkOptions(SAMPLE_OF, of);
  checkOptions(SAMPLE_WISH, wish);
  if (isRecord(of) && (of['jobId'] === undefined) !== (of['definition'] === undefined)) return;
  throw new InvalidRequest([{ field: 'jobId', message: 'Give either "jobId" or "definition".' }]);
}

/** Longer than two requests and fetching a token may take. */
const SEND_MS = 160_000;
/** A definition has no subscription yet: one is made when a job starts. */
const NO_SUBSCRIPTION = '0'.repeat(32);

/**
 * Returns the request that a job would send about a real person, as a worker makes it; nothing is sent. An event that the job leaves out is shown too, with
 * a warning.
 * @throws InvalidJob, JobNotFound, AudienceMoved, NoSample, NoWorker
 */
export async function sampleRequest({ open, taskQueue }: ClientCore, of: SampleOf, wish: SampleWish): Promise<Sample> {
  checkSample(of, wish);
  const client = open();
  const { queue, settings, warnings, retryFor, unsent, ...subject } = await subjectOf(client, taskQueue, of, wish);
  const sampled = await workerRpc(client, queue, SAMPLE_REQUEST, { ...wish, ...subject, ...settings });
  return withNotes(sampleOf(sampled), [...(unsent === undefined ? [] : [unsent]), ...warnings], retryFor);
}

/**
 * Has a worker send one message about a real person, now, whatever the job is doing; the answer gives the outcome. Refuses an event that the job leaves out.
 * @throws InvalidJob, JobNotFound, AudienceMoved, NoSample, NoWorker; OutcomeUnknown
 */
export async function sendSample({ open, taskQueue }: ClientCore, of: SampleOf, wish: SampleWish): Promise<SentSample> {
  checkSample(of, wish);
  const client = open();
  const { queue, settings, warnings, retryFor, unsent, ...subject } = await subjectOf(client, taskQueue, of, wish);
  if (unsent !== undefined) throw new NoSample({ field: 'event', message: unsent });
  // A worker has answered before this. The request may have been made even if no answer comes.
  const sent = settled(workerRpc(client, queue, SEND_SAMPLE, { ...wish, ...subject, ...settings }, SEND_MS), {
    what: 'test message',
    findOut: { action: 'findTest' },
  });
  return withNotes(sampleOf(await sent), warnings, retryFor);
}

/** The job or definition that a sample is of, and the event. */
interface SampleSubject {
  readonly queue: string;
  readonly settings: { readonly jobWorkflowId: string } | JobSettings;
  readonly audience?: string;
  readonly event: TriggerEvent;
  /** Why the job never sends this event, in words; undefined: it sends it. */
  readonly unsent: string | undefined;
  readonly warnings: readonly string[];
  readonly retryFor: string | null;
}

/** For a job, the worker gets only its id and asks the job itself, so that the URL is not stored again. */
async function subjectOf(
  client: Client,
  taskQueue: string,
  of: SampleOf,
  { audience, event }: SampleWish,
): Promise<SampleSubject> {
  if ('definition' in of) {
    const prepared = await prepare(client, taskQueue, of.definition);
    if (!prepared.ok) throw new InvalidJob(prepared.problems);
    const { definition, audiences } = prepared;
    const chosen = await eventOf(client, taskQueue, { ...definition, audiences }, event);
    return { queue: taskQueue, settings: settingsOf(prepared), ...chosen };
  }
  const status = await queryStatus(client, of.jobId);
  const { taskQueue: queue } = await describeExecution(client, of.jobId);
  const [meant] = audience === undefined ? [] : await meantBy(client, taskQueue, of.jobId, [audience]);
  return {
    queue,
    settings: { jobWorkflowId: jobWorkflowId(of.jobId) },
    ...(await eventOf(client, queue, status, event)),
    ...(meant === undefined ? {} : { audience: meant }),
  };
}

async function eventOf(
  client: Client,
  taskQueue: string,
  job: FieldsOf & Pick<JobDefinition, 'retryFor' | 'events'>,
  requestedEvent: TriggerEvent | undefined,
): Promise<Pick<SampleSubject, 'event' | 'unsent' | 'warnings' | 'retryFor'>> {
  const { retryFor, events } = job;
  const event = requestedEvent ?? (wantsEvent({ events }, 'enter') ? 'enter' : 'exit');
  return {
    event,
    unsent: wantsEvent({ events }, event)
      ? undefined
      : `The job never sends an ${event}: its "events" leave those out.`,
    warnings: await fieldWarnings(client, taskQueue, job),
    retryFor,
  };
}

/** A sample with the notes on its job that a worker cannot make. */
function withNotes<T extends Sample>(sample: T, warnings: readonly string[], retryFor: string | null): T {
  return {
    ...sample,
    ...(retryFor === null ? {} : { retryFor }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

function settingsOf({ audiences, ...prepared }: Extract<PreparedJob, { readonly ok: true }>): JobSettings {
  return { settings: deliverySettings({ ...prepared, subscriptionId: NO_SUBSCRIPTION, revision: 0 }), audiences };
}

function sampleOf<T extends Sample>(sampled: Sampled<T>): T {
  if (!sampled.ok) throw new NoSample(sampled.problem);
  return sampled.sample;
}
