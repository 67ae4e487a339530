import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

/** Where a line is that may be about the person: two ids can have the same hash. */
export interface UserPlace {
  readonly user: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Where the lines of a file are, by the hash of the id of the person whom each is about. It takes about 17 bytes a line, whatever their length:
 * hash, offset and length, grouped into buckets of about four; three times that while it is being made.
 */
export class LineIndex {
  readonly #lines: LineTable;
  readonly #bucketStarts: Uint32Array;
  readonly #shift: number;

  constructor(inFileOrder: LineTable) {
    const { count, hashes } = inFileOrder;
    const bits = Math.min(30, Math.max(1, Math.ceil(Math.log2(Math.max(1, count) / 4))));
    const shift = 32 - bits;
    const starts = new Uint32Array(2 ** bits + 1);
    for (let i = 0; i < count; i++) {
      const after = ((hashes[i] ?? 0) >>> shift) + 1;
      starts[after] = (starts[after] ?? 0) + 1;
    }
    for (let i = 1; i < starts.length; i++) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0);
    const next = starts.slice();
    this.#lines = new LineTable(count);
    for (let i = 0; i < count; i++) {
      const bucket = (hashes[i] ?? 0) >>> shift;
      const place = next[bucket] ?? 0;
      next[bucket] = place + 1;
      this.#lines.copy(place, inFileOrder, i);
    }
    this.#bucketStarts = starts;
    this.#shift = shift;
  }

  /** The lines that may be about these people, in the order of the file, so that a disk is read in one direction. */
  places(users: Iterable<string>): UserPlace[] {
    const { hashes, offsets, lengths } = this.#lines;
    const places: UserPlace[] = [];
    for (const user of users) {
      const hash = hashOf(user);
      const bucket = hash >>> this.#shift;
      const end = this.#bucketStarts[bucket + 1] ?? 0;
      for (let i = this.#bucketStarts[bucket] ?? 0; i < end; i++)
        if (hashes[i] === hash) places.push({ user, offset: offsets[i] ?? 0, bytes: lengths[i] ?? 0 });
    }
    return places.sort((a, b) => a.offset - b.offset);
  }
}

/** Columns of hash, offset and length; 16 bytes a line. */
export class LineTable {
  count = 0;
  hashes: Uint32Array<ArrayBuffer>;
  offsets: Float64Array<ArrayBuffer>; // A file may be longer than 4 GiB.
  lengths: Uint32Array<ArrayBuffer>;

  constructor(capacity: number) {
    this.hashes = new Uint32Array(capacity);
    this.offsets = new Float64Array(capacity);
    this.lengths = new Uint32Array(capacity);
  }

  add(hash: number, offset: number, length: number): void {
    if (this.count === this.hashes.length) this.#grow();
    this.hashes[this.count] = hash;
    this.offsets[this.count] = offset;
    this.lengths[this.count] = length;
    this.count += 1;
  }

  copy(place: number, from: LineTable, index: number): void {
    this.hashes[place] = from.hashes[index] ?? 0;
    this.offsets[place] = from.offsets[index] ?? 0;
    this.lengths[place] = from.lengths[index] ?? 0;
  }

  #grow(): void {
    const { hashes, offsets, lengths } = this;
    this.hashes = new Uint32Array(hashes.length * 2);
    this.offsets = new Float64Array(hashes.length * 2);
    this.lengths = new Uint32Array(hashes.length * 2);
    this.hashes.set(hashes);
    this.offsets.set(offsets);
    this.lengths.set(lengths);
  }
}

/** 32 bits of the id's UTF-8. */
export function hashOf(user: string): number {
  let hash = HASH_START;
  for (let i = 0; i < user.length; i++) {
    const unit = user.charCodeAt(i);
    if (unit > 0x7f) return hashOfBytes(Buffer.from(user));
    hash = hashStep(hash, unit);
  }
  return hashEnd(hash);
}

function hashOfBytes(bytes: Buffer): number {
  let hash = HASH_START;
  for (const byte of bytes) hash = hashStep(hash, byte);
  return hashEnd(hash);
}

// FNV-1a, then the finalizer of MurmurHash3: the buckets use the high bits, which FNV alone mixes badly for short ids.
const HASH_START = 0x811c9dc5;

function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

function hashEnd(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MAX_QUICK_ID_BYTES = 255;

/**
 * The hash of an id in quotes, from its bytes alone, and where its end quote is; undefined when it has to be parsed.
 *
 * @param first behind the first quote.
 */
export function quotedHash(
  bytes: Buffer,
  first: number,
  end: number,
): { readonly hash: number; readonly end: number } | undefined {
  let hash = HASH_START;
  for (let at = first; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE)
      return at === first || at - first > MAX_QUICK_ID_BYTES ? undefined : { hash: hashEnd(hash), end: at };
    if (byte === BACKSLASH || byte < 0x20) return undefined;
    hash = hashStep(hash, byte);
  }
  return undefined;
}

let scratch = Buffer.allocUnsafe(64 * 1024); // Filled and read in one turn, so all callers can share it.

/** The text of a line, from the page cache in some 1.5 µs, where the thread pool takes 6 to 20. */
export function textAt(file: FileHandle, { offset, bytes }: UserPlace): string {
  if (scratch.length < bytes) scratch = Buffer.allocUnsafe(bytes);
  const read = readSync(file.fd, scratch, 0, bytes, offset);
  return scratch.toString('utf8', 0, read);
}
