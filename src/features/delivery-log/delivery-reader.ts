import type { ToldLog, ToldRow } from './told-log.ts';
import { setTimeout } from 'node:timers/promises';
import { type DeedFilter, type DeedPage, deedPage, deedsQuery } from './deeds.ts';
import type { Exchange } from '../../contract/delivery.ts';
import type {
  DeliveryFilter,
  DeliveryPage,
  DeliveryStats,
  LogGap,
  StatsQuery,
  DeliveryRow,
  DeliveryDetails,
} from './delivery.ts';
import type { ToldQuery } from '../../contract/replay.ts';
import { COUNT_WAIT_MS } from './gaps-in-words.ts';
import { attemptsQuery, batchQuery, cursorOf, deliveryQuery, oldestQuery, readCursor } from './delivery-query.ts';
import { startOf } from '../../worker/identity.ts';
import { gapsOf, gapsQuery } from './log-gaps.ts';
import { DeliveryLogError } from './log-error.ts';
import { inMilliseconds, type LogSql, sql, type SqlRow } from './log-sql.ts';
import { isByDays, statsOf, statsQuery, SUMMED_UNTIL, windowOf } from './stats.ts';
import { deliveryRowOf } from './tables.ts';
import { toldQuery, toldRowOf } from './told-query.ts';

/** The first part of time that is searched. */
const FIRST_SPAN_MS = 60 * 60 * 1000;
/** After this long, a search returns what it has. */
const LOOK_BACK_MS = 80;
const FOLLOW_MS = 1_000;
/** How far, in ms, a worker's clock may be behind. */
const CLOCKS_MS = 5_000;
/** The longest time whose new deliveries are read at once. */
const MOST_FOLLOWED_MS = 10_000;
const PAGE_ROWS = 1_000;
/** How often the log is asked whether its writers have caught up. */
const CATCH_UP_MS = 100;
/** One that has written nothing for so long, in ms, was killed, in most cases, and nobody waits for it. */
const AWAITED_MS = 5 * 60 * 1000;

/** How what was encrypted is read. */
export interface Unsealing {
  /** Returns the text itself if it is not encrypted; undefined: its key is not here, or somebody has changed it. */
  readonly open: (text: string) => string | undefined;
}

/** Reads the deliveries that workers have written. */
export class DeliveryReader implements ToldLog {
  readonly #sql: LogSql;
  readonly #unsealing: Unsealing;

  constructor(sql: LogSql, unsealing: Unsealing) {
    this.#sql = sql;
    this.#unsealing = unsealing;
  }

  /** Whether it has deliveries of a job. @throws DeliveryLogError */
  async hasJob(jobId: string): Promise<boolean> {
    const { rows } = await this.find({ jobId }, 1);
    return rows.length > 0;
  }

  /**
   * Returns a page of deliveries, newest first. It looks back through time for at most about 0.1 s: then the page has fewer rows than wanted, or
   * none, and `next` goes on.
   * @param after where the page before ended (`next`); anything else counts as the beginning.
   * @throws DeliveryLogError
   */
  async find(filter: DeliveryFilter, limit: number, after?: string): Promise<DeliveryPage> {
    const rows: DeliveryRow[] = [];
    let cursor = after === undefined ? undefined : readCursor(after);
    let { until } = filter;
    let topMs = Date.parse(cursor?.[0] ?? until ?? new Date().toISOString());
    let oldestMs = filter.since === undefined ? undefined : Date.parse(filter.since);
    let spanMs = FIRST_SPAN_MS;
    const startedAtMs = performance.now();
    for (;;) {
      const fromMs = topMs - spanMs;
      const isLast = oldestMs !== undefined && fromMs <= oldestMs;
      const from = new Date(fromMs).toISOString();
      const part = { ...filter, since: isLast ? filter.since : from, until };
      const askedAtMs = performance.now();
      const found = await this.#sql.query(deliveryQuery(this.#sql, part, limit + 1 - rows.length, cursor));
      rows.push(...found.map(deliveryRowOf));
      const last = rows[limit - 1];
      if (rows.length > limit && last !== undefined)
        return { rows: rows.slice(0, limit), next: cursorOf(last.at, last.sequence, last.deliveryId, last.attempt) };
      oldestMs ??= await this.#oldestMs();
      if (isLast || oldestMs === undefined) return { rows };
      cursor = undefined;
      [topMs, until] = [fromMs, from];
      const nowMs = performance.now();
      if (nowMs - startedAtMs > LOOK_BACK_MS) return { rows, next: cursorOf(from) };
      spanMs = nextSpanMs(spanMs, nowMs - askedAtMs);
    }
  }

