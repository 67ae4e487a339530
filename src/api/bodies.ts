import type { IncomingMessage } from 'node:http';
import { finished, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Json } from '../contract/trigger.ts';
import { doubledKey, excessOf, MOST_IN_BODY } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import type { Caller } from './callers.ts';
import type { Usage } from './limits.ts';
import { Refused } from './refusal.ts';

/** Most bytes of a JSON body. */
const BODY_BYTES = 4 * 1024 * 1024;
/** Most bytes of all JSON bodies that are being read or answered at a time. */
const ALL_BODIES_BYTES = 256 * 1024 * 1024;
/** The same for callers who have not proved who they are: for each ingest that checks signatures, and for signing in. */
const UNPROVED_BYTES = 8 * 1024 * 1024;
/** The memory that a body of lines takes while it is read: as much as its longest line may have. */
const LINES_BYTES = 1024 * 1024;
/** A part of a body takes this much memory besides its bytes. */
const PART_BYTES = 256;
/** After this many ms the API stops waiting for the end of a JSON body; an unproved caller has less time. */
const BODY_MS = 30_000;
const UNPROVED_BODY_MS = 5_000;

/** After its answer, the rest of a body is read for this long, in ms; then the connection is closed. */
const DRAIN_MS = 2_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Most bytes of its JSON body. Default: 4 MiB. */
    mostBodyBytes?: number;
    /** Most values of its JSON body, as `excessOf` counts them. Default: as many as triggers may have. */
    mostBodyValues?: number;
  }
}

/** A JSON body: its text, and its value with all digits of long integers. */
export interface JsonBody {
  readonly text: string;
  readonly value: Json;
}

/** NDJSON or a CSV of any length, as it arrives. */
export interface LinesBody {
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The body of a request, as it was read; undefined when it has none, for which Fastify uses null. */
export function bodyOf({ body }: Pick<FastifyRequest, 'body'>): JsonBody | LinesBody | undefined {
  return (body as JsonBody | LinesBody | null | undefined) ?? undefined; // `readBodies` makes these.
}

const LINES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** Makes Fastify read bodies as `JsonBody` and `LinesBody`, and refuse others: a page of another site can send only those. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: Readable) =>
    jsonBody(textOf(await bytesOf(request, payload)), request.routeOptions.config.mostBodyValues),
  );
  app.addContentTypeParser(LINES, linesOf);
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => freeRoom(request));
    done();
  });
  app.addHook('onSend', ({ raw }, reply, _payload, done) => {
    if (isUnread(raw)) {
      reply.removeHeader('connection'); // With it the connection would close before every caller has read the answer.
      reply.raw.once('finish', () => drain(raw));
    }
    done();
  });
}

/** Also reads a CSV there, as it arrives. */
export function readRows(app: FastifyInstance): void {
  app.addContentTypeParser('text/csv', linesOf);
}

/** @throws Refused when there is no room for its lines */
async function linesOf(request: FastifyRequest, payload: Readable): Promise<LinesBody> {
  takeRoom(request, LINES_BYTES);
  return await Promise.resolve({ chunks: chunksOf(request, payload) });
}

