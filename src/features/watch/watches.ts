import { InvalidWatch, WatchNotFound } from './errors.ts';
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Audience, AudienceListing } from '../../contract/audience.ts';
import type { WatchOptionsInput, WatchState, WatchStatus } from './sandbox/watch.ts';
import { checkWatchOptions } from './watch-options.ts';
import { isRecord } from '../../domain/json.ts';
import { names } from '../../domain/kinds.ts';
import { AUDIENCE_ID } from '../../domain/names.ts';
import { watchWorkflowId, WATCH_AUDIENCE, PREPARE_WATCH } from './sandbox/ports.ts';
import { newWatch, watchPresentation } from './sandbox/rounds.ts';
import { askerSignal } from '../../workflows/messages.ts';
import {
  acceptHeldUpdate,
  changeWatchUpdate,
  startRoundUpdate,
  stopWatchUpdate,
  watchStatusQuery,
} from './sandbox/messages.ts';
import type { By } from '../../contract/audit.ts';
import { ANSWER_MS, ask, type Commanded, executeUpdate, settled } from '../../client/calls/asking.ts';
import { clientForLists, describeLast, isOpen } from '../../client/calls/executions.ts';
import { AudienceMoved, NoWorker, WorkerFailed } from '../../client/calls/errors.ts';
import { workerRpc } from '../../client/jobs/worker-rpc.ts';
import type { ClientCore } from '../../client/core.ts';
import type { DeedOptions } from '../../client/calls/options.ts';
import { GRPC, grpcCode, isTransient } from '../../client/calls/server-errors.ts';

/** A watch as the list shows it. */
export interface WatchSummary {
  readonly audience: Audience;
  /** Undefined when no worker answers for it, or its answer cannot be read here. */
  readonly status: WatchStatus | undefined;
  /** Why its answer cannot be read here: it is encrypted with a key that is not here. */
  readonly unreadable?: string;
}

/** The result of starting a watch. */
export interface AskedWatch {
  /** True: it has just been started. False: it was already running, and was changed. */
  readonly isNew: boolean;
  readonly status: WatchStatus;
  /** Warnings for people: that its rounds are longer than its audience's window, say. */
  readonly warnings: readonly string[];
}

type WatchesCore = Pick<ClientCore, 'open' | 'taskQueue'> & Partial<Pick<ClientCore, 'by'>>;

/**
 * Watches, for audiences whose source has no event stream: each scans the members of one audience again and again, and publishes enters and exits to every
 * running job that subscribes. Audiences are named by slug or id. Methods about one watch throw WatchNotFound when there is none, and NoWorker.
 */
export class Watches {
  readonly #open: () => Client;
  readonly #taskQueue: string;
  readonly #byOf: (deed: DeedOptions) => By;

  /** @param by who asks, and why. Default: the door `client`. */
  constructor({ open, taskQueue, by = () => ({ door: 'client' }) }: WatchesCore) {
    this.#open = open;
    this.#taskQueue = taskQueue;
    this.#byOf = by;
  }

