import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { SourceError } from '../../activities/audience-source.ts';

/** Most bytes of one line that are read. A longer line is cut there, so that it does not parse and is reported. */
export const MAX_LINE_BYTES = 1024 * 1024;

const NEWLINE = 10;

/** A place in a file of lines. */
export interface LinePlace {
  /** Byte at which the line begins. */
  readonly offset: number;
  /** Number of the line, from 1. */
  readonly line: number;
}

/**
 * Receives one line: `bytes` from `start` to `end`, without its newline. The buffer is reused afterwards, so copy what is to be kept.
 * Returns false to stop the scan.
 */
export type VisitLine = (bytes: Buffer, start: number, end: number, offset: number, line: number) => boolean;

/**
 * Passes every line from `from` on to `visit`, reading `chunkBytes` at a time; a last line without a newline counts too. Resolves when the
 * file ends or `visit` has had enough. Keeps one chunk in memory, whatever the size of the file.
 */
export async function scanLines(
  file: FileHandle,
  from: LinePlace,
  chunkBytes: number,
  visit: VisitLine,
): Promise<void> {
  let buffer = Buffer.allocUnsafe(chunkBytes);
  let { offset, line } = from;
  let held = 0; // Bytes of an unfinished line, at the buffer's start.
  let skipping = false; // Behind the cut of an over-long line.
  for (;;) {
    const { bytesRead } = await file.read(buffer, held, buffer.length - held, offset + held);
    if (bytesRead === 0) {
      if (held > 0 && !skipping) visit(buffer, 0, held, offset, line);
      return;
    }
    const filled = buffer.subarray(0, held + bytesRead);
    let start = 0;
    for (let end = filled.indexOf(NEWLINE, held); end !== -1; end = filled.indexOf(NEWLINE, start)) {
      if (!skipping && !visit(filled, start, end, offset + start, line)) return;
      skipping = false;
      line += 1;
      start = end + 1;
    }
    held = skipping ? 0 : filled.length - start;
    offset += filled.length - held;
    if (held === buffer.length && held >= MAX_LINE_BYTES) {
      if (!visit(buffer, 0, held, offset, line)) return;
      skipping = true;
      offset += held;
      held = 0;
    } else if (held === buffer.length) {
      const larger = Buffer.allocUnsafe(buffer.length * 2);
      buffer.copy(larger, 0, 0, held);
      buffer = larger;
    } else {
      buffer.copyWithin(0, start, start + held);
    }
  }
}

/** Whether a file ends within a line: the last one has no newline and is no JSON. A last line that is complete needs no newline. */
async function endsInHalfALine(file: FileHandle, size: number): Promise<boolean> {
  for (let most = 4096; ; most *= 16) {
    const buffer = Buffer.alloc(Math.min(size, most));
    await file.read(buffer, 0, buffer.length, size - buffer.length);
    const start = buffer.lastIndexOf(NEWLINE) + 1;
    if (isBlank(buffer, start, buffer.length)) return false;
    if (start === 0 && buffer.length < size && most < MAX_LINE_BYTES) continue;
    return !isJson(buffer.toString('utf8', start));
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
    return true;
  } catch {
    return false;
  }
}

/** Whether there are only spaces. */
export function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  }
  return true;
}

/** Identifies one state of a file's content: a file that was replaced, appended to or rewritten has another. */
export function contentMark(stat: { size: bigint; mtimeNs: bigint; ino: bigint; dev: bigint }): string {
  return `${stat.dev}-${stat.ino}-${stat.size}-${stat.mtimeNs}`;
}

/** Number, from 1, of the line that begins at this byte. Reads everything before it, so it is only for reporting problems. */
export async function lineNumberAt(file: FileHandle, offset: number): Promise<number> {
  let found = 1;
  await scanLines(file, { offset: 0, line: 1 }, 256 * 1024, (_bytes, _start, _end, lineOffset, line) => {
    found = line;
    return lineOffset < offset;
  });
  return found;
}

/** How long, in ms, a file must not have changed before it counts as written to its end, unless the configuration says otherwise. */
export const QUIET_MS = 5_000;
/** Longest time, in ms, that one call waits for a file; an activity that reads a page has a minute. */
const LONGEST_WAIT_MS = 10_000;
const LOOK_AGAIN_MS = 100;
/** How many bytes before its end identify a file when it has grown. */
const TAIL_BYTES = 512;

/** A file as it was when its beginning was read. */
export interface FileVersion {
  readonly path: string;
  /** Within the source's folder, for messages. */
  readonly name: string;
  readonly mark: string;
}

/** A file that was seen whole. */
interface Whole {
  readonly mark: string;
  readonly inode: string;
  readonly size: number;
  readonly tail: string;
  readonly version: string;
}

/** Why a file may not be whole now. */
interface Obstacle {
  readonly words: string;
  /** It may be over in so many ms; Infinity: only another change can help. */
  readonly waitMs: number;
}

