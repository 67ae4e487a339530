import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Asker, AuditEntry, By, LoggedDeed } from '../contract/audit.ts';
import type { Attempt } from './calls/attempt.ts';
import type { AudienceList, AuthorizationListing } from '../contract/audience.ts';
import type { JobDefinitionInput, JobEdit } from '../contract/export-job.ts';
import type { JobStatus, JobTrend } from '../contract/job-status.ts';
import type { PreparedJob } from '../contract/ports.ts';
import type { BackfillRequest, StopRequest } from '../contract/requests.ts';
import type { EventTrigger, Trigger } from '../contract/trigger.ts';
import { definedOf } from '../domain/json.ts';
import { jobWorkflowId, DEFAULT_TASK_QUEUE } from '../domain/names.ts';
import { readBackfillRequest, readStopRequest } from '../domain/requests.ts';
import { backfillUpdate, historyQuery, pauseUpdate, retryUpdate } from '../workflows/messages.ts';
import { connectClient, type ConnectConfig, loadConnectConfig, payloadKeysOfEnvironment } from './calls/connect.ts';
import type { ClientCore } from './core.ts';
import { DeadLetters } from './dead-letters.ts';
import { ClientClosed, InvalidRequest, InvalidTrigger, JobNotRunning } from './calls/errors.ts';
import { isOpen, isStopped } from './calls/executions.ts';
import { newestFirst } from '../words/audit.ts';
import { endings } from './jobs/endings.ts';
import { shownText } from '../domain/mask-url.ts';
import { attempts, type AttemptsOptions } from './jobs/attempts.ts';
import { workerRpc } from './jobs/worker-rpc.ts';
import { LIST_AUDIENCES, LIST_AUTHORIZATIONS, LIST_PROFILE_FIELDS } from '../domain/worker-rpc.ts';
import { prepare, definitionOf } from './jobs/job-definition.ts';
import { checkEdit, type CheckedEdit, type EditedJob, editJob, type EditOptions, editTo } from './jobs/edit-job.ts';
import {
  destinationsIn,
  type JobOverview,
  type JobSummary,
  listJobs,
  overview,
  type OverviewOptions,
} from './jobs/job-list.ts';
import { jobDirectory, type JobDirectory, unmatchedText } from './push/job-directory.ts';
import { askJob, describeExecution, queryTrend, quickStatus, untilQuiet, updateJob } from './jobs/job-service.ts';
import { Destinations } from './jobs/destinations.ts';
import { meantBy, type Slugs, slugsOf, slugsOfAll } from './jobs/slugs.ts';
import { fieldWarnings, type StartedJob, startJob, type StartOptions } from './jobs/start-job.ts';
import { resume, statusOf, stop } from './jobs/stopped-jobs.ts';
import { type DeedOptions, parsed, checkOptions, OPTIONS } from './calls/options.ts';
import { GroupedSignals, type CheckedTrigger, JobPusher, type PushOptions, type PushRoom } from './push/job-pusher.ts';
import { jobSignals } from './push/signal-sender.ts';
import { PATIENCE_MS } from './calls/with-retries.ts';
import { type PublishOptions, type PublishResult, publishTo } from './push/publish.ts';
import {
  checked,
  checkedAll,
  createPushClock,
  type PushResult,
  pushTo,
  reasonOf,
  type Triggers,
  withEvent,
} from './push/push.ts';

