import { setTimeout } from 'node:timers/promises';
import { Gauge } from 'prom-client';
import { InvalidTrigger } from '../../client/calls/errors.ts';
import type { CheckedTrigger } from '../../client/push/job-pusher.ts';
import { checked, createPushClock } from '../../client/push/push.ts';
import type { OutboxConfig } from './config.ts';
import type { Json } from '../../contract/trigger.ts';
import { parseInstant } from '../../domain/instant.ts';
import { parseJson } from '../../domain/json.ts';
import { MAX_TRIGGER_BYTES } from '../../domain/trigger.ts';
import { readPostgresUrl, type PostgresAddress } from '../../postgres/connection.ts';
import type { ConsumerLog, ConsumerMetrics, Handover, RunningConsumer } from './handover.ts';
import { OutboxError, type OutboxRow, OutboxTable, type RowsDone } from './outbox-table.ts';

export interface OutboxOptions {
  readonly config: OutboxConfig;
  readonly handover: Pick<Handover, 'give' | 'isSubscribed'>;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

/** Rows in one transaction: some signals' worth of triggers, and at most 64 MiB with the largest profiles. */
const ROWS_AT_ONCE = 500;
/** How long, in ms, Temporal may take to accept what was read when the consumer ends. The end itself takes some 3 s when Temporal is down. */
const GRACE_MS = 5_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Consumes an outbox until it is stopped. Waits for a database that does not answer.
 * @throws OutboxError when only another configuration, schema or grant would help
 */
export async function startOutbox(options: OutboxOptions): Promise<RunningConsumer> {
  const reading = readPostgresUrl(options.config.url);
  if (!reading.ok) throw new OutboxError('its URL', new Error(reading.problem));
  const outbox = new Outbox(reading.address, options);
  await outbox.start();
  return outbox;
}

class Outbox implements RunningConsumer {
  problem: string | undefined;
  readonly #address: PostgresAddress;
  readonly #options: OutboxOptions;
  readonly #oldest: Gauge<'table'>;
  readonly #clock = createPushClock();
  readonly #stopping = new AbortController();
  #table: OutboxTable | undefined;
  #running: Promise<void> = Promise.resolve();
  #isWoken = false;
  #wake: () => void = () => undefined;
  /** The row that stops everything, since it is not a trigger. */
  #stoppedBy: string | undefined;

