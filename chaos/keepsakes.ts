import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { temporal } from '@temporalio/proto';
import { type Recorder, startRecorder } from '../demo/recorder.ts';
import { JobAlreadyRunning, JobKept } from '../src/client/calls/errors.ts';
import type { JobStatus } from '../src/contract/job-status.ts';
import type { Answer } from '../src/features/local/receiver.ts';
import { jobWorkflowId } from '../src/domain/names.ts';
import type { Stage } from './stage.ts';
import type { TimedTrigger } from './workload.ts';

const REFUSED = 20;
const KEPT = 2_000;
const JOINED = 5;
/** Whose message ends all workers. */
const POISON = 'poison';
/** Told to that job while older workers, which cannot continue it, are the only ones. */
const AFTER_POISON = 5;
/** What such a worker writes to the history (`step-runner.ts`, `export-job.ts`). */
const CHANGED_DECISIONS = ['delays-lost', 'replay-trusts-log'];
const WATCHED = 'watched';
const WATCHED_ID = 'd'.repeat(32);
const LOOK_MS = 200;

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/**
 * Dead letters, a stopped job that kept its triggers, and a watch: workers of an older release make them, those of a newer one take them up. A job with a
 * message that ends its workers, for a decision that the newer release has changed.
 */
export class Keepsakes {
  readonly #stage: Stage;
  readonly #receiver: Recorder;
  readonly #timeIsUp: AbortSignal;
  readonly #answer: { now: Answer };
  /** The runs in which a worker has decided as an older one would not. */
  readonly changedRuns = new Set<string>();
  readonly #poison: { kill?: () => void };
  #expected = REFUSED + KEPT + JOINED;

  static async open(stage: Stage, timeIsUp: AbortSignal): Promise<Keepsakes> {
    const answer: { now: Answer } = { now: { status: 422 } };
    const poison: { kill?: () => void } = {};
    const receiver = await startRecorder({
      answer: ({ message }) => {
        if (message?.user !== POISON) return answer.now;
        poison.kill?.();
        return poison.kill === undefined ? { status: 200 } : 'hang';
      },
    });
    return new Keepsakes(stage, receiver, { answer, poison }, timeIsUp);
  }

  private constructor(
    stage: Stage,
    receiver: Recorder,
    { answer, poison }: { answer: { now: Answer }; poison: { kill?: () => void } },
    timeIsUp: AbortSignal,
  ) {
    this.#stage = stage;
    this.#receiver = receiver;
    this.#answer = answer;
    this.#poison = poison;
    this.#timeIsUp = timeIsUp;
  }

  /** How many of what was left have not arrived. */
  get missing(): number {
    return this.#expected - this.#receiver.ledger.delivered;
  }

