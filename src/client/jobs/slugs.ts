import type { Client } from '@temporalio/client';
import type { AudienceListing } from '../../contract/audience.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import { AUDIENCE_ID, findAudience } from '../../domain/names.ts';
import { isPolled, noWorker } from '../calls/asking.ts';
import type { DeadLetterFilter } from './dead-letter-filter.ts';
import { AudienceMoved, AudienceNotFound, SlugNotChecked, TriggersError } from '../calls/errors.ts';
import { workerRpc } from './worker-rpc.ts';
import { LIST_AUDIENCES } from '../../domain/worker-rpc.ts';
import { type KnowingJob, knowingJob, listJobs, reachableJobs } from './job-list.ts';
import { describeExecution } from './job-service.ts';

/**
 * Refuses a filter that selected nothing because it has an unknown name: that is a mistake, not an empty list.
 *
 * @param waits whether a dead letter waits that matches this filter.
 * @param inSource gives all audiences of the source; undefined when that cannot be known.
 * @throws JobNotFound, AudienceNotFound
 */
export async function refuseUnknownNames(
  client: Client,
  taskQueue: string,
  { jobId, audience }: DeadLetterFilter,
  waits: (filter: DeadLetterFilter) => Promise<boolean>,
  inSource: () => Promise<readonly AudienceListing[] | undefined>,
): Promise<void> {
  // Dead letters outlive the server's record of their job.
  if (jobId !== undefined && !(await waits({ jobId }))) await describeExecution(client, jobId);
  if (audience === undefined || (await waits({ audience }))) return;
  const jobs = await listJobs(client);
  const subscribed = jobs.flatMap(({ audiences = [] }) => audiences);
  if (findAudience(subscribed, audience) !== undefined) return;
  // A job that is encrypted with another key may name it; jobs of another task queue have another source.
  const own = await listJobs(client, { taskQueue });
  if (own.some(({ unreadable }) => unreadable !== undefined)) return;
  const known = await inSource();
  if (known === undefined || findAudience(known, audience) !== undefined) return;
  throw new AudienceNotFound(
    audience,
    nearestKey(
      audience,
      [...subscribed, ...known].map(({ slug }) => slug),
    ),
  );
}

/** All audiences of the source; undefined when that cannot be known. */
export async function audiencesOfSource(
  client: Client,
  taskQueue: string,
): Promise<readonly AudienceListing[] | undefined> {
  try {
    const { audiences, total } = await workerRpc(client, taskQueue, LIST_AUDIENCES, null);
    return audiences.length < total ? undefined : audiences;
  } catch (error) {
    if (error instanceof TriggersError) return undefined;
    throw error;
  }
}

// A job knows its audiences by the slugs that they had when it was started or last edited, and accepts triggers by those. A person who types a slug means
// the audience that has it now.

/** How long, in ms, a source may take to say which audiences it has. */
const ANSWER_MS = 5_000;

/** Resolves slugs: as jobs know them, and as their source has them now. A source is asked only once, and only about a slug. */
export class Slugs {
  readonly #client: Client;
  readonly #taskQueue: string;
  readonly #jobs: readonly KnowingJob[];
  readonly #sources = new Map<string, Promise<SourceNow>>();
  #hasMoved = false;

  /** @param taskQueue whose source is asked about a slug that none of the jobs knows. */
  constructor(client: Client, taskQueue: string, jobs: readonly KnowingJob[]) {
    this.#client = client;
    this.#taskQueue = taskQueue;
    this.#jobs = jobs;
  }

  /** Whether a slug of any job has passed to another audience, as far as sources have been asked. */
  get hasMoved(): boolean {
    return this.#hasMoved;
  }

  /** Whether any of the jobs subscribes to this audience, or may: a job without names of audiences in its memo. */
  maySubscribe(audience: string): boolean {
    return (
      this.#jobs.length === 0 ||
      this.#jobs.some(({ audiences }) => audiences.length === 0 || findAudience(audiences, audience) !== undefined)
    );
  }

  /** The ids of the jobs that are stopping, as far as the server shows it. */
  get stopping(): string[] {
    return this.#jobs.flatMap(({ jobId, state }) => (state === 'stopping' ? [jobId] : []));
  }