export type { Asker, AuditAction, AuditChange, AuditEntry, Door } from '../contract/audit.ts';
export type { Attempt } from './calls/attempt.ts';
export type { AudienceList, AudienceListing, AuthorizationListing } from '../contract/audience.ts';
export type { JobDefinition, JobDefinitionInput, JobEdit, Problem } from '../contract/export-job.ts';
export type {
  BackfillStatus,
  HolderTrouble,
  JobState,
  JobStatus,
  JobTrend,
  LastFailure,
  TrendPoint,
} from '../contract/job-status.ts';
export type { PreparedJob } from '../contract/ports.ts';
export type { EventTrigger, Trigger, TriggerEvent } from '../contract/trigger.ts';
export type { BackfillRequest, StopRequest } from '../contract/requests.ts';
export type { AttemptsOptions } from './jobs/attempts.ts';
export type { ConnectConfig } from './calls/connect.ts';
export type { DeadLetterFilter } from './jobs/dead-letter-filter.ts';
export type {
  Decided,
  DecisionExtent,
  DeadLetterReport,
  DeadLetterSummary,
  DecisionOptions,
  DecisionProgress,
  RedeliverOptions,
  WhichDeadLetters,
} from './dead-letters.ts';
export type { ClientCore } from './core.ts';
export type { DeedOptions } from './calls/options.ts';
export type { CheckedEdit, EditedJob, EditOptions, FieldChange } from './jobs/edit-job.ts';
export * from './calls/errors.ts';
export type { JobNumbers, JobOverview, JobSummary, LastHour, OverviewOptions } from './jobs/job-list.ts';
export type { PushOptions, PushProgress } from './push/job-pusher.ts';
export type { PublishOptions, PublishProgress, PublishResult } from './push/publish.ts';
export type { PushResult, Triggers } from './push/push.ts';
export type { Slugs } from './jobs/slugs.ts';
export type { StartedJob, StartOptions } from './jobs/start-job.ts';
export { InvalidPayloadKeys, UnknownPayloadKey } from '../temporal/encrypting-codec.ts';
export { dataConverterWith, payloadConverterPath } from '../temporal/data-converter.ts';

export interface ExportJobsOptions {
  /** The task queue that workers take jobs from; default `audience-triggers`. */
  readonly taskQueue?: string;
  /** Longest wait, in ms, of `enter`, `exit` and `signal` for the server or the job to take more; default 5 minutes. */
  readonly patienceMs?: number;
  /** The asker of all that goes through this client, as jobs tell it (`history`). Default: the door `client`. */
  readonly by?: Asker;
}

interface Closing {
  readonly close?: () => Promise<void>;
}

/**
 * Export jobs for programs, without the features: start, signal, inspect, change, stop. Every method rejects with one of the classes in `errors.ts` when the reason is
 * known (`NoWorker` when no worker answers within 10 s).
 */
export class JobClient {
  /** Triggers that will not be sent unless a person decides so. */
  readonly deadLetters: DeadLetters;
  /** For the features, which are made of it. */
  readonly core: ClientCore;
  readonly #uncheckedClient: Client;
  #isClosed = false;
  readonly #directory: JobDirectory;
  readonly #destinations: Destinations;
  readonly #grouped: GroupedSignals;
  readonly #taskQueue: string;
  readonly #asker: Asker;
  readonly #clock = createPushClock();
  readonly #close: () => Promise<void>;

