import { z } from 'zod';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { readCursor } from '../cursor.ts';
import { type MembersPage, SourceError } from '../source.ts';
import type { LyticsAnswer, LyticsApi, LyticsSegment } from './segments.ts';

/** Where a scan of a segment is. */
interface ScanPlace {
  /** Lytics' `_next`; empty at the beginning. */
  readonly start: string;
  /** Rows before it. */
  readonly read: number;
  /** How many rows the scan has in all, as Lytics last said; 0 when it has not said. */
  readonly total: number;
  /** Nobody before it had an id. */
  readonly isNameless: boolean;
}

const BEGINNING: ScanPlace = { start: '', read: 0, total: 0, isNameless: true };

const count = z.number().int().min(0);
const placeSchema = z.object({ start: z.string(), read: count, total: count, isNameless: z.boolean() });

/** Bounded, since a cursor is in a workflow's state and in many of its events. */
const MAX_START_LENGTH = 4096;

/** @throws SourceError when Lytics says where to go on with more than can be kept. */
function cursorOf(place: ScanPlace): string {
  if (place.start.length > MAX_START_LENGTH)
    throw new SourceError(`Lytics' "_next" has more than ${MAX_START_LENGTH} characters; that is too long to be kept.`);
  return JSON.stringify(place);
}

/** @throws SourceError when a text is no cursor of this source. */
function placeOf(cursor: string | undefined): ScanPlace {
  return cursor === undefined ? BEGINNING : readCursor(cursor, placeSchema, 'of a scan of Lytics');
}

export interface ScanOptions {
  readonly api: LyticsApi;
  /** Rows of one request, 1 to 100. */
  readonly pageSize: number;
  /** The id of the person in a row; undefined when it has none. */
  readonly userOf: (row: JsonObject) => string | undefined;
  /** Called with every row whose person is returned. */
  readonly onRow: (user: string, row: JsonObject) => void;
  /** Called with what is lost or repeated, by audience. */
  readonly tell: (audience: LyticsSegment, what: string) => void;
  /** Longest time, in ms, after which no request of a page is begun. */
  readonly budgetMs: number;
}

const WHAT = 'a page of members';
/** It is not documented how Lytics answers for a scan that is no longer recent; these statuses may mean that. */
const STALE: readonly number[] = [400, 404, 410, 422];
/** How many rows more than Lytics promised are believed, or this share of all, since members come and go meanwhile. Beyond that, it leads in a circle. */
const MORE_ROWS = 100;
const MORE_SHARE = 0.05;
/** An end at which more than this share of the promised rows is missing is told, and none at all when it is empty. */
const MISSING_SHARE = 0.1;
/** This many rows without a single id are not a coincidence. */
const NAMELESS_ROWS = 100;

/** Reads pages of members from scans of segments. */
export class LyticsScan {
  readonly #options: ScanOptions;

  constructor(options: ScanOptions) {
    this.#options = options;
  }

  /**
   * Asks for page after page until another could exceed `limit`, or the time is over: then the page is short, or even empty, and says where
   * to continue.
   */
  async page(audience: LyticsSegment, after: string | undefined, limit: number): Promise<MembersPage> {
    const { pageSize, budgetMs } = this.#options;
    const size = Math.min(pageSize, limit);
    const endsAtMs = performance.now() + budgetMs;
    const ids: string[] = [];
    let place = placeOf(after);
    do {
      const answer = await this.#ask(audience, place, size);
      mustContinue(audience, place, answer);
      place = this.#take(audience, place, answer, size, ids);
    } while (place.start !== '' && limit - ids.length >= size && performance.now() < endsAtMs);
    if (place.isNameless) mustHaveIds(audience, place);
    return place.start === '' ? { ids } : { ids, next: cursorOf(place) };
  }

  async #ask({ key }: LyticsSegment, { start }: ScanPlace, size: number): Promise<LyticsAnswer> {
    const query = new URLSearchParams({ limit: String(size), ...(start === '' ? {} : { start }) });
    return await this.#options.api.get(
      WHAT,
      `/api/segment/${encodeURIComponent(key)}/scan?${query.toString()}`,
      start === '' ? [] : STALE,
    );
  }

  /** Adds the people of a page to `ids`; returns the place after it, which at the end is the beginning. */
  #take(audience: LyticsSegment, place: ScanPlace, answer: LyticsAnswer, size: number, ids: string[]): ScanPlace {
    const { api, userOf, onRow, tell } = this.#options;
    const rows = rowsOf(answer, api, size);
    let isNameless = place.isNameless;
    for (const row of rows) {
      const user = userOf(row);
      if (user === undefined) {
        tell(audience, 'some rows have no id of a person and are left out.');
        continue;
      }
      isNameless = false;
      ids.push(user);
      onRow(user, row);
    }
    const read = place.read + rows.length;
    const total = answer.total ?? place.total;
    if (answer.next !== '') mustNotLeadBack(audience, { ...place, read, total }, answer.next);
    else if (rows.length === 0 ? read < total : isFarFromAll(read, total))
      tell(audience, `the scan ended after ${read} rows, but Lytics says that there are ${total}.`);
    return { start: answer.next, read, total, isNameless };
  }
}

/** Whether Lytics goes on with a scan, or has forgotten it: refused it, or ended it at once where more was to come. */
function mustContinue({ slug }: LyticsSegment, { start, read, total }: ScanPlace, answer: LyticsAnswer): void {
  const { status, data, next } = answer;
  if (start === '') return; // Nothing can be said about a scan that has only just begun.
  const isEmpty = data === null || (Array.isArray(data) && data.length === 0);
  if (status < 300 && !(isEmpty && next === '' && isFarFromAll(read, total))) return;
  throw new SourceError(
    `Lytics does not continue the scan of "${slug}" after row ${read} (HTTP ${status}): it keeps a scan only for a while. Cancel the backfill and begin it again, with an endpoint or a pace that needs less time.`,
  );
}

function isFarFromAll(read: number, total: number): boolean {
  return read < total * (1 - MISSING_SHARE);
}

/** A scan may have one "_next" for all its pages, so that alone says nothing; more rows than there are people do. */
function mustNotLeadBack({ slug }: LyticsSegment, { start, read, total }: ScanPlace, next: string): void {
  const most = total === 0 ? Infinity : total + Math.max(MORE_ROWS, total * MORE_SHARE);
  if (read <= most && !(total === 0 && next === start)) return;
  throw new SourceError(
    `Lytics leads in a circle: the scan of "${slug}" goes on after ${read} rows${total === 0 ? ' where it was before' : `, but it has said that there are ${total}`}.`,
  );
}

/** A field that nobody has means a mistake in the configuration, not an empty audience. */
function mustHaveIds({ slug }: LyticsSegment, { start, read: rows }: ScanPlace): void {
  const isEnd = start === '';
  if (rows < (isEnd ? 1 : NAMELESS_ROWS)) return;
  throw new SourceError(
    `None of the ${isEnd ? '' : 'first '}${rows} people in "${slug}" has the field that "userField" names in the configuration's "source". Name the field that holds a person's id.`,
  );
}

function rowsOf({ data }: LyticsAnswer, api: LyticsApi, most: number): readonly JsonObject[] {
  const rows = (data ?? []) as Json;
  if (!Array.isArray(rows) || !rows.every(isRecord))
    throw api.unexpected(WHAT, 'there is no list of people under "data"');
  if (rows.length > most) throw api.unexpected(WHAT, `it gave ${rows.length} rows where ${most} were asked for`);
  return rows as readonly JsonObject[];
}