  /** The slugs by which the jobs know their audiences. */
  get known(): string[] {
    return this.#jobs.flatMap(({ audiences }) => audiences.map(({ slug }) => slug));
  }

  /**
   * Returns the name by which to signal the audience that has this slug now: the slug itself, or its id where a job knows it by an older slug.
   * @throws AudienceMoved when a job knows another audience by this slug; NoWorker, WorkerFailed, UnknownPayloadKey, SlugNotChecked when it is not known
   *   which audience has it now
   */
  async meant(slug: string): Promise<string> {
    if (this.#jobs.length === 0 || AUDIENCE_ID.test(slug)) return slug;
    const knowing = this.#jobs.flatMap((job) =>
      job.audiences.filter((one) => one.slug === slug).map(({ id }) => ({ ...job, id })),
    );
    const ids = new Set(knowing.map(({ id }) => id));
    for (const taskQueue of new Set(knowing.length === 0 ? [this.#taskQueue] : knowing.map((job) => job.taskQueue))) {
      const { bySlug, isWhole } = await this.#ask(taskQueue);
      const now = bySlug.get(slug);
      if (now === undefined && !isWhole) throw new SlugNotChecked(slug);
      if (now === undefined) continue;
      const other = knowing.find((job) => job.taskQueue === taskQueue && job.id !== now.id);
      if (other !== undefined) throw new AudienceMoved(slug, now, { id: other.id, by: `The job "${other.jobId}"` });
      ids.add(now.id);
    }
    // Where several sources have this slug, no id stands for all of them.
    const [id] = ids.size === 1 ? ids : [];
    const isRenamed = this.#jobs.some((job) => job.audiences.some((one) => one.id === id && one.slug !== slug));
    return id !== undefined && isRenamed ? id : slug;
  }

  #ask(taskQueue: string): Promise<SourceNow> {
    const source = this.#sources.get(taskQueue) ?? this.#askOnce(taskQueue);
    this.#sources.set(taskQueue, source);
    return source;
  }

  async #askOnce(taskQueue: string): Promise<SourceNow> {
    const source = await sourceNow(this.#client, taskQueue);
    const known = this.#jobs.flatMap((job) => (job.taskQueue === taskQueue ? job.audiences : []));
    this.#hasMoved ||= known.some(({ id, slug }) => (source.bySlug.get(slug)?.id ?? id) !== id);
    return source;
  }
}

/** Returns the slugs of one job; none for one that has ended. @throws JobNotFound, UnknownPayloadKey */
export async function slugsOf(client: Client, taskQueue: string, jobId: string): Promise<Slugs> {
  const job = await knowingJob(client, jobId);
  return new Slugs(client, job?.taskQueue ?? taskQueue, job === undefined ? [] : [job]);
}

/** Returns the slugs of all jobs that run and can be read here. */
export async function slugsOfAll(client: Client, taskQueue: string): Promise<Slugs> {
  const jobs = await reachableJobs(client);
  return new Slugs(
    client,
    taskQueue,
    jobs.map(({ audiences = [], ...job }) => ({ ...job, audiences })),
  );
}

/**
 * Returns the names by which a job knows the audiences that have these slugs now.
 * @throws as `Slugs.meant`; JobNotFound
 */
export async function meantBy(
  client: Client,
  taskQueue: string,
  jobId: string,
  names: readonly string[],
): Promise<string[]> {
  if (names.every((name) => AUDIENCE_ID.test(name))) return [...names];
  const slugs = await slugsOf(client, taskQueue, jobId);
  return await Promise.all(names.map((name) => slugs.meant(name)));
}

/** The audiences of a source by their slugs; not all of them where they do not fit into an answer. */
export interface SourceNow {
  readonly bySlug: ReadonlyMap<string, AudienceListing>;
  readonly isWhole: boolean;
}

/** Returns the audiences that a source has now. @throws NoWorker at once when nobody polls; WorkerFailed; UnknownPayloadKey */
export async function sourceNow(client: Client, taskQueue: string): Promise<SourceNow> {
  if (!(await isPolled(client, taskQueue))) throw await noWorker(client, taskQueue);
  const { audiences, total } = await workerRpc(client, taskQueue, LIST_AUDIENCES, null, ANSWER_MS);
  return { bySlug: new Map(audiences.map((one) => [one.slug, one])), isWhole: audiences.length === total };
}
