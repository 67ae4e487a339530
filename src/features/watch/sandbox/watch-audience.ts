import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { AuditAction, By, LoggedDeed } from '../../../contract/audit.ts';
import type { Activities } from '../../../contract/ports.ts';
import type {
  PublishReport,
  PendingRound,
  ScanReport,
  SnapshotRef,
  WatchChange,
  WatchOptions,
  WatchPhase,
  WatchState,
  WatchStatus,
} from './watch.ts';
import { refuseNewer } from '../../../domain/errors.ts';
import { readBy, readNothing, takeBy } from '../../../domain/requests.ts';
import { describeWatch, mayBePublished, nextRoundAt, retryAfterMs, roundInstant, watchAlerts } from './rounds.ts';
import { readWatchChange } from './change.ts';
import type { WatchActivities } from './ports.ts';
import { watchDetails } from './rows.ts';
import { answerQuery, answerUpdate, readOrRefuse } from '../../../workflows/answering.ts';
import { Asker, tellDeed } from '../../../workflows/deeds.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from '../../../workflows/next-run.ts';
import {
  acceptHeldUpdate,
  changeWatchUpdate,
  startRoundUpdate,
  stopWatchUpdate,
  watchStatusQuery,
} from './messages.ts';

// The watch itself retries these: it reports that, and each scan needs a new time. A page of the source may take long.
const { scanMembers, confirmExits } = proxyActivities<WatchActivities>({
  startToCloseTimeout: '6 hours',
  heartbeatTimeout: '1 minute',
  retry: { maximumAttempts: 1 },
});
const { publishChanges, publishMissed } = proxyActivities<WatchActivities>({
  startToCloseTimeout: '6 hours',
  heartbeatTimeout: '15 seconds',
  retry: { maximumAttempts: 1 },
});
const { forgetSnapshots } = proxyActivities<WatchActivities>({
  startToCloseTimeout: '1 minute',
  retry: { maximumAttempts: 3 },
});

// An alert that cannot be raised in time is raised after the next round.
const { raiseAlerts } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/** The failure type when a snapshot is not in the folder of the worker that looked for it. */
const SNAPSHOT_NOT_HERE = 'SnapshotNotHere';
/** A folder may be mounted late, or be another worker's: only after this many such failures in a row does a snapshot count as lost. */
const LOST_AFTER = 4;
const REASON_LENGTH = 500;
/** Every scan begins by removing these, so older ones have already been removed. */
const OBSOLETE_KEPT = 100;

function changeIn(args: readonly unknown[]): WatchChange {
  return readOrRefuse(readWatchChange(takeBy(args).rest), 'InvalidWatch');
}

/** One run of a watch: its state, and its next step. */
class WatchRun {
  #state: WatchState;
  #phase: WatchPhase = 'waiting';
  #isWanted = false;
  #deeds = 0;
  readonly #asker = new Asker();
  isStopped = false;

