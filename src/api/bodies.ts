import type { FastifyInstance } from 'fastify';
import type { Json } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../domain/json.ts';
import { Refused } from './refusal.ts';

/** Most bytes of a JSON body. */
const BODY_BYTES = 4 * 1024 * 1024;
/** A JSON body that has not come to its end after this many ms is not waited for. */
const BODY_MS = 30_000;

/** A JSON body: its text, and what it says, with all digits of long integers. */
export interface JsonBody {
  readonly text: string;
  readonly value: Json;
}

/** NDJSON of any length, as it comes. */
export interface LinesBody {
  readonly chunks: AsyncIterable<Uint8Array>;
}

const LINES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** Has bodies read as `JsonBody` and `LinesBody`, and others refused: a page of another site can send only those. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (_request: unknown, payload: AsyncIterable<Uint8Array>) =>
    jsonBody(textOf(await bytesOf(payload))),
  );
  app.addContentTypeParser(LINES, async (_request: unknown, payload: AsyncIterable<Uint8Array>): Promise<LinesBody> => {
    return await Promise.resolve({ chunks: payload });
  });
}

/**
 * All bytes of a body.
 * @throws Refused
 */
export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const endsAt = performance.now() + BODY_MS;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES)
      throw new Refused(
        413,
        'BodyTooLarge',
        'A JSON body has at most 4 MiB. Send NDJSON (application/x-ndjson), of any length.',
      );
    if (performance.now() > endsAt) throw new Refused(408, 'BodyTooSlow', 'The body did not come within 30 s.');
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
