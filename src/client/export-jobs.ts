import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { AudienceList } from '../contract/audience.ts';
import type { AuthorizationListing } from '../contract/authorization.ts';
import type { JobDefinitionInput, JobEdit } from '../contract/export-job.ts';
import type { Attempt } from '../contract/attempt.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { PreparedJob } from '../contract/ports.ts';
import type { TraceEvent } from '../contract/trace.ts';
import type { Sample, SampleWish, SentSample } from '../contract/sample.ts';
import type { Trigger } from '../contract/trigger.ts';
import { DEFAULT_TASK_QUEUE } from '../domain/names.ts';
import { type BackfillRequest, backfillUpdate, pauseUpdate, type StopRequest } from '../workflows/messages.ts';
import { attempts, type AttemptsOptions } from './attempts.ts';
import { listAudiences, listAuthorizations, listProfileFields, prepare } from './ask-worker.ts';
import { type ConnectConfig, connectClient } from './connect.ts';
import { DeadLetters } from './dead-letters.ts';
import { type EditedJob, editJob } from './edit-job.ts';
import { HistoryWatch } from './history-watch.ts';
import { listeningJobs, listJobs, type JobSummary } from './job-list.ts';
import { JobPusher, type PushOptions } from './job-pusher.ts';
import { endOf, jobSignals, updateJob } from './job-service.ts';
import { type PublishOptions, type PublishResult, publishTo } from './publish.ts';
import { pushOne, type PushResult, pushTo, type Triggers } from './push.ts';
import { recover, type RecoverOptions } from './recovery.ts';
import { type SampleOf, sampleRequest, sendSample } from './samples.ts';
import { type StartedJob, startJob } from './start-job.ts';
import { resume, statusOf, stop } from './stopped-jobs.ts';
import { trace, type TraceOptions } from './trace.ts';
import { Watches } from './watches.ts';

export type { Attempt } from '../contract/attempt.ts';
export type { AudienceList, AudienceListing } from '../contract/audience.ts';
export type { AuthorizationListing } from '../contract/authorization.ts';
export type { JobDefinition, JobDefinitionInput, JobEdit, Problem } from '../contract/export-job.ts';
export type { BackfillStatus, JobState, JobStatus, LastFailure } from '../contract/job-status.ts';
export type { PreparedJob } from '../contract/ports.ts';
export type { PersonStanding, TraceEvent } from '../contract/trace.ts';
export type { Sample, SampleAnswer, SampleWish, SentSample, ShownRequest } from '../contract/sample.ts';
export type { EventTrigger, Trigger, TriggerEvent } from '../contract/trigger.ts';
export type { WatchOptionsInput, WatchRound, WatchStatus } from '../contract/watch.ts';
export type { BackfillRequest, StopRequest } from '../workflows/messages.ts';
export type { AttemptsOptions } from './attempts.ts';
export type { ConnectConfig } from './connect.ts';
export type { DeadLetterFilter } from './dead-letter-filter.ts';
export type {
  Decided,
  DeadLetterReport,
  DeadLetterSummary,
  DecisionOptions,
  DecisionProgress,
  RedeliverOptions,
  WhichDeadLetters,
} from './dead-letters.ts';
export type { EditedJob } from './edit-job.ts';
export * from './errors.ts';
export type { JobSummary } from './job-list.ts';
export type { PushOptions, PushProgress } from './job-pusher.ts';
export type { PublishOptions, PublishProgress, PublishResult } from './publish.ts';
export type { PushResult, Triggers } from './push.ts';
export type { RecoverOptions } from './recovery.ts';
export type { SampleOf } from './samples.ts';
export type { StartedJob } from './start-job.ts';
export type { TraceOptions, TraceProgress } from './trace.ts';
export type { AskedWatch, WatchSummary } from './watches.ts';
export { dataConverterWith } from '../payload-codec/data-converter.ts';
export { InvalidPayloadKeys } from '../payload-codec/payload-keys.ts';
export { UnknownPayloadKey } from '../payload-codec/unknown-payload-key.ts';
export { payloadConverterPath } from '../payload-converter-path.ts';

export interface ExportJobsOptions {
  /** The task queue that workers take jobs from; default `audience-triggers`. */
  readonly taskQueue?: string;
}

/**
 * Export jobs, as a program handles them: start, signal, inspect, change, stop. Every method rejects with one of the classes in `errors.ts`
 * when the reason is known (`NoWorker` when no worker answers within 10 s).
 */
