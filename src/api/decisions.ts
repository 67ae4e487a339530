import { randomUUID } from 'node:crypto';
import type {
  Asker,
  DeadLetterFilter,
  Decided,
  DecisionExtent,
  DecisionProgress,
  JobClient,
  RedeliverOptions,
} from '../client/job-client.ts';
import type { LoggedDeed, ManyDecided } from '../contract/audit.ts';
import type { DecisionStatus } from '../contract/dead-letter.ts';
import { definedOf } from '../domain/json.ts';
import { notDoneInTime, Refused } from './refusal.ts';

/** How long, in ms, a decision that has ended is listed; and how many are. */
const KEPT_MS = 3_600_000;
const MOST_LISTED = 50;
/** At most so many dead letters are named for each reason. */
const MOST_NAMED = 20;

/** The decision about all dead letters that a filter selects. */
export interface Wish {
  readonly action: 'redeliver' | 'discard';
  readonly which: DeadLetterFilter & { readonly all?: boolean | undefined };
  readonly by: Asker;
  readonly options: Pick<RedeliverOptions, 'force' | 'limit' | 'perSecond' | 'reason'>;
  /** Do it only if the filter selects exactly so many. */
  readonly expected?: number | undefined;
  /** The same person who asks again with the same one gets the same decision. */
  readonly requestId?: string | undefined;
}

/** How far it is, while it goes on. */
type Progress = { -readonly [Field in keyof DecisionStatus]: DecisionStatus[Field] };

interface Begun {
  readonly wish: Wish;
  readonly decision: DecisionStatus;
  readonly stopping: AbortController;
  /** Resolves once the dead letters are counted. It rejects when nothing was begun. */
  readonly counted: Promise<void>;
  readonly ended: Promise<Decided & { readonly extent: DecisionExtent }>;
}

/** Decisions about many dead letters, which this process carries out by itself: their callers need not wait. */
export class Decisions {
  readonly #letters: JobClient['deadLetters'];
  readonly #onDeed: ((deed: LoggedDeed, id?: string) => void) | undefined;
  /** Newest first. */
  #begun: readonly Begun[] = [];

  /** @param onDeed tells the history of each; undefined: the history has each dead letter instead. */
  constructor(letters: JobClient['deadLetters'], onDeed?: (deed: LoggedDeed, id?: string) => void) {
    this.#letters = letters;
    this.#onDeed = onDeed;
  }

  /** Running ones, and those that have ended lately, newest first. */
  list(): readonly DecisionStatus[] {
    return this.#begun.map(({ decision }) => decision).filter(({ letters }) => letters > 0);
  }

  /** Stops one that runs: it begins no further dead letter. One that has ended is no longer listed. */
  remove(id: string): void {
    for (const { decision, stopping } of this.#begun) if (decision.id === id) stopping.abort(stopped());
    this.#begun = this.#begun.filter(({ decision }) => decision.id !== id || decision.state === 'running');
  }

  /** Stops all. Resolves once those dead letters are settled that were begun. */
  async stop(): Promise<void> {
    for (const { stopping } of this.#begun) stopping.abort(notDoneInTime());
    await Promise.allSettled(this.#begun.map(({ ended }) => ended));
  }

  /** Begins a decision, unless it was begun already. */
  begin(wish: Wish): Begun {
    const { requestId, by, action, which } = wish;
    const isSame = ({ wish: one }: Begun): boolean => one.requestId === requestId && one.by.who === by.who;
    const same = requestId === undefined ? undefined : this.#begun.find(isSame);
    if (same !== undefined) return same;
    const decision: Progress = {
      id: randomUUID(),
      action,
      ...definedOf({ jobId: which.jobId, who: by.who }),
      at: new Date().toISOString(),
      state: 'running',
      letters: 0,
      done: 0,
      failures: [],
    };
    const stopping = new AbortController();
    let count = (): void => undefined;
    const isCounted = new Promise<void>((resolve) => (count = resolve));
    const ended = this.#carryOut(wish, decision, stopping.signal, count);
    const counted = Promise.race([isCounted, ended.then(() => undefined)]);
    // The caller may wait for neither of them.
    for (const one of [counted, ended]) one.catch(() => undefined);
    const begun = { wish, decision, stopping, counted, ended };
    const isKept = ({ decision: { state } }: Begun, i: number): boolean => i < MOST_LISTED || state === 'running';
    this.#begun = [begun, ...this.#begun.filter(isKept)];
    return begun;
  }

  async #carryOut(wish: Wish, decision: Progress, signal: AbortSignal, count: () => void): Begun['ended'] {
    const { action, which, by, options, expected } = wish;
    let extent = NONE;
    const doneOf = new Map<string, number>();
    const confirm = async (selected: DecisionExtent): Promise<boolean> => {
      checkExtent(selected, expected);
      extent = selected;
      decision.letters = selected.letters;
      this.#tell(wish, decision, selected);
      count();
      return await Promise.resolve(true);
    };
    const onProgress = ({ id, jobId, failure }: DecisionProgress): void => {
      if (failure !== undefined) return addFailure(decision, id, failure);
      decision.done++;
      doneOf.set(jobId, (doneOf.get(jobId) ?? 0) + 1);
    };
    const isTold = this.#onDeed !== undefined;
    try {
      const decided = await this.#letters[action](which, { ...options, by, confirm, onProgress, signal, isTold });
      // It asks for no confirmation where the filter selects none.
      checkExtent(extent, expected);
      decision.state = 'done';
      return { ...decided, extent };
    } catch (error) {
      decision.state = signal.aborted ? 'stopped' : 'failed';
      if (!signal.aborted) decision.problem = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.#tell(wish, decision, extent, doneOf);
      setTimeout(() => this.remove(decision.id), KEPT_MS).unref();
    }
  }

  /** Tells the history, once for each job. The entry of its end takes the place of the one of its beginning. */
  #tell(
    { action, which, by, options }: Wish,
    { id, at }: DecisionStatus,
    { jobs }: DecisionExtent,
    doneOf?: ReadonlyMap<string, number>,
  ): void {
    const { user, audience, failure, olderThan, newerThan } = which;
    const times = { olderThan: olderThan?.toISOString(), newerThan: newerThan?.toISOString() };
    for (const { jobId, letters } of jobs) {
      const done = doneOf === undefined ? undefined : (doneOf.get(jobId) ?? 0);
      const many: ManyDecided = {
        letters,
        ...definedOf({ done, audience, failure, ...times }),
        isOfOnePerson: user !== undefined,
      };
      const deed = { at, kind: 'dead letters', target: id, jobId, action, ...by, many } as const;
      this.#onDeed?.({ ...deed, ...definedOf({ reason: options.reason }) }, `${id} ${jobId}`);
    }
  }
}

function addFailure({ failures }: DecisionStatus, id: string, reason: string): void {
  let group = failures.find((one) => one.reason === reason);
  if (group === undefined) failures.push((group = { reason, letters: 0, ids: [] }));
  group.letters++;
  if (group.ids.length < MOST_NAMED) group.ids.push(id);
}

function stopped(): Refused {
  return new Refused(409, 'DecisionStopped', 'Somebody stopped this decision. Decided dead letters stay decided.');
}

export const NONE: DecisionExtent = { letters: 0, jobs: [], audiences: [], people: 0 };

/** @throws Refused when the filter selects another number */
export function checkExtent({ letters }: DecisionExtent, expected: number | undefined): void {
  if (expected !== undefined && letters !== expected)
    throw new Refused(409, 'NotAsExpected', `The filter selects ${letters}, not ${expected}. Nothing was done.`);
}
