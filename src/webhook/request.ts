import { StringDecoder } from 'node:string_decoder';
import type { Method } from '../contract/request-shape.ts';
import type { ShownRequest } from '../contract/sample.ts';
import type { SliceTrigger } from '../contract/slice.ts';
import { shownUrl } from '../domain/shown.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { RequestAuthorization } from './authorizations.ts';
import { signBody } from './signature.ts';
import type { ClientIdentity } from './tls.ts';

const DRIFT_MS = 2;

/**
 * Wall-clock time with nanoseconds, as RFC 3339 with an offset, for `meta.timestamp` and `collected`. The monotonic clock supplies the digits that
 * Date lacks, and is set again whenever the two have drifted apart.
 */
export function createNanosecondClock(): () => string {
  let offsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  let second = '';
  let secondEpoch = -1;
  return () => {
    let ns = offsetNs + process.hrtime.bigint();
    const wallMs = Date.now();
    if (Math.abs(Number(ns / 1_000_000n) - wallMs) > DRIFT_MS) {
      offsetNs += BigInt(wallMs) * 1_000_000n - ns;
      ns = BigInt(wallMs) * 1_000_000n;
    }
    const epoch = Number(ns / 1_000_000_000n);
    if (epoch !== secondEpoch) {
      secondEpoch = epoch;
      second = new Date(epoch * 1000).toISOString().slice(0, 19);
    }
    return `${second}.${String(ns % 1_000_000_000n).padStart(9, '0')}+00:00`;
  };
}

/** A request as it is sent. */
export interface WebhookRequest {
  /** Name, value, name, value …, as undici accepts them. */
  readonly headers: string[];
  /** Appended to the URL's own query; encoded, without a `?`. */
  readonly query?: string;
  /** The client certificate whose connections it uses; absent: connections without one. */
  readonly identity?: ClientIdentity | undefined;
  /** Null: none is sent. */
  readonly body: string | Buffer | null;
  /** Absent: POST. */
  readonly method?: Method;
  /** Where it goes, if that is not where all of the job's requests go. */
  readonly url?: URL;
  /** Names of the headers that the job itself sets, in lower case: they are not secret. Absent: none. */
  readonly own?: ReadonlySet<string>;
}

/** Most bytes of a body: enough for the longest profile that a source reads, and what is written around it. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Most bytes that one UTF-16 code unit of a string takes in UTF-8. */
const BYTES_PER_UNIT = 3;

/** No message about this trigger can ever be sent. Any other error of making a request is a fault of the worker. */
export class MessageImpossible extends Error {
  override readonly name = 'MessageImpossible';
  readonly code: string;
  /** The reason, as far as people should see it. */
  readonly told: string | undefined;

  constructor(code: string, message: string, cause?: unknown, told?: string) {
    super(message, { cause });
    this.code = code;
    this.told = told;
  }
}

/** The time now, by the one clock of this worker. */
export const nowInNanoseconds = createNanosecondClock();

/** A trigger that is about to be sent. */
export interface SentTrigger extends SliceTrigger {
  /** Slugs of all audiences that the person is in; absent: the job does not send them. */
  readonly memberships?: readonly string[] | undefined;
}

/** The headers that identify a request, besides its content. */
export interface RequestMarks {
  /** Value of the header `webhook-id`; must not contain a dot. Default: the trigger's delivery id, or one of the batch. */
  readonly id?: string | undefined;
  /** Value of the header `traceparent`; absent: the header is not sent. */
  readonly traceparent?: string | undefined;
}

/** @throws MessageImpossible */
export function refuseTooLong(body: string): void {
  if (body.length * BYTES_PER_UNIT > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new MessageImpossible(ATTEMPT_CODES.payloadTooLarge, 'The message is longer than 2 MiB.');
}

/** The parts of a request, without its sender. */
export interface RequestParts {
  readonly body: string | null;
  /** Value of the header `webhook-id`; must not contain a dot. */
  readonly id: string;
  readonly traceparent: string | undefined;
  readonly contentType: string;
  readonly method: Method;
  readonly url: URL;
  /** Further headers: name, value, name, value … */
  readonly more: readonly string[];
}

/** Makes a request, authorized and signed with the current time; without a body, the signature is that of an empty one. */
export function requestWith(
  { body, id, traceparent, contentType, method, url, more }: RequestParts,
  { headers, query, identity, signingKeys }: RequestAuthorization,
  userAgent: string,
): WebhookRequest {
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const all = [
    ...(body === null ? [] : ['content-type', contentType]),
    'user-agent',
    userAgent,
    'webhook-id',
    id,
    'webhook-timestamp',
    String(timestampSeconds),
    ...headers,
    ...more,
  ];
  if (traceparent !== undefined) all.push('traceparent', traceparent);
  const own = more.length === 0 ? NONE : new Set(more.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()));
  if (signingKeys.length === 0) return { headers: all, query, identity, body, own, method, url };
  const signed = signBody(signingKeys, id, timestampSeconds, body ?? '');
  all.push('webhook-signature', signed.signature);
  return { headers: all, query, identity, body: body === null ? null : signed.body, own, method, url };
}

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

/** A query with more parameters appended. The URL's own part stays exactly as it was written. */
export function joined(search: string, more = ''): string {
  if (more === '') return search;
  return search === '' ? `?${more}` : `${search}&${more}`;
}
