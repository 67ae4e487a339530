import { isUtf8 } from 'node:buffer';
import { type KeySearch, misspeltInTrigger } from './key-search.ts';
import type { Json } from '../../contract/trigger.ts';
import { doubledKey } from '../../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../../domain/json.ts';
import { type ReadTrigger, readTrigger } from '../../domain/trigger.ts';
import { InvalidTrigger } from '../calls/errors.ts';

/** Longest line read; a trigger has at most 64 KiB. */
const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Parses the text of a trigger, without checking that it is one. Digits of long integers are kept.
 * @throws InvalidTrigger
 */
export function parseTrigger(text: string): Json {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    throw new InvalidTrigger(`it is not JSON (something is wrong at character ${jsonMistake(text).character})`);
  }
  // A profile's keys are somebody else's; none of the trigger's own keys may come twice.
  const doubled = doubledKey(text, 1);
  if (doubled !== undefined) throw new InvalidTrigger(`it has "${doubled}" twice`);
  return value;
}

/**
 * Reads a trigger of a caller who can fix it.
 * @param search the request's, where it has several triggers.
 * @throws InvalidTrigger, also when one of its keys most likely is misspelt
 */
export function readGiven(raw: unknown, search?: KeySearch): ReadTrigger {
  const reading = readTrigger(raw);
  if (!reading.ok) throw new InvalidTrigger(reading.reason);
  const misspelt = misspeltInTrigger(raw as object, search); // It was read as one.
  if (misspelt !== undefined) throw new InvalidTrigger(misspelt);
  return reading.trigger;
}

/** Returns the result of `read`; when it is no trigger, the error has its line, from 1. */
export function withLine<T>(line: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InvalidTrigger ? new InvalidTrigger(error.reason, { line }) : error;
  }
}

/** Stands for a line that cannot be read. */
export class UnreadableLine {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const LINE_END = 0x0a;
const BYTE_ORDER_MARK = '\uFEFF';
/** How many parts of a line are kept apart. More are joined, so that a line that comes byte by byte takes no more memory than its bytes. */
const MOST_PARTS = 256;

/**
 * The lines of a text that comes in chunks, as UTF-8. A line longer than 1 MiB or without valid UTF-8 (which would change a person's id) is one
 * `UnreadableLine`. Memory: one chunk and one line.
 */
export async function* inputLines(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<string | UnreadableLine> {
  let rest = new LineBeginning();
  let isFirst = true;
  for await (const chunk of chunks) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : bufferOf(chunk);
    const firstEnd = bytes.indexOf(LINE_END);
    rest.add(bytes.subarray(0, firstEnd === -1 ? undefined : firstEnd));
    if (firstEnd === -1) {
      // Reported as soon as it is known: its end may never come.
      if (rest.isNewlyTooLong) yield TOO_LONG;
      continue;
    }
    const first = rest.line();
    if (first !== undefined) yield isFirst ? withoutMark(first) : first;
    isFirst = false;
    const lastEnd = bytes.lastIndexOf(LINE_END);
    if (lastEnd > firstEnd) yield* linesOf(bytes.subarray(firstEnd + 1, lastEnd));
    rest = new LineBeginning();
    rest.add(bytes.subarray(lastEnd + 1));
  }
  const last = rest.isEmpty ? undefined : rest.line();
  if (last !== undefined) yield isFirst ? withoutMark(last) : last;
}

/** The part of a line that has come so far. */
class LineBeginning {
  #parts: Buffer[] = [];
  #bytes = 0;
  #isReported = false;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** True once, when more has come than a line may have. */
  get isNewlyTooLong(): boolean {
    if (this.#isReported || this.#bytes <= MAX_LINE_BYTES) return false;
    this.#isReported = true;
    return true;
  }

  add(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > MAX_LINE_BYTES) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
    if (this.#parts.length > MOST_PARTS) this.#parts = [Buffer.concat(this.#parts)];
  }

  /** Returns the whole line; undefined when it was already reported as too long. */
  line(): string | UnreadableLine | undefined {
    if (this.#bytes <= MAX_LINE_BYTES) return lineOf(Buffer.concat(this.#parts));
    return this.#isReported ? undefined : TOO_LONG;
  }
}

function withoutMark(line: string | UnreadableLine): string | UnreadableLine {
  return typeof line === 'string' && line.startsWith(BYTE_ORDER_MARK) ? line.slice(1) : line;
}

const TOO_LONG = new UnreadableLine(`it is longer than ${MAX_LINE_BYTES} bytes`);
const NOT_TEXT = new UnreadableLine('it is not UTF-8');

function lineOf(bytes: Buffer): string | UnreadableLine {
  if (bytes.length > MAX_LINE_BYTES) return TOO_LONG;
  return isUtf8(bytes) ? bytes.toString() : NOT_TEXT;
}

/** Splits whole lines. A line end is no part of any other character, so a broken character breaks only its own line. */
function linesOf(bytes: Buffer): (string | UnreadableLine)[] {
  if (bytes.length <= MAX_LINE_BYTES && isUtf8(bytes)) return bytes.toString().split('\n');
  const lines: (string | UnreadableLine)[] = [];
  for (let begin = 0, end = 0; end !== -1; begin = end + 1) {
    end = bytes.indexOf(LINE_END, begin);
    lines.push(lineOf(bytes.subarray(begin, end === -1 ? undefined : end)));
  }
  return lines;
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
