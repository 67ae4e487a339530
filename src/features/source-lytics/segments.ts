import { z } from 'zod';
import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { type MembersPage, SourceError } from '../../activities/audience-source.ts';
import { ANSWER_CODES, audienceIdOf, readCursor, idIn } from '../../sources/source.ts';
import type { JsonService } from '../../sources/json-service.ts';

/** Minutes of the units of Lytics' date math. A month counts as 30 days: all that matters is whether a window is under 30 minutes. */
const UNIT_MINUTES: Readonly<Record<string, number>> = {
  s: 1 / 60,
  m: 1,
  h: 60,
  d: 24 * 60,
  w: 7 * 24 * 60,
  M: 30 * 24 * 60,
  y: 365 * 24 * 60,
};
/** `now-15m`, and `now+2h` for the future: both change membership as time passes. */
const DATE_MATH = /\bnow\s*[-+]\s*(\d{1,9})\s*([smhdwMy])(?![a-zA-Z])/g;
/** `timewindow(visits, 5, 7)`: 5 in 7 days. */
const TIME_WINDOW = /\btimewindow\s*\([^()]*,\s*(\d{1,9})\s*\)/gi;
const INCLUDED = /\bINCLUDE\s+(?:`([^`]+)`|([\w.-]+))/gi;

/**
 * Returns the shortest time window, in minutes, that a definition in FilterQL looks back over, or forward; undefined when none is visible.
 * Definitions that it includes count, as far as they are known.
 *
 * @param definition of the segment that has this slug; empty when it is not known.
 */
export function shortestWindow(ql: string, definition: (slug: string) => string): number | undefined {
  const minutes: number[] = [];
  const texts = [ql];
  const seen = new Set<string>();
  for (const text of texts) {
    for (const [, count, unit = ''] of text.matchAll(DATE_MATH))
      minutes.push(Number(count) * (UNIT_MINUTES[unit] ?? NaN));
    for (const [, days] of text.matchAll(TIME_WINDOW)) minutes.push(Number(days) * 24 * 60);
    for (const [, quoted, plain] of text.matchAll(INCLUDED)) {
      const slug = quoted ?? plain ?? '';
      if (!seen.has(slug)) texts.push(definition(slug));
      seen.add(slug);
    }
  }
  // `now-0d` is not a window but the present day.
  const windows = minutes.filter((one) => one > 0);
  return windows.length === 0 ? undefined : windows.reduce((a, b) => Math.min(a, b));
}

/** The envelope of an answer of Lytics, in either version of its API. */
interface LyticsAnswer {
  readonly status: number;
  /** `null` for an empty list, too. */
  readonly data: Json;
  readonly message: string;
  /** Where a scan continues; empty at its end. */
  readonly next: string;
  /** How many rows a scan has in all, as far as it says so. */
  readonly total: number | undefined;
}

/** Sent with HTTP 200 when Lytics could not find out in time whether something exists. */
const TIMED_OUT = /^timed out\b/i;
/** Codes of Lytics errors: `UNAUTHORIZED-017`. Its messages are not repeated. */
const ERROR_CODE = /^[A-Z]+(?:-[A-Z]+)*-\d{1,5}$/;

/**
 * Asks Lytics, and recognises answers that only look like one: `/api` answers `{data, status, message}`, `/v2` answers `{data,
 * status, request_id}` or `{errors, …}` (a refused token in the form of `/api`), and the status may be a text.
 */
export class LyticsApi {
  readonly #service: JsonService;

  constructor(service: JsonService) {
    this.#service = service;
  }

  /**
   * @param what is asked for, to follow "it did not give …".
   * @param tolerated statuses besides 2xx that mean something to the caller, if Lytics itself sends them.
   * @throws SourceUnavailable
   */
  async get(what: string, path: string, tolerated: readonly number[] = []): Promise<LyticsAnswer> {
    const { status: httpStatus, body } = await this.#service.ask({ what, path });
    if (!isRecord(body)) {
      // A status without an envelope comes from something else, a proxy, say.
      throw this.#service.unavailable(
        what,
        isGood(httpStatus) ? { code: ANSWER_CODES.notJson } : { status: httpStatus },
      );
    }
    const { status: bodyStatus, message, data, _next: next, total, errors } = body as Partial<Record<string, Json>>; // Whatever it holds.
    const status = isGood(httpStatus) && !isNaN(Number(bodyStatus ?? NaN)) ? Number(bodyStatus) : httpStatus;
    const text = typeof message === 'string' ? message : '';
    if (TIMED_OUT.test(text))
      throw this.#service.unavailable(what, { reason: 'Lytics itself did not get the answer in time' });
    const [first] = Array.isArray(errors) ? (errors as readonly Json[]) : [];
    if (tolerated.includes(status) || (isGood(status) && first === undefined))
      return { status, data: data ?? null, message: text, next: textOf(next), total: countOf(total) };
    const code = isRecord(first) ? first['code'] : undefined;
    const words = typeof code === 'string' && ERROR_CODE.test(code) ? `HTTP ${status}, ${code}` : `HTTP ${status}`;
    throw this.#service.unavailable(what, { status, reason: words });
  }

  /** The error for a wrong content of an answer. */
  unexpected(what: string, reason: string): Error {
    return this.#service.unavailable(what, { code: ANSWER_CODES.unexpected, reason });
  }
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The parameter is documented as a number, but its values elsewhere are texts. */
function textOf(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : '';
}

function countOf(value: Json | undefined): number | undefined {
  const count = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

/** An audience, and how Lytics calls it. */
export interface LyticsSegment {
  readonly id: string;
  readonly slug: string;
  /** The id of the segment. */
  readonly key: string;
  readonly listing: AudienceListing;
}

const WHAT = 'its audiences';
const PATH = '/v2/segment?table=user&kind=segment&valid=true&sizes=true';

/** The segments of an account that are audiences of people, by slug: not those that are deleted or invalid, or of other tables and kinds. */
export async function readSegments(api: LyticsApi): Promise<readonly LyticsSegment[]> {
  const { data } = await api.get(WHAT, PATH);
  if (data !== null && !Array.isArray(data)) throw api.unexpected(WHAT, 'there is no list under "data"');
  const segments = ((data ?? []) as readonly Json[]).filter(isAudience);
  const bySlug = new Map(segments.map((segment) => [segment['slug_name'], segment]));
  const read = segments.map((segment) => {
    const key = idIn(segment['id']);
    if (key === undefined) throw api.unexpected(WHAT, 'an audience has no id under "id"');
    const listing = listingOf(segment, key, (slug) => definitionOf(bySlug.get(slug)));
    return { id: listing.id, slug: listing.slug, key, listing };
  });
  return read.sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

/** The query asks for only these, but it is not certain that the parameter is respected. */
function isAudience(value: Json): value is JsonObject {
  if (!isRecord(value)) return false;
  const { table = 'user', kind = 'segment', deleted, invalid } = value;
  return table === 'user' && kind === 'segment' && deleted !== true && invalid !== true;
}

function listingOf(segment: JsonObject, key: string, definition: (slug: string) => string): AudienceListing {
  const { slug_name: slug, name, size } = segment;
  const known = { id: audienceIdOf(key), slug: nameOf(slug) ?? key };
  const windowMinutes = shortestWindow(definitionOf(segment), definition);
  return {
    ...known,
    name: nameOf(name) ?? known.slug,
    ...(typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? { size } : {}),
    ...(windowMinutes === undefined ? {} : { windowMinutes }),
  };
}

/** With included definitions, where Lytics has inserted them. */
function definitionOf(segment: JsonObject | undefined): string {
  return nameOf(segment?.['ql_resolved']) ?? nameOf(segment?.['segment_ql']) ?? '';
}

function nameOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Where a scan of a segment is. */
interface ScanPlace {
  /** Lytics' `_next`; empty at the beginning. */
  readonly start: string;
  /** Rows before it. */
  readonly read: number;
  /** How many rows the scan has in all, as Lytics last said; 0 when it has not said. */
  readonly total: number;
  /** True: no row before it had an id. */
  readonly isNameless: boolean;
}

const BEGINNING: ScanPlace = { start: '', read: 0, total: 0, isNameless: true };

const count = z.number().int().min(0);
const placeSchema = z.object({ start: z.string(), read: count, total: count, isNameless: z.boolean() });

/** Bounded, since a cursor is in a workflow's state and in many of its events. */
const MAX_START_LENGTH = 4096;

/** @throws SourceError when the place at which Lytics continues is too long to keep. */
function cursorOf(place: ScanPlace): string {
  if (place.start.length > MAX_START_LENGTH)
    throw new SourceError(`Lytics' "_next" has more than ${MAX_START_LENGTH} characters; that is too long to be kept.`);
  return JSON.stringify(place);
}

