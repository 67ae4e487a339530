import { hasStopped } from '../domain/job-state.ts';
import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { By } from '../contract/audit.ts';
import type { DeadLetterEnd, DeadLetterState, DeadLetterStatus } from '../contract/dead-letter.ts';
import type { JobStatus } from '../contract/job-status.ts';
import { missingKeyReason } from '../domain/errors.ts';
import { forEachLimit } from '../domain/for-each-limit.ts';
import { parseInstant } from '../domain/instant.ts';
import { AUDIENCE_ID, beganAt, deadLetterIdOf, deadLetterWorkflowId } from '../domain/names.ts';
import { askerSignal, deadLetterStatusQuery, discardSignal, redeliverSignal } from '../workflows/messages.ts';
import { ask, type Commanded, mayBeAskedAgain, settled } from './calls/asking.ts';
import { clientForLists, describeLast, isOpen } from './calls/executions.ts';
import { type DeadLetterFilter, filterProblem, isMeant, meansAll, queryOf } from './jobs/dead-letter-filter.ts';
import {
  AudienceMoved,
  DeadLetterNotFound,
  DiscardRefused,
  InvalidFilter,
  JobNotFound,
  OutcomeUnknown,
  RedeliveryRefused,
  SlugNotChecked,
} from './calls/errors.ts';
import { missingSearchAttributes } from './jobs/search-attributes.ts';
import { statusOf } from './jobs/stopped-jobs.ts';
import { audiencesOfSource, refuseUnknownNames, sourceNow } from './jobs/slugs.ts';
import { checkOptions, OPTIONS, type DeedOptions } from './calls/options.ts';
import { inOrder, type OrderedItem, type Outcome } from './calls/in-order.ts';
import { GRPC, grpcCode } from './calls/server-errors.ts';

/** Exactly what a decision about dead letters covers. */
export interface DecisionExtent {
  readonly letters: number;
  /** The jobs that the triggers belong to, with the number of each. */
  readonly jobs: readonly { readonly jobId: string; readonly letters: number }[];
  /** Their audiences; the same slug twice are two audiences. */
  readonly audiences: readonly { readonly id: string; readonly slug: string; readonly letters: number }[];
  /** Persons, each counted once. */
  readonly people: number;
  /** With a redelivery: those that nobody can send any more, since their job has ended. Absent: none. */
  readonly neverSent?: number;
}

/** A selected dead letter: its place in the order, and what it counts as. */
interface Selected
  extends OrderedItem, Pick<DeadLetterSummary, 'jobId' | 'user' | 'audience' | 'audienceId' | 'diedAt'> {
  /** It can never be sent again. */
  readonly isNeverSent: boolean;
}

function extentOf(selected: readonly Selected[]): DecisionExtent {
  const jobs = new Map<string, number>();
  const audiences = new Map<string, DecisionExtent['audiences'][number]>();
  for (const { jobId, audience: slug, audienceId: id } of selected) {
    jobs.set(jobId, (jobs.get(jobId) ?? 0) + 1);
    audiences.set(id, { id, slug, letters: (audiences.get(id)?.letters ?? 0) + 1 });
  }
  const neverSent = selected.filter(({ isNeverSent }) => isNeverSent).length;
  return {
    letters: selected.length,
    jobs: [...jobs].map(([jobId, letters]) => ({ jobId, letters })),
    audiences: [...audiences.values()],
    people: new Set(selected.map(({ user }) => user)).size,
    ...(neverSent === 0 ? {} : { neverSent }),
  };
}

/** A dead letter as the list shows it; ask `show` for more. */
export interface DeadLetterSummary {
  /** Its name in every command; its workflow id is `dead-letter-<id>`. */
  readonly id: string;
  readonly jobId: string;
  readonly user: string;
  /** Slug */
  readonly audience: string;
  readonly audienceId: string;
  readonly event: string;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** The outcome of the last attempt, in words. */
  readonly failure: string;
  readonly attempts: number;
  /** RFC 3339: when it was given up. */
  readonly diedAt: string;
  /** Why the last request to redeliver it failed. */
  readonly notice?: string;
}

/** All that is known of a dead letter. */
export interface DeadLetterReport extends Omit<DeadLetterStatus, 'state'> {
  readonly id: string;
  /** `terminated`: its workflow was ended from outside, so that it neither waits nor is sent. */
  readonly state: DeadLetterState | 'terminated';
  /** It waits, but no job can send it: its own has ended. Another one may have its id. Absent also when that is unknown. */
  readonly orphaned?: true;
}

