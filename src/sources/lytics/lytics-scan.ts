import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { markPage } from '../loop-mark.ts';
import type { LyticsAnswer, LyticsApi } from './lytics-api.ts';
import { BEGINNING, cursorOf, placeOf, type ScanPlace } from './lytics-cursor.ts';
import type { MembersPage } from '../source.ts';
import { SourceError } from '../source-error.ts';

export interface ScanOptions {
  readonly api: LyticsApi;
  /** Rows of one request, 1 to 100. */
  readonly pageSize: number;
  /** The id of the person in a row; undefined when it has none. */
  readonly userOf: (row: JsonObject) => string | undefined;
  /** Called with every row whose person is returned. */
  readonly onRow: (user: string, row: JsonObject) => void;
  /** Called with what is lost or repeated, by audience. */
  readonly tell: (audience: AudienceListing, what: string) => void;
  /** Longest time, in ms, after which no request of a page is begun. */
  readonly budgetMs: number;
}

const WHAT = 'a page of members';
/** It is not documented how Lytics answers for a scan that is no longer recent; these statuses may mean that. */
const STALE: readonly number[] = [400, 404, 410, 422];
/** How many scans in a row may be restarted without finding the place of the previous one. */
const MAX_RESTARTS = 4;
/** How many ids a place is remembered by: some of them may have left. */
const REMEMBERED_IDS = 5;
/** This many of them, in order on one page, are not a coincidence. */
const MET_IDS = 2;
/** How many rows a place may have moved by, or this share of all before it, since members come and go. Beyond that, the order must have changed. */
const MOVED_ROWS = 100;
const MOVED_SHARE = 0.05;
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
   * to continue. A scan that Lytics does not continue is restarted, and returns nobody until it has reached the place where the last one
   * was.
   */
  async page(audience: AudienceListing, after: string | undefined, limit: number): Promise<MembersPage> {
    const { pageSize, budgetMs } = this.#options;
    const size = Math.min(pageSize, limit);
    const endsAtMs = performance.now() + budgetMs;
    const ids: string[] = [];
    let rows = 0;
    let place: ScanPlace | undefined = placeOf(after);
    do {
      const answer = await this.#ask(audience, place, size);
      if (isCutOff(place, answer, size)) {
        place = this.#anew(audience, place, answer);
        continue;
      }
      const page = rowsOf(answer, this.#options.api, size);
      rows += page.length;
      place = this.#take(audience, place, page, answer, ids);
    } while (place !== undefined && limit - ids.length >= size && performance.now() < endsAtMs);
    this.#mustHaveIds(audience, after, rows, ids.length);
    return place === undefined ? { ids } : { ids, next: cursorOf(place) };
  }

  async #ask({ id }: AudienceListing, { start }: ScanPlace, size: number): Promise<LyticsAnswer> {
    const query = new URLSearchParams({ limit: String(size), ...(start === '' ? {} : { start }) });
    return await this.#options.api.get(WHAT, `/api/segment/${id}/scan?${query.toString()}`, start === '' ? [] : STALE);
  }

  /** Adds the people of a page to `ids`; returns the place after it, undefined at the end. */
  #take(
    audience: AudienceListing,
    place: ScanPlace,
    page: readonly JsonObject[],
    answer: LyticsAnswer,
    ids: string[],
  ): ScanPlace | undefined {
    const users = page.map(this.#options.userOf);
    if (users.includes(undefined)) this.#options.tell(audience, 'some rows have no id of a person and are left out.');
    const from = place.behind === undefined ? 0 : this.#placeIn(users, place, place.behind);
    const given = from === undefined ? [] : users.slice(from).filter((user) => user !== undefined);
    for (const [index, row] of page.entries()) {
      const user = users[index];
      if (from !== undefined && index >= from && user !== undefined) this.#options.onRow(user, row);
    }
    ids.push(...given);
    const loop = markPage(place.loop, JSON.stringify([answer.next, users]));
    const read = place.read + page.length;
    const total = answer.total ?? place.total;
    if (answer.next === '') {
      if (from === undefined) return this.#fromTheTop(audience, place);
      if (read < total * 0.9)
        this.#options.tell(audience, `the scan ended after ${read} rows, but Lytics says that there are ${total}.`);
      return undefined;
    }
    if (loop === undefined)
      throw new SourceError(
        `Lytics leads in a circle: the scan of "${audience.slug}" returns a page that it has returned before (row ${read}).`,
      );
    const last = [...place.last, ...given].slice(-REMEMBERED_IDS);
    const next = { ...place, start: answer.next, read, total, loop, last };
    return from === undefined ? next : { ...next, behind: undefined, restarts: place.behind ? 0 : place.restarts };
  }

  /** From which row on a page of a restarted scan is returned; undefined when not in this page. */
  #placeIn(
    users: readonly (string | undefined)[],
    { read }: ScanPlace,
    { ids, read: before }: NonNullable<ScanPlace['behind']>,
  ): number | undefined {
    const met = users.filter((user) => user !== undefined && ids.includes(user));
    const hasOrder = JSON.stringify(met) === JSON.stringify(ids.filter((id) => met.includes(id)));
    const behindThem = users.findLastIndex((user) => user === met.at(-1)) + 1;
    const isNear = Math.abs(read + behindThem - before) <= Math.max(MOVED_ROWS, before * MOVED_SHARE);
    const isThere = met.length > 0 && met.length >= Math.min(MET_IDS, ids.length, users.length);
    return isThere && hasOrder && isNear ? behindThem : undefined;
  }

  #anew(audience: AudienceListing, place: ScanPlace, { status }: LyticsAnswer): ScanPlace {
    const { last, read, endedAt, behind = last.length === 0 ? undefined : { ids: last, read } } = place;
    this.#options.tell(audience, 'Lytics did not continue a scan; a new one is read up to the same place.');
    return { ...this.#restarted(audience, place), last, behind, endedAt: status < 300 ? read : endedAt };
  }

  /** Those by whom the place could be found have left, or the order has changed: since nobody may be lost, everybody is returned once more. */
  #fromTheTop(audience: AudienceListing, place: ScanPlace): ScanPlace {
    this.#options.tell(audience, 'a restarted scan did not find its place: everybody is sent again.');
    return { ...this.#restarted(audience, place), endedAt: place.endedAt };
  }

  #restarted(audience: AudienceListing, { restarts, total }: ScanPlace): ScanPlace {
    if (restarts >= MAX_RESTARTS)
      throw new SourceError(
        `Lytics does not continue a scan of "${audience.slug}", even after ${MAX_RESTARTS} restarts. The backfill cannot be read to its end.`,
      );
    return { ...BEGINNING, total, restarts: restarts + 1 };
  }

  /** A field that nobody has means a mistake in the configuration, not an empty audience. */
  #mustHaveIds({ slug }: AudienceListing, after: string | undefined, rows: number, ids: number): void {
    if (after !== undefined || ids > 0 || rows < NAMELESS_ROWS) return;
    throw new SourceError(
      `None of the first ${rows} people in "${slug}" has the field that "userField" names in the configuration's "source". Name the field that holds a person's id.`,
    );
  }
}

/** Refused, or ended where more was to come. Nothing can be said about a scan that has only just begun. */
function isCutOff(
  { start, read, total, endedAt }: ScanPlace,
  { status, data, next }: LyticsAnswer,
  size: number,
): boolean {
  if (start === '') return false;
  if (status >= 300) return true;
  const isEmpty = data === null || (Array.isArray(data) && data.length === 0);
  const cameFurther = endedAt === undefined || read >= endedAt + size;
  return isEmpty && next === '' && read < total && cameFurther;
}

function rowsOf({ data }: LyticsAnswer, api: LyticsApi, most: number): readonly JsonObject[] {
  const rows = (data ?? []) as Json;
  if (!Array.isArray(rows) || !rows.every(isRecord))
    throw api.unexpected(WHAT, 'there is no list of people under "data"');
  if (rows.length > most) throw api.unexpected(WHAT, `it gave ${rows.length} rows where ${most} were asked for`);
  return rows as readonly JsonObject[];
}
