import { StringDecoder } from 'node:string_decoder';
import type { ShownRequest } from '../contract/sample.ts';
import { shownUrl } from '../domain/shown-url.ts';
import { joined } from './poster.ts';
import type { WebhookRequest } from './request.ts';

const MASK = '…';
/** The worker's own headers, which are not secret. All others come from an authorization, or could be reused by whoever sees them. */
const SHOWN: ReadonlySet<string> = new Set(['content-type', 'user-agent', 'webhook-id', 'webhook-timestamp']);
/** The beginning of a value that is not secret: the scheme of HTTP authentication, the version of a signature. */
const KIND = /^(?:Basic |Bearer |v1a?,)/;

/**
 * A request as people may see it: its URL as it is shown everywhere, the name of each header, and only those values that are not secret.
 *
 * @param mostBodyBytes a longer body is cut there, at the end of a character.
 */
export function shownRequest(url: URL, { headers, query, body }: WebhookRequest, mostBodyBytes: number): ShownRequest {
  const bytes = Buffer.from(body);
  return {
    method: 'POST',
    url: shownUrl(url.origin + url.pathname + joined(url.search, query)),
    headers: headers.flatMap((name, i) =>
      i % 2 === 0 ? [[name, shownValue(name, headers[i + 1] ?? '')] as const] : [],
    ),
    body: new StringDecoder('utf8').write(bytes.subarray(0, mostBodyBytes)),
    bodyBytes: bytes.length,
  };
}

function shownValue(name: string, value: string): string {
  const lower = name.toLowerCase();
  if (SHOWN.has(lower)) return value;
  if (lower === 'webhook-signature') return value.split(' ').map(masked).join(' ');
  return lower === 'authorization' ? masked(value) : MASK;
}

function masked(value: string): string {
  return `${KIND.exec(value)?.[0] ?? ''}${MASK}`;
}
