export type { PersonStanding } from '../contract/person-standing.ts';
import type { FoundTold } from '../features/replay/found-told.ts';
export type { FoundTold } from '../features/replay/found-told.ts';
export type { ToldRow } from '../features/delivery-log/told-log.ts';
import { JobClient } from '../client/job-client.ts';
import { compare, type CompareOptions, forget } from '../features/reconcile/compare.ts';
import { reconcile, type ReconcileOptions } from '../features/reconcile/reconcile.ts';
import { recover, type RecoverOptions } from '../features/recover/recover.ts';
import { tracePerson } from '../features/trace/logged.ts';
import type { TraceOptions } from '../features/trace/trace.ts';
import { type JobsPlan, planJobs, type PlanOptions } from '../features/apply/plan-jobs.ts';
import { type SampleOf, sampleRequest, sendSample } from '../features/preview/asking.ts';
import { People } from '../features/people/people.ts';
import { findTold, replay, type ReplayOptions, type ReplayWish } from '../features/replay/replay.ts';
import { Watches } from '../features/watch/watches.ts';
import type { Difference } from '../features/reconcile/difference.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { Sample, SampleWish, SentSample } from '../features/preview/sample.ts';
import type { TraceEvent } from '../features/trace/events.ts';

export * from '../client/job-client.ts';
export type { Difference, DifferenceCounts } from '../features/reconcile/difference.ts';
export type { TraceEvent } from '../features/trace/events.ts';
export { NothingToRecover } from '../features/recover/errors.ts';
export { DifferenceDoubtful, InvalidList } from '../features/reconcile/errors.ts';
export { InvalidWatch, WatchNotFound } from '../features/watch/errors.ts';
export { NoSample } from '../features/preview/no-sample.ts';
export type { Sample, SampleAnswer, SampleWish, SentSample } from '../features/preview/sample.ts';
export type { ShownRequest } from '../contract/delivery.ts';
export type { WatchOptionsInput, WatchRound, WatchStatus } from '../features/watch/sandbox/watch.ts';
export type { ReplayFilter } from '../contract/replay.ts';
export type { JobsPlan, PlannedJob, PlanOptions, UnplannedJob } from '../features/apply/plan-jobs.ts';
export type { PersonInJob, PersonPlaces, RemovedLetters } from '../features/people/people.ts';
export type { RecoverOptions } from '../features/recover/recover.ts';
export type { CompareOptions, CompareProgress } from '../features/reconcile/compare.ts';
export type { ReplayOptions, ReplayWish } from '../features/replay/replay.ts';
export type { SampleOf } from '../features/preview/asking.ts';
export type { TraceOptions, TraceProgress } from '../features/trace/trace.ts';
export type { AskedWatch, WatchSummary } from '../features/watch/watches.ts';

/** Export jobs for programs, with all features. Every method rejects with one of the classes in `client/calls/errors.ts` when the reason is known. */
export class ExportJobs extends JobClient {
  /** Audiences whose changes are found by polling, for sources without an event stream. */
  readonly watches: Watches;
  /** Where Temporal has a person, and how much of that can be removed. */
  readonly people: People;

  constructor(...[client, options]: ConstructorParameters<typeof JobClient>) {
    super(client, options);
    this.watches = new Watches(this.core);
    this.people = new People(this.core, this.deadLetters);
  }

  /**
   * Returns the request that a job, running or only defined, would send about a real person, with every secret masked. Sends nothing. The answer contains
   * the person's profile, which is thereby stored in Temporal.
   * @throws InvalidJob, JobNotFound, NoSample
   */
  async sample(of: SampleOf, wish: SampleWish = {}): Promise<Sample> {
    return await sampleRequest(this.core, of, wish);
  }