  constructor(address: PostgresAddress, options: OutboxOptions) {
    this.#address = address;
    this.#options = options;
    this.#oldest = new Gauge({
      name: 'triggers_outbox_oldest_waiting_timestamp_seconds',
      help: 'When the oldest row that waits was written, as far as this consumer has read.',
      labelNames: ['table'],
      registers: [options.metrics.registry],
    });
  }

  async start(): Promise<void> {
    try {
      this.#table = await this.#connect();
    } catch (error) {
      if (!(error instanceof OutboxError) || error.isLasting) throw error;
      await this.#fails(error);
    }
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('The consumer is being ended.'));
    this.#hear();
    const inTime = new AbortController();
    const late = setTimeout(GRACE_MS, undefined, { signal: inTime.signal })
      .then(() => this.#table?.abandon(new Error('The consumer was ended.')))
      .catch(() => undefined);
    await this.#running;
    inTime.abort();
    await late;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      try {
        this.#table ??= await this.#connect();
        const hasMore = await this.#turn(this.#table);
        pauseMs = FIRST_PAUSE_MS;
        if (!hasMore) await this.#untilWritten(this.#options.config.pollMs);
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        await this.#fails(error);
        await setTimeout(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
    await this.#table?.close();
  }

  async #connect(): Promise<OutboxTable> {
    return await OutboxTable.connect(this.#address, this.#options.config, () => this.#hear(), this.#stopping.signal);
  }

  /** Takes one turn; returns true when there is more to do. */
  async #turn(table: OutboxTable): Promise<boolean> {
    this.#isWoken = false;
    let setAside: RowsDone['setAside'] = [];
    const read = await table.inTurn(ROWS_AT_ONCE, async (rows, isOver) => {
      const done = await this.#take(rows, isOver);
      ({ setAside } = done);
      return done;
    });
    // They were set aside only now.
    for (const { id, problem } of setAside) {
      this.#options.log.warn('a row is no trigger; it was set aside', { row: id, reason: problem });
      this.#options.metrics.poisoned();
    }
    if (this.problem !== undefined && this.#stoppedBy === undefined) {
      this.problem = undefined;
      this.#options.log.info('the outbox is read again');
    }
    const hasMore = read === ROWS_AT_ONCE && this.#stoppedBy === undefined;
    if (!hasMore && this.#stoppedBy === undefined) this.#oldest.remove({ table: this.#options.config.table });
    return hasMore;
  }

  async #take(rows: readonly OutboxRow[], isOver: AbortSignal): Promise<RowsDone> {
    const { config, handover } = this.#options;
    const [first] = rows;
    if (first !== undefined && Number.isFinite(first.changedAtS))
      this.#oldest.set({ table: config.table }, first.changedAtS);
    const accepted: string[] = [];
    const triggers: CheckedTrigger[] = [];
    const setAside: { id: string; problem: string }[] = [];
    let stoppedBy: string | undefined;
    for (const row of rows) {
      const found = await this.#ofSubscribers(this.#read(row), isOver);
      if (typeof found !== 'string') {
        triggers.push(found);
        accepted.push(row.id);
      } else if (config.poisoned === 'set-aside') {
        setAside.push({ id: row.id, problem: found });
      } else {
        stoppedBy = row.id;
        this.#stopAt(row.id, found);
        break;
      }
    }
    this.#stoppedBy = stoppedBy;
    const unmatched = new Set(await handover.give(triggers, isOver));
    if (config.accepted === 'delete' || unmatched.size === 0) return { accepted, setAside };
    // The rows are kept: they must not say that a job was told.
    const isMatched = accepted.map((_, i) => !unmatched.has(triggers[i]!));
    const problem = 'no running job subscribes to its audience';
    return {
      accepted: accepted.filter((_, i) => isMatched[i]),
      setAside: [...setAside, ...accepted.filter((_, i) => isMatched[i] !== true).map((id) => ({ id, problem }))],
    };
  }

  #stopAt(id: string, reason: string): void {
    if (this.#stoppedBy === id) return;
    this.problem = `The row ${id} is no trigger: ${reason}.`;
    this.#options.log.error('a row is no trigger; nothing more is sent until it is corrected', { row: id, reason });
    this.#options.metrics.poisoned();
  }

  /** Returns why none of the only jobs subscribes to it; otherwise what was found. */
  async #ofSubscribers(found: CheckedTrigger | string, isOver: AbortSignal): Promise<CheckedTrigger | string> {
    if (typeof found === 'string' || (await this.#options.handover.isSubscribed(found.trigger.audience, isOver)))
      return found;
    return 'none of the jobs in "outbox.jobs" subscribes to its audience';
  }

  /** Returns the trigger in a row, or why it is not one. */
  #read({ audience, user, event, at, profile, isTooLarge }: OutboxRow): CheckedTrigger | string {
    if (isTooLarge) return `its profile has more than ${MAX_TRIGGER_BYTES} bytes`;
    if (at === null || parseInstant(at) === undefined)
      return 'its "changed_at" is no time between the years 100 and 9999';
    let fields: Json | undefined;
    try {
      fields = profile === null ? undefined : parseJson(profile);
    } catch {
      return 'its "profile" is not JSON';
    }
    try {
      return checked({ audience, user, event, at, profile: fields }, this.#clock);
    } catch (error) {
      if (error instanceof InvalidTrigger) return error.reason;
      throw error;
    }
  }

  async #fails(error: unknown): Promise<void> {
    const problem = error instanceof Error ? error.message : String(error);
    if (this.problem !== problem) this.#options.log.warn('the outbox cannot be read; it is tried again', { problem });
    this.problem = problem;
    await this.#table?.close();
    this.#table = undefined;
  }

  #hear(): void {
    this.#isWoken = true;
    this.#wake();
  }

  async #untilWritten(atMostMs: number): Promise<void> {
    if (this.#isWoken) return;
    await new Promise<void>((resolve) => {
      const timer = globalThis.setTimeout(resolve, atMostMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
