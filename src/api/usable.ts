import { InvalidJob, JobNotFound } from '../client/calls/errors.ts';
import type { JobClient, JobStatus } from '../client/job-client.ts';
import type { Used } from '../client/jobs/start-job.ts';
import { isRecord } from '../domain/json.ts';
import type { Caller } from './callers.ts';
import { Refused } from './refusal.ts';

type AudienceNames = Pick<JobStatus['audiences'][number], 'id' | 'slug'>;

/**
 * The audiences and authorizations that a key may use in its jobs. A key for all jobs may use everything. One for some jobs may use those that it was
 * given. By default, it may use those that its jobs have now, or had at their end. An edit can only move these between its jobs. No sequence of edits
 * widens them.
 */
export class Usable {
  readonly #caller: Caller;
  readonly #jobs: Pick<JobClient, 'status'>;
  #asked: Promise<PromiseSettledResult<JobStatus>[]> | undefined;

  constructor(caller: Caller, jobs: Pick<JobClient, 'status'>) {
    this.#caller = caller;
    this.#jobs = jobs;
  }

  /** Whether there is anything that it may not use. */
  get isLimited(): boolean {
    return this.#caller.jobs !== undefined;
  }

  async mayAuthorization(name: string): Promise<boolean> {
    const { authorizations: given } = this.#caller;
    return given?.includes(name) ?? (await this.#anyJob((job) => job.authorization === name));
  }

  /** @param one its slug or id, as somebody names it; or both, as its source has them now. */
  async mayAudience(one: string | AudienceNames): Promise<boolean> {
    const { audiences: given } = this.#caller;
    const names = typeof one === 'string' ? [one] : [one.id, one.slug];
    if (given !== undefined) return names.some((name) => given.includes(name));
    // The source's slug may be that of another audience since the job looked it up, and then only the id counts.
    const isMeant = (own: AudienceNames): boolean => own.id === names[0] || own.slug === one;
    return await this.#anyJob(({ audiences }) => audiences.some(isMeant));
  }

  /** Returns the part of a list that it may use. */
  async among<T>(list: readonly T[], may: (one: T) => Promise<boolean>): Promise<readonly T[]> {
    if (!this.isLimited) return list;
    const isUsable = await Promise.all(list.map(may));
    return list.filter((_, i) => isUsable[i]);
  }

  /**
   * @param edit the fields that are being changed. Default: all.
   * @throws Refused for what it may not use
   */
  readonly check = async (form: Used, edit: Used = form): Promise<void> => {
    if (!this.isLimited) return;
    const { authorizations, audiences } = this.#caller;
    const isLookedAt = (field: keyof Used): boolean => (authorizations ?? audiences ?? edit[field]) !== undefined;
    const problems: { field: string; message: string }[] = [];
    const refuse = (field: string, what: string): unknown =>
      problems.push({ field, message: `This API key may not use ${what} in its jobs.` });
    const named = typeof form.authorization === 'string' ? form.authorization.trim() : null;
    if (named !== null && isLookedAt('authorization') && !(await this.mayAuthorization(named)))
      refuse('authorization', 'this authorization');
    for (const [i, one] of (isLookedAt('audiences') ? [form.audiences].flat() : []).entries()) {
      // The form's own rules refuse anything else.
      if (typeof one !== 'string' && !isRecord(one)) continue;
      const name = typeof one === 'string' ? one.trim() : (one as unknown as AudienceNames); // The source's.
      if (!(await this.mayAudience(name))) refuse(`audiences[${i}]`, 'this audience');
    }
    if (form.memberships === true && isLookedAt('memberships') && !(await this.#anyJob((job) => job.memberships)))
      refuse('memberships', "people's other audiences");
    if (problems.length === 0) return;
    // A job that does not answer may have it.
    for (const one of (await this.#asked) ?? [])
      if (one.status === 'rejected' && !(one.reason instanceof JobNotFound)) throw one.reason;
    throw new Refused(403, 'NotAllowed', 'This API key may not use that: "problems" says what.', { problems });
  };

  /** Checks that the key may use what a job sends about some of its audiences, by default all. @throws Refused */
  async checkJob(jobId: string, names?: unknown): Promise<void> {
    const { authorizations, audiences } = this.#caller;
    if ((authorizations ?? audiences) === undefined) return;
    const { authorization, audiences: all } = await this.#jobs.status(jobId);
    const known = (name: unknown): unknown => all.find(({ id, slug }) => id === name || slug === name) ?? name;
    await this.check({ authorization, audiences: Array.isArray(names) ? names.map(known) : all });
  }

  /** Resolves like the answer to a form. Its problems do not list the worker's audiences and authorizations. */
  async hiding<T>(answer: Promise<T>): Promise<T> {
    return await answer.catch((error: unknown) => {
      if (!this.isLimited || !(error instanceof InvalidJob)) throw error;
      const problems = error.problems.map(({ field, message }) => ({
        field,
        message: /^(?:authorization$|audiences\[)/.test(field) ? UNUSABLE : message,
      }));
      throw new Refused(422, error.name, error.headline, { problems });
    });
  }

  async #anyJob(has: (job: JobStatus) => boolean): Promise<boolean> {
    const { jobs } = this.#caller;
    if (jobs === undefined) return true;
    this.#asked ??= Promise.allSettled(jobs.map((jobId) => this.#jobs.status(jobId)));
    return (await this.#asked).some((one) => one.status === 'fulfilled' && has(one.value));
  }
}

const UNUSABLE = 'The worker or its source does not know this, or may not use it here.';