  constructor(state: WatchState) {
    this.#state = state;
    answerQuery(watchStatusQuery, 0, 'The status of the watch.', () => this.status());
    answerUpdate(changeWatchUpdate, {
      description: 'Changes settings: {"everyMs": 300000}. Other settings stay as they are.',
      check: changeIn,
      answer: (args) => this.#change(changeIn(args), this.#asker.take(takeBy(args).by)),
    });
    const answer = (update: typeof stopWatchUpdate, description: string, act: (by: By) => WatchStatus): void => {
      const check = (args: readonly unknown[]): unknown => readOrRefuse(readNothing(takeBy(args).rest), 'InvalidWatch');
      const checked = (args: readonly unknown[]): WatchStatus => {
        check(args);
        return act(this.#asker.take(takeBy(args).by));
      };
      answerUpdate(update, { description, check, answer: checked });
    };
    answer(startRoundUpdate, 'Starts a round now, or right after the current one.', (by) => {
      this.tell('start-round', by);
      return this.#want();
    });
    answer(acceptHeldUpdate, 'Accepts the held exits, and starts the round that publishes them.', (by) => {
      if (this.#state.held === undefined) return this.status();
      this.tell('accept', by);
      this.#set({ isAccepted: true });
      return this.#want();
    });
    answer(stopWatchUpdate, 'Stops the watch, after a round that is being published.', (by) => {
      this.tell('stop', by);
      this.isStopped = true;
      return this.status();
    });
  }

  /** Tells the delivery log what somebody did. */
  tell(action: AuditAction, by: By, more: Pick<LoggedDeed, 'changes'> = {}): void {
    tellDeed(++this.#deeds, { kind: 'watch', target: this.#state.audience.slug, ...by, action, ...more });
  }

  #change(change: WatchChange, by: By): WatchStatus {
    const before = this.#state.options;
    const options = { ...before, ...change };
    const { last, trouble } = this.#state;
    const given = Object.keys(change) as (keyof WatchOptions)[]; // They were checked.
    const changes = given.flatMap((field) => {
      const [from, to] = [before[field], options[field]];
      return from === to ? [] : [{ field, from, to }];
    });
    if (changes.length > 0) this.tell('change', by, { changes });
    this.#set({ options });
    if (last !== undefined && trouble === undefined && this.#state.nextAt !== undefined)
      this.#set({ nextAt: nextRoundAt(Date.parse(last.at), options.everyMs, Date.now()) });
    return this.status();
  }

  status(): WatchStatus {
    return describeWatch(this.#state, this.isStopped ? 'stopped' : this.#phase);
  }

  /** The input of the next run. If somebody has asked for a round, it takes place there. */
  carry(): WatchState {
    if (this.#isWanted) this.#set({ nextAt: undefined });
    return this.#state;
  }

  /** Waits until the next round is due, somebody wants it now, or the watch is stopped. */
  async untilDue(): Promise<void> {
    const { trouble, held } = this.#state;
    this.#become(trouble !== undefined ? 'failing' : held !== undefined ? 'held' : 'waiting');
    await this.#raiseAlerts();
    for (;;) {
      const { nextAt = 0 } = this.#state;
      const waitMs = nextAt - Date.now();
      if (waitMs <= 0 || this.#isWanted || this.isStopped) return;
      await condition(() => this.#isWanted || this.isStopped || this.#state.nextAt !== nextAt, waitMs);
    }
  }

  /** Does a round, or the rest of one that is only half published. */
  async turn(): Promise<void> {
    this.#isWanted = false;
    this.#set({ nextAt: undefined });
    try {
      if (this.#state.pending === undefined) await this.#scan();
      if (this.#state.pending !== undefined) await this.#publish(this.#state.pending);
    } catch (error) {
      if (isCancellation(error)) {
        if (this.isStopped) return;
        throw error;
      }
      this.#fail(error);
    }
  }

  /** Removes its snapshots, as far as possible. */
  async end(): Promise<WatchStatus> {
    this.#become('stopped');
    await this.#raiseAlerts();
    await forgetSnapshots(this.#state.audience.id).catch(() => undefined);
    return this.status();
  }

  async #raiseAlerts(): Promise<void> {
    const { audience } = this.#state;
    const { alerts, raised } = watchAlerts(this.#state, Date.now(), this.isStopped);
    if (alerts.length === 0) return;
    try {
      await raiseAlerts(
        alerts.map((alert) => ({ id: `alert-${audience.id}-${Date.parse(alert.at)}-${alert.n}`, audience, alert })),
      );
      this.#set({ alerts: raised });
    } catch (error) {
      log.warn('an alert could not be queued', { error });
    }
  }

  async #scan(): Promise<void> {
    this.#become('scanning');
    const { audience, options, snapshot, held, lastAt, obsolete } = this.#state;
    const startedAt = Date.now();
    const at = roundInstant(lastAt, startedAt);
    const scanId = uuid4();
    // Obsolete until it is complete.
    this.#set({ lastAt: at, obsolete: [...(obsolete ?? []), scanId].slice(-OBSOLETE_KEPT) });
    const report = await this.#unlessStopped(() =>
      scanMembers({
        audience: audience.id,
        scanId,
        base: snapshot?.id ?? null,
        held: held?.scan.id ?? null,
        existingUsers: options.existingUsers,
        obsolete: obsolete ?? 'all',
      }),
    );
    const scan = { id: scanId, members: report.members, at };
    this.#set({ obsolete: [] });
    if (mayBePublished(report, this.#state)) await this.#confirm(scan, report, startedAt);
    else this.#hold(scan, report, startedAt);
  }

  /** Confirms the exits that the scan found; the round can then be published. */
  async #confirm(scan: SnapshotRef, report: ScanReport, startedAt: number): Promise<void> {
    const isBaseline = this.#state.snapshot === undefined;
    let changes = { enters: 0, exits: 0, stayed: 0 };
    if (report.enters + report.exits > 0) {
      this.#become('confirming');
      try {
        changes = await this.#unlessStopped(() => confirmExits(this.#state.audience.id, scan.id));
      } catch (error) {
        this.#set({ obsolete: [scan.id] });
        throw error;
      }
    }
    const snapshot = { ...scan, members: scan.members + changes.stayed };
    const pending: PendingRound = { snapshot, changes, isBaseline, startedAt };
    this.#set({ pending });
  }

  /** Holds the round: too many would leave to publish it before the next scan finds the same. */
  #hold(scan: SnapshotRef, { exits }: ScanReport, startedAt: number): void {
    const { held, options } = this.#state;
    this.#set({
      held: { scan, exits },
      isAccepted: undefined,
      obsolete: held === undefined ? [] : [held.scan.id],
      trouble: undefined,
      nextAt: nextRoundAt(startedAt, options.everyMs, Date.now()),
    });
  }

  /** Publishes the round to every job. It counts only after that: until then each attempt has the same triggers. */
  async #publish(pending: PendingRound): Promise<void> {
    this.#become('publishing');
    const { snapshot, changes, isBaseline, startedAt } = pending;
    const { audience, options, snapshot: base, held, rounds, enters, exits } = this.#state;
    const isQuiet = changes.enters + changes.exits === 0;
    const published = isQuiet
      ? await this.#publishMissed()
      : await publishChanges(audience.id, snapshot.id, snapshot.at);
    const { at, members } = snapshot;
    this.#set({
      snapshot,
      pending: undefined,
      held: undefined,
      isAccepted: undefined,
      trouble: undefined,
      rounds: rounds + 1,
      enters: enters + changes.enters,
      exits: exits + changes.exits,
      last: { at, members, ...changes, durationMs: Date.now() - startedAt, isBaseline, published },
      obsolete: [base?.id, held?.scan.id].filter((id) => id !== undefined),
      nextAt: nextRoundAt(startedAt, options.everyMs, Date.now()),
    });
  }

  /** Handles a round without changes: only jobs that are behind get something. */
  async #publishMissed(): Promise<PublishReport> {
    const { audience, last } = this.#state;
    if (last?.published.behind !== undefined) return await publishMissed(audience.id);
    return { jobs: 0, unreadable: [], ...(last?.published.lost === undefined ? {} : { lost: last.published.lost }) };
  }

  #fail(error: unknown): void {
    const { trouble } = this.#state;
    const failures = (trouble?.failures ?? 0) + 1;
    const { type, reason } = causeOf(error);
    const notHere = type === SNAPSHOT_NOT_HERE ? (trouble?.notHere ?? 0) + 1 : 0;
    const now = Date.now();
    const since = trouble?.since ?? roundInstant(undefined, now);
    this.#set({ trouble: { since, failures, notHere, reason }, nextAt: now + retryAfterMs(failures) });
    if (notHere >= LOST_AFTER) this.#loseSnapshot();
  }

  /** The files on disk are lost: the next round is a baseline, and the changes since the last one are never published. */
  #loseSnapshot(): void {
    const { snapshot, pending, held, lost, lastAt, obsolete = [] } = this.#state;
    // For a round that was half published, everything can be found again from the previous snapshot, if that is still there.
    if (pending !== undefined && snapshot !== undefined) return this.#set({ pending: undefined });
    const from = lost?.from ?? snapshot?.at ?? lastAt ?? '';
    this.#set({
      lost: { from, to: roundInstant(undefined, Date.now()) },
      snapshot: undefined,
      pending: undefined,
      held: undefined,
      isAccepted: undefined,
      // Another worker may have it, or it may come back.
      obsolete: [...obsolete, ...[snapshot?.id, pending?.snapshot.id, held?.scan.id].filter((id) => id !== undefined)],
    });
  }

  /** Runs an activity until it is done, or the watch is stopped. */
  async #unlessStopped<T>(act: () => Promise<T>): Promise<T> {
    const scope = new CancellationScope();
    const looking = new CancellationScope();
    void looking
      .run(() => condition(() => this.isStopped))
      .then(
        () => scope.cancel(),
        () => undefined, // It is over, or cancelled, as all of this workflow.
      );
    try {
      return await scope.run(act);
    } finally {
      // Or each round would leave a condition behind, which is evaluated until the run ends.
      looking.cancel();
    }
  }

  #want(): WatchStatus {
    this.#isWanted = true;
    return this.status();
  }

  #become(phase: WatchPhase): void {
    this.#phase = phase;
    setCurrentDetails(watchDetails(this.status()));
  }

  /** Changes what the watch knows; undefined removes a value. */
  #set(changes: { [Key in keyof WatchState]?: WatchState[Key] | undefined }): void {
    const entries = Object.entries({ ...this.#state, ...changes }).filter(([, value]) => value !== undefined);
    this.#state = Object.fromEntries(entries) as unknown as WatchState; // Required values are never removed.
  }
}