/** The progress of a decision about many. */
export interface DecisionProgress {
  readonly id: string;
  readonly jobId: string;
  /** Why it was not done; absent when it was. */
  readonly failure?: string;
  /** Decided so far, failures included. */
  readonly settled: number;
  readonly of: number;
}

export interface DecisionOptions extends DeedOptions {
  /** Called before anything is done, with the selection unless it is empty; when it returns false, nothing is done. */
  readonly confirm?: (extent: DecisionExtent) => Promise<boolean>;
  /** Called for each, as soon as it is settled. */
  readonly onProgress?: (progress: DecisionProgress) => void;
  /** When it is aborted, no further one is begun. */
  readonly signal?: AbortSignal;
  /** The caller tells the delivery log of the whole decision, so the history does not list each dead letter of it. */
  readonly isTold?: boolean;
}

export interface RedeliverOptions extends DecisionOptions {
  /**
   * Redeliver even if the source now contradicts it: an exit for a member, an enter for a non-member. Or if the job no longer subscribes to the
   * audience.
   */
  readonly force?: boolean;
  /** At most so many, those of the oldest triggers; default: all. */
  readonly limit?: number;
  /** At most so many are begun per second; default: as many as their jobs take. */
  readonly perSecond?: number;
}

/** The outcome of a decision about dead letters. */
export interface Decided {
  readonly done: number;
  /** The ones it was not done for; with `isUnknown`, it may have been done. Asking again is safe: those that are done no longer wait. */
  readonly failures: readonly { readonly id: string; readonly reason: string; readonly isUnknown?: true }[];
  /** How many of those that are done somebody else had decided so at the same time. Absent: none. */
  readonly shared?: number;
}

/** A decision that took effect. */
interface Carried {
  /** Somebody else decided the same while it was carried out. */
  readonly isShared: boolean;
}

/** One, by its id, or all that match a filter; a filter that excludes nothing needs `all`. */
export type WhichDeadLetters = string | (DeadLetterFilter & { readonly all?: boolean | undefined });

const PAGE = 500;
const AT_ONCE = 16;
/** How long a decision may take, in ms: asking the source may take a minute, and the job is waited for. */
const DECIDED_MS: Readonly<Record<Decision, number>> = { redelivered: 90_000, discarded: 30_000 };
const LONGEST_PAUSE_MS = 1_000;

/** Jobs that are asked at once whether they can still send. */
const JOBS_AT_ONCE = 8;
const NEVER_SENT = 'Its job has ended, so it can never be sent. Push the trigger to another job, then discard this.';

const FAILURE = defineSearchAttributeKey('ExportFailure', SearchAttributeType.KEYWORD);

/** A person's decision about a dead letter, as the state that follows. */
type Decision = Exclude<DeadLetterEnd, 'expired'>;

const COMMANDS: Readonly<Record<Decision, string>> = { redelivered: 'redeliver', discarded: 'discard' };
const REFUSALS: Readonly<Record<Decision, (id: string, reason: string) => Error>> = {
  redelivered: (id, reason) => new RedeliveryRefused(id, reason),
  discarded: (id, reason) => new DiscardRefused(id, reason),
};
/** The message to a person whose decision came after somebody else's. */
const OVERRULED: Readonly<Record<DeadLetterEnd, string>> = {
  redelivered: 'Its job has it, and sends it.',
  discarded: 'It is discarded.',
  expired: 'It is expired.',
};

/** Triggers that will not be sent unless a person decides so. */
export class DeadLetters {
  readonly #open: () => Client;
  readonly #taskQueue: string;
  readonly #byOf: (options: DeedOptions) => By;

  /**
   * @param open the client, as long as it is not closed.
   * @param taskQueue of the workers: one is asked whether its source knows an audience. Dead letters of this queue must be readable here.
   * @param byOf who asks, and why. Default: the door `client`.
   */
  constructor(open: () => Client, taskQueue: string, byOf: (options: DeedOptions) => By = () => ({ door: 'client' })) {
    this.#open = open;
    this.#taskQueue = taskQueue;
    this.#byOf = byOf;
  }

