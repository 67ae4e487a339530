import type { FileHandle } from 'node:fs/promises';
import { isBlank, scanLines } from './line-scan.ts';
import { readProfileLine } from './profile-line.ts';

const CHUNK_BYTES = 1024 * 1024;

/** Where a line is that may be about the person: two ids can have the same hash. */
export interface ProfilePlace {
  readonly user: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Where the lines of a profile file are, by the hash of the person's id. It takes about 17 bytes a person, whatever the size of the
 * profiles: hash, offset and length, grouped into buckets of about four; three times that while it is being made.
 */
export class ProfileIndex {
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
  places(users: Iterable<string>): ProfilePlace[] {
    const { hashes, offsets, lengths } = this.#lines;
    const places: ProfilePlace[] = [];
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

/**
 * Reads a profile file once, from start to end, and records where each person's line is. A line that cannot be a profile is left out and
 * reported to `onProblem`, as `line 7: …`.
 */
export async function indexProfiles(file: FileHandle, onProblem: (what: string) => void): Promise<ProfileIndex> {
  const lines = new LineTable(1024);
  await scanLines(file, { offset: 0, line: 1 }, CHUNK_BYTES, (bytes, start, end, offset, line) => {
    const quick = quickHash(bytes, start, end);
    if (quick !== undefined) {
      lines.add(quick, offset, end - start);
    } else if (!isBlank(bytes, start, end)) {
      const reading = readProfileLine(bytes.toString('utf8', start, end));
      if (reading.ok) lines.add(hashOf(reading.user), offset, end - start);
      else onProblem(`line ${line}: ${reading.problem}`);
    }
    return true;
  });
  return new ProfileIndex(lines);
}

/** Columns of hash, offset and length; 16 bytes a line. */
class LineTable {
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

const USER_KEY = Buffer.from('{"user":"');
const PROFILE_KEY = Buffer.from(',"profile":{');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CLOSING_BRACE = 0x7d;
const MAX_QUICK_ID_BYTES = 255;

/**
 * The hash of the id in a line written as `{"user":"…","profile":{…}}` without spaces, from its bytes alone, in a twentieth of the time
 * that parsing takes. Undefined for every other line. The inside of the profile is checked only when it is read.
 */
function quickHash(bytes: Buffer, start: number, end: number): number | undefined {
  if (bytes[end - 1] !== CLOSING_BRACE || bytes[end - 2] !== CLOSING_BRACE) return undefined;
  if (!standsAt(bytes, start, end, USER_KEY)) return undefined;
  const first = start + USER_KEY.length;
  let hash = HASH_START;
  let at = first;
  for (; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) break;
    if (byte === BACKSLASH || byte < 0x20) return undefined;
    hash = hashStep(hash, byte);
  }
  if (at === first || at - first > MAX_QUICK_ID_BYTES) return undefined;
  return standsAt(bytes, at + 1, end, PROFILE_KEY) ? hashEnd(hash) : undefined;
}

function standsAt(bytes: Buffer, start: number, end: number, expected: Buffer): boolean {
  if (end - start < expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (bytes[start + i] !== expected[i]) return false;
  return true;
}

/** 32 bits of the id's UTF-8. */
function hashOf(user: string): number {
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
