import { StringDecoder } from 'node:string_decoder';
import type { ShownRequest } from '../contract/delivery.ts';
import type { ShownAnswer } from '../contract/delivery.ts';
import { printable } from '../domain/text.ts';
import { shownUrl } from '../domain/mask-url.ts';
import { type HttpAnswer, joined } from './attempt.ts';
import type { WebhookRequest } from './request.ts';
import { withoutSecrets } from './without-secrets.ts';

const NONE: ReadonlySet<string> = new Set();
const MASK = '…';
/** The worker's own headers, which are not secret. All others come from an authorization, or could be reused by people who see them. */
const SHOWN: ReadonlySet<string> = new Set(['content-type', 'user-agent', 'webhook-id', 'webhook-timestamp']);
/** The beginning of a value that is not secret: the scheme of HTTP authentication, the version of a signature. */
const KIND = /^(?:Basic |Bearer |v1a?,)/;

/**
 * A request as people may see it: its URL in the usual masked form, the name of each header, and only values that are not secret.
 *
 * @param mostBodyBytes a longer body is cut there, at the end of a character.
 * @param template that of its URL; undefined: it has none.
 */
export function shownRequest(
  url: URL,
  { headers, query, body, method = 'POST', own = NONE }: WebhookRequest,
  mostBodyBytes: number,
  template?: string,
): ShownRequest {
  const bytes = Buffer.from(body ?? '');
  return {
    method,
    url:
      template === undefined
        ? shownUrl(url.origin + url.pathname + joined(url.search, query))
        : shownFromTemplate(url, template, query),
    headers: headers.flatMap((name, i) =>
      i % 2 === 0 ? [[name, shownValue(name, headers[i + 1] ?? '', own)] as const] : [],
    ),
    body: new StringDecoder('utf8').write(bytes.subarray(0, mostBodyBytes)),
    bodyBytes: bytes.length,
  };
}

/** Headers of answers that let nobody act as somebody else. */
const HARMLESS =
  /^(?:content-(?:type|length|encoding)|date|server|via|allow|retry-after|.*(?:request|trace|correlation)-id|.*rate-?limit.*|cf-ray)$/;
/** Most characters of all headers of an answer that are shown. */
const MOST_HEADERS = 4_096;

/** An answer as people may see it: without the secrets that its request carried, in its body or in its headers. */
export function shownAnswer(
  { headers, body }: HttpAnswer,
  secrets: readonly string[],
  inUrl: readonly string[],
  signature = '',
): ShownAnswer {
  const withoutSignature = (text: string): string => (signature === '' ? text : text.replaceAll(signature, MASK));
  const shown = (text: string): string => withoutSignature(withoutSecrets(withoutSecrets(text, secrets), inUrl));
  let room = MOST_HEADERS;
  return {
    headers: headers.flatMap(([name, value]) => {
      room -= name.length + value.length;
      if (room < 0) return [];
      return [[name, HARMLESS.test(name) ? shown(printable(value)) : MASK] as const];
    }),
    body: shown(body),
  };
}

/** A text of the template within a segment may be a secret if it is at least this long. */
const SECRET = 4;

/**
 * A URL that a template made, as it may be shown. People want to see the values in it, and they are no secret of the endpoint. The text of the
 * template itself may be one, as in any URL.
 */
function shownFromTemplate(url: URL, template: string, query: string | undefined): string {
  // A tag may have a question mark in it, or a slash.
  const [path = '', ...afterPath] = template.replaceAll(TAGS, TAG).split('?');
  const queries = afterPath.join('?');
  const literal = queries
    .split('&')
    .flatMap((pair) => (pair.slice(pair.indexOf('=') + 1).replaceAll(TAG, '') === '' ? [] : [nameOf(pair)]));
  const pieces = path.split(TAG_OR_SLASH).filter((piece) => piece !== '');
  const fixed = new Set(pieces.flatMap((piece) => [piece, asInUrl(piece)]));
  const inQuery = queries.split(TAG).flatMap((piece) => piece.split(/[&=]/));
  const long = [...fixed, ...inQuery.flatMap((piece) => [piece, asInUrl(piece)])].filter(
    (piece) => piece.length >= SECRET,
  );
  const hide = (text: string): string => long.reduce((shown, piece) => shown.replaceAll(piece, MASK), text);
  const shownPath = url.pathname
    .split('/')
    .map((segment) => (fixed.has(segment) ? MASK : hide(segment)))
    .join('/')
    .replaceAll(/…(?:\/…)+/g, MASK);
  const pairs = url.search === '' ? [] : url.search.slice(1).split('&');
  const shownPairs = pairs.map((pair) =>
    pair.includes('=') && !literal.includes(nameOf(pair))
      ? `${nameOf(pair)}=${hide(pair.slice(pair.indexOf('=') + 1))}`
      : shownQuery(url, pair),
  );
  const all = [...shownPairs, ...(query === undefined || query === '' ? [] : [shownQuery(url, query)])];
  return `${url.origin}${shownPath}${all.length === 0 ? '' : `?${all.join('&')}`}`;
}

const TAGS = /\{\{.*?\}\}|\{%.*?%\}/gs;
/** Stands for a tag. URLs do not have this character, since it has no meaning. */
const TAG = '\uE000';
const TAG_OR_SLASH = /[\uE000/]/;

/** A piece of a URL as it is sent. */
function asInUrl(piece: string): string {
  const { pathname } = new URL(`https://h/${piece.replaceAll('#', '%23')}`);
  return pathname.slice(1);
}

/** The name of a query's parameter, without the tags of a template around it. */
function nameOf(pair: string): string {
  return pair.replaceAll(TAG, '').split('=', 1)[0] ?? '';
}

function shownQuery({ origin }: URL, query: string): string {
  return shownUrl(`${origin}?${query}`).slice(origin.length + 1);
}

function shownValue(name: string, value: string, own: ReadonlySet<string>): string {
  const lower = name.toLowerCase();
  if (SHOWN.has(lower) || own.has(lower)) return value;
  if (lower === 'webhook-signature') return value.split(' ').map(masked).join(' ');
  return lower === 'authorization' ? masked(value) : MASK;
}

function masked(value: string): string {
  return `${KIND.exec(value)?.[0] ?? ''}${MASK}`;
}
