import { type FileHandle, open, stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Json } from '../../contract/trigger.ts';
import { isRecord, jsonMistake, parseJson } from '../../domain/json.ts';
import { type Profile, ProfileText } from '../../domain/message.ts';
import { SourceError } from '../../activities/audience-source.ts';
import { type ProblemReport, readUser } from '../source.ts';
import { hashOf, LineIndex, LineTable, quotedHash, textAt } from './line-index.ts';
import { contentMark, isBlank, lineNumberAt, MAX_LINE_BYTES, scanLines, type WholeFiles } from './lines.ts';

/** A line of a profile file: the person and the profile, or what is wrong with it. */
export type ProfileLine =
  | { readonly ok: true; readonly user: string; readonly profile: Profile }
  | { readonly ok: false; readonly problem: string };

/**
 * Reads `{"user":"…","profile":{…}}`. Never throws.
 *
 * @param likely the person whom the line is probably about: if so, and spelt the usual way, nothing needs parsing.
 */
export function readProfileLine(text: string, likely?: string): ProfileLine {
  if (likely !== undefined) {
    const start = `{"user":${JSON.stringify(likely)},"profile":`;
    const usual = text.startsWith(start) && text.endsWith('}');
    const profile = usual ? ProfileText.read(text, start.length, text.length - 1) : undefined;
    // If there is a whole JSON object between that beginning and the last brace, the line is what it looks like.
    if (profile !== undefined) return { ok: true, user: likely, profile };
  }
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text;
  let value: Json;
  try {
    value = parseJson(plain);
  } catch {
    // A longer line is cut there.
    if (Buffer.byteLength(text) >= MAX_LINE_BYTES) return { ok: false, problem: 'the line is longer than 1 MiB' };
    const { character } = jsonMistake(plain);
    return { ok: false, problem: `this is not JSON (something is wrong at character ${character})` };
  }
  if (!isRecord(value)) return { ok: false, problem: 'a line must be {"user":"…","profile":{…}}' };
  const { profile } = value;
  const reading = readUser(value['user']);
  if (!reading.ok) return reading;
  if (!isRecord(profile)) return { ok: false, problem: 'there is no object under "profile"' };
  return { ok: true, user: reading.user, profile };
}

const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads a profile file once, from start to end, and records where each person's line is. A line that cannot be a profile is left out and
 * reported to `onProblem`, as `line 7: …`.
 */
async function indexProfiles(file: FileHandle, onProblem: (what: string) => void): Promise<LineIndex> {
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
  return new LineIndex(lines);
}

const USER_KEY = Buffer.from('{"user":"');
const PROFILE_KEY = Buffer.from(',"profile":{');
const CLOSING_BRACE = 0x7d;

/**
 * Returns the hash of the id in a line written as `{"user":"…","profile":{…}}` without spaces. It reads only bytes, in a twentieth of the
 * time of parsing. Undefined for every other line. The inside of the profile is checked only when it is read.
 */
function quickHash(bytes: Buffer, start: number, end: number): number | undefined {
  if (bytes[end - 1] !== CLOSING_BRACE || bytes[end - 2] !== CLOSING_BRACE) return undefined;
  if (!standsAt(bytes, start, end, USER_KEY)) return undefined;
  const first = start + USER_KEY.length;
  const id = quotedHash(bytes, first, end);
  return id !== undefined && standsAt(bytes, id.end + 1, end, PROFILE_KEY) ? id.hash : undefined;
}