/** @throws SourceError when a text is not a cursor of this source. */
function placeOf(cursor: string | undefined): ScanPlace {
  return cursor === undefined ? BEGINNING : readCursor(cursor, placeSchema, 'of a scan of Lytics');
}

interface ScanOptions {
  readonly api: LyticsApi;
  /** Rows of one request, 1 to 100. */
  readonly pageSize: number;
  /** The id of the person in a row; undefined when it has none. */
  readonly userOf: (row: JsonObject) => string | undefined;
  /** Called with every row whose person is returned. */
  readonly onRow: (user: string, row: JsonObject) => void;
  /** Called with what is lost or repeated, by audience. */
  readonly tell: (audience: LyticsSegment, what: string) => void;
  /** How long, in ms, requests of a page may begin. */
  readonly budgetMs: number;
}

const MEMBERS = 'a page of members';
/** It is not documented how Lytics answers for a scan that is no longer recent; these statuses may mean that. */
const STALE: readonly number[] = [400, 404, 410, 422];
/** How many rows more than Lytics promised are accepted, or this share of all, since members come and go meanwhile. Beyond that, it is circular. */
const MORE_ROWS = 100;
const MORE_SHARE = 0.05;
/** An end is reported if more than this share of the promised rows is missing, or, after an empty page, if any is. */
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
      MEMBERS,
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

