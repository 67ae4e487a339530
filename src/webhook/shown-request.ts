import { StringDecoder } from 'node:string_decoder';
import type { ShownRequest } from '../contract/sample.ts';
import type { ShownAnswer } from '../contract/delivery.ts';
import { printable, shownUrl } from '../domain/shown.ts';
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

/** Headers of answers that let their reader act as somebody else. */
const SECRET_IN_ANSWERS: ReadonlySet<string> = new Set(['set-cookie', 'location']);
/** Most characters of all headers of an answer that are shown. */
const MOST_HEADERS = 4_096;

/** An answer as people may see it: without the secrets that its request carried, in its body or in its headers. */
export function shownAnswer(
  { headers, body }: HttpAnswer,
  secrets: readonly string[],
  inUrl: readonly string[],
): ShownAnswer {
  const shown = (text: string): string => withoutSecrets(withoutSecrets(text, secrets), inUrl);
  let room = MOST_HEADERS;
  return {
    headers: headers.flatMap(([name, value]) => {
      room -= name.length + value.length;
      if (room < 0) return [];
      return [[name, SECRET_IN_ANSWERS.has(name) ? MASK : shown(printable(value))] as const];
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
  const [path = '', ...afterPath] = template.split('?');
  const literal = afterPath
    .join('?')
    .split('&')
    .flatMap((pair) => (pair.slice(pair.indexOf('=') + 1).replaceAll(TAG, '') === '' ? [] : [nameOf(pair)]));
  const fixed = new Set(path.split(TAG_OR_SLASH).filter((piece) => piece !== ''));
  const long = [
    ...fixed,
    ...afterPath
      .join('?')
      .split(TAG)
      .flatMap((piece) => piece.split(/[&=]/)),
  ].filter((piece) => piece.length >= SECRET);
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

const TAG_OR_SLASH = /\{\{.*?\}\}|\{%.*?%\}|\//s;
const TAG = /\{\{.*?\}\}|\{%.*?%\}/gs;

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