  /**
   * Uses a Temporal client of yours, which remains yours to close. Give it our payload converter (`payloadConverterPath`) if profiles
   * contain integers beyond 2^53, and the whole of `dataConverterWith(keys)` where payloads are encrypted.
   */
  constructor(client: Client, options: ExportJobsOptions & Closing = {}) {
    checkOptions(OPTIONS.client, options);
    this.#uncheckedClient = client;
    this.#taskQueue = options.taskQueue ?? DEFAULT_TASK_QUEUE;
    this.#asker = options.by ?? { door: 'client' };
    checkOptions(OPTIONS.by, this.#asker);
    const open = () => this.#client;
    const byOf = (options: DeedOptions) => this.#byOf(options);
    this.core = { open, taskQueue: this.#taskQueue, clock: this.#clock, by: (options) => this.#by(options), byOf };
    this.deadLetters = new DeadLetters(open, this.#taskQueue, byOf);
    this.#directory = jobDirectory(client, this.#taskQueue);
    this.#destinations = new Destinations(() => destinationsIn(client, this.#taskQueue));
    this.#grouped = new GroupedSignals((jobId) => jobSignals(this.#client, jobId), options.patienceMs ?? PATIENCE_MS);
    this.#close = options.close ?? (() => Promise.resolve());
  }

  /**
   * Connects as the environment says (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …), or as `connection` says. Close it after use.
   *
   * @param options.payloadKeys the workers' payload keys, `<key id>:<base64 of 32 bytes>`; default: those of `TRIGGERS_PAYLOAD_KEYS`.
   * @throws InvalidPayloadKeys; InvalidConnection; NotLetIn; ServerUnreachable within 5 s
   */
  static async connect<Jobs extends JobClient>(
    this: new (client: Client, options: ExportJobsOptions & Closing) => Jobs,
    options: ExportJobsOptions & {
      readonly connection?: ConnectConfig;
      readonly payloadKeys?: readonly string[];
    } = {},
  ): Promise<Jobs> {
    checkOptions(OPTIONS.connect, options);
    const { connection, payloadKeys = payloadKeysOfEnvironment(), ...own } = options;
    if (connection !== undefined) checkOptions(OPTIONS.connection, connection);
    const { client, close } = await connectClient(connection ?? loadConnectConfig(), payloadKeys);
    return new this(client, { ...own, close });
  }

  /** After this, every other method rejects with ClientClosed. A connection that `connect` made is closed; a client of yours is not. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#close();
  }

  get #client(): Client {
    this.#refuseWhenClosed();
    return this.#uncheckedClient;
  }

  /**
   * Returns all problems of a definition, or its warnings, without starting it.
   * @param jobId the id that it would be started with: its authorization may be for some jobs only. Default: it has none yet.
   */
  async check(definition: unknown, jobId?: string): Promise<PreparedJob> {
    const prepared = await prepare(this.#client, this.#taskQueue, definition, jobId);
    if (!prepared.ok) return prepared;
    const { definition: checked, audiences, warnings } = prepared;
    const more = await fieldWarnings(this.#client, this.#taskQueue, { ...checked, audiences });
    return { ...prepared, warnings: [...warnings, ...more] };
  }

  /** Returns the authorizations that a job may name: all of the worker that answers. */
  async authorizations(): Promise<readonly AuthorizationListing[]> {
    return await workerRpc(this.#client, this.#taskQueue, LIST_AUTHORIZATIONS, null);
  }

  /** Returns the audiences that a job may name, from the worker that answers: at most 256 KiB of them, with their sizes if the source gives them. */
  async audiences(): Promise<AudienceList> {
    return await workerRpc(this.#client, this.#taskQueue, LIST_AUDIENCES, null);
  }

  /** Returns the fields that Export Fields may name, from the profiles of the first members of an audience (slug or id). Empty when none has one. */
  async profileFields(audience: string): Promise<readonly string[]> {
    return await workerRpc(this.#client, this.#taskQueue, LIST_PROFILE_FIELDS, audience);
  }

  /**
   * Checks a job and starts it.
   *
   * @throws InvalidJob with every problem at once; JobAlreadyRunning; JobKept; JobRecoverable when the last job with this id was terminated
   *   and had not delivered everything
   */
  async start(definition: JobDefinitionInput, options: StartOptions = {}): Promise<StartedJob> {
    checkOptions(OPTIONS.start, options);
    const by = this.#byOf(options);
    return await startJob(this.#client, this.#taskQueue, this.#destinations, definition, options, by);
  }

  /** Signals that one person entered. Without `at`, the present time counts. @throws InvalidTrigger, also when the job does not subscribe to the audience */
  async enter(jobId: string, trigger: Trigger): Promise<void> {
    await this.#signalOne(jobId, withEvent(trigger, 'enter'));
  }

  /** Signals that one person left. */
  async exit(jobId: string, trigger: Trigger): Promise<void> {
    await this.#signalOne(jobId, withEvent(trigger, 'exit'));
  }

  /**
   * Signals some triggers, in their order. Concurrent calls go to the job together, so that many small ones cost it little. A single call is sent at
   * once. Each resolves when the job has accepted its triggers. For streams there is `push`.
   * @throws InvalidTrigger, with its place from 1 as `line`: then nothing was sent; PushInterrupted
   */
  async signal(jobId: string, triggers: readonly EventTrigger[]): Promise<void> {
    this.#refuseWhenClosed();
    if (!Array.isArray(triggers))
      throw new InvalidRequest([
        { field: 'triggers', message: 'This must be a list of triggers. For a stream there is push.' },
      ]);
    const all = checkedAll(triggers, this.#clock);
    for (const [i, one] of all.entries()) await this.#refuseUnmatched(jobId, one, i + 1);
    await this.#grouped.signal(jobId, all);
  }

  /**
   * Signals triggers to one job in their order: a list, or a stream of any length, in constant memory. Waits while the server is in
   * trouble, and while the history of the job is near its limit.
   *
   * @throws PushInterrupted, which says what was accepted and what was not; its `cause` says why.
   */
  async push(jobId: string, triggers: Triggers, options: PushOptions = {}): Promise<PushResult> {
    checkOptions(OPTIONS.push, options);
    const subscribed = new Set<string>();
    const check = async (one: CheckedTrigger): Promise<void> => {
      if (!subscribed.has(one.trigger.audience)) await this.#refuseUnmatched(jobId, one);
      subscribed.add(one.trigger.audience);
    };
    return await pushTo(this.#pusher(jobId, options), triggers, options.signal, this.#clock, check);
  }

  /**
   * Signals each trigger to every running job that subscribes to its audience, to each job in their order. Jobs are listed again every 10 s. A job that has
   * ended gets nothing until it runs again. While one accepts nothing, the others go on: up to 64 MiB of JSON wait here for such jobs, then the input waits,
   * too. One that accepts nothing for `patienceMs` is left out.
   *
   * @throws PublishInterrupted, which says what each job that was left out had accepted. Its `cause` is JobsUnreadable when running jobs of this task queue
   *   cannot be read here: then nothing was sent.
   */
  async publish(triggers: Triggers, options: PublishOptions = {}): Promise<PublishResult> {
    checkOptions(OPTIONS.publish, options);
    const { onProgress: _ofAll, ...ofEach } = options;
    return await publishTo(
      // A directory of its own, which checks only at first whether all jobs can be read: a job that is started later must not end this call.
      jobDirectory(this.#client, this.#taskQueue),
      (jobId, onProgress, room) => this.#pusher(jobId, { ...ofEach, onProgress }, room),
      triggers,
      options,
      this.#clock,
    );
  }

  /**
   * Returns which audiences slugs mean to one job, or to all that run, and to their source now. It is for people, who type a slug and cannot know
   * that it has passed to another audience since the job began. `push` and `publish` do not ask: where that can happen, signal ids.
   * @throws JobNotFound, UnknownPayloadKey
   */
  async slugs(jobId?: string): Promise<Slugs> {
    return jobId === undefined
      ? await slugsOfAll(this.#client, this.#taskQueue)
      : await slugsOf(this.#client, this.#taskQueue, jobId);
  }

  /**
   * The job's status. For a job that has ended, as long as the server keeps it: `stopped`, as it was at its end.
   * @throws JobNotFound
   */
  async status(jobId: string): Promise<JobStatus> {
    return await statusOf(this.#client, jobId);
  }

  /** Returns how much a job has to do now; undefined when it does not answer within 2 s. */
  async load(jobId: string): Promise<Pick<JobStatus, 'inFlight' | 'waiting'> | undefined> {
    const status = await quickStatus(this.#client, jobWorkflowId(jobId));
    return status && { inFlight: status.inFlight, waiting: status.waiting };
  }

  /**
   * A job's whole definition, as `start` takes it: with the whole webhook URL, which a status masks. Fields with their default are left out, and so
   * is `existingUsers`, which was about the start.
   * @throws JobNotFound, UnknownPayloadKey; RequestRefused when it has not begun
   */
  async definition(jobId: string): Promise<JobDefinitionInput> {
    return await definitionOf(this.#client, jobId);
  }

  /**
   * How many triggers were delivered, failed and waited in the last hour, by minute, and in the last day, by quarter of an hour. It also answers for
   * a job that has ended, as long as the server keeps it.
   * @throws JobNotFound, NoWorker
   */
  async trend(jobId: string): Promise<JobTrend> {
    return await queryTrend(this.#client, jobId);
  }

  /**
   * Who did what to the job, newest first: by which door, when, why, and what changed, with secrets masked. It knows the last 50 or fewer, also
   * for a job that has ended, as long as the server keeps it. Only the API proves who asked; other clients say it.
   * @throws JobNotFound, NoWorker
   */
  async history(jobId: string): Promise<readonly AuditEntry[]> {
    const [own, ended] = await Promise.all([askJob(this.#client, jobId, historyQuery), this.endings({ jobId })]);
    const others = ended.map(({ kind: _kind, target: _target, jobId: _job, ...entry }): AuditEntry => ({
      ...entry,
      n: 0,
    }));
    return newestFirst([...others, ...(own ?? [])]);
  }

  /** The ends of jobs from outside that the server still knows, newest first, at most 100. No job and no delivery log has them. */
  async endings(which: Parameters<typeof endings>[2] = {}): Promise<readonly LoggedDeed[]> {
    return await endings(this.#client, this.#taskQueue, which);
  }

  /**
   * True until the job has stopped, or its workflow has ended.
   * @throws JobNotFound
   */
  async isRunning(jobId: string): Promise<boolean> {
    const found = await describeExecution(this.#client, jobId);
    return isOpen(found) && !isStopped(found);
  }

  /** Running jobs first, then closed ones that the server still knows. */
  async list(): Promise<JobSummary[]> {
    return await listJobs(this.#client);
  }

  /** The same, with the numbers of the running jobs: of at most 500, and of the ones that answer within 2 s each and 10 s in all. */
  async overview(options: OverviewOptions = {}): Promise<JobOverview[]> {
    checkOptions(OPTIONS.overview, options);
    return await overview(this.#client, options);
  }

  /**
   * The last attempts of a job, newest last; with `follow`, new ones too as they come.
   * @throws JobNotFound, UnknownPayloadKey
   */
  attempts(jobId: string, options: AttemptsOptions = {}): AsyncIterable<Attempt> {
    checkOptions(OPTIONS.attempts, options);
    return attempts(this.#client, jobId, options);
  }

  /**
   * Starts no further request until the job is resumed; triggers wait. Waits until running slices start none either, for at most 5 s. If
   * `mayStillSend` is set then, they may not be done.
   */
  async pause(jobId: string, options: DeedOptions = {}): Promise<JobStatus> {
    const by = this.#by(options);
    return await untilQuiet(this.#client, jobId, await updateJob(this.#client, jobId, pauseUpdate, [{}, by]));
  }

  /**
   * Lets a paused job send again. A stopped job that keeps its waiting triggers runs again from there, under the same subscription.
   * @throws JobNotRunning when it kept nothing
   */
  async resume(jobId: string, options: DeedOptions = {}): Promise<JobStatus> {
    return await resume(this.#client, jobId, this.#by(options));
  }

  /**
   * Retries now instead of waiting. An endpoint that is unhealthy or asked to wait gets its next request at once. If that succeeds, all triggers that
   * wait for a retry follow. Costs nothing when nothing waits.
   * @throws RequestRefused when the job is paused, or is stopping without delivering.
   */
  async retry(jobId: string, options: DeedOptions = {}): Promise<JobStatus> {
    return await updateJob(this.#client, jobId, retryUpdate, [{}, this.#by(options)]);
  }

  /**
   * Changes fields of a running job: checks the job as it would be, then waits until the edit has taken effect, for at most 75 s. Other fields stay
   * as they are: an audience stays the same one, even when its slug has changed. An edit that leaves people out of a backfill under way is made, and
   * `warnings` says so. If `isMeant` says no, nothing is changed, and the result is undefined.
   * @throws InvalidJob, JobNotRunning; RevisionUnknown
   */
  async edit(jobId: string, edit: JobEdit): Promise<EditedJob>;
  async edit(jobId: string, edit: JobEdit, options: EditOptions): Promise<EditedJob | undefined>;
  async edit(jobId: string, edit: JobEdit, options: EditOptions = {}): Promise<EditedJob | undefined> {
    checkOptions(OPTIONS.edit, options);
    const { toRevision } = options;
    const back = toRevision === undefined ? {} : { reason: `Back to revision ${toRevision}.` };
    const by = { ...back, ...this.#byOf(options) };
    const edited = await editJob(this.#client, jobId, await this.#edit(jobId, edit, toRevision), by, options);
    this.#directory.forget();
    this.#destinations.forget();
    return edited;
  }

  /**
   * Returns the warnings about an edit, or throws all that is wrong with it. Changes nothing.
   * @throws as `edit`
   */
  async checkEdit(
    jobId: string,
    edit: JobEdit,
    { toRevision, allows }: Pick<EditOptions, 'toRevision' | 'allows'> = {},
  ): Promise<CheckedEdit> {
    checkOptions(OPTIONS.edit, definedOf({ toRevision, allows }));
    return await checkEdit(this.#client, jobId, await this.#edit(jobId, edit, toRevision), allows);
  }

  async #edit(jobId: string, edit: JobEdit, toRevision: number | undefined): Promise<JobEdit> {
    if (toRevision === undefined) return edit;
    const problems = Object.keys(edit).map((field) => ({ field, message: 'This does not go with "toRevision".' }));
    if (problems.length > 0) throw new InvalidRequest(problems);
    return await editTo(this.#client, jobId, toRevision);
  }

  /**
   * Sends an enter for everybody who is a member now. With `requestId` it is safe to ask again: nothing more is started, and `askedBefore` says how
   * that backfill stands. An audience may be named by the slug that it has now.
   * @throws AudienceMoved when the job knows another audience by a slug; RequestRefused, also when the backfill with this `requestId` was cancelled
   *   or lost
   */
  async backfill(jobId: string, request: BackfillRequest = {}, options: DeedOptions = {}): Promise<JobStatus> {
    const by = this.#by(options);
    const wish = parsed(readBackfillRequest([request]));
    const audiences = wish.audiences && {
      audiences: await meantBy(this.#client, this.#taskQueue, jobId, wish.audiences),
    };
    const isStart = (wish.action ?? 'start') === 'start';
    return await updateJob(this.#client, jobId, backfillUpdate, [
      { requestId: randomUUID(), ...(isStart ? { at: this.#clock() } : {}), ...wish, ...audiences },
      by,
    ]);
  }

  /**
   * Ends the job. `waiting: 'deliver'` (the default) first sends its backlog, and keeps the rest at the deadline (by default after an hour). `'keep'`
   * keeps the backlog for `resume`. `'discard'` drops it, also that of a stopped job. With `'keep'` and `'discard'` no further request starts, as
   * with `pause`. Ending may take longer.
   */
  async stop(jobId: string, request: StopRequest = {}, options: DeedOptions = {}): Promise<JobStatus> {
    const by = this.#by(options);
    this.#directory.forget();
    this.#destinations.forget();
    return await stop(this.#client, jobId, parsed(readStopRequest([request])), by);
  }

  #by(options: DeedOptions): By {
    checkOptions(OPTIONS.deed, options);
    return this.#byOf(options);
  }

  #byOf({ by = this.#asker, reason }: DeedOptions): By {
    checkOptions(OPTIONS.by, by);
    const { who } = by;
    return { ...by, ...definedOf({ who: who && shownText(who), reason: reason && shownText(reason) }) };
  }

  #refuseWhenClosed(): void {
    if (this.#isClosed) throw new ClientClosed();
  }

  async #signalOne(jobId: string, trigger: EventTrigger): Promise<void> {
    this.#refuseWhenClosed();
    try {
      const one = checked(trigger, this.#clock);
      await this.#refuseUnmatched(jobId, one);
      await this.#grouped.signal(jobId, [one]);
    } catch (error) {
      throw reasonOf(error);
    }
  }

  /**
   * Refuses a trigger that the job would reject. If that cannot be found out, the job decides. @throws InvalidTrigger; JobNotRunning when it has
   * stopped
   */
  async #refuseUnmatched(jobId: string, { trigger: { audience } }: CheckedTrigger, line?: number): Promise<void> {
    const subscribes = this.#directory.subscribes(jobId, audience).catch((error: unknown) => {
      if (error instanceof JobNotRunning) throw error;
      return true;
    });
    if (await subscribes) return;
    const reason = unmatchedText(jobId, audience, await this.#directory.job(jobId));
    throw new InvalidTrigger(reason, line === undefined ? {} : { line });
  }

  #pusher(jobId: string, options: PushOptions, room?: PushRoom): JobPusher {
    const gauge = this.#grouped.gauge(jobId);
    return new JobPusher(jobId, jobSignals(this.#client, jobId), options, {
      gauge,
      ...(room === undefined ? {} : { room }),
    });
  }
}
