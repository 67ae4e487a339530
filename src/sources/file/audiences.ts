import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AudienceListing } from '../../contract/audience.ts';
import { type MembersPage, SourceError } from '../../activities/audience-source.ts';
import { unknownKeys } from '../../contract/nearest-key.ts';
import { AUDIENCE_ID } from '../../domain/names.ts';
import { printable } from '../../domain/text.ts';
import { audienceIdOf, type ProblemReport, readCursor, readUser, type UserReading } from '../source.ts';
import { contentMark, hashBefore, isBlank, type LinePlace, scanLines } from './lines.ts';

const EXTENSION = '.ndjson';
const HEADER_FORM = '{"audience":{"name":"…"}}';
const HEADER_KEYS = ['id', 'name', 'windowMinutes'];
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
    const files = await this.all();
    const listings: AudienceListing[] = [];
    for (const file of files) {
      const size = await this.#sizeOf(file);
      listings.push(size === undefined ? file.listing : { ...file.listing, size });
    }
    return listings;
  }

  /**
   * The files of all of them, by slug.
   *
   * @throws SourceError naming every file that cannot be used.
   */
  async all(): Promise<readonly AudienceFile[]> {
    const { files, problems } = await this.#read();
    if (problems.length > 0) throw new SourceError(problems.join('\n'));
    return files;
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
      // Either may be meant, so none is remembered as the audience's file.
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
  // A misspelt `id` would otherwise be another audience, in silence.
  const [unknown] = typeof audience === 'object' && audience !== null ? unknownKeys(audience, HEADER_KEYS) : [];
  if (unknown !== undefined) return `the audience's "${printable(unknown.field)}": ${unknown.message}`;
  const id = memberOf(audience, 'id') ?? audienceIdOf(slug);
  const name = memberOf(audience, 'name');
  const windowMinutes = memberOf(audience, 'windowMinutes');
  if (typeof id !== 'string' || !AUDIENCE_ID.test(id))
    return `the audience's "id" must be 32 hex digits in lower case, or be left out; it is ${JSON.stringify(id)}.`;
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

const USUAL_LINE_BYTES = 32;
/** How many bytes before a cursor its mark is made from. */
const MARKED_BYTES = 512;
/** How many members before a place identify it: some of them may leave. */
const REMEMBERED_IDS = 5;
/** This many of them, in order and near each other, are not a coincidence. */
const MET_IDS = 2;
/** They must be within so many lines: others may have come between them. */
const NEAR_LINES = 100;

/** A place in a file of members. */
interface ReadPlace extends LinePlace {
  /** How often reading went back because the file was rewritten, so that no cursor comes twice. */
  readonly restarts: number;
  /** The members that were read last. */
  readonly last: readonly string[];
}

const cursorSchema = z.strictObject({
  offset: z.int().min(0),
  line: z.int().min(1),
  restarts: z.int().min(0),
  last: z.array(z.string()).min(1).max(REMEMBERED_IDS),
  /** Hash of the bytes before it. */
  mark: z.string(),
});

type Cursor = z.infer<typeof cursorSchema>;

/**
 * One page of a file's members, read from the byte where the last one ended, so the millionth page costs no more than the first.
 *
 * When the bytes before a cursor are no longer there, the file was rewritten. The page then begins after the members that were read last,
 * wherever they are now. If they are gone, or no longer together, the file may have another order: it is read again from the top. A member
 * that is read twice gets the same delivery id twice, but one that is skipped is lost.
 *
 * @param file whose beginning was read from this handle.
 * @throws SourceError when no line of the file is a member.
 */
export async function readMembersPage(
  file: AudienceFile,
  handle: FileHandle,
  after: string | undefined,
  limit: number,
  problems: ProblemReport,
): Promise<MembersPage> {
  const cursor = after === undefined ? undefined : readCursor(after, cursorSchema, 'of a file of members');
  const from = cursor === undefined ? top(file, 0) : await placeOf(cursor, handle, file, problems);
  const ids: string[] = [];
  let next: LinePlace | undefined;
  let skipped = 0;
  const chunkBytes = Math.min(256 * 1024, Math.max(4096, limit * USUAL_LINE_BYTES));
  await scanLines(handle, from, chunkBytes, (bytes, start, end, offset, line) => {
    if (isBlank(bytes, start, end)) return true;
    // Only now is it known that something follows the full page.
    if (ids.length === limit) {
      next = { offset, line };
      return false;
    }
    const member = readMember(bytes.toString('utf8', start, end));
    if (member.ok) ids.push(member.user);
    else {
      skipped += 1;
      problems.add(file, `line ${line}: ${member.problem}`);
    }
    return true;
  });
  if (skipped > 0 && ids.length === 0 && from.last.length === 0)
    throw new SourceError(
      `None of the ${skipped} lines of ${file.name} is a member. A member must be a JSON string, "<id>", or {"user":"<id>"}.`,
    );
  if (next === undefined) return { ids };
  const last = [...from.last, ...ids].slice(-REMEMBERED_IDS);
  const mark = await hashBefore(handle, next.offset, MARKED_BYTES);
  return { ids, next: JSON.stringify({ ...next, restarts: from.restarts, last, mark } satisfies Cursor) };
}

/** Whether a file has this member. Reads it from the top, at some ten million members a second. */
export async function hasMember(file: AudienceFile, handle: FileHandle, user: string): Promise<boolean> {
  return (await placesBehind([user], handle, file)).length > 0;
}

async function placeOf(
  cursor: Cursor,
  handle: FileHandle,
  file: AudienceFile,
  problems: ProblemReport,
): Promise<ReadPlace> {
  if ((await hashBefore(handle, cursor.offset, MARKED_BYTES)) === cursor.mark) return cursor;
  const { restarts, last } = cursor;
  const places = await placesBehind(last, handle, file);
  const [first, behind] = [places[0], places.at(-1)];
  const areInOrder = places.every((place, i) => place.line > (places[i - 1]?.line ?? 0));
  const areEnough = places.length >= Math.min(MET_IDS, last.length);
  if (first !== undefined && behind !== undefined && areEnough && areInOrder && behind.line - first.line < NEAR_LINES)
    return { ...behind, last, restarts: behind.offset < cursor.offset ? restarts + 1 : restarts };
  problems.add(
    file,
    `which was being read, has been rewritten, and ${JSON.stringify(last.at(-1))}, the last member read, is no longer in it or no longer among the same members. Its members are read again from the top.`,
  );
  return top(file, restarts + 1);
}

function top(file: AudienceFile, restarts: number): ReadPlace {
  return { ...file.members, restarts, last: [] };
}

/** Where the lines after these members' begin, in the order in which the members are named; without missing ones. */
async function placesBehind(users: readonly string[], handle: FileHandle, file: AudienceFile): Promise<LinePlace[]> {
  const spellings = users.map((user) => JSON.stringify(user));
  const places = new Map<string, LinePlace>();
  await scanLines(handle, file.members, 1024 * 1024, (bytes, start, end, offset, line) => {
    // Compared as text first: parsing ten million lines would take seconds.
    const text = bytes.toString('utf8', start, end);
    if (!text.includes('\\') && !spellings.some((spelling) => text.includes(spelling))) return true;
    const member = readMember(text);
    if (!member.ok || !users.includes(member.user) || places.has(member.user)) return true;
    places.set(member.user, { offset: offset + end - start + 1, line: line + 1 });
    return places.size < users.length;
  });
  return users.flatMap((user) => places.get(user) ?? []);
}

/** Reads `"<id>"` or `{"user":"<id>"}`. */
export function readMember(text: string): UserReading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'a member must be a JSON string, "<id>", or {"user":"<id>"}' };
  }
  return readUser(typeof value === 'object' && value !== null ? Reflect.get(value, 'user') : value);
}