  /**
   * Yields all deliveries page by page, newest first.
   * @param most how many. Default: all.
   * @throws DeliveryLogError
   */
  async *pages(filter: DeliveryFilter, most = Infinity): AsyncGenerator<readonly DeliveryRow[]> {
    let left = most;
    let next: string | undefined;
    do {
      const page = await this.find(filter, Math.min(PAGE_ROWS, left), next);
      yield page.rows;
      left -= page.rows.length;
      ({ next } = page);
    } while (next !== undefined && left > 0);
  }

  /**
   * Returns the attempts with this `webhook-id`, or one that begins so, oldest first, at most 50.
   * @param onlyJobs of which they are; undefined: of all.
   * @throws DeliveryLogError
   */
  async attempts(deliveryId: string, onlyJobs?: readonly string[]): Promise<DeliveryDetails[]> {
    const found = await this.#sql.query(attemptsQuery(this.#sql, { deliveryId, onlyJobs }));
    const batches = new Map<string, readonly DeliveryDetails[]>();
    const details: DeliveryDetails[] = [];
    for (const row of found.map((one) => this.#detailsOf(one))) {
      const { batchId } = row;
      if (batchId !== undefined && !hasExchange(row) && !batches.has(batchId))
        batches.set(
          batchId,
          (await this.#sql.query(batchQuery(this.#sql, batchId))).map((one) => this.#detailsOf(one)),
        );
      details.push(batchId === undefined || hasExchange(row) ? row : withExchangeOf(row, batches.get(batchId) ?? []));
    }
    return details;
  }

  /**
   * Yields deliveries as they are written, from about now on, until the signal aborts.
   * @param noticed called with the problem once the log cannot be read any more, and with undefined once it goes on.
   * @throws DeliveryLogError if it cannot be read at first
   */
  async *follow(
    filter: DeliveryFilter,
    signal: AbortSignal,
    noticed: (problem: DeliveryLogError | undefined) => void | Promise<void>,
  ): AsyncGenerator<DeliveryRow> {
    const beganAt = new Date(Date.now() - CLOCKS_MS).toISOString();
    const query = sql`SELECT writer, ${this.#sql.timeText('written_at')} AS at FROM delivery_writers
      WHERE batches > 0 AND written_at >= ${beganAt}`;
    /** Up to when the rows of each writer were read. */
    const read = new Map<string, string>();
    let isFirst = true;
    let problem: DeliveryLogError | undefined;
    while (!signal.aborted) {
      try {
        const found = await this.#sql.query(query);
        const written = new Map(found.map((one) => [String(one['writer']), String(one['at'])]));
        for (const [writer, at] of written)
          if (!read.has(writer)) {
            const start = startOf(writer) ?? beganAt;
            read.set(writer, isFirst ? at : start > beganAt ? start : beganAt);
          }
        isFirst = false;
        if (problem !== undefined) await noticed((problem = undefined));
        yield* this.#newlyWritten(filter, read, written);
      } catch (error) {
        if (isFirst || !(error instanceof DeliveryLogError)) throw error;
        if (problem === undefined) await noticed((problem = error));
      }
      await setTimeout(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Yields the rows of each writer between two times, oldest first, and moves the first on. The program that reads them may have stood still for hours. */
  async *#newlyWritten(
    filter: DeliveryFilter,
    read: Map<string, string>,
    written: ReadonlyMap<string, string>,
  ): AsyncGenerator<DeliveryRow> {
    for (;;) {
      const moved = [...written].flatMap(([writer, to]) => {
        const from = read.get(writer) ?? to;
        return from < to ? [{ writer, worker: writer.split(' ')[0], from, to }] : [];
      });
      const since = moved.map(({ from }) => from).sort()[0];
      if (since === undefined) return;
      const until = new Date(Date.parse(since) + MOST_FOLLOWED_MS).toISOString();
      const rows: DeliveryRow[] = [];
      for await (const page of this.pages({ ...filter, since, until }))
        rows.push(
          ...page.filter(({ worker, at }) =>
            moved.some((one) => one.worker === worker && one.from <= at && at < one.to),
          ),
        );
      for (const { writer, from, to } of moved) if (from < until) read.set(writer, to < until ? to : until);
      yield* rows.reverse();
    }
  }

  /**
   * Returns what a job told, in the order in which it did.
   * @throws DeliveryLogError
   */
  async told(query: ToldQuery, limit: number, after?: string): Promise<ToldRow[]> {
    return (await this.#sql.query(toldQuery(this.#sql, query, limit, after))).map(toldRowOf);
  }

  /**
   * Returns a page of what people did, newest first.
   * @param after where the page before ended (`next`); anything else counts as the beginning.
   * @throws DeliveryLogError
   */
  async deeds(filter: DeedFilter, limit: number, after?: string): Promise<DeedPage> {
    return deedPage(await this.#sql.query(deedsQuery(this.#sql, filter, limit, after)), limit, this.#unsealing.open);
  }

  /**
   * Counts attempts, without reading them one by one.
   * @throws DeliveryLogError
   */
  async stats(asked: StatsQuery): Promise<DeliveryStats> {
    const window = windowOf(asked);
    const now = Date.now();
    const gaps = await this.gaps(asked, { waitMs: COUNT_WAIT_MS, of: 'counts' });
    const [last] = isByDays(window) ? await this.#sql.query(SUMMED_UNTIL) : [];
    const summed = Number(last?.['summed'] ?? 0);
    const count = (by: 'step' | 'job') => this.#sql.query(statsQuery(asked, window, by, now, summed));
    // For one job, the steps say all.
    const [bySteps, byJobs] = await Promise.all([count('step'), asked.jobId === undefined ? count('job') : undefined]);
    const jobs = byJobs ?? bySteps.map((row) => ({ ...row, part: asked.jobId ?? '' }));
    return { ...statsOf(asked, window, bySteps, jobs), gaps };
  }

  /**
   * Returns when rows may be missing until now or as told, at most 101 times: of workers that may live, then newest first. A worker that fell silent
   * counts for an hour.
   * @param waitMs how long it may wait first until all living workers have written what they did in that time. Default: it does not wait, and a worker is
   * behind after a minute. Read the rows after that.
   * @param of what is read: counts are kept for longer.
   * @throws DeliveryLogError
   */
  async gaps(
    { since, until }: Pick<DeliveryFilter, 'since' | 'until'>,
    { waitMs, of = 'rows' }: { readonly waitMs?: number; readonly of?: 'rows' | 'counts' } = {},
  ): Promise<LogGap[]> {
    const now = Date.now();
    const end = new Date(Math.min(now, Date.parse(until ?? '') || Infinity)).toISOString();
    const query = gapsQuery(this.#sql, now, { since, until: end }, waitMs !== undefined, of);
    const endsAtMs = performance.now() + (waitMs ?? 0);
    const isAwaited = ({ written, dropped }: SqlRow): boolean =>
      Number(dropped) === 0 && Date.parse(String(written)) > now - AWAITED_MS;
    let found = await this.#sql.query(query);
    while (found.some(isAwaited) && performance.now() < endsAtMs) {
      await this.#sql.ask?.();
      await setTimeout(CATCH_UP_MS);
      found = await this.#sql.query(query);
    }
    const gaps = found.flatMap(gapsOf);
    const begins = found[0]?.['begins'];
    if (since === undefined || typeof begins !== 'string' || inMilliseconds(since) >= begins) return gaps;
    return [...gaps, { why: 'begins', from: inMilliseconds(since), until: begins }];
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }

  /** When the oldest delivery was; undefined: there is none. */
  async #oldestMs(): Promise<number | undefined> {
    const [found] = await this.#sql.query(oldestQuery(this.#sql));
    return typeof found?.['at'] === 'string' ? Date.parse(found['at']) : undefined;
  }

  #detailsOf(found: SqlRow): DeliveryDetails {
    const row = deliveryRowOf(found);
    const { exchange } = found;
    if (typeof exchange !== 'string') return row;
    const text = this.#unsealing.open(exchange);
    if (text === undefined) return row;
    const { request, response } = JSON.parse(text) as Exchange; // A worker wrote it.
    const answer = row.answer ?? response?.body;
    return {
      ...row,
      ...(answer === undefined ? {} : { answer }),
      ...(request && { request }),
      ...(response && { response }),
    };
  }
}

/** A search without an index reads some million rows a second, and one with an index has no need of small parts. */
function nextSpanMs(spanMs: number, tookMs: number): number {
  if (tookMs < 20) return spanMs * 4;
  return tookMs > 40 ? Math.ceil(spanMs / 2) : spanMs;
}

/** The rows of one request of a batch are made within a moment; a retry of the batch has the same id. */
const SAME_REQUEST_MS = 1_000;

/** The row with what was sent and answered, which the first row of its request has. */
function withExchangeOf(row: DeliveryDetails, ofBatch: readonly DeliveryDetails[]): DeliveryDetails {
  const { at, verdict, status } = row;
  const first = ofBatch.find(
    (one) =>
      one.verdict === verdict &&
      one.status === status &&
      Math.abs(Date.parse(one.at) - Date.parse(at)) <= SAME_REQUEST_MS,
  );
  return {
    ...row,
    ...(first?.request && { request: first.request }),
    ...(first?.response && { response: first.response }),
  };
}

function hasExchange({ request, response }: Exchange): boolean {
  return request !== undefined || response !== undefined;
}
