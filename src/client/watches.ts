import { randomUUID } from 'node:crypto';
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Audience } from '../contract/audience.ts';
import { checkWatchOptions, type WatchOptionsInput, type WatchState, type WatchStatus } from '../contract/watch.ts';
import { AUDIENCE_ID } from '../domain/audience.ts';
import { isRecord } from '../domain/json.ts';
import { WATCH_AUDIENCE, watchWorkflowId } from '../domain/names.ts';
import { newWatch, watchPresentation } from '../domain/watch.ts';
import {
  acceptHeldUpdate,
  changeWatchUpdate,
  scanNowUpdate,
  stopWatchUpdate,
  watchStatusQuery,
} from '../workflows/messages.ts';
import { prepareWatch } from './ask-worker.ts';
import { clientForLists } from './client-for-lists.ts';
import { InvalidWatch, NoWorker, WatchNotFound } from './errors.ts';
import { ANSWER_MS, ask, noWorker } from './job-service.ts';
import { GRPC, grpcCode, isTimeUp } from './server-errors.ts';

/** A watch as the list shows it. */
export interface WatchSummary {
  readonly audience: Audience;
  /** Undefined when no worker answers for it. */
  readonly status: WatchStatus | undefined;
}

/** A watch that was asked for. */
export interface AskedWatch {
  /** True: it has just been started. False: it was already running, and was changed. */
  readonly isNew: boolean;
  readonly status: WatchStatus;
}

/**
 * Watches, for audiences whose source has no event stream: each reads the members of one audience again and again, and signals to every
 * running job that listens who entered and who left. Audiences are named by slug or id. Methods about one watch throw WatchNotFound when
 * there is none, and NoWorker.
 */
export class Watches {
  readonly #client: Client;
  readonly #taskQueue: string;

  constructor(client: Client, taskQueue: string) {
    this.#client = client;
    this.#taskQueue = taskQueue;
  }