function standsAt(bytes: Buffer, start: number, end: number, expected: Buffer): boolean {
  if (end - start < expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (bytes[start + i] !== expected[i]) return false;
  return true;
}

/** How often we start over with a file that changes while it is being read before we give up. */
const MAX_ATTEMPTS = 5;
/** Longest time, in ms, that reading profiles keeps the event loop from other work. */
const LONGEST_TURN_MS = 2;
/** Resolution of a file system's times, in ms: a file that is younger may change again, and keep its time and size. */
const COARSEST_TIME_MS = 2_000;

/** The profiles in one NDJSON file, found by an index that is rebuilt whenever the file has changed. */
export class ProfileFile {
  readonly #path: string;
  readonly #name: string;
  readonly #problems: ProblemReport;
  readonly #files: WholeFiles;
  #version: Version | undefined;
  #making: Promise<void> | undefined;
  #makings = 0;
  #closed = false;

  /** @param files decide whether a person who is not in the file is unknown, or may still be written. */
  constructor(path: string, name: string, problems: ProblemReport, files: WholeFiles) {
    this.#path = path;
    this.#name = name;
    this.#problems = problems;
    this.#files = files;
  }

  /** @throws SourceError when the file is missing, does not hold still for long enough, or may not be whole and lacks somebody. */
  async profiles(users: readonly string[]): Promise<Map<string, Profile>> {
    const makingsBefore = this.#makings;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const version = await this.#current(makingsBefore);
      if (version === undefined) continue;
      try {
        const found = await this.#read(version, users);
        // It was rewritten in place while we read: half old, half new. Replacing by rename is fine, since our handle keeps the old file.
        if (contentMark(await version.file.stat({ bigint: true })) !== version.mark) continue;
        if (found.size === new Set(users).size) return found;
        await this.#files.mustBeWhole({ path: this.#path, name: this.#name, mark: version.mark }, version.file);
        if (!version.isEarly || Date.now() < version.changedAt + COARSEST_TIME_MS) return found;
        // Its index may be of an earlier content with the same time.
        if (this.#version === version) this.#version = undefined;
      } finally {
        version.readers -= 1;
        await this.#closeIfUnused(version);
      }
    }
    throw new SourceError(
      `${this.#name} changes faster than it can be read. Write a new file and rename it over the old one.`,
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#making?.catch(() => undefined);
    const version = this.#version;
    this.#version = undefined;
    if (version !== undefined) await this.#closeIfUnused(version);
  }

  /**
   * Returns the file as it is now, or was at some moment since `makingsBefore` had begun, and counts the caller among its readers. Undefined
   * when the only index is of an older file.
   */
  async #current(makingsBefore: number): Promise<Version | undefined> {
    const mark = await this.#markNow();
    if (this.#closed) throw new SourceError(`${this.#name} was asked for profiles after its source was closed.`);
    if (this.#version?.mark !== mark) {
      // All callers wait for the same indexing. If it began before the file's last change, they start another.
      this.#making ??= this.#make().finally(() => (this.#making = undefined));
      await this.#making;
    }
    const version = this.#version;
    if (version === undefined || (version.mark !== mark && version.making <= makingsBefore)) return undefined;
    // Counted before anything is awaited: a version without readers is closed as soon as it is replaced.
    version.readers += 1;
    return version;
  }

  async #markNow(): Promise<string> {
    try {
      return contentMark(await stat(this.#path, { bigint: true }));
    } catch (error) {
      throw new SourceError(
        `${this.#path} cannot be read. It holds the people's profiles, one a line; an empty file means that there are none.`,
        { cause: error },
      );
    }
  }

  async #make(): Promise<void> {
    const making = ++this.#makings;
    const file = await open(this.#path);
    const old = this.#version;
    try {
      const stat = await file.stat({ bigint: true });
      const mark = contentMark(stat);
      const changedAt = Number(stat.mtimeMs);
      const isEarly = Date.now() < changedAt + COARSEST_TIME_MS;
      const index = await indexProfiles(file, (what) => this.#problems.add({ name: this.#name, mark }, what));
      this.#version = { file, mark, changedAt, isEarly, making, index, readers: 0 };
    } catch (error) {
      await file.close();
      throw error;
    }
    if (old !== undefined) await this.#closeIfUnused(old);
  }

  /**
   * Reads synchronously, one profile at a time: from the page cache that takes 1.5 µs a profile, where the thread pool takes 6 to 20. A
   * cold disk blocks for one read, and after 2 ms everything else has a turn.
   */
  async #read({ file, mark, index }: Version, users: readonly string[]): Promise<Map<string, Profile>> {
    const found = new Map<string, Profile>();
    let turnEnds = performance.now() + LONGEST_TURN_MS;
    for (const place of index.places(new Set(users))) {
      const reading = readProfileLine(textAt(file, place), place.user);
      // A later line of the same person comes later here as well, and wins.
      if (reading.ok && reading.user === place.user) found.set(place.user, reading.profile);
      if (!reading.ok) {
        const line = await lineNumberAt(file, place.offset);
        this.#problems.add({ name: this.#name, mark }, `line ${line}: ${reading.problem}`);
      }
      if (performance.now() < turnEnds) continue;
      await setImmediate();
      turnEnds = performance.now() + LONGEST_TURN_MS;
    }
    return found;
  }

  async #closeIfUnused(version: Version): Promise<void> {
    if (version.readers === 0 && version !== this.#version) await version.file.close();
  }
}

/** One state of the file: an open handle, which keeps it even when another file takes its name. */
interface Version {
  readonly file: FileHandle;
  readonly mark: string;
  /** Epoch ms. */
  readonly changedAt: number;
  /** Indexed so soon after the change that another could follow unnoticed. */
  readonly isEarly: boolean;
  /** The number of this index, from 1. */
  readonly making: number;
  readonly index: LineIndex;
  readers: number;
}