/** @throws SourceError when Lytics has forgotten a scan: it refused it, or ended it at once although more should come. */
function mustContinue({ slug }: LyticsSegment, { start, read, total }: ScanPlace, answer: LyticsAnswer): void {
  const { status, data, next } = answer;
  if (start === '') return; // A scan that has only just begun shows nothing.
  const isEmpty = data === null || (Array.isArray(data) && data.length === 0);
  if (status < 300 && !(isEmpty && next === '' && isFarFromAll(read, total))) return;
  throw new SourceError(
    `Lytics does not continue the scan of "${slug}" after row ${read} (HTTP ${status}): it keeps a scan only for a while. Cancel the backfill and begin it again, with an endpoint or a pace that needs less time.`,
  );
}

function isFarFromAll(read: number, total: number): boolean {
  return read < total * (1 - MISSING_SHARE);
}

/** A scan may have one "_next" for all its pages, so that alone proves nothing; more rows than there are people do. */
function mustNotLeadBack({ slug }: LyticsSegment, { start, read, total }: ScanPlace, next: string): void {
  const most = total === 0 ? Infinity : total + Math.max(MORE_ROWS, total * MORE_SHARE);
  if (read <= most && !(total === 0 && next === start)) return;
  throw new SourceError(
    `Lytics is circular: the scan of "${slug}" goes on after ${read} rows${total === 0 ? ' where it was before' : `, but it has said that there are ${total}`}.`,
  );
}

/** A field that no person has means a mistake in the configuration, not an empty audience. */
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
    throw api.unexpected(MEMBERS, 'there is no list of people under "data"');
  if (rows.length > most) throw api.unexpected(MEMBERS, `it gave ${rows.length} rows where ${most} were asked for`);
  return rows as readonly JsonObject[];
}