  get #client(): Client {
    return this.#open();
  }

  /**
   * Watches audiences from now on. The first round records the members, and publishes nothing unless `existingUsers` is set. A watch
   * that is already running gets the given options.
   *
   * @throws InvalidWatch with every problem at once
   */
  async start(
    audiences: readonly string[],
    options: WatchOptionsInput = {},
    deed: DeedOptions = {},
  ): Promise<AskedWatch[]> {
    const by = this.#byOf(deed);
    const defined = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const checked = checkWatchOptions(defined);
    const problems = [...(names.isRight(audiences) ? [] : [NO_NAMES]), ...(checked.ok ? [] : checked.problems)];
    if (!checked.ok || problems.length > 0) throw new InvalidWatch(problems);
    const prepared = await workerRpc(this.#client, this.#taskQueue, PREPARE_WATCH, audiences);
    if (!prepared.ok) throw new InvalidWatch(prepared.problems);
    const running = await this.#running();
    for (const one of prepared.audiences) if (audiences.includes(one.slug)) refuseMoved(one, running);
    const started: AskedWatch[] = [];
    for (const listing of prepared.audiences) {
      const { id, slug, name } = listing;
      const done = await this.#startOrChange(newWatch({ id, slug, name }, checked.value), defined, by);
      started.push({ ...done, warnings: windowWarning(listing, done.status) });
    }
    return started;
  }

  /** All running watches, by slug. */
  async list(): Promise<WatchSummary[]> {
    const summaries = (await this.#running()).map(async (audience) => ({
      audience,
      ...(await this.#statusOrWhyNot(audience.id)),
    }));
    return (await Promise.all(summaries)).sort((a, b) => (a.audience.slug < b.audience.slug ? -1 : 1));
  }

  async status(audience: string): Promise<WatchStatus> {
    const workflowId = watchWorkflowId(await this.#idOf(audience));
    const found = await describeLast(this.#client, workflowId);
    // A watch that was ended from outside does not know it: in its own state, its next round is due.
    const isEnded = found === undefined || (!isOpen(found) && found.status.name !== 'COMPLETED');
    if (isEnded) throw new WatchNotFound(audience);
    return await ask(this.#client, workflowId, watchStatusQuery, { run: found });
  }

  /** Starts a round now, or right after the current one. */
  async startRound(audience: string, deed: DeedOptions = {}): Promise<WatchStatus> {
    return await this.#update(audience, await this.#idOf(audience), startRoundUpdate, {}, this.#byOf(deed));
  }

  /** Accepts the held exits, and starts a round at once, which publishes them. When none are held, nothing changes. */
  async accept(audience: string, deed: DeedOptions = {}): Promise<WatchStatus> {
    return await this.#update(audience, await this.#idOf(audience), acceptHeldUpdate, {}, this.#byOf(deed));
  }

  /** Stops the watch; a round that is being published is finished first. The snapshot is removed. */
  async stop(audience: string, deed: DeedOptions = {}): Promise<WatchStatus> {
    const id = await this.#idOf(audience);
    const status = await this.#update(audience, id, stopWatchUpdate, {}, this.#byOf(deed));
    // It can then be started again at once. If ending takes longer, it ends by itself.
    await this.#untilEnded(id);
    return status;
  }

  async #startOrChange(state: WatchState, change: object, by: By): Promise<Omit<AskedWatch, 'warnings'>> {
    const { id, slug } = state.audience;
    for (let tries = 1; ; tries++) {
      if (await this.#startOne(state, by)) {
        const first = ask(this.#client, watchWorkflowId(id), watchStatusQuery);
        return { isNew: true, status: await settled(first, ofWatch('start', slug)) };
      }
      try {
        const status = await this.#update(slug, id, changeWatchUpdate, change, by);
        if (status.state !== 'stopped' || tries === START_TRIES) return { isNew: false, status };
      } catch (error) {
        if (!(error instanceof WatchNotFound) || tries === START_TRIES) throw error;
      }
      // It was stopped a moment ago, and is still publishing its last round.
      await this.#untilEnded(id);
    }
  }

  /** Waits for its end, but not too long. */
  async #untilEnded(id: string): Promise<void> {
    const handle = this.#client.workflow.getHandle(watchWorkflowId(id));
    await this.#client.withDeadline(Date.now() + ANSWER_MS, () => handle.result()).catch(() => undefined);
  }

  /** False: it is already running. */
  async #startOne(state: WatchState, by: By): Promise<boolean> {
    const { summary, memo } = watchPresentation(state);
    try {
      await this.#client.workflow.start(WATCH_AUDIENCE, {
        workflowId: watchWorkflowId(state.audience.id),
        taskQueue: this.#taskQueue,
        args: [state, by],
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

  /** A watch that cannot be read, somebody else's, say, does not fail the list. */
  async #statusOrWhyNot(id: string): Promise<Omit<WatchSummary, 'audience'>> {
    try {
      const options = { answerMs: LIST_ANSWER_MS };
      return { status: await ask(this.#client, watchWorkflowId(id), watchStatusQuery, options) };
    } catch (error) {
      if (error instanceof NoWorker || grpcCode(error) === GRPC.NOT_FOUND) return { status: undefined };
      if (isTransient(error) || !(error instanceof Error)) throw error;
      return { status: undefined, unreadable: error.message };
    }
  }

  /**
   * Returns the id of an audience. The source takes precedence over the watches: a slug may have moved to another audience since a watch began. If
   * the source does not know the slug, or cannot be read, it means the watch that was started under it.
   */
  async #idOf(name: string): Promise<string> {
    if (AUDIENCE_ID.test(name)) return name;
    const running = await this.#running();
    const inSource = await this.#inSource(name);
    const found = Array.isArray(inSource) ? inSource : running.filter(({ slug }) => slug === name);
    const [first] = found;
    // If the source could not be asked, it is unknown whether the audience is watched.
    if (first === undefined) throw inSource instanceof WorkerFailed ? inSource : new WatchNotFound(name);
    if (Array.isArray(inSource)) refuseMoved(first, running);
    const ids = found.map(({ id }) => id);
    if (ids.length > 1) throw new InvalidWatch([{ field: 'audience', message: sharedSlug(name, ids) }]);
    return first.id;
  }

  /** Returns undefined when the source does not know it; the error when it could not be asked. */
  async #inSource(name: string): Promise<readonly Audience[] | undefined | WorkerFailed> {
    try {
      const prepared = await workerRpc(this.#client, this.#taskQueue, PREPARE_WATCH, [name]);
      return prepared.ok ? prepared.audiences : undefined;
    } catch (error) {
      if (error instanceof WorkerFailed) return error;
      throw error;
    }
  }

  /** The audiences that are watched, as each watch was started for them. */
  async #running(): Promise<Audience[]> {
    const query = `WorkflowType = '${WATCH_AUDIENCE}' AND ExecutionStatus = 'Running'`;
    const found: Audience[] = [];
    for await (const { memo, workflowId } of clientForLists(this.#client).workflow.list({ query }))
      found.push(audienceIn(memo) ?? unreadable(workflowId));
    return found;
  }

  /** Asks the watch for its status first, so that nothing is sent when it has no worker, or its answers cannot be read here. */
  async #update(
    name: string,
    id: string,
    update: { readonly name: string },
    request: object,
    by: By,
  ): Promise<WatchStatus> {
    const workflowId = watchWorkflowId(id);
    try {
      const found = await this.#client.workflow.getHandle(workflowId).describe();
      if (!isOpen(found)) throw new WatchNotFound(name);
      await ask(this.#client, workflowId, watchStatusQuery, { run: found });
      await this.#client.workflow.getHandle(workflowId).signal(askerSignal, by);
      const answer = executeUpdate<WatchStatus>(this.#client, found, update, [request]);
      return await settled(answer, ofWatch(update.name, name));
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError)
        throw new InvalidWatch([{ field: 'watch', message: error.cause?.message ?? error.message }]);
      if (grpcCode(error) === GRPC.NOT_FOUND) throw new WatchNotFound(name, { cause: error });
      throw error;
    }
  }
}

/** @throws AudienceMoved when a watch of another audience is listed under the slug that this one has now. */
function refuseMoved(now: Audience, running: readonly Audience[]): void {
  const other = running.find(({ id, slug }) => slug === now.slug && id !== now.id);
  if (other !== undefined) throw new AudienceMoved(now.slug, now, { id: other.id, by: 'A watch' });
}

const NO_NAMES = { field: 'audiences', message: 'Name the audiences, by slug or id, in a list.' };

function sharedSlug(name: string, ids: readonly string[]): string {
  return `More than one watched audience had the slug "${name}". Say which one by its id: ${ids.join(', ')}.`;
}

/** Warns if rounds are longer than the window: people who enter and leave between two rounds are never seen. */
function windowWarning({ slug, windowMinutes }: AudienceListing, { everyMs }: WatchStatus): string[] {
  if (windowMinutes === undefined || everyMs <= windowMinutes * 60_000) return [];
  return [
    `The audience "${slug}" looks back over ${windowMinutes} ${windowMinutes === 1 ? 'minute' : 'minutes'}, less than the interval of its watch. The watch misses people who enter and leave between two rounds.`,
  ];
}

function ofWatch(command: string, audience: string): Commanded {
  return { what: `"${command}" of the watch of "${audience}"`, findOut: { action: 'listWatches' } };
}

/** How long, in ms, one watch without a worker may keep the whole list waiting. */
const LIST_ANSWER_MS = 3_000;
const START_TRIES = 3;

/** Returns the audience in a watch's memo. Any client may start a workflow of this type, with any memo. */
function audienceIn(memo: Record<string, unknown> | undefined): Audience | undefined {
  const audience = memo?.['audience'];
  if (!isRecord(audience)) return undefined;
  const { id, slug, name } = audience;
  return typeof id === 'string' && typeof slug === 'string' && typeof name === 'string'
    ? { id, slug, name }
    : undefined;
}

/** A stand-in for an unreadable memo: its key is missing here, say. */
function unreadable(workflowId: string): Audience {
  const id = workflowId.slice(watchWorkflowId('').length);
  return { id, slug: id, name: id };
}
