import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudienceListing } from '../contract/audience.ts';
import { AUDIENCE_ID } from '../domain/audience.ts';
import { contentMark, isBlank, scanLines } from './line-scan.ts';
import type { LinePlace } from './line-scan.ts';
import { SourceError } from './source-error.ts';

const EXTENSION = '.ndjson';
const HEADER_FORM = '{"audience":{"id":"<32 hex digits>","name":"…"}}';
/** Members are counted in files up to this size: 64 MiB are some 2.8 million, and 0.2 s. Larger ones have no `size`. */
const MAX_COUNTED_BYTES = 64 * 1024 * 1024;

/** A file of members whose first line has been read. */
export interface AudienceFile {
  readonly path: string;
  /** Within the source's folder, for messages. */
  readonly name: string;
  readonly listing: AudienceListing;
  /** Where the members begin. */
  readonly members: LinePlace;
  /** Identifies the content that was read. */
  readonly mark: string;
}

/** The audiences of a folder: one NDJSON file each, whose first line says what it is. Files that have not changed are not read again. */
export class AudienceFiles {
  readonly #folder: string;
  #known = new Map<string, AudienceFile>();
  readonly #counted = new Map<string, { mark: string; size: number }>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * All audiences, by slug, with their sizes.
   *
   * @throws SourceError naming every file that cannot be used.
   */
  async list(): Promise<AudienceListing[]> {
    const { files, problems } = await this.#read();
    if (problems.length > 0) throw new SourceError(problems.join('\n'));
    const listings: AudienceListing[] = [];
    for (const file of files) {
      const size = await this.#sizeOf(file);
      listings.push(size === undefined ? file.listing : { ...file.listing, size });
    }
    return listings;
  }

  /**
   * The file of one audience; other unusable files do not matter.
   *
   * @throws SourceError when there is none, or more than one.
   */
  async find(audienceId: string): Promise<AudienceFile> {
    for (const file of this.#known.values()) {
      if (file.listing.id === audienceId && (await markOf(file.path)) === file.mark) return file;
    }
    const { files, problems } = await this.#read();
    const [file, second] = files.filter(({ listing }) => listing.id === audienceId);
    if (file !== undefined && second === undefined) return file;
    const known = files.map(({ listing }) => `${listing.id} (${listing.slug})`).join(', ');
    throw new SourceError(
      [`There is no one audience with the id ${audienceId}. Known are: ${known || 'none'}.`, ...problems].join('\n'),
    );
  }

  async #read(): Promise<{ files: AudienceFile[]; problems: string[] }> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(EXTENSION) && !name.startsWith('.'));
    const known = new Map<string, AudienceFile>();
    const problems: string[] = [];
    for (const name of names.sort()) {
      const before = this.#known.get(name);
      const path = join(this.#folder, name);
      const file = before !== undefined && before.mark === (await markOf(path)) ? before : await readHeader(path, name);
      if (typeof file === 'string') problems.push(file);
      else known.set(name, file);
    }
    const files = [...known.values()];
    for (const id of new Set(files.map(({ listing }) => listing.id))) {
      const same = files.filter(({ listing }) => listing.id === id);
      if (same.length < 2) continue;
      problems.push(
        `${same.map(({ name }) => name).join(' and ')} have the same audience id ${id}: give each its own.`,
      );
      // It cannot be known which of them is meant, so none is remembered as the audience's file.
      for (const { listing } of same) known.delete(`${listing.slug}${EXTENSION}`);
    }
    this.#known = known;
    return { files, problems };
  }

  async #sizeOf(file: AudienceFile): Promise<number | undefined> {
    const counted = this.#counted.get(file.path);
    if (counted?.mark === file.mark) return counted.size;
    const handle = await open(file.path);
    try {
      if ((await handle.stat()).size > MAX_COUNTED_BYTES) return undefined;
      let size = 0;
      await scanLines(handle, file.members, 1024 * 1024, (bytes, start, end) => {
        if (!isBlank(bytes, start, end)) size += 1;
        return true;
      });
      this.#counted.set(file.path, { mark: file.mark, size });
      return size;
    } finally {
      await handle.close();
    }
  }
}

async function markOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && contentMark(found);
}

/** The file, or what is wrong with it. */
async function readHeader(path: string, fileName: string): Promise<AudienceFile | string> {
  const name = `audiences/${fileName}`;
  const slug = fileName.slice(0, -EXTENSION.length);
  const handle = await open(path).catch((error: unknown) => `${name} cannot be read: ${String(error)}`);
  if (typeof handle === 'string') return handle;
  try {
    const mark = contentMark(await handle.stat({ bigint: true }));
    let text = '';
    let next = 0;
    await scanLines(handle, { offset: 0, line: 1 }, 4096, (bytes, start, end) => {
      text = bytes.toString('utf8', start, end);
      next = end + 1;
      return false;
    });
    const listing = readListing(text, slug);
    if (typeof listing === 'string') return `${name}, line 1: ${listing}`;
    return { path, name, listing, members: { offset: next, line: 2 }, mark };
  } finally {
    await handle.close();
  }
}

function readListing(text: string, slug: string): AudienceListing | string {
  if (slug === '') return 'the file has no name before its extension; the name is the slug of the audience.';
  if (AUDIENCE_ID.test(slug))
    return 'the file is named like an id; its name is the slug of the audience, so give it a readable one.';
  const audience = memberOf(parse(text), 'audience');
  if (audience === undefined) return `the first line must say which audience this is: ${HEADER_FORM}`;
  const id = memberOf(audience, 'id');
  const name = memberOf(audience, 'name');
  const windowMinutes = memberOf(audience, 'windowMinutes');
  if (typeof id !== 'string' || !AUDIENCE_ID.test(id))
    return `the audience's "id" must be 32 hex digits in lower case, it is ${JSON.stringify(id)}.`;
  if (typeof name !== 'string' || name === '') return 'the audience\'s "name" must be text that people can read.';
  if (windowMinutes === undefined) return { id, slug, name };
  if (typeof windowMinutes !== 'number' || !(windowMinutes > 0))
    return 'the audience\'s "windowMinutes" must be a number above 0, or be left out.';
  return { id, slug, name, windowMinutes };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
