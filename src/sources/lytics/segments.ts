import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { audienceIdOf, userIn as idIn } from '../ids.ts';
import type { JsonService } from '../json-service.ts';
import { ANSWER_CODES } from '../source.ts';

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
 * The shortest time window, in minutes, that a definition in FilterQL looks back over, or forward; undefined when it has none that can be
 * seen. What it includes counts, as far as it is known.
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
export interface LyticsAnswer {
  readonly status: number;
  /** `null` for an empty list, too. */
  readonly data: Json;
  readonly message: string;
  /** Where a scan continues; empty at its end. */
  readonly next: string;
  /** How many rows a scan has in all, as far as it says so. */
  readonly total: number | undefined;
}

/** Sent with HTTP 200 when Lytics could not find out in time, so that it is not known whether what was asked for exists. */
const TIMED_OUT = /^timed out\b/i;
/** What Lytics calls an error: `UNAUTHORIZED-017`. Its messages are not repeated. */
const ERROR_CODE = /^[A-Z]+(?:-[A-Z]+)*-\d{1,5}$/;

/**
 * Asks Lytics, and distinguishes answers from what only looks like one: `/api` answers `{data, status, message}`, `/v2` answers `{data,
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
    const { status: said, message, data, _next: next, total, errors } = body as Partial<Record<string, Json>>; // Whatever it holds.
    const status = isGood(httpStatus) && !isNaN(Number(said ?? NaN)) ? Number(said) : httpStatus;
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

/** The parameter's documented type is a number, its values elsewhere are texts. */
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

/** With what it includes, where Lytics has put that in. */
function definitionOf(segment: JsonObject | undefined): string {
  return nameOf(segment?.['ql_resolved']) ?? nameOf(segment?.['segment_ql']) ?? '';
}

function nameOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
