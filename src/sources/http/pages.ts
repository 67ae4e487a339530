import { misspeltKey } from '../../contract/nearest-key.ts';
import type { Json } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { type JsonService, type ServiceAnswer, valueAt } from '../json-service.ts';
import { ANSWER_CODES } from '../source.ts';

/**
 * A path with its placeholders filled in; characters of the values that have a meaning in a URL are encoded. A query parameter that is only
 * `{cursor}` is left out when there is no cursor, because some services refuse an empty one.
 *
 * @param values by name; the configuration allows no other placeholder.
 */
export function filled(template: string, values: Readonly<Record<string, string | readonly string[]>>): string {
  const text = values['cursor'] === '' ? withoutCursor(template) : template;
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    [values[name] ?? []].flat().map(encodeURIComponent).join(','),
  );
}

function withoutCursor(template: string): string {
  return template
    .replaceAll(/([?&])[^?&=]*=\{cursor\}(&|$)/g, (_, before: string, after: string) => (after === '' ? '' : before))
    .replace(/\?$/, '');
}

/** Where pages are, and how one leads to the next; a part of the configuration. */
export interface Paged {
  readonly url: string;
  readonly items?: string | undefined;
  readonly next?: string | undefined;
  readonly nextLink: boolean;
  readonly maxLimit: number;
}

export interface Page {
  readonly rows: readonly Json[];
  /** Where the next one is; empty at the end. */
  readonly next: string;
  /** Whether the answer says nothing at all about a next page, where it was to be said; services may also end like this. */
  readonly isSilent: boolean;
}

/** Bounded, since a cursor is in a workflow's state and in many of its events. */
const MAX_NEXT_LENGTH = 4096;
/** RFC 8288, 3: a target and its parameters, which may have commas in quotes. */
const LINK = /<([^<>]*)>((?:[^,"]|"[^"]*")*)/g;
const RELATION = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i;

/** Asks a service that is configured as an `http` source. */
export class HttpApi {
  readonly #service: JsonService;
  /** What comes before every path; without a slash at its end. */
  readonly #base: string;

  constructor(service: JsonService, url: string) {
    this.#service = service;
    this.#base = new URL(url).pathname.replace(/\/$/, '');
  }

  /** @throws SourceUnavailable for anything but 2xx; `undefined` is a status that was tolerated. */
  async get(what: string, path: string, options: { readonly body?: string; readonly tolerated?: number } = {}) {
    const { body, tolerated } = options;
    const answer = await this.#service.ask({ what, path: this.#base + path, ...(body === undefined ? {} : { body }) });
    return this.#judged(what, answer, tolerated);
  }

  /**
   * One page.
   * @param at where it is, as the previous page said; empty for the first.
   */
  async page(
    what: string,
    paged: Paged,
    at: string,
    values: { readonly audience?: string; readonly limit: number },
  ): Promise<Page> {
    const hasCursor = paged.url.includes('{cursor}');
    const limit = String(Math.min(values.limit, paged.maxLimit));
    const path =
      at === '' || hasCursor
        ? this.#base + filled(paged.url, { audience: values.audience ?? '', limit, cursor: at })
        : at;
    const answer = this.#judged(what, await this.#service.ask({ what, path }));
    const rows = this.rowsIn(what, answer, paged.items);
    const isSilent = isSilentAbout(paged, answer);
    // Later pages have shown that the path is right.
    if (isSilent && at === '') this.#refuseMisspelt(what, paged.next, answer?.body);
    return { rows, next: this.#next(what, paged, hasCursor, path, answer?.body, answer?.link), isSilent };
  }

  /** The list in an answer; null counts as an empty one. */
  rowsIn(what: string, answer: ServiceAnswer | undefined, items: string | undefined): readonly Json[] {
    if (answer?.body === undefined) throw this.#service.unavailable(what, { code: ANSWER_CODES.notJson });
    const rows = valueAt(answer.body, items) === null ? [] : valueAt(answer.body, items);
    if (Array.isArray(rows)) return rows as readonly Json[];
    throw this.unexpected(what, `there is no list under ${nameOf(items)}`);
  }

  /** An answer does not contain what the configuration says. */
  unexpected(what: string, reason: string): Error {
    return this.#service.unavailable(what, { code: ANSWER_CODES.unexpected, reason });
  }

  #judged(what: string, answer: ServiceAnswer, tolerated?: number): ServiceAnswer | undefined {
    const { status } = answer;
    if (status === tolerated) return undefined;
    if (status >= 200 && status < 300) return answer;
    throw this.#service.unavailable(what, { status });
  }

  /** With a misspelt path, the first page would be taken for all there is. */
  #refuseMisspelt(what: string, path: string | undefined, body: Json | undefined): void {
    const near = path === undefined ? undefined : nearPath(body, path);
    if (near !== undefined && textOf(valueAt(body, near)) !== '')
      throw this.unexpected(what, `there is nothing under "${path}", but something under "${near}"; correct "next"`);
  }

  #next(
    what: string,
    { next: path, nextLink }: Paged,
    hasCursor: boolean,
    from: string,
    body: Json | undefined,
    link: string | undefined,
  ): string {
    if (path === undefined && !nextLink) return '';
    const next = nextLink ? nextOf(link ?? '') : textOf(valueAt(body, path));
    if (next === undefined)
      throw this.unexpected(what, `the value under ${nameOf(path)} does not lead to another page`);
    if (next.length > MAX_NEXT_LENGTH)
      throw this.unexpected(what, `what leads to the next page has more than ${MAX_NEXT_LENGTH} characters`);
    if (next === '' || hasCursor) return next;
    const { origin } = this.#service;
    const url = URL.canParse(next, origin + from) ? new URL(next, origin + from) : undefined;
    if (url?.origin !== origin) throw this.unexpected(what, 'the next page is at another origin, which is not asked');
    return url.pathname + url.search;
  }
}

function isSilentAbout({ next, nextLink }: Paged, answer: ServiceAnswer | undefined): boolean {
  if (nextLink) return answer?.link === undefined;
  return next !== undefined && valueAt(answer?.body, next) === undefined;
}

/** The path that a wrong one most likely was meant to be, as far as the answer has a name that is nearly the same; undefined when it has none. */
function nearPath(body: Json | undefined, path: string): string | undefined {
  const names = path.split('.');
  for (const [place, name] of names.entries()) {
    const within = names.slice(0, place).join('.') || undefined;
    const found = valueAt(body, within);
    if (!isRecord(found)) return undefined;
    if (Object.hasOwn(found, name)) continue;
    const near = misspeltKey(found, [name])?.key;
    return near === undefined ? undefined : [...names.slice(0, place), near, ...names.slice(place + 1)].join('.');
  }
  return undefined;
}

/** Empty at the end, which services spell in many ways; undefined when it cannot lead to a next page. */
function textOf(value: Json | undefined): string | undefined {
  if (value === undefined || value === null || value === false || value === 0 || value === '0') return '';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return typeof value === 'string' ? value : undefined;
}

function nextOf(link: string): string {
  for (const [, target = '', parameters = ''] of link.matchAll(LINK)) {
    const [, quoted, plain] = RELATION.exec(parameters) ?? [];
    if ((quoted ?? plain ?? '').toLowerCase().split(/\s+/).includes('next')) return target;
  }
  return '';
}

function nameOf(path: string | undefined): string {
  return path === undefined ? 'the answer itself' : `"${path}"`;
}
