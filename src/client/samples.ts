import type { Client } from '@temporalio/client';
import type { JobDefinition } from '../contract/export-job.ts';
import type { PreparedJob } from '../contract/ports.ts';
import type { JobSettings, Sample, Sampled, SampleInput, SampleWish, SentSample } from '../contract/sample.ts';
import { jobWorkflowId, SAMPLE_REQUEST, SEND_SAMPLE } from '../domain/names.ts';
import { askWorker, prepare } from './ask-worker.ts';
import { InvalidJob, NoSample } from './errors.ts';
import { describeJob, queryStatus } from './job-service.ts';

/** A running job (or one that the server still keeps), or a definition of one. */
export type SampleOf = { readonly jobId: string } | { readonly definition: unknown };

/** Longer than two requests and fetching a token may take. */
const SEND_MS = 160_000;
/** A definition has no subscription yet: one is made when a job starts. */
const NO_SUBSCRIPTION = '0'.repeat(32);

/**
 * The request that a job would send about a real person, as a worker makes it; nothing is sent.
 * @throws InvalidJob, JobNotFound, NoSample, NoWorker
 */
export async function sampleRequest(
  client: Client,
  taskQueue: string,
  of: SampleOf,
  wish: SampleWish,
): Promise<Sample> {
  const { queue, settings } = await whatItIsOf(client, taskQueue, of);
  const options = {
    name: 'sample-request',
    summary: 'Shows a request',
    args: [{ ...wish, ...settings } satisfies SampleInput],
  };
  return sampleOf(await askWorker<Sampled<Sample>>(client, queue, SAMPLE_REQUEST, options));
}

/**
 * Has a worker send one message about a real person, now, whatever the job is doing; the answer says what came of it.
 * @throws InvalidJob, JobNotFound, NoSample, NoWorker
 */
export async function sendSample(
  client: Client,
  taskQueue: string,
  of: SampleOf,
  wish: SampleWish,
): Promise<SentSample> {
  const { queue, settings } = await whatItIsOf(client, taskQueue, of);
  const options = {
    name: 'send-sample',
    summary: 'Sends one message to try an endpoint',
    args: [{ ...wish, ...settings } satisfies SampleInput],
    answerMs: SEND_MS,
  };
  return sampleOf(await askWorker<Sampled<SentSample>>(client, queue, SEND_SAMPLE, options));
}

/** For a job, the worker gets only its id and asks the job itself, so that the URL is not stored once more. */
async function whatItIsOf(
  client: Client,
  taskQueue: string,
  of: SampleOf,
): Promise<{ readonly queue: string; readonly settings: { readonly jobWorkflowId: string } | JobSettings }> {
  if ('definition' in of) {
    const prepared = await prepare(client, taskQueue, of.definition);
    if (!prepared.ok) throw new InvalidJob(prepared.problems);
    return { queue: taskQueue, settings: settingsOf(prepared.definition, prepared) };
  }
  await queryStatus(client, of.jobId);
  const { taskQueue: queue } = await describeJob(client, of.jobId);
  return { queue, settings: { jobWorkflowId: jobWorkflowId(of.jobId) } };
}

function settingsOf(
  { webhookUrl, authorization, exportFields, userLegacyMessageFormat }: JobDefinition,
  { audiences, requestTimeoutMs }: Extract<PreparedJob, { readonly ok: true }>,
): JobSettings {
  const parts = { webhookUrl, authorization, exportFields, userLegacyMessageFormat, requestTimeoutMs };
  return { settings: { subscriptionId: NO_SUBSCRIPTION, revision: 0, ...parts }, audiences };
}

function sampleOf<T extends Sample>(sampled: Sampled<T>): T {
  if (!sampled.ok) throw new NoSample(sampled.problem);
  return sampled.sample;
}