/** The message of the activity, not the one that says that an activity failed. */
function causeOf(error: unknown): { readonly type: string | undefined; readonly reason: string } {
  const cause = error instanceof ActivityFailure ? (error.cause ?? error) : error;
  const type = cause instanceof ApplicationFailure ? (cause.type ?? undefined) : undefined;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return { type, reason: reason.slice(0, REASON_LENGTH) };
}

/** After this many rounds and failures, of about 20 events each, a run continues as new, so that its history stays short. */
const TURNS_PER_RUN = 100;

/**
 * Watches one audience: each round scans its members, compares them with the last snapshot, and publishes the enters and exits to every running job
 * that subscribes. The activities keep the members on disk; only this workflow knows which snapshot counts.
 * @param by who started it: not for the runs after the first.
 */
export async function watchAudience(state: WatchState, by?: By): Promise<WatchStatus> {
  refuseNewer('The state of this watch', state);
  const run = new WatchRun(state);
  if (workflowInfo().continuedFromExecutionRunId === undefined) run.tell('start', readBy(by));
  for (let turns = 0; ; turns++) {
    await run.untilDue();
    if (run.isStopped) break;
    if (turns >= TURNS_PER_RUN || isNextRunWanted())
      await continueAsNewOnCurrentBuild<typeof watchAudience>([run.carry()]);
    await run.turn();
    if (run.isStopped) break;
  }
  return await run.end();
}