  /**
   * Sends one message about a real person, now, whatever the job is doing and in addition to its parallel requests. Its `webhook-id` begins with `test-`. It
   * is sent a second time only after a 401 that a new token may fix. Answers within 160 s.
   * @throws InvalidJob, JobNotFound, NoSample
   */
  async test(of: SampleOf, wish: SampleWish = {}): Promise<SentSample> {
    return await sendSample(this.core, of, wish);
  }

  /**
   * Returns how to make each job as wanted: which to start, to change, and with `prune` to stop; or all obstacles to that, for all jobs at once. Does
   * nothing.
   * @param wanted definitions as `start` takes them, by job id. A missing field gets its default.
   */
  async plan(wanted: Readonly<Record<string, unknown>>, options: PlanOptions = {}): Promise<JobsPlan> {
    return await planJobs(this.core, wanted, options);
  }

  /**
   * Yields why a person was sent or was not: every trigger, attempt and dead letter that the server still knows, in order of time. At the end it says what
   * the person is waiting for now.
   * @throws JobNotFound, UnknownPayloadKey when a job is named; with `log`, what that throws
   */
  trace(user: string, options: TraceOptions = {}): AsyncIterable<TraceEvent> {
    return tracePerson(this.core, user, options);
  }

  /**
   * Starts a terminated job again, with exactly the triggers that it is not known to have delivered. First waits, until about 20 s after its end, until none
   * of its requests can still be in flight. Possible as long as the server keeps the job (its namespace's retention).
   * @throws JobAlreadyRunning; NothingToRecover when it ended normally; NoWorker
   */
  async recover(jobId: string, options: RecoverOptions = {}): Promise<JobStatus> {
    return await recover(this.core, jobId, options);
  }

  /**
   * Compares an endpoint's own list of ids with the members of one of the job's audiences now. It may be a stream of any length, in constant memory.
   * Sends nothing: `reconcile` sends the difference, `forget` removes it.
   * @throws InvalidRequest when the job has several audiences and none is named; AudienceMoved; JobNotRunning. WorkerFailed when its workers have no
   *   folder, or its source cannot be read to the end.
   */
  async compare(
    jobId: string,
    theirs: Iterable<string> | AsyncIterable<string>,
    options: CompareOptions = {},
  ): Promise<Difference> {
    return await compare(this.core, jobId, theirs, options);
  }

  /**
   * Has the job send a difference, as its next backfill: enters for members who are missing there, exits for people there who are not members. Each
   * is checked once more before it is sent. Asking again for the same difference starts nothing more. An empty difference starts nothing.
   * @throws DifferenceDoubtful unless `force`; RequestRefused while another backfill is under way
   */
  async reconcile(jobId: string, difference: Difference, options: ReconcileOptions = {}): Promise<JobStatus> {
    return await reconcile(this.core, jobId, difference, options);
  }

  /** Removes a difference that is not to be sent. An unused one is removed after 90 days, when lists are compared again. */
  async forget(jobId: string, difference: Pick<Difference, 'id'>): Promise<void> {
    await forget(this.core, jobId, difference);
  }

  /**
   * Finds what a job told its endpoint, by its workers' delivery log, and counts what could be sent again. Sends nothing: `replay` does. It
   * leaves out triggers after which the person was told something newer, and those that the job would not send today.
   * @throws NoDeliveryLog, AudienceMoved, JobNotRunning; DeliveryNotFound when there is none with the `deliveryId`; WorkerFailed when the log cannot be read
   */
  async findTold(jobId: string, wish: ReplayWish): Promise<FoundTold> {
    return await findTold(this.core, jobId, wish);
  }

  /**
   * Has the job send again what was found, as its next backfill, in each person's order and with the same `webhook-id`s. A live trigger that
   * comes meanwhile takes its place. Asking again for the same starts nothing more; if nothing was found, nothing starts.
   * @throws RequestRefused while another backfill is under way
   */
  async replay(jobId: string, found: FoundTold, options: ReplayOptions = {}): Promise<JobStatus> {
    return await replay(this.core, jobId, found, options);
  }
}
