import { readSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Profile } from '../domain/profile.ts';
import { contentMark, lineNumberAt } from './line-scan.ts';
import { indexProfiles } from './profile-index.ts';
import type { ProfileIndex, ProfilePlace } from './profile-index.ts';
import { readProfileLine } from './profile-line.ts';
import type { ProblemReport } from './problem-report.ts';
import { SourceError } from './source-error.ts';

/** How often we start over with a file that changes while it is being read before we give up. */
const MAX_ATTEMPTS = 5;
/** Longest time, in ms, that reading profiles keeps the event loop from other work. */
const LONGEST_TURN_MS = 2;

/** The profiles in one NDJSON file, found by an index that is rebuilt whenever the file has changed. */
export class ProfileFile {
  readonly #path: string;
  readonly #name: string;
  readonly #problems: ProblemReport;
  #version: Version | undefined;
  #making: Promise<void> | undefined;
  #makings = 0;
  #closed = false;

  constructor(path: string, name: string, problems: ProblemReport) {
    this.#path = path;
    this.#name = name;
    this.#problems = problems;
  }

  /** @throws SourceError when the file is missing or does not hold still for long enough. */
  async profiles(users: readonly string[]): Promise<Map<string, Profile>> {
    const makingsBefore = this.#makings;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const version = await this.#current(makingsBefore);
      if (version === undefined) continue;
      try {
        const found = await this.#read(version, users);
        // It was rewritten in place while we read: half old, half new. Replacing by rename is fine, since our handle keeps the old file.
        if (contentMark(await version.file.stat({ bigint: true })) === version.mark) return found;
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
   * The file as it is now, or was at some moment since `makingsBefore` had begun, with the caller counted among its readers; undefined when
   * the only index is of an older file.
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
      const mark = contentMark(await file.stat({ bigint: true }));
      const index = await indexProfiles(file, (what) => this.#problems.add({ name: this.#name, mark }, what));
      this.#version = { file, mark, making, index, readers: 0 };
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
  /** The number of this index, from 1. */
  readonly making: number;
  readonly index: ProfileIndex;
  readers: number;
}

let scratch = Buffer.allocUnsafe(64 * 1024); // Filled and read in one turn, so all callers can share it.

function textAt(file: FileHandle, { offset, bytes }: ProfilePlace): string {
  if (scratch.length < bytes) scratch = Buffer.allocUnsafe(bytes);
  const read = readSync(file.fd, scratch, 0, bytes, offset);
  return scratch.toString('utf8', 0, read);
}