function isUnread({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0');
}

/**
 * Reads on for a while and discards the data. Many callers look for an answer only after they have sent everything, and never if the connection
 * breaks first.
 */
function drain(body: IncomingMessage): void {
  body.unpipe();
  body.removeAllListeners('readable');
  body.removeAllListeners('data');
  body.resume();
  // The connection of a complete body may be in use for the next request.
  const timer = setTimeout(() => body.complete || body.destroy(), DRAIN_MS);
  // An answered body gets no event when its connection ends. The open connection keeps the process alive, not this timer.
  timer.unref();
  finished(body, () => clearTimeout(timer));
}

/** The memory that JSON bodies share, from their first byte until they are answered. */
interface Room {
  leftBytes: number;
  /** Functions that end the reading of a body that may have to give way to others, longest reading first. */
  readonly giveWay: Map<FastifyRequest, (refused: Refused) => void>;
}

/** All bodies of the process share its memory. */
const ROOM: Room = { leftBytes: ALL_BODIES_BYTES, giveWay: new Map() };
/** Small ones for unproved callers, by ingest; '' is for signing in. They take no room from others. */
const UNPROVED_ROOMS = new Map<string, Room>();
const HELD = new WeakMap<FastifyRequest, { readonly room: Room; readonly usage: Usage | undefined; bytes: number }>();

function isProved({ caller }: FastifyRequest): boolean {
  return (caller as Caller | undefined) !== undefined; // It is undefined until somebody has proved who they are.
}

function roomFor(request: FastifyRequest): Room {
  if (isProved(request)) return ROOM;
  // The name as configured: a URL may spell it in many ways.
  const { ingest = '' } = request.params as { readonly ingest?: string };
  const room = UNPROVED_ROOMS.get(ingest) ?? { leftBytes: UNPROVED_BYTES, giveWay: new Map() };
  UNPROVED_ROOMS.set(ingest, room);
  return room;
}

/**
 * Takes room for a part of a body. If none is left, the unproved body that has been arriving longest gives way. Senders need no such time, and a slow
 * body that holds the room on purpose would otherwise keep them out.
 * @throws Refused when there is none left, and no body to give way
 */
function takeRoom(request: FastifyRequest, bytes: number): void {
  const { usage: own } = (request.caller as Caller | undefined) ?? {}; // As in `isProved`.
  const held = HELD.get(request) ?? { room: roomFor(request), usage: own, bytes: 0 };
  const { room, usage } = held;
  held.bytes += bytes;
  room.leftBytes -= bytes;
  HELD.set(request, held);
  usage?.addBytes(bytes);
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
  held?.usage?.addBytes(-held.bytes);
  HELD.delete(request);
}

/** The bytes of a body, unpacked. If the reader stops early, the connection stays as it is, and can still carry an answer. */
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

/** Refuses charsets in which its letters would be misread. */
function refuseOtherCharsets(contentType = ''): void {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(contentType) ?? [];
  if (!/^(?:utf-?8|us-ascii)$/i.test(charset))
    throw new Refused(415, 'WrongContentType', 'Send the body as UTF-8: its "content-type" says another charset.');
}

/** @throws Refused when it is packed in another way, or is not UTF-8 */
function unpackedBy(headers: FastifyRequest['headers'], payload: Readable): Readable {
  refuseOtherCharsets(headers['content-type']);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (/^identity$/i.test(encoding.trim())) return payload;
  if (!/^(x-)?gzip$/i.test(encoding.trim()))
    throw new Refused(415, 'WrongContentEncoding', 'Send the body as it is, or packed with gzip.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  const gunzip = createGunzip();
  // A reader gets this error itself. Without one, since the body was refused, it would end the process.
  gunzip.on('error', () => undefined);
  finished(payload, (error) => error && gunzip.destroy(error));
  return payload.pipe(gunzip);
}

/**
 * All bytes of a body, unpacked. They count towards the memory that bodies share until the request is answered.
 * @throws Refused
 */
export async function bytesOf(request: FastifyRequest, payload: Readable): Promise<Buffer> {
  return await allOf(request, unpackedBy(request.headers, payload), payload);
}

/** The same bytes, still packed, for a caller who proves who it is only by them. @throws Refused */
export async function packedBytesOf(request: FastifyRequest, payload: Readable): Promise<Buffer> {
  return await allOf(request, payload, payload);
}

/** The bytes that `packedBytesOf` read, unpacked, for a caller who has proved by now who it is. @throws Refused */
export async function unpackedOf(request: FastifyRequest, packed: Buffer): Promise<Buffer> {
  freeRoom(request);
  return await bytesOf(request, Readable.from(packed));
}

async function allOf(request: FastifyRequest, unpacked: Readable, payload: Readable): Promise<Buffer> {
  const { mostBodyBytes = BODY_BYTES } = request.routeOptions.config;
  const longestMs = isProved(request) ? BODY_MS : UNPROVED_BODY_MS;
  const { giveWay } = roomFor(request);
  // This uses events: an iterator costs more than the rest of the work for a body with one trigger.
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
    // It ends even when no more data arrives.
    const timer = setTimeout(() => end(tooSlow(longestMs)), longestMs);
    if (!isProved(request)) giveWay.set(request, end);
    // Errors also come after the end, when there is no reader any more.
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

/** In a longer body the place of the mistake is not searched: that takes ten times as long as parsing it. */
const PLACE_CHARACTERS = 64 * 1024;

/** @throws Refused */
export function jsonBody(text: string, mostValues = MOST_IN_BODY.values): JsonBody {
  if (text.trim() === '') throw new Refused(400, 'NoBody', 'A JSON body is missing.');
  // This check is before parsing, which would take a second for each 4 KB of packed data.
  const excess = excessOf(text, { ...MOST_IN_BODY, values: mostValues });
  if (excess === 'levels')
    throw new Refused(422, 'InvalidRequest', `The body is nested more than ${MOST_IN_BODY.levels} levels deep.`);
  if (excess === 'values')
    throw new Refused(422, 'InvalidRequest', `The body has more than ${mostValues} values. Send it in parts.`);
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    if (text.length > PLACE_CHARACTERS) throw new Refused(400, 'NotJson', 'The body is not JSON.');
    // This gives only the place: the parser's message quotes the text, which may be somebody's profile.
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
export function rejectDoubledKeys({ text, value }: JsonBody, depth?: number): Json {
  const doubled = doubledKey(text, depth);
  if (doubled !== undefined) throw new Refused(400, 'KeyTwice', `An object of the body has "${doubled}" twice.`);
  return value;
}
