import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { DeadLetterStatus } from '../contract/dead-letter.ts';
import { parseInstant } from '../domain/instant.ts';
import { deadLetterStatusQuery, discardSignal, redeliverSignal } from '../workflows/messages.ts';
import { clientForLists } from './client-for-lists.ts';
import { type DeadLetterFilter, isMeant, meansAll, queryOf } from './dead-letter-filter.ts';
import { DeadLetterNotFound, RedeliveryRefused } from './errors.ts';
import { inLanes, type LaneItem, type Outcome } from './in-lanes.ts';
import { ask } from './job-service.ts';
import { missingSearchAttributes } from './search-attributes.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** A dead letter as the list shows it; ask `show` for more. */
export interface DeadLetterSummary {
  /** Its name in every command; its workflow id is `dead-letter-<id>`. */
  readonly id: string;
  readonly jobId: string;
  readonly user: string;
  /** Slug */
  readonly audience: string;
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
export interface DeadLetterReport extends DeadLetterStatus {
  readonly id: string;
}

/** How far a decision about many is. */
export interface DecisionProgress {
  readonly id: string;
  /** Why it was not done; absent when it was. */
  readonly failure?: string;
  /** Decided so far, failures included. */
  readonly settled: number;
  readonly of: number;
}

export interface DecisionOptions {
  /** Called before anything is done, with how many are selected; when it gives false, nothing is done. Not called for a single one. */
  readonly confirm?: (count: number) => Promise<boolean>;
  /** Called for each, as soon as it is settled. */
  readonly onProgress?: (progress: DecisionProgress) => void;
  /** When it is aborted, no further one is begun. */
  readonly signal?: AbortSignal;
}

export interface RedeliverOptions extends DecisionOptions {
  /** Redeliver even if, according to the source today, the person is (for an exit) or is not (for an enter) in the audience. */
  readonly force?: boolean;
}

/** The outcome of a decision about dead letters. */
export interface Decided {
  readonly done: number;
  /** Those that are still waiting, or may be. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
}

/** One, by its id, or all that match a filter; a filter that excludes nothing needs `all`. */
export type WhichDeadLetters = string | (DeadLetterFilter & { readonly all?: boolean | undefined });

const PREFIX = 'dead-letter-';
const PAGE = 500;
const AT_ONCE = 16;
/** How long a redelivery may take, in ms: asking its source may take a minute. */
const REDELIVERED_MS = 75_000;
const LONGEST_PAUSE_MS = 1_000;

const FAILURE = defineSearchAttributeKey('ExportFailure', SearchAttributeType.KEYWORD);
const AUDIENCES = defineSearchAttributeKey('ExportAudiences', SearchAttributeType.KEYWORD_LIST);

/** Triggers that will not be sent unless a person decides so. */
export class DeadLetters {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those waiting for a decision, newest first, page by page; a new one shows up within about a second. */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetterSummary> {
    const { connection, options } = this.#client;
    const missing = meansAll(filter) ? [] : await missingSearchAttributes(connection, options.namespace);
    const { workflow } = clientForLists(this.#client);
    for await (const run of workflow.list({ query: queryOf(filter, missing), pageSize: PAGE })) {
      const summary = summaryOf(run);
      if (await this.#isMeant(filter, summary, run)) yield summary;
    }
  }

  /**
   * All about one; also about one that has been decided, as long as the server keeps it.
   * @param id with or without the `dead-letter-` of its workflow id.
   * @throws DeadLetterNotFound, NoWorker
   */
  async show(id: string): Promise<DeadLetterReport> {
    const bare = bareId(id);
    return { id: bare, ...(await this.#status(bare)) };
  }

  /**
   * Sends again: each is queued after what is waiting for its person, with its old id and `at`. Where one person has several, the older
   * `at` goes first, and the next one only after it.
   *
   * @throws for a single one: DeadLetterNotFound, RedeliveryRefused. NoWorker: what was begun by then still completes.
   */
  async redeliver(which: WhichDeadLetters, options: RedeliverOptions = {}): Promise<Decided> {
    const { force = false, ...rest } = options;
    return await this.#decide(which, rest, (id) => this.#redeliver(id, force));
  }

  /** Drops for good. @throws for a single one: DeadLetterNotFound. */
  async discard(which: WhichDeadLetters, options: DecisionOptions = {}): Promise<Decided> {
    return await this.#decide(which, options, async (id) => {
      await this.#signal(id, discardSignal, []);
      return undefined;
    });
  }

  /** @param decide gives, in words, what is not known yet about the dead letter; undefined when it is done. */
  async #decide(
    which: WhichDeadLetters,
    { confirm, onProgress, signal }: DecisionOptions,
    decide: (id: string) => Promise<string | undefined>,
  ): Promise<Decided> {
    if (typeof which === 'string') {
      const id = bareId(which);
      const doubt = await decide(id);
      onProgress?.({ id, ...(doubt === undefined ? {} : { failure: doubt }), settled: 1, of: 1 });
      return doubt === undefined ? { done: 1, failures: [] } : { done: 0, failures: [{ id, reason: doubt }] };
    }
    const { all, ...filter } = which;
    if (meansAll(filter) && all !== true)
      throw new RangeError('A filter that matches all dead letters must say so: { all: true }.');
    const items = await this.#laneItems(filter);
    const failures: { id: string; reason: string }[] = [];
    if (items.length === 0 || (await confirm?.(items.length)) === false) return { done: 0, failures };
    let done = 0;
    const settle = ({ id }: LaneItem, outcome: Outcome): void => {
      if (outcome.kind === 'done') done += 1;
      else failures.push({ id, reason: outcome.reason });
      const failure = outcome.kind === 'done' ? {} : { failure: outcome.reason };
      onProgress?.({ id, ...failure, settled: done + failures.length, of: items.length });
    };
    await inLanes(items, ({ id }) => outcomeOf(decide(id)), settle, { atOnce: AT_ONCE, signal });
    return { done, failures };
  }