/**
 * Decides whether a file is complete. While a program rewrites a file in place, it is shorter than before and after, and nothing shows that.
 * It counts as whole once it has not changed for a while and does not end within a line. Later, it also does when it has only grown. None of
 * this is needed if a finished file is renamed over the old one.
 */
export class WholeFiles {
  readonly #quietMs: number;
  readonly #whole = new Map<string, Whole>();
  /** Since when, by `performance.now()`, a file has not changed while we looked: its own time may come from another clock. */
  readonly #seen = new Map<string, { readonly mark: string; readonly sinceMs: number }>();

  /** @param quietMs 0: a file is always whole, unless it ends within a line. */
  constructor(quietMs: number) {
    this.#quietMs = quietMs;
  }

  /**
   * Returns what `read` makes of a file that is whole and did not change meanwhile. Waits for at most 10 s.
   *
   * @param find the file as it is now.
   * @returns the answer, and an identifier of the file: the same as long as it only grows.
   * @throws SourceError when it is not whole by then.
   */
  async read<F extends FileVersion, T>(
    find: () => Promise<F>,
    read: (file: F, handle: FileHandle) => Promise<T>,
  ): Promise<{ readonly answer: T; readonly version: string }> {
    const endsAtMs = performance.now() + LONGEST_WAIT_MS;
    for (;;) {
      const file = await find();
      const handle = await open(file.path);
      let found: Obstacle | string;
      try {
        found = await this.#standing(file, handle);
        if (typeof found === 'string') {
          const answer = await read(file, handle);
          // Replacing the file by another does not matter, since our handle keeps the old one.
          if ((await markOf(handle)) === file.mark) return { answer, version: found };
          found = CHANGING;
        }
      } finally {
        await handle.close();
      }
      if (performance.now() + found.waitMs > endsAtMs) throw notWhole(file, found);
      await setTimeout(Math.min(found.waitMs, LOOK_AGAIN_MS));
    }
  }

  /** @throws SourceError when something missing in this file may still be written. */
  async mustBeWhole(file: FileVersion, handle: FileHandle): Promise<void> {
    const found = await this.#standing(file, handle);
    if (typeof found !== 'string') throw notWhole(file, found);
  }

  /** The version of a whole file, or why it is not one. */
  async #standing({ path, mark }: FileVersion, handle: FileHandle): Promise<string | Obstacle> {
    const stat = await handle.stat({ bigint: true });
    if (contentMark(stat) !== mark) return CHANGING;
    const known = this.#whole.get(path);
    if (known?.mark === mark) return known.version;
    const size = Number(stat.size);
    const inode = `${stat.dev}-${stat.ino}`;
    const hasGrown =
      known?.inode === inode && size > known.size && (await tailBefore(handle, known.size)) === known.tail;
    const waitMs = this.#untilQuietMs(path, mark, Number(stat.mtimeMs));
    if (waitMs > 0 && !hasGrown) return { words: `changed less than ${this.#quietMs / 1000} s ago`, waitMs };
    if (await endsInHalfALine(handle, size))
      return { words: HALF_A_LINE, waitMs: waitMs > 0 ? LOOK_AGAIN_MS : Infinity };
    const version = hasGrown ? known.version : mark;
    const tail = await tailBefore(handle, size);
    // Otherwise two states of the file were mixed.
    if ((await markOf(handle)) !== mark) return CHANGING;
    this.#whole.set(path, { mark, inode, size, tail, version });
    return version;
  }

  #untilQuietMs(path: string, mark: string, changedAt: number): number {
    if (this.#quietMs === 0) return 0;
    const nowMs = performance.now();
    const before = this.#seen.get(path);
    const seen = before?.mark === mark ? before : { mark, sinceMs: nowMs };
    this.#seen.set(path, seen);
    return this.#quietMs - Math.max(Date.now() - changedAt, nowMs - seen.sinceMs);
  }
}

const CHANGING: Obstacle = { words: 'changes while it is read', waitMs: LOOK_AGAIN_MS };
const HALF_A_LINE = 'ends in the middle of a line: its writer has not finished, or was interrupted';

function notWhole({ name }: FileVersion, { words }: Obstacle): SourceError {
  return new SourceError(
    `${name} ${words}. It is read when all of it has been written. Write a new file and rename it over the old one; "quietMs" in the configuration's "source" says how long a file must not have changed.`,
  );
}

async function markOf(handle: FileHandle): Promise<string> {
  return contentMark(await handle.stat({ bigint: true }));
}

async function tailBefore(handle: FileHandle, end: number): Promise<string> {
  return await hashBefore(handle, end, TAIL_BYTES);
}

/** Identifies the last bytes before a place in a file. */
export async function hashBefore(handle: FileHandle, offset: number, most: number): Promise<string> {
  const bytes = Math.min(most, offset);
  const buffer = Buffer.alloc(bytes);
  const { bytesRead } = await handle.read(buffer, 0, bytes, offset - bytes);
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex').slice(0, 16);
}
