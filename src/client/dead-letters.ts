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
  /** Names it in every command; its workflow id is `dead-letter-<id>`. */
  readonly id: string;
  readonly jobId: string;
  readonly user: string;
  /** Slug */
  readonly audience: string;
  readonly event: string;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** What the last attempt came to, in words. */
  readonly failure: string;
  readonly attempts: number;
  /** RFC 3339: when it was given up. */
  readonly diedAt: string;
  /** Why it was not redelivered when that was last asked for. */
  readonly notice?: string;
}

/** All that is known of a dead letter. */
export interface DeadLetterReport extends DeadLetterStatus {
  readonly id: string;
}

/** How far a decision about many is. */
export interface DecisionProgress {
  readonly id: string;
  /** Why it was not done; absent: it was. */
  readonly failure?: string;
  /** Decided so far, failures included. */
  readonly settled: number;
  readonly of: number;
}

export interface DecisionOptions {
  /** Called with how many are meant before anything is done; false does nothing. Not for a single one. */
  readonly confirm?: (count: number) => Promise<boolean>;
  /** Called for each, as soon as it is settled. */
  readonly onProgress?: (progress: DecisionProgress) => void;
  /** Aborting it begins no more. */
  readonly signal?: AbortSignal;
}

export interface RedeliverOptions extends DecisionOptions {
  /** Also where the source says today that the person is (for an exit) or is not (for an enter) in the audience. */
  readonly force?: boolean;
}

/** What a decision about dead letters came to. */
export interface Decided {
  readonly done: number;
  /** Those that still wait, or of which it is not known. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
}

/** One, by its id, or all that a filter means; a filter that leaves nothing out needs `all`. */
export type WhichDeadLetters = string | (DeadLetterFilter & { readonly all?: boolean | undefined });

const PREFIX = 'dead-letter-';
const PAGE = 500;
const AT_ONCE = 16;
/** How long a redelivery may take, in ms: its source may be asked for a minute. */
const REDELIVERED_MS = 75_000;
const LONGEST_PAUSE_MS = 1_000;

const FAILURE = defineSearchAttributeKey('ExportFailure', SearchAttributeType.KEYWORD);
const AUDIENCES = defineSearchAttributeKey('ExportAudiences', SearchAttributeType.KEYWORD_LIST);

/** Triggers that will not be sent without a person's decision. */
export class DeadLetters {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those that wait for a decision, newest first, page by page; a new one shows up within about a second. */
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
   * All about one, also one that is decided, as long as the server keeps it.
   * @param id with or without the `dead-letter-` of its workflow id.
   * @throws DeadLetterNotFound, NoWorker
   */
  async show(id: string): Promise<DeadLetterReport> {
    const bare = bareId(id);
    return { id: bare, ...(await this.#status(bare)) };
  }

  /**
   * Sends again: each goes behind what waits for its person, with its old id and `at`. Of one person's, the older `at` goes first, and
   * the next one only after it.
   *
   * @throws for a single one: DeadLetterNotFound, RedeliveryRefused. NoWorker; what was begun by then goes on by itself.
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

  /** @param decide gives what is not known of it yet, in words; undefined when all is done. */
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

  /** Of each that is meant only what the order needs: tens of thousands take a few MB. */
  async #laneItems(filter: DeadLetterFilter): Promise<LaneItem[]> {
    const items: LaneItem[] = [];
    for await (const { id, jobId, user, at, diedAt } of this.list(filter)) {
      items.push({ id, lane: JSON.stringify([jobId, user]), place: `${parseInstant(at) ?? at} ${diedAt}` });
    }
    // The list is newest first; what died first has waited longest.
    return items.reverse();
  }

  async #redeliver(id: string, force: boolean): Promise<string | undefined> {
    await this.#signal(id, redeliverSignal, [{ force }]);
    const deadline = Date.now() + REDELIVERED_MS;
    for (let pauseMs = 25; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      // Asked after the signal, it answers as of after it: `waiting` then means that it was tried in vain.
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

/** The id without what the workflow id puts before it. */
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

/** What a single decision's end means among many. */
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