  /** Of each selected one, only what ordering needs is kept: tens of thousands take a few MB. */
  async #laneItems(filter: DeadLetterFilter): Promise<LaneItem[]> {
    const items: LaneItem[] = [];
    for await (const { id, jobId, user, at, diedAt } of this.list(filter)) {
      items.push({ id, lane: JSON.stringify([jobId, user]), place: `${parseInstant(at) ?? at} ${diedAt}` });
    }
    // The list is newest first, but what died first has waited longest.
    return items.reverse();
  }

  async #redeliver(id: string, force: boolean): Promise<string | undefined> {
    await this.#signal(id, redeliverSignal, [{ force }]);
    const deadline = Date.now() + REDELIVERED_MS;
    for (let pauseMs = 25; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      // A query after the signal sees its effect: `waiting` then means that the redelivery failed.
      const { state, notice } = await this.#status(id);
      if (state === 'redelivered') return undefined;
      if (state !== 'redelivering') throw new RedeliveryRefused(id, notice ?? `It is ${state}.`);
      if (Date.now() > deadline) return 'Its redelivery has not finished yet. Look again later.';
      await setTimeout(pauseMs);
    }
  }

  async #status(id: string): Promise<DeadLetterStatus> {
    return await orNotFound(id, () => ask(this.#client, PREFIX + id, deadLetterStatusQuery));
  }

  async #signal(id: string, signal: { readonly name: string }, args: readonly unknown[]): Promise<void> {
    await orNotFound(id, () => this.#client.workflow.getHandle(PREFIX + id).signal(signal.name, ...args));
  }

  async #isMeant(filter: DeadLetterFilter, summary: DeadLetterSummary, run: WorkflowExecutionInfo): Promise<boolean> {
    const meant = isMeant(filter, {
      ...summary,
      failureCode: run.typedSearchAttributes.get(FAILURE),
      audienceAttribute: run.typedSearchAttributes.get(AUDIENCES)?.[0],
    });
    // Without search attributes only the dead letter itself knows its audience's id.
    return meant ?? (await this.#status(summary.id)).audience.id === filter.audience;
  }
}

/** The id without the prefix of the workflow id. */
function bareId(id: string): string {
  return id.startsWith(PREFIX) ? id.slice(PREFIX.length) : id;
}

function summaryOf({ workflowId, memo = {}, startTime }: WorkflowExecutionInfo): DeadLetterSummary {
  const text = (name: string): string => (typeof memo[name] === 'string' ? memo[name] : '');
  const { attempts } = memo;
  return {
    id: bareId(workflowId),
    jobId: text('job'),
    user: text('person'),
    audience: text('audience'),
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

/** The outcome of a single decision, as one of many. */
async function outcomeOf(deciding: Promise<string | undefined>): Promise<Outcome> {
  try {
    const doubt = await deciding;
    return doubt === undefined ? { kind: 'done' } : { kind: 'unknown', reason: doubt };
  } catch (error) {
    if (error instanceof RedeliveryRefused) return { kind: 'refused', reason: error.reason };
    if (error instanceof DeadLetterNotFound) return { kind: 'refused', reason: 'It is no longer waiting.' };
    throw error;
  }
}