export class ExportJobs {
  /** Triggers that will not be sent unless a person decides so. */
  readonly deadLetters: DeadLetters;
  /** Audiences whose changes are found by polling, for sources without an event stream. */
  readonly watches: Watches;
  readonly #client: Client;
  readonly #historyWatches = new Map<string, HistoryWatch>();
  readonly #taskQueue: string;
  readonly #close: () => Promise<void>;

  /**
   * Uses a Temporal client of yours, which remains yours to close. Give it our payload converter (`payloadConverterPath`) if profiles
   * contain integers beyond 2^53, and the whole of `dataConverterWith(keys)` where payloads are encrypted.
   */
  constructor(client: Client, options: ExportJobsOptions & { readonly close?: () => Promise<void> } = {}) {
    this.#client = client;
    this.deadLetters = new DeadLetters(client);
    this.#taskQueue = options.taskQueue ?? DEFAULT_TASK_QUEUE;
    this.watches = new Watches(client, this.#taskQueue);
    this.#close = options.close ?? (() => Promise.resolve());
  }

  /**
   * Connects as the environment says (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …), or as `connection` says. Close it after use.
   *
   * @param options.payloadKeys the workers' payload keys, `<key id>:<base64 of 32 bytes>`; default: those of `TRIGGERS_PAYLOAD_KEYS`.
   * @throws InvalidPayloadKeys; InvalidConnection; ServerUnreachable within 5 s
   */
  static async connect(
    options: ExportJobsOptions & {
      readonly connection?: ConnectConfig;
      readonly payloadKeys?: readonly string[];
    } = {},
  ): Promise<ExportJobs> {
    const { client, close } = await connectClient(options.connection, options.payloadKeys);
    return new ExportJobs(client, { ...options, close });
  }

  async close(): Promise<void> {
    await this.#close();
  }

  /** Everything that is wrong with a definition, or worth knowing about it, without starting it. */
  async check(definition: unknown): Promise<PreparedJob> {
    return await prepare(this.#client, this.#taskQueue, definition);
  }

  /** Which authorizations a job may name: those of the worker that answers. */
  async authorizations(): Promise<readonly AuthorizationListing[]> {
    return await listAuthorizations(this.#client, this.#taskQueue);
  }

  /** Which audiences a job may name: those of the worker that answers, at most 256 KiB of them, with their sizes if the source gives them. */
  async audiences(): Promise<AudienceList> {
    return await listAudiences(this.#client, this.#taskQueue);
  }

  /** Which fields Export Fields may name, taken from the first member of an audience (slug or id) who has a profile; empty when none has one. */
  async profileFields(audience: string): Promise<readonly string[]> {
    return await listProfileFields(this.#client, this.#taskQueue, audience);
  }

  /**
   * The request that a job, running or only defined, would send about a real person, with every secret masked. Nothing is sent. The answer
   * contains the person's profile, which is thereby stored in Temporal.
   * @throws InvalidJob, JobNotFound, NoSample
   */
  async sample(of: SampleOf, wish: SampleWish = {}): Promise<Sample> {
    return await sampleRequest(this.#client, this.#taskQueue, of, wish);
  }

  /**
   * Sends one message about a real person, now, whatever the job is doing and in addition to its parallel requests; its `webhook-id` begins
   * with `test-`. It is sent a second time only after a 401 that a new token may cure. Answers within 160 s.
   * @throws InvalidJob, JobNotFound, NoSample
   */
  async test(of: SampleOf, wish: SampleWish = {}): Promise<SentSample> {
    return await sendSample(this.#client, this.#taskQueue, of, wish);
  }

  /**
   * Checks a job and starts it.
   *
   * @param options.jobId its name for people: letters, digits, `.`, `-`, `_`, at most 100, beginning with a letter or digit; the default is
   *   made from the label.
   * @throws InvalidJob with every problem at once; JobAlreadyRunning; JobKept
   */
  async start(definition: JobDefinitionInput, options: { readonly jobId?: string } = {}): Promise<StartedJob> {
    return await startJob(this.#client, this.#taskQueue, definition, options.jobId);
  }

  /** Signals that one person entered. Without `at`, the time at which the job receives it counts. */
  async enter(jobId: string, trigger: Trigger): Promise<void> {
    await pushOne(this.#pusher(jobId, {}), { ...trigger, event: 'enter' });
  }

  /** Signals that one person left. */
  async exit(jobId: string, trigger: Trigger): Promise<void> {
    await pushOne(this.#pusher(jobId, {}), { ...trigger, event: 'exit' });
  }

  /**
   * Signals triggers to one job in their order: a list, or a stream of any length, in constant memory. Waits while the server is in
   * trouble, and while the history of the job is near its limit.
   *
   * @throws PushInterrupted, which says what was accepted and what was not; its `cause` says why.
   */
  async push(jobId: string, triggers: Triggers, options: PushOptions = {}): Promise<PushResult> {
    return await pushTo(this.#pusher(jobId, options), triggers, options.signal);
  }

  /**
   * Signals each trigger to every running job that listens to its audience, to each job in their order; jobs are listed again every 10 s. A
   * job that has ended gets nothing until it runs again; one that accepts nothing for `patienceMs` is left out, and the others continue.
   *
   * @throws PublishInterrupted, which says what each job that was left out had accepted.
   */
  async publish(triggers: Triggers, options: PublishOptions = {}): Promise<PublishResult> {
    const { onProgress: _ofAll, ...ofEach } = options;
    return await publishTo(
      () => listeningJobs(this.#client),
      (jobId, onProgress) => this.#pusher(jobId, { ...ofEach, onProgress }),
      triggers,
      options,
    );
  }

  /**
   * How the job is doing. For a job that has ended, as long as the server keeps it: `stopped`, as it was at its end, with what it kept.
   * @throws JobNotFound; JobKept when the server has forgotten the job itself.
   */
  async status(jobId: string): Promise<JobStatus> {
    return await statusOf(this.#client, jobId);
  }

  /**
   * True while the job's workflow is open.
   * @throws JobNotFound
   */
  async isRunning(jobId: string): Promise<boolean> {
    return (await endOf(this.#client, jobId)) === undefined;
  }

  /** Running jobs first, then closed ones that the server still knows. */
  async list(): Promise<JobSummary[]> {
    return await listJobs(this.#client);
  }

  /**
   * Why a person was sent or was not: every trigger, attempt and dead letter that the server still knows, in order of time, and what the
   * person is waiting for now.
   * @throws JobNotFound, UnknownPayloadKey when a job is named
   */
  trace(user: string, options: TraceOptions = {}): AsyncIterable<TraceEvent> {
    return trace(this.#client, this.#taskQueue, user, options);
  }

  /**
   * The last attempts of a job, newest last; with `follow`, new ones too as they come.
   * @throws JobNotFound, UnknownPayloadKey
   */
  attempts(jobId: string, options: AttemptsOptions = {}): AsyncIterable<Attempt> {
    return attempts(this.#client, jobId, options);
  }

  /** Starts no further request until the job is resumed; triggers wait. */
  async pause(jobId: string): Promise<JobStatus> {
    return await updateJob(this.#client, jobId, pauseUpdate, []);
  }

  /**
   * Lets a paused job send again. A stopped job that kept its waiting triggers runs again from there, under the same subscription.
   * @throws JobNotRunning when it kept nothing; NoWorker when it does not run within 20 s.
   */
  async resume(jobId: string): Promise<JobStatus> {
    return await resume(this.#client, jobId);
  }

  /**
   * Starts a terminated job again, with exactly what it is not known to have delivered. First waits, until about 20 s after its end, until
   * none of its requests can still be in flight. Possible as long as the server keeps the job (its namespace's retention).
   * @throws JobAlreadyRunning; NothingToRecover when it ended normally; NoWorker
   */
  async recover(jobId: string, options: RecoverOptions = {}): Promise<JobStatus> {
    return await recover(this.#client, jobId, options);
  }

  /**
   * Changes fields of a running job: checks the job as it would be, records the edit, then waits up to 15 s for it to take effect.
   * @throws InvalidJob, JobNotRunning
   */
  async edit(jobId: string, edit: JobEdit): Promise<EditedJob> {
    return await editJob(this.#client, jobId, edit);
  }

  /** Sends an enter for everybody who is a member now; with `requestId` it is safe to ask again. */
  async backfill(jobId: string, request: BackfillRequest = {}): Promise<JobStatus> {
    return await updateJob(this.#client, jobId, backfillUpdate, [{ requestId: randomUUID(), ...request }]);
  }

  /**
   * Ends the job. `waiting: 'deliver'` (the default) first sends what is waiting, and keeps what is left at the deadline (by default after
   * an hour); `'keep'` keeps it for `resume`; `'discard'` drops it, also what a stopped job has kept. Answers at once, though ending may
   * take long.
   */
  async stop(jobId: string, request: StopRequest = {}): Promise<JobStatus> {
    return await stop(this.#client, jobId, request);
  }

  #pusher(jobId: string, options: PushOptions): JobPusher {
    const watch = this.#historyWatches.get(jobId) ?? new HistoryWatch();
    this.#historyWatches.set(jobId, watch);
    return new JobPusher(jobId, jobSignals(this.#client, jobId), options, watch);
  }
}
