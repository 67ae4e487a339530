import type { FileHandle } from 'node:fs/promises';

/** Most bytes of one line that are read. A longer line is cut there, so that it does not parse and is reported. */
const MAX_LINE_BYTES = 1024 * 1024;

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