  async leave(): Promise<void> {
    const { jobs, people, folder } = this.#stage;
    await this.#start('refused', 'vip');
    await this.#insist(() => jobs.push('refused', triggersOf(people, REFUSED)));
    await this.#until('refused', ({ deadLetters }) => deadLetters >= REFUSED);
    this.#answer.now = { status: 503 };
    await this.#start('kept', 'vip');
    await this.#insist(() => jobs.push('kept', triggersOf(people, KEPT)));
    await this.#insist(() => jobs.stop('kept', { waiting: 'keep' }));
    await this.#until('kept', ({ state }) => state === 'stopped');
    writeFileSync(watchedFile(folder), `${JSON.stringify({ audience: { id: WATCHED_ID, name: 'Watched' } })}\n`);
    await this.#start('watching', WATCHED);
    await this.#insist(() => jobs.watches.start([WATCHED]));
    await this.#insist(async () => {
      if ((await jobs.watches.status(WATCHED)).rounds === 0) throw new Error('The first round has not ended.');
    });
  }

  /** Sends a message that ends all workers, until a worker of the newer release has decided as an older one would not. */
  async poison(): Promise<void> {
    const { jobs, fleet, connected } = this.#stage;
    this.#expected += 1;
    this.#poison.kill = () => fleet.killAll();
    await this.#start('poisoned', 'vip');
    await this.#insist(() => jobs.enter('poisoned', { user: POISON, audience: 'vip', profile: {} }));
    const handle = connected.client.workflow.getHandle(jobWorkflowId('poisoned'));
    await this.#insist(async () => {
      if (!isChanged(await handle.fetchHistory())) throw new Error('No worker has decided so yet.');
    });
    delete this.#poison.kill;
  }

  /** Sends that job more. Waits until workers have met it: they deliver, or, being older, cannot replay its run. */
  async tellPoisoned(): Promise<void> {
    this.#expected += AFTER_POISON;
    const before = this.#receiver.ledger.delivered;
    const handle = this.#stage.connected.client.workflow.getHandle(jobWorkflowId('poisoned'));
    await this.#insist(() => handle.signal('triggers', triggersOf(this.#stage.people, AFTER_POISON)));
    await this.#insist(async () => {
      const { raw } = await handle.describe();
      const isMet = (raw.pendingWorkflowTask?.attempt ?? 0) > 1 || this.#receiver.ledger.delivered > before;
      if (!isMet) throw new Error('No worker has met it yet.');
    });
  }

  /** Finds the runs in which a worker has decided as an older one would not: killed workers lose slices of other jobs, too. */
  async findChangedRuns(): Promise<void> {
    const { client } = this.#stage.connected;
    for await (const { workflowId, runId } of client.workflow.list({ query: "WorkflowType = 'exportJob'" }))
      if (isChanged(await client.workflow.getHandle(workflowId, runId).fetchHistory())) this.changedRuns.add(runId);
  }

  /** Waits until all has arrived, or time is up. */
  async takeUp(): Promise<void> {
    const { jobs, people, folder } = this.#stage;
    this.#answer.now = { status: 200 };
    await this.#insist(async () => {
      const { failures } = await jobs.deadLetters.redeliver({ jobId: 'refused' }, { force: true });
      if (failures.length > 0) throw new Error('Some could not be sent again.');
    });
    await this.#insist(() => jobs.resume('kept'));
    for (const { user } of people.slice(0, JOINED)) appendFileSync(watchedFile(folder), `${JSON.stringify(user)}\n`);
    await this.#insist(() => jobs.watches.startRound(WATCHED));
    while (this.missing > 0 && !this.#timeIsUp.aborted) await sleep(LOOK_MS);
  }

  async close(): Promise<void> {
    await this.#receiver.close();
  }

  async #start(jobId: string, audience: string): Promise<void> {
    const webhookUrl = `${this.#receiver.url}${jobId}`;
    const form = { label: jobId, audiences: [audience], webhookUrl, authorization: null, parallelRequestCount: 10 };
    const answers = { '422': 'dead-letter' } as const;
    await this.#insist(() => this.#stage.jobs.start({ ...form, answers }, { jobId }));
  }

  async #until(jobId: string, isSo: (status: JobStatus) => boolean): Promise<void> {
    await this.#insist(async () => {
      if (!isSo(await this.#stage.jobs.status(jobId))) throw new Error('It is not so yet.');
    });
  }

  /** Asks again until it is done or time is up: workers and servers are killed meanwhile. */
  async #insist(ask: () => Promise<unknown>): Promise<void> {
    while (!this.#timeIsUp.aborted) {
      try {
        await ask();
        return;
      } catch (error) {
        if (error instanceof JobAlreadyRunning || error instanceof JobKept) return; // It was done, and its answer was lost.
        await sleep(LOOK_MS);
      }
    }
  }
}

function isChanged({ events }: temporal.api.history.v1.IHistory): boolean {
  return events?.some((event) => CHANGED_DECISIONS.some((one) => markerOf(event).includes(one))) ?? false;
}

/** The text of a marker; '' when it is another event. */
function markerOf({ markerRecordedEventAttributes: marker }: HistoryEvent): string {
  return Buffer.concat(
    Object.values(marker?.details ?? {}).flatMap(
      ({ payloads }) => payloads?.map(({ data }) => data ?? Buffer.of()) ?? [],
    ),
  ).toString();
}

function watchedFile(folder: string): string {
  return join(folder, 'source', 'audiences', `${WATCHED}.ndjson`);
}

function triggersOf(people: Stage['people'], count: number): TimedTrigger[] {
  return Array.from({ length: count }, (_, i) => ({
    user: people[i % people.length]?.user ?? '',
    audience: 'vip',
    event: i < people.length ? 'enter' : 'exit',
    at: `2026-01-01T00:00:01.${String(i).padStart(9, '0')}Z`,
  }));
}
