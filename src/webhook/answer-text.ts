import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { brotliDecompressSync, constants, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';

/** Kept in place of a body that cannot be read here: a secret in it could not be found. */
const UNREADABLE = '(a body in an encoding that the worker cannot read)';
/** Most bytes that the kept beginning of a body may unpack to: it bounds the time, whatever an endpoint sends. */
const MOST_UNPACKED = 64 * 1024;
// Without an end: only the beginning of a body is kept.
const ZLIB = { maxOutputLength: MOST_UNPACKED, finishFlush: constants.Z_SYNC_FLUSH };
const BROTLI = { maxOutputLength: MOST_UNPACKED, finishFlush: constants.BROTLI_OPERATION_FLUSH };
/** By the name in `content-encoding`. */
const UNPACK = new Map<string, (bytes: Buffer) => Buffer>([
  ['identity', (bytes) => bytes],
  ['gzip', (bytes) => gunzipSync(bytes, ZLIB)],
  ['br', (bytes) => brotliDecompressSync(bytes, BROTLI)],
  // Some servers leave out the header of zlib, whose first byte ends with an 8.
  ['deflate', (bytes) => (((bytes[0] ?? 0) & 0xf) === 8 ? inflateSync : inflateRawSync)(bytes, ZLIB)],
]);
const MOST_ENCODINGS = 3;
const NUL = 0;
const ESC = 27;

/** The text of the beginning of an answer's body, as its headers or its bytes say that it is written. */
export function answerText(kept: Buffer, headers: IncomingHttpHeaders): string {
  try {
    // A header that was sent twice is an array here, despite its type.
    const named = [headers['content-encoding'] ?? ''].flat().join(',');
    const encodings = named.toLowerCase().match(/[^\s,]+/g) ?? [];
    if (encodings.length > MOST_ENCODINGS) return UNREADABLE;
    const bytes = encodings.reduceRight((packed, one) => unpack(packed, one.replace(/^x-/, '')), kept);
    // UTF-16 and UTF-32 that nothing declares show by their NULs, which no text has.
    return new TextDecoder(charsetOf(bytes, String(headers['content-type']))).decode(bytes).replaceAll('\0', '');
  } catch {
    return UNREADABLE;
  }
}

/** @throws for what it cannot unpack */
function unpack(bytes: Buffer, encoding: string): Buffer {
  const unpacking = UNPACK.get(encoding);
  if (unpacking === undefined) throw new RangeError('It has an unknown encoding.');
  return bytes.length === 0 ? bytes : unpacking(bytes);
}

/** The mark at the beginning counts before the header, as in browsers. Bytes that are certainly UTF-8 are read as such. */
function charsetOf(bytes: Buffer, contentType: string): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  if (isUtf8(bytes) && !bytes.includes(NUL) && !bytes.includes(ESC)) return 'utf-8';
  return /;\s*charset\s*=\s*["']?([\w.:-]+)/i.exec(contentType)?.[1] ?? 'utf-8';
}
