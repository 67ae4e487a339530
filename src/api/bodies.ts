import type { IncomingMessage } from 'node:http';
import { finished, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Json } from '../contract/trigger.ts';
import { doubledKey, isNestedDeeper } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import type { Caller } from './callers.ts';
import { Refused } from './refusal.ts';

/** Most bytes of a JSON body. */
const BODY_BYTES = 4 * 1024 * 1024;
/** Most bytes of all JSON bodies that are being read or answered at a time. */
const ALL_BODIES_BYTES = 256 * 1024 * 1024;
/** The same of callers who have proved nothing yet: for each ingest that looks at signatures, and for signing in. */
const UNPROVED_BYTES = 8 * 1024 * 1024;
/** A part of a body takes this much memory besides its bytes. */
const PART_BYTES = 256;
/** A JSON body that has not come to its end after this many ms is not waited for; one of an unproved caller, sooner. */
const BODY_MS = 30_000;
const UNPROVED_BODY_MS = 5_000;

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

/** What has been read of the body of a request; undefined when it has none, for which Fastify says null. */
export function bodyOf({ body }: Pick<FastifyRequest, 'body'>): JsonBody | LinesBody | undefined {
  return (body as JsonBody | LinesBody | null | undefined) ?? undefined; // What `readBodies` makes.
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
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => freeRoom(request));
    done();
  });
  app.addHook('onSend', ({ raw }, reply, _payload, done) => {
    if (isUnread(raw)) {
      reply.removeHeader('connection'); // With it the connection would be closed before everybody has read the answer.
      reply.raw.once('finish', () => drain(raw));
    }
    done();
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
  // The connection of one that has come may be in use for the next request.
  const timer = setTimeout(() => body.complete || body.destroy(), DRAIN_MS);
  // A body that is answered hears nothing of the end of its connection, and that is what holds the process, not the wait for the rest.
  timer.unref();
  finished(body, () => clearTimeout(timer));
}

/** The bytes that JSON bodies take together, from their first byte until they are answered. */
interface Room {
  leftBytes: number;
  /** What ends the reading of a body that may have to give way to others, the one that has been coming longest first. */
  readonly giveWay: Map<FastifyRequest, (refused: Refused) => void>;
}

/** All bodies of the process share its memory. */
const ROOM: Room = { leftBytes: ALL_BODIES_BYTES, giveWay: new Map() };
/** Small ones for the unproved, by ingest; '' is for signing in. They take nothing of the room of others. */
const UNPROVED_ROOMS = new Map<string, Room>();
const HELD = new WeakMap<FastifyRequest, { readonly room: Room; bytes: number }>();

function isProved({ caller }: FastifyRequest): boolean {
  return (caller as Caller | undefined) !== undefined; // Until somebody has shown who they are.
}

function roomFor(request: FastifyRequest): Room {
  if (isProved(request)) return ROOM;
  // As it is configured: a URL may spell one name in many ways.
  const { ingest = '' } = request.params as { readonly ingest?: string };
  const room = UNPROVED_ROOMS.get(ingest) ?? { leftBytes: UNPROVED_BYTES, giveWay: new Map() };
  UNPROVED_ROOMS.set(ingest, room);
  return room;
}

/**
 * Takes room for a part of a body. Where there is none left, the unproved body that has been coming longest gives way: senders need no such time, and
 * somebody who holds the room on purpose would otherwise keep them out.
 * @throws Refused when there is none left, and nobody to give way
 */
function takeRoom(request: FastifyRequest, bytes: number): void {
  const held = HELD.get(request) ?? { room: roomFor(request), bytes: 0 };
  const { room } = held;
  held.bytes += bytes;
  room.leftBytes -= bytes;
  HELD.set(request, held);
  while (room.leftBytes < 0) {
    const busy = new Refused(503, 'Busy', 'Too many large requests are under way. Try again.', { retryAfterS: 2 });
    const [longest] = room.giveWay;
    if (longest === undefined) throw busy;
    const [other, end] = longest;
    end(busy);
    freeRoom(other);
  }
}

function freeRoom(request: FastifyRequest): void {
  const held = HELD.get(request);
  if (held !== undefined) held.room.leftBytes += held.bytes;
  HELD.delete(request);
}

/** The bytes of a body, unpacked. Whoever stops reading leaves the connection as it is, so that an answer can still be given. */
async function* chunksOf({ headers }: FastifyRequest, payload: Readable): AsyncGenerator<Uint8Array> {
  const unpacked = unpackedBy(headers, payload);
  try {
    yield* unpacked.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>; // Neither has an encoding set.
  } catch {
    throw broken(unpacked !== payload);
  }
}

function broken(isPacked: boolean): Refused {
  return new Refused(
    400,
    'BodyBroken',
    isPacked ? 'The body is not gzip to its end.' : 'The connection ended before the body did.',
  );
}

/** Its letters would be read as others. */
function refuseOtherCharsets(contentType = ''): void {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(contentType) ?? [];
  if (!/^(?:utf-?8|us-ascii)$/i.test(charset))
    throw new Refused(415, 'WrongContentType', 'Send the body as UTF-8: its "content-type" says another charset.');
}

/** @throws Refused when it is packed otherwise, or is not UTF-8 */
function unpackedBy(headers: FastifyRequest['headers'], payload: Readable): Readable {
  refuseOtherCharsets(headers['content-type']);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (/^identity$/i.test(encoding.trim())) return payload;
  if (!/^(x-)?gzip$/i.test(encoding.trim()))
    throw new Refused(415, 'WrongContentEncoding', 'Send the body as it is, or packed with gzip.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  const gunzip = createGunzip();
  // Whoever reads it hears of that by themselves. When nobody does any more, since the body was refused, it would end the process.
  gunzip.on('error', () => undefined);
  finished(payload, (error) => error && gunzip.destroy(error));
  return payload.pipe(gunzip);
}

/**
 * All bytes of a body, unpacked; they take of the room that bodies have together until the request is answered.
 * @throws Refused
 */
export async function bytesOf(request: FastifyRequest, payload: Readable): Promise<Buffer> {
  return await allOf(request, unpackedBy(request.headers, payload), payload);
}

/** The same as they came, of a caller who proves only by them who it is. @throws Refused */
export async function packedBytesOf(request: FastifyRequest, payload: Readable): Promise<Buffer> {
  return await allOf(request, payload, payload);
}

/** What `packedBytesOf` read, unpacked: for a caller who has proved meanwhile who it is. @throws Refused */
export async function unpackedOf(request: FastifyRequest, packed: Buffer): Promise<Buffer> {
  freeRoom(request);
  return await bytesOf(request, Readable.from(packed));
}

async function allOf(request: FastifyRequest, unpacked: Readable, payload: Readable): Promise<Buffer> {
  const { mostBodyBytes = BODY_BYTES } = request.routeOptions.config;
  const longestMs = isProved(request) ? BODY_MS : UNPROVED_BODY_MS;
  const { giveWay } = roomFor(request);
  // By its events, since an iterator costs more than all else that is done for a body with one trigger.
  return await new Promise<Buffer>((resolve, reject) => {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    const end = (refused?: Refused): void => {
      clearTimeout(timer);
      giveWay.delete(request);
      unpacked.off('data', take).off('end', end).off('close', breakOff).pause();
      if (refused === undefined) resolve(Buffer.concat(parts));
      else reject(refused);
    };
    const take = (chunk: Uint8Array): void => {
      bytes += chunk.length;
      parts.push(chunk);
      try {
        if (bytes > mostBodyBytes) throw tooLarge(mostBodyBytes);
        takeRoom(request, chunk.length + PART_BYTES);
      } catch (error) {
        end(error as Refused); // Nothing else is thrown here.
      }
    };
    const breakOff = (): void => end(broken(unpacked !== payload));
    // Also when nothing of it comes any more.
    const timer = setTimeout(() => end(tooSlow(longestMs)), longestMs);
    if (!isProved(request)) giveWay.set(request, end);
    // Errors come after the end, too, when nobody reads any more.
    unpacked.on('data', take).once('end', end).on('error', breakOff).once('close', breakOff);
  });
}

function tooLarge(mostBytes: number): Refused {
  return new Refused(
    413,
    'BodyTooLarge',
    mostBytes === BODY_BYTES
      ? 'A JSON body has at most 4 MiB. Send NDJSON (application/x-ndjson), of any length.'
      : `This body has at most ${mostBytes} bytes.`,
  );
}

function tooSlow(longestMs: number): Refused {
  return new Refused(408, 'BodyTooSlow', `The body did not come within ${longestMs / 1000} s.`);
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/** @throws Refused */
export function textOf(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw new Refused(400, 'BodyNotText', 'The body is not UTF-8.');
  }
}

/** Most levels of a body: a profile has 200 at most, and a few are around it. */
const MOST_LEVELS = 250;
/** In a longer body, it is not looked where it stops being JSON: that takes ten times as long as to parse it. */
const PLACE_CHARACTERS = 64 * 1024;

/** @throws Refused */
export function jsonBody(text: string): JsonBody {
  if (text.trim() === '') throw new Refused(400, 'NoBody', 'A JSON body is missing.');
  // Before it is parsed, which would take a second for each 4 KB that came packed.
  if (isNestedDeeper(text, MOST_LEVELS))
    throw new Refused(422, 'InvalidRequest', `The body is nested more than ${MOST_LEVELS} levels deep.`);
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    if (text.length > PLACE_CHARACTERS) throw new Refused(400, 'NotJson', 'The body is not JSON.');
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