  /**
   * Watches audiences from now on. The first round writes down who is a member, and signals nothing unless `emitExisting` is set. A watch
   * that is already running is changed as far as the options say.
   *
   * @throws InvalidWatch with every problem at once
   */
  async start(audiences: readonly string[], options: WatchOptionsInput = {}): Promise<AskedWatch[]> {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const checked = checkWatchOptions(given);
    if (!checked.ok) throw new InvalidWatch(checked.problems);
    const prepared = await prepareWatch(this.#client, this.#taskQueue, audiences);
    if (!prepared.ok) throw new InvalidWatch(prepared.problems);
    const asked: AskedWatch[] = [];
    for (const { id, slug, name } of prepared.audiences) {
      asked.push(await this.#startOrChange(newWatch({ id, slug, name }, checked.value), given));
    }
    return asked;
  }

  /** All running watches, by slug. */
  async list(): Promise<WatchSummary[]> {
    const found: Audience[] = [];
    const query = `WorkflowType = '${WATCH_AUDIENCE}' AND ExecutionStatus = 'Running'`;
    for await (const { memo, workflowId } of clientForLists(this.#client).workflow.list({ query })) {
      found.push(audienceIn(memo) ?? unreadable(workflowId));
    }
    const summaries = found.map(async (audience) => ({ audience, status: await this.#statusOrNone(audience.id) }));
    return (await Promise.all(summaries)).sort((a, b) => (a.audience.slug < b.audience.slug ? -1 : 1));
  }

  async status(audience: string): Promise<WatchStatus> {
    const id = await this.#idOf(audience);
    try {
      return await ask(this.#client, watchWorkflowId(id), watchStatusQuery);
    } catch (error) {
      throw grpcCode(error) === GRPC.NOT_FOUND ? new WatchNotFound(audience, { cause: error }) : error;
    }
  }

  /** Begins a round now or, when one is under way, as soon as that is over. */
  async scanNow(audience: string): Promise<WatchStatus> {
    return await this.#update(audience, await this.#idOf(audience), scanNowUpdate, []);
  }

  /** Accepts the exits that are held, and begins a round at once, which signals them. When none are held, nothing changes. */
  async accept(audience: string): Promise<WatchStatus> {
    return await this.#update(audience, await this.#idOf(audience), acceptHeldUpdate, []);
  }

  /** Ends the watch; a round whose changes are being signalled is finished first. Who the members were is forgotten. */
  async stop(audience: string): Promise<WatchStatus> {
    const id = await this.#idOf(audience);
    const status = await this.#update(audience, id, stopWatchUpdate, []);
    // So that it can be started again at once. If ending takes longer, it ends by itself.
    await this.#untilEnded(id);
    return status;
  }

  async #startOrChange(state: WatchState, change: object): Promise<AskedWatch> {
    const { id, slug } = state.audience;
    for (let tries = 1; ; tries++) {
      if (await this.#startOne(state)) {
        return { isNew: true, status: await ask(this.#client, watchWorkflowId(id), watchStatusQuery) };
      }
      try {
        const status = await this.#update(slug, id, changeWatchUpdate, [change]);
        if (status.state !== 'stopped' || tries === START_TRIES) return { isNew: false, status };
      } catch (error) {
        if (!(error instanceof WatchNotFound) || tries === START_TRIES) throw error;
      }
      // It was stopped a moment ago, and is still signalling its last round.
      await this.#untilEnded(id);
    }
  }

  /** Or until it has taken too long. */
  async #untilEnded(id: string): Promise<void> {
    const handle = this.#client.workflow.getHandle(watchWorkflowId(id));
    await this.#client.withDeadline(Date.now() + ANSWER_MS, () => handle.result()).catch(() => undefined);
  }

  /** False: it is already running. */
  async #startOne(state: WatchState): Promise<boolean> {
    const { summary, memo } = watchPresentation(state);
    try {
      await this.#client.workflow.start(WATCH_AUDIENCE, {
        workflowId: watchWorkflowId(state.audience.id),
        taskQueue: this.#taskQueue,
        args: [state],
        staticSummary: summary,
        memo,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
      });
      return true;
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
      throw error;
    }
  }

  async #statusOrNone(id: string): Promise<WatchStatus | undefined> {
    try {
      return await ask(this.#client, watchWorkflowId(id), watchStatusQuery, { answerMs: LIST_ANSWER_MS });
    } catch (error) {
      if (error instanceof NoWorker || grpcCode(error) === GRPC.NOT_FOUND) return undefined;
      throw error;
    }
  }

  /** The id of a watched audience: from its watch, or else from the source, since the list of watches lags by a second. */
  async #idOf(name: string): Promise<string> {
    if (AUDIENCE_ID.test(name)) return name;
    const query = `WorkflowType = '${WATCH_AUDIENCE}' AND ExecutionStatus = 'Running'`;
    for await (const { memo } of clientForLists(this.#client).workflow.list({ query })) {
      const audience = audienceIn(memo);
      if (audience?.slug === name) return audience.id;
    }
    const prepared = await prepareWatch(this.#client, this.#taskQueue, [name]);
    const [audience] = prepared.ok ? prepared.audiences : [];
    if (audience === undefined) throw new WatchNotFound(name);
    return audience.id;
  }

  async #update(
    name: string,
    id: string,
    update: { readonly name: string },
    args: readonly unknown[],
  ): Promise<WatchStatus> {
    const handle = this.#client.workflow.getHandle(watchWorkflowId(id));
    const options = { args: [...args] as [unknown, ...unknown[]], updateId: randomUUID() };
    try {
      return await this.#client.withDeadline(Date.now() + ANSWER_MS, () =>
        handle.executeUpdate<WatchStatus, [unknown, ...unknown[]]>(update.name, options),
      );
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError)
        throw new InvalidWatch([{ field: 'watch', message: error.cause?.message ?? error.message }]);
      if (grpcCode(error) === GRPC.NOT_FOUND) throw new WatchNotFound(name, { cause: error });
      if (!isTimeUp(error)) throw error;
      const { taskQueue } = await handle.describe();
      throw await noWorker(this.#client, taskQueue, error);
    }
  }
}

/** How long, in ms, one watch without a worker may keep the whole list waiting. */
const LIST_ANSWER_MS = 3_000;
const START_TRIES = 3;

/** What the memo of a watch says. Any client may start a workflow of this type, with any memo. */
function audienceIn(memo: Record<string, unknown> | undefined): Audience | undefined {
  const audience = memo?.['audience'];
  if (!isRecord(audience)) return undefined;
  const { id, slug, name } = audience;
  return typeof id === 'string' && typeof slug === 'string' && typeof name === 'string'
    ? { id, slug, name }
    : undefined;
}

/** Its memo is encrypted with a key that is not here, say. */
function unreadable(workflowId: string): Audience {
  const id = workflowId.slice(watchWorkflowId('').length);
  return { id, slug: id, name: id };
}
