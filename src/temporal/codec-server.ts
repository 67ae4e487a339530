import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { decode, encode } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { z } from 'zod';

/** Base64 in protobuf's JSON may use either alphabet and need not be padded. */
const bytes = z.string().regex(/^[\w+/-]*={0,2}$/);

const wirePayloads = z.object({
  // Protobuf's JSON leaves out an empty list.
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), bytes.nullable()).nullish(), data: bytes.nullish() }))
    .nullish(),
});

/** Reads payloads in the form of Temporal's remote codec protocol; undefined for anything else. */
export function fromWire(text: string): Payload[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { success, data } = wirePayloads.safeParse(value);
  if (!success) return undefined;
  return (data.payloads ?? []).map(({ metadata, data }) => ({
    metadata: mapped(metadata ?? {}, (text) => Buffer.from(text ?? '', 'base64')),
    data: Buffer.from(data ?? '', 'base64'),
  }));
}

/** Writes payloads in the form of Temporal's remote codec protocol. */
export function toWire(payloads: readonly Payload[]) {
  return {
    payloads: payloads.map(({ metadata, data }) => ({
      metadata: mapped(metadata ?? {}, base64),
      data: base64(data ?? new Uint8Array()),
    })),
  };
}

function base64(part: Uint8Array): string {
  return Buffer.from(part).toString('base64');
}

function mapped<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

export interface CodecServerOptions {
  /** In the order in which they encode. */
  readonly codecs: PayloadCodec[];
  /** The token that every request must have: as `authorization: Bearer …`, or as the first part of its path. */
  readonly token: string;
  /** Origins (`http://localhost:8233`) whose pages may ask: those of the Temporal UI. */
  readonly uiOrigins: readonly string[];
  /** Names, besides those of this machine and `host`, by which it may be asked: that of a proxy in front of it, say. */
  readonly allowHosts: readonly string[];
  /** Address to listen on. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

export interface CodecServer {
  /** Without the token. */
  readonly url: string;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** The status and text by which it refuses a request. The text says nothing of tokens, keys or payloads. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A page of a history with payloads of 2 MiB each, as base64. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Temporal's remote codec protocol for the web UI and the `temporal` CLI: POST `/decode` and `/encode` of `{"payloads":[{metadata,data}]}`,
 * bytes as base64. A payload that cannot be decoded stays as it is, so that the others of its page are shown.
 *
 * It can decrypt everything in Temporal. It therefore checks each request's token, its `origin`, and its `host` (against names that somebody
 * pointed at this address).
 */
export async function startCodecServer(options: CodecServerOptions): Promise<CodecServer> {
  const server = createServer((request, response) => void respond(options, request, response));
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The codec server has no port.');
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond(options: CodecServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Decoded payloads must not be cached on their way.
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  try {
    if (isProbe(request)) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}\n');
      return;
    }
    checkHost(options, request);
    allowOrigin(options, request, response);
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const answer = JSON.stringify(await convert(options, request));
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  } catch (error) {
    const { status, message } = error instanceof Refusal ? error : new Refusal(500, 'It could not be converted.');
    // The rest of a body is not read.
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify({ error: message }));
  }
}

/** A health check knows neither its name nor the token, and learns nothing else. It needs only its keys, so if it lives, it is ready. */
function isProbe({ method, url = '' }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && /^\/(?:healthz|readyz)(?:\?|$)/.test(url);
}

/** Any site could point its own name here (DNS rebinding); a browser would then take this server for that site. */
function checkHost({ host, allowHosts }: CodecServerOptions, { headers }: IncomingMessage): void {
  const name = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (!LOOPBACK_NAMES.has(name) && ![host, ...allowHosts].some((allowed) => name === nameOf(allowed)))
    throw new Refusal(
      403,
      'The codec server is not asked by that name. Use localhost, or the address it listens on, or allow the name with --allow-host.',
    );
}

/** Returns an address or a name as a URL, and therefore the header `host`, has it; neither has a zone. */
function nameOf(host: string): string {
  return new URL(`http://${isIP(host) === 6 ? `[${host.replace(/%.*/, '')}]` : host}`).hostname;
}

function allowOrigin({ uiOrigins }: CodecServerOptions, { headers }: IncomingMessage, response: ServerResponse): void {
  const { origin } = headers;
  response.setHeader('vary', 'origin');
  if (origin === undefined) return;
  if (!uiOrigins.includes(origin))
    throw new Refusal(403, 'Pages of that origin may not ask. Name the one of the Temporal UI with --ui-origin.');
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-allow-credentials', 'true');
  response.setHeader('access-control-allow-methods', 'POST');
  response.setHeader('access-control-allow-headers', 'authorization, content-type, x-namespace');
  response.setHeader('access-control-max-age', '600');
}

async function convert({ codecs, token }: CodecServerOptions, request: IncomingMessage): Promise<unknown> {
  const [path = ''] = (request.url ?? '').split('?');
  const parts = path.split('/').filter((part) => part !== '');
  const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  // A browser that is not logged in sends no header of ours: the path has the token then.
  if (!isSame(token, bearer) && !(parts.length > 1 && isSame(token, parts[0])))
    throw new Refusal(401, 'The token is missing or wrong: "authorization: Bearer <token>", or /<token>/decode.');
  const direction = parts.at(-1);
  if (direction !== 'decode' && direction !== 'encode') throw new Refusal(404, 'There is only /decode and /encode.');
  if (request.method !== 'POST') throw new Refusal(405, 'It takes POST.');
  const payloads = fromWire(await bodyOf(request));
  if (payloads === undefined) throw new Refusal(400, 'The body must be {"payloads":[{"metadata":{…},"data":"…"}]}.');
  if (direction === 'encode') return toWire(await encode(codecs, payloads));
  // One by one: a missing key must not hide the other payloads.
  const decoded = payloads.map((payload) => decode(codecs, [payload]).catch(() => [payload]));
  return toWire((await Promise.all(decoded)).flat());
}

/** Takes the same time, however much of it is right. */
function isSame(token: string, presented: string | undefined): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return presented !== undefined && timingSafeEqual(digest(token), digest(presented));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, 'The body has more than 64 MiB.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
