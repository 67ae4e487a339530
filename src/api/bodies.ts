import type { IncomingMessage } from 'node:http';
import { finished, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Json } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { Refused } from './refusal.ts';

/** Most bytes of a JSON body. */
const BODY_BYTES = 4 * 1024 * 1024;
/** Most bytes of all JSON bodies that are being read or answered at a time. */
const ALL_BODIES_BYTES = 256 * 1024 * 1024;
/** A JSON body that has not come to its end after this many ms is not waited for. */
const BODY_MS = 30_000;

/** What is left of a body after its answer is read for so long, in ms; then the connection is closed. */
const DRAIN_MS = 2_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Most bytes of its JSON body. Default: 4 MiB. */
    mostBodyBytes?: number;
  }
}

/** A JSON body: its text, and what it says, with all digits of long integers. */
export interface JsonBody {
  readonly text: string;
  readonly value: Json;
}

/** NDJSON, or a CSV, of any length, as it comes. */
export interface LinesBody {
  readonly chunks: AsyncIterable<Uint8Array>;
}

const LINES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** Has bodies read as `JsonBody` and `LinesBody`, and others refused: a page of another site can send only those. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: Readable) =>
    jsonBody(textOf(await bytesOf(request, payload))),
  );
  app.addContentTypeParser(LINES, async (request: FastifyRequest, payload: Readable): Promise<LinesBody> => {
    return await Promise.resolve({ chunks: chunksOf(request, payload) });
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => ROOM.free(request));
    await Promise.resolve();
  });
  app.addHook('onSend', async ({ raw }, reply) => {
    if (isUnread(raw)) {
      reply.removeHeader('connection'); // With it the connection would be closed before everybody has read the answer.
      reply.raw.once('finish', () => drain(raw));
    }
    await Promise.resolve();
  });
}

/** Has a CSV read there, too, as it comes. */
export function readRows(app: FastifyInstance): void {
  app.addContentTypeParser('text/csv', async (request: FastifyRequest, payload: Readable): Promise<LinesBody> => {
    return await Promise.resolve({ chunks: chunksOf(request, payload) });
  });
}

function isUnread({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0');
}

/** Reads on for a while, into nothing: many callers look for an answer only when they have sent everything, and never if the connection breaks first. */
function drain(body: IncomingMessage): void {
  body.unpipe();
  body.removeAllListeners('readable');
  body.removeAllListeners('data');
  body.resume();
  const timer = setTimeout(() => body.destroy(), DRAIN_MS);
  finished(body, () => clearTimeout(timer));
}

/** The bytes that JSON bodies take together, from their first byte until they are answered. */
class BodyRoom {
  #leftBytes = ALL_BODIES_BYTES;
  readonly #held = new WeakMap<FastifyRequest, number>();

  /** Takes room for a part of a body. @throws Refused when there is none left */
  take(request: FastifyRequest, bytes: number): void {
    this.#leftBytes -= bytes;
    this.#held.set(request, (this.#held.get(request) ?? 0) + bytes);
    if (this.#leftBytes < 0)
      throw new Refused(503, 'Busy', 'Too many large requests are under way. Try again.', { retryAfterS: 2 });
  }

  free(request: FastifyRequest): void {
    this.#leftBytes += this.#held.get(request) ?? 0;
    this.#held.delete(request);
  }
}

/** Of the process: its memory is what bodies share. */
const ROOM = new BodyRoom();

/** The bytes of a body, unpacked. Whoever stops reading leaves the connection as it is, so that an answer can still be given. */
async function* chunksOf({ headers }: FastifyRequest, payload: Readable): AsyncGenerator<Uint8Array> {
  refuseOtherCharsets(headers['content-type']);
  const unpacked = unpackedBy(headers['content-encoding'] ?? 'identity', payload);
  try {
    yield* unpacked.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>; // Neither has an encoding set.
  } catch {
    throw new Refused(
      400,
      'BodyBroken',
      unpacked === payload ? 'The connection ended before the body did.' : 'The body is not gzip to its end.',
    );
  }
}

/** Its letters would be read as others. */
function refuseOtherCharsets(contentType = ''): void {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(contentType) ?? [];
  if (!/^(?:utf-?8|us-ascii)$/i.test(charset))
    throw new Refused(415, 'WrongContentType', 'Send the body as UTF-8: its "content-type" says another charset.');
}

function unpackedBy(encoding: string, payload: Readable): Readable {
  if (/^identity$/i.test(encoding.trim())) return payload;
  if (!/^(x-)?gzip$/i.test(encoding.trim()))
    throw new Refused(415, 'WrongContentEncoding', 'Send the body as it is, or packed with gzip.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  const gunzip = createGunzip();
  finished(payload, (error) => error && gunzip.destroy(error));
  return payload.pipe(gunzip);
}

/**
 * All bytes of a body, unpacked; they take of the room that bodies have together until the request is answered.
 * @throws Refused
 */
export async function bytesOf(request: FastifyRequest, payload: Readable): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const { mostBodyBytes = BODY_BYTES } = request.routeOptions.config;
  const reading = readAll(chunksOf(request, payload), mostBodyBytes, (bytes) => ROOM.take(request, bytes));
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Refused(408, 'BodyTooSlow', `The body did not come within ${BODY_MS / 1000} s.`)),
      BODY_MS,
    );
  });
  // Also when nothing of it comes any more.
  return await Promise.race([reading, late]).finally(() => {
    clearTimeout(timer);
    reading.catch(() => undefined);
  });
}

async function readAll(
  chunks: AsyncIterable<Uint8Array>,
  mostBytes: number,
  take: (bytes: number) => void,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > mostBytes)
      throw new Refused(
        413,
        'BodyTooLarge',
        mostBytes === BODY_BYTES
          ? 'A JSON body has at most 4 MiB. Send NDJSON (application/x-ndjson), of any length.'
          : `This body has at most ${mostBytes} bytes.`,
      );
    take(chunk.length);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** @throws Refused */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Refused(400, 'BodyNotText', 'The body is not UTF-8.');
  }
}

/** @throws Refused */
export function jsonBody(text: string): JsonBody {
  if (text.trim() === '') throw new Refused(400, 'NoBody', 'A JSON body is missing.');
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    // Only the place: the parser's message quotes the text, which may be somebody's profile.
    const { line, character } = jsonMistake(text);
    throw new Refused(
      400,
      'NotJson',
      `The body is not JSON: something is wrong in line ${line}, at character ${character}.`,
    );
  }
  return { text, value };
}

/** @throws Refused when an object of the body has a key twice, to this depth; undefined: to any. */
export function unlessDoubled({ text, value }: JsonBody, depth?: number): Json {
  const doubled = doubledKey(text, depth);
  if (doubled !== undefined) throw new Refused(400, 'KeyTwice', `An object of the body has "${doubled}" twice.`);
  return value;
}