  get #client(): Client {
    return this.#open();
  }

  /**
   * Yields the dead letters that wait for a decision, newest first, page by page; a new one shows up within about a second.
   * @throws InvalidFilter; JobNotFound, AudienceNotFound when nothing is found because the name is unknown. UnknownPayloadKey at the end, when some
   *   of this task queue cannot be read here, and so may match.
   */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetterSummary> {
    let found = 0;
    for await (const summary of this.waiting(filter)) {
      found++;
      yield summary;
    }
    if (found > 0) return;
    let sourceAudiences: ReturnType<typeof audiencesOfSource> | undefined;
    const inSource = () => (sourceAudiences ??= audiencesOfSource(this.#client, this.#taskQueue));
    const { audience } = filter;
    // None died under that slug, but some may have under an older slug of the same audience.
    const isSlug = audience !== undefined && !AUDIENCE_ID.test(audience);
    const id = isSlug ? (await inSource())?.find(({ slug }) => slug === audience)?.id : undefined;
    if (id !== undefined) {
      for await (const summary of this.waiting({ ...filter, audience: id })) {
        found++;
        yield summary;
      }
    }
    if (found > 0) return;
    await refuseUnknownNames(this.#client, this.#taskQueue, filter, (names) => this.#waits(names), inSource);
  }

  /** As `list`, but accepts names that nobody knows. */
  async *waiting(filter: DeadLetterFilter): AsyncGenerator<DeadLetterSummary> {
    for await (const [letter] of this.#found(filter, 'waiting')) yield letter;
  }

  /** As `waiting`, and with them those whose workflows somebody ended in Temporal. */
  undecided(filter: DeadLetterFilter): AsyncGenerator<[DeadLetterSummary, 'waiting' | 'terminated']> {
    return this.#found(filter, 'undecided');
  }

  async *#found(
    filter: DeadLetterFilter,
    which: 'waiting' | 'undecided',
  ): AsyncGenerator<[DeadLetterSummary, 'waiting' | 'terminated']> {
    checkOptions(OPTIONS.deadLetterFilter, filter);
    const problem = filterProblem(filter);
    if (problem !== undefined) throw new InvalidFilter(problem);
    const { connection, options } = this.#client;
    const missing = meansAll(filter) ? [] : await missingSearchAttributes(connection, options.namespace);
    const { workflow } = clientForLists(this.#client);
    let unreadable: string | undefined;
    for await (const run of workflow.list({ query: queryOf(filter, missing, which), pageSize: PAGE })) {
      const summary = summaryOf(run);
      // Anybody may start such a workflow with a memo that is no text; only one of ours has a key.
      if (missingKeyReason([run.memo?.['job']]) !== undefined) {
        // Dead letters of other workers may have keys of their own, and are not asked for here.
        if (run.taskQueue === this.#taskQueue) unreadable ??= summary.id;
      } else if (isMeant(filter, { ...summary, failureCode: run.typedSearchAttributes.get(FAILURE) }))
        yield [summary, isOpen(run) ? 'waiting' : 'terminated'];
    }
    // Its answer cannot be read either: the error says which key is missing.
    if (unreadable !== undefined) await this.#status(unreadable);
  }

  async #waits(filter: DeadLetterFilter): Promise<boolean> {
    const first = await this.waiting(filter).next();
    return first.done !== true;
  }

  /**
   * All about one; also about one that has been decided, as long as the server keeps it.
   * @param id with or without the `dead-letter-` of its workflow id.
   * @throws DeadLetterNotFound, NoWorker
   */
  async show(id: string): Promise<DeadLetterReport> {
    const bare = deadLetterIdOf(id);
    const status = await this.#status(bare);
    if (await this.#isTerminated(bare, status)) return { id: bare, ...status, state: 'terminated' };
    const isOrphaned = status.state === 'waiting' && (await this.#isOrphaned(status));
    return { id: bare, ...status, ...(isOrphaned ? { orphaned: true } : {}) };
  }

  async #isOrphaned({ jobId, subscriptionId }: DeadLetterStatus): Promise<boolean> {
    const job = await this.#jobOf(jobId);
    if (typeof job === 'string') return job === 'ended';
    // A job without a subscription is starting.
    return job.subscriptionId !== subscriptionId && job.subscriptionId !== '';
  }

  /** The job that dead letters belong to; `ended`: it can never send again. */
  async #jobOf(jobId: string): Promise<JobStatus | 'ended' | 'unknown'> {
    try {
      const job = await statusOf(this.#client, jobId);
      const isOver = hasStopped(job.state) && job.kept === undefined && job.recoverableUntil === undefined;
      return isOver ? 'ended' : job;
    } catch (error) {
      // One that another client started may have its job id as its workflow id.
      const isGone = error instanceof JobNotFound && (await describeLast(this.#client, jobId)) === undefined;
      return isGone ? 'ended' : 'unknown';
    }
  }

  /** Returns whether nobody can send a dead letter any more, for those of these jobs. */
  async #neverSent(
    jobIds: Iterable<string>,
  ): Promise<(letter: Pick<DeadLetterSummary, 'jobId' | 'diedAt'>) => boolean> {
    /** Epoch ms: those that died before then belong to a job that has ended. */
    const since = new Map<string, number>();
    await forEachLimit(jobIds, JOBS_AT_ONCE, async (jobId) => {
      const job = await this.#jobOf(jobId);
      if (job === 'ended') since.set(jobId, Infinity);
      else if (job !== 'unknown' && job.deadLettersOfEarlierJobs !== undefined)
        since.set(jobId, beganAt(job.subscriptionId) ?? 0);
    });
    return ({ jobId, diedAt }) => Date.parse(diedAt) < (since.get(jobId) ?? 0);
  }

  /** The workflow itself does not know: in its own state it still waits. */
  async #isTerminated(id: string, { state }: DeadLetterStatus): Promise<boolean> {
    const found = isEnd(state) ? undefined : await describeLast(this.#client, deadLetterWorkflowId(id));
    return found !== undefined && !isOpen(found) && found.status.name !== 'COMPLETED';
  }

  /**
   * Sends again: each is queued after what is waiting for its person, with its old id and `at`. If a person has several, the one with the oldest `at`
   * goes first, and each waits for the one before. One is done when its job has confirmed it.
   *
   * @throws as `list`; for a single one: DeadLetterNotFound, RedeliveryRefused, OutcomeUnknown. NoWorker, UnknownPayloadKey: no more are begun, but
   *   those begun by then still complete.
   */
  async redeliver(which: WhichDeadLetters, options: RedeliverOptions = {}): Promise<Decided> {
    checkOptions(OPTIONS.redeliver, options);
    const { force = false, limit, perSecond, ...rest } = options;
    const by = this.#askerOf(which, options);
    const turn = perSecond === undefined ? undefined : turns(perSecond, options.signal);
    const redeliver = async (id: string): Promise<Carried> => {
      await turn?.();
      return await this.#command(id, 'redelivered', redeliverSignal, { force }, by);
    };
    return await this.#decide(which, rest, redeliver, { limit, isSending: true });
  }

  /**
   * Drops them for good. One that its job already has cannot be dropped.
   * @throws as `list`; for a single one: DeadLetterNotFound, DiscardRefused, OutcomeUnknown. NoWorker, UnknownPayloadKey, as for `redeliver`.
   */
  async discard(which: WhichDeadLetters, options: DecisionOptions = {}): Promise<Decided> {
    checkOptions(OPTIONS.discard, options);
    const by = this.#askerOf(which, options);
    return await this.#decide(which, options, (id) => this.#command(id, 'discarded', discardSignal, {}, by));
  }

  #askerOf(which: WhichDeadLetters, options: DecisionOptions): By {
    const by = this.#byOf(options);
    return options.isTold === true && typeof which !== 'string' ? { ...by, isOfMany: true } : by;
  }

  async #decide(
    which: WhichDeadLetters,
    options: DecisionOptions,
    decide: (id: string) => Promise<Carried>,
    selection: { readonly limit?: number | undefined; readonly isSending?: boolean } = {},
  ): Promise<Decided> {
    const { confirm, onProgress, signal } = options;
    if (typeof which === 'string') return await this.#decideOne(deadLetterIdOf(which), options, decide, selection);
    checkOptions(OPTIONS.whichDeadLetters, which);
    const { all, ...filter } = which;
    if (meansAll(filter) && all !== true)
      throw new InvalidFilter('A filter that matches all dead letters must say so: { all: true }.');
    const { items, extent } = await this.#select(filter, selection);
    const failures: { id: string; reason: string; isUnknown?: true }[] = [];
    if (items.length === 0 || (await confirm?.(extent)) === false) return { done: 0, failures };
    let done = 0;
    let shared = 0;
    const settle = ({ id, jobId }: Selected, outcome: Outcome): void => {
      if (outcome.kind === 'done') done += 1;
      else failures.push({ id, reason: outcome.reason, ...(outcome.kind === 'unknown' ? { isUnknown: true } : {}) });
      const failure = outcome.kind === 'done' ? {} : { failure: outcome.reason };
      onProgress?.({ id, jobId, ...failure, settled: done + failures.length, of: items.length });
    };
    const act = async ({ id, isNeverSent }: Selected): Promise<Outcome> =>
      isNeverSent
        ? { kind: 'refused', reason: NEVER_SENT }
        : await outcomeOf(decide(id).then(({ isShared }) => void (shared += isShared ? 1 : 0)));
    await inOrder(items, act, settle, { atOnce: AT_ONCE, signal });
    return { done, failures, ...(shared === 0 ? {} : { shared }) };
  }

  async #decideOne(
    id: string,
    { confirm, onProgress }: DecisionOptions,
    decide: (id: string) => Promise<Carried>,
    { isSending = false }: { readonly isSending?: boolean },
  ): Promise<Decided> {
    const { state, jobId, audience, orphaned } = await this.show(id);
    if (state === 'terminated' || isEnd(state)) throw new DeadLetterNotFound(id);
    const { id: audienceId, slug } = audience;
    const extent = {
      letters: 1,
      jobs: [{ jobId, letters: 1 }],
      audiences: [{ id: audienceId, slug, letters: 1 }],
      people: 1,
      ...(isSending && orphaned === true ? { neverSent: 1 } : {}),
    };
    if ((await confirm?.(extent)) === false) return { done: 0, failures: [] };
    const { isShared } = await decide(id);
    onProgress?.({ id, jobId, settled: 1, of: 1 });
    return { done: 1, failures: [], ...(isShared ? { shared: 1 } : {}) };
  }

  /**
   * Selects dead letters, and keeps only what ordering needs: tens of thousands take a few MB.
   * @throws InvalidFilter when a slug stands for several audiences; AudienceMoved when another one has it now
   */
  async #select(
    filter: DeadLetterFilter,
    { limit, isSending = false }: { readonly limit?: number | undefined; readonly isSending?: boolean },
  ): Promise<{ readonly items: readonly Selected[]; readonly extent: DecisionExtent }> {
    const found: Selected[] = [];
    for await (const { id, jobId, user, audience, audienceId, at, diedAt } of this.list(filter)) {
      const group = JSON.stringify([jobId, user]);
      const place = `${parseInstant(at) ?? at} ${diedAt}`;
      found.push({ id, group, place, jobId, user, audience, audienceId, diedAt, isNeverSent: false });
    }
    const ids = extentOf(found).audiences.map((one) => one.id);
    if (filter.audience !== undefined && ids.length > 1)
      throw new InvalidFilter(
        `"${filter.audience}" stands for ${ids.length} audiences, since it was one's slug before it was another's. Name one by its id: ${ids.join(', ')}.`,
      );
    if (filter.audience !== undefined) await this.#refuseMoved(filter.audience, ids[0]);
    const isNeverSent = isSending ? await this.#neverSent(new Set(found.map(({ jobId }) => jobId))) : () => false;
    // The list is newest first, but what died first has waited longest.
    const items = found.map((one) => ({ ...one, isNeverSent: isNeverSent(one) })).reverse();
    if (limit === undefined || items.length <= limit) return { items, extent: extentOf(items) };
    // By their places, so that no trigger is taken before an earlier one of the same person.
    const sendable = items.filter((one) => !one.isNeverSent).sort((a, b) => (a.place < b.place ? -1 : 1));
    const first = (sendable.length === 0 ? items : sendable).slice(0, limit);
    return { items: first, extent: extentOf(first) };
  }

  /**
   * A trigger that died under a slug belongs to the audience that had it then.
   * @param id of the audience of the selected dead letters, if there are any.
   * @throws AudienceMoved when another audience has the slug now; WorkerFailed, SlugNotChecked when that is not known
   */
  async #refuseMoved(name: string, id: string | undefined): Promise<void> {
    if (AUDIENCE_ID.test(name) || id === undefined) return;
    const { bySlug, isWhole } = await sourceNow(this.#client, this.#taskQueue);
    const now = bySlug.get(name);
    if (now === undefined && !isWhole) throw new SlugNotChecked(name);
    if (now !== undefined && now.id !== id) throw new AudienceMoved(name, now, { id, by: 'A dead letter' });
  }

  /** Sends the decision about one, and waits for its true end. Queries it first, for the reason in `asking.ts`. */
  async #command(
    id: string,
    wished: Decision,
    signal: { readonly name: string },
    request: object,
    by: By,
  ): Promise<Carried> {
    const { state } = await this.#status(id);
    if (isEnd(state)) throw new DeadLetterNotFound(id);
    const commanded: Commanded = {
      what: `"${COMMANDS[wished]}" of the dead letter "${id}"`,
      findOut: { action: 'deadLetter', id },
    };
    const { workflow } = this.#client;
    const handle = workflow.getHandle(deadLetterWorkflowId(id));
    const send = async (): Promise<void> => {
      await handle.signal(askerSignal, by);
      await handle.signal(signal.name, request);
    };
    return await settled(this.#untilDecided(id, wished, send, commanded), commanded);
  }

  /** Asks again as long as there is no answer: a dead letter that gets the same decision twice acts once. */
  async #untilDecided(
    id: string,
    wished: Decision,
    send: () => Promise<void>,
    { what, findOut }: Commanded,
  ): Promise<Carried> {
    const refused = REFUSALS[wished];
    const deadline = Date.now() + DECIDED_MS[wished];
    let isSent = false;
    for (let pauseMs = 25; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const isLate = Date.now() > deadline;
      try {
        if (!isSent) await send();
        isSent = true;
      } catch (error) {
        // It may have got the signal, and have ended since.
        if (grpcCode(error) !== GRPC.NOT_FOUND && (isLate || !mayBeAskedAgain(error))) throw error;
      }
      try {
        // A query after the signal sees its effect: `waiting` then means that it failed.
        const { state, notice, asked = 1 } = await this.#status(id);
        if (state === wished) return { isShared: asked > 1 };
        if (isEnd(state)) throw refused(id, OVERRULED[state]);
        if (state === 'waiting' && isSent) throw refused(id, notice ?? 'It is waiting.');
        if (isLate)
          throw new OutcomeUnknown(what, findOut, new Error(notice ?? 'Its source, or its job, has not answered yet.'));
      } catch (error) {
        if (isLate || !mayBeAskedAgain(error)) throw error;
      }
      await setTimeout(pauseMs);
    }
  }

  async #status(id: string): Promise<DeadLetterStatus> {
    return await orNotFound(id, () => ask(this.#client, deadLetterWorkflowId(id), deadLetterStatusQuery));
  }
}

function summaryOf({ workflowId, memo = {}, startTime }: WorkflowExecutionInfo): DeadLetterSummary {
  const text = (name: string): string => (typeof memo[name] === 'string' ? memo[name] : '');
  const { attempts } = memo;
  return {
    id: deadLetterIdOf(workflowId),
    jobId: text('job'),
    user: text('person'),
    audience: text('audience'),
    audienceId: text('audienceId'),
    event: text('event'),
    at: text('at'),
    failure: text('failure'),
    attempts: typeof attempts === 'number' ? attempts : 0,
    diedAt: text('diedAt') || startTime.toISOString(),
    ...(text('notice') === '' ? {} : { notice: text('notice') }),
  };
}

async function orNotFound<T>(id: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) throw new DeadLetterNotFound(id, { cause: error });
    throw error;
  }
}

