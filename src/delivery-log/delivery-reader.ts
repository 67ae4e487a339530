import { setTimeout } from 'node:timers/promises';
import type { DeedFilter, DeedPage } from '../contract/audit.ts';
import type {
  DeliveryDetails,
  DeliveryFilter,
  DeliveryPage,
  DeliveryRow,
  DeliveryStats,
  Exchange,
  LogGap,
  StatsQuery,
} from '../contract/delivery.ts';
import type { ToldLog, ToldQuery, ToldRow } from '../contract/replay.ts';
import { deedPage, deedsQuery } from './deeds.ts';
import {
  attemptsQuery,
  batchQuery,
  cursorAfter,
  cursorBefore,
  deliveryQuery,
  deliveryRowOf,
  oldestQuery,
  readCursor,
} from './delivery-query.ts';
import { gapOf, gapsQuery } from './log-gaps.ts';
import type { LogSql, SqlRow } from './log-sql.ts';
import { isByDays, statsOf, statsQuery, SUMMED_UNTIL, windowOf } from './stats.ts';
import { toldQuery, toldRowOf } from './told-query.ts';

/** The first part of time that is searched. */
const FIRST_SPAN_MS = 60 * 60 * 1000;
/** After this long, a search returns what it has. */
const LOOK_BACK_MS = 80;
const FOLLOW_MS = 1_000;
/** The longest time whose new deliveries are read at once. */
const MOST_FOLLOWED_MS = 10_000;
const PAGE_ROWS = 1_000;
/** How much later, in ms, a row may be written than its time says: it waits in its worker, and clocks differ. */
const LATE_MS = 5_000;

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
      if (rows.length > limit && last !== undefined) return { rows: rows.slice(0, limit), next: cursorAfter(last) };
      oldestMs ??= await this.#oldestMs();
      if (isLast || oldestMs === undefined) return { rows };
      cursor = undefined;
      [topMs, until] = [fromMs, from];
      const nowMs = performance.now();
      if (nowMs - startedAtMs > LOOK_BACK_MS) return { rows, next: cursorBefore(from) };
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

  /** Yields deliveries as they are written, from about now on, until the signal aborts. */
  async *follow(filter: DeliveryFilter, signal: AbortSignal): AsyncGenerator<DeliveryRow> {
    let since = Date.now() - LATE_MS;
    let told = new Set<string>();
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const askedAt = Date.now();
      const rows: DeliveryRow[] = [];
      // The program that reads them may have stood still for hours, and memory has no room for so many.
      const most = since + LATE_MS + MOST_FOLLOWED_MS;
      const until = most < askedAt ? new Date(most).toISOString() : undefined;
      const part = { ...filter, since: new Date(since).toISOString(), until };
      for await (const page of this.pages(part)) rows.push(...page);
      rows.reverse();
      const fresh = isFirst ? [] : rows.filter((row) => !told.has(cursorAfter(row)));
      told = new Set(rows.map(cursorAfter));
      since = Math.min(most, askedAt) - LATE_MS;
      yield* fresh;
      await setTimeout(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
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
    const [last] = isByDays(window) ? await this.#sql.query(SUMMED_UNTIL) : [];
    const summed = Number(last?.['summed'] ?? 0);
    const count = (by: 'step' | 'job') => this.#sql.query(statsQuery(asked, window, by, now, summed));
    // For one job, the steps say all.
    const [bySteps, byJobs] = await Promise.all([count('step'), asked.jobId === undefined ? count('job') : undefined]);
    const jobs = byJobs ?? bySteps.map((row) => ({ ...row, part: asked.jobId ?? '' }));
    return { ...statsOf(asked, window, bySteps, jobs), gaps: await this.gaps(asked) };
  }

  /**
   * Returns when rows may be missing until now or as told, newest first, at most 100. A worker that fell silent counts for an hour.
   * @throws DeliveryLogError
   */
  async gaps({ since, until }: Pick<DeliveryFilter, 'since' | 'until'>): Promise<LogGap[]> {
    return (await this.#sql.query(gapsQuery(this.#sql, Date.now(), since, until))).map(gapOf);
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