/**
 * Lets its callers proceed one after the other, at most so many per second. Only the first in line has a timer: Node warns of more than ten listeners
 * at one signal.
 * @throws the reason of the signal, when that is aborted
 */
function turns(perSecond: number, signal: AbortSignal | undefined): () => Promise<void> {
  let nextAt = 0;
  let last = Promise.resolve();
  const turn = async (): Promise<void> => {
    const now = performance.now();
    const at = Math.max(now, nextAt);
    nextAt = at + 1000 / perSecond;
    await setTimeout(at - now, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
  };
  return () => (last = last.then(turn));
}

/** The outcome of a single decision, as one of many. */
async function outcomeOf(deciding: Promise<void>): Promise<Outcome> {
  try {
    await deciding;
    return { kind: 'done' };
  } catch (error) {
    if (error instanceof RedeliveryRefused || error instanceof DiscardRefused)
      return { kind: 'refused', reason: error.reason };
    if (error instanceof DeadLetterNotFound) return { kind: 'refused', reason: 'It is no longer waiting.' };
    if (error instanceof OutcomeUnknown) return { kind: 'unknown', reason: error.message };
    throw error;
  }
}

function isEnd(state: DeadLetterState): state is DeadLetterEnd {
  return state !== 'waiting' && state !== 'redelivering';
}
