import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { AudienceFile } from './audience-files.ts';
import { isBlank, scanLines } from './line-scan.ts';
import type { LinePlace } from './line-scan.ts';
import type { ProblemReport } from './problem-report.ts';
import type { MembersPage } from './source.ts';
import { SourceError } from './source-error.ts';
import { readUser } from './user-id.ts';
import type { UserReading } from './user-id.ts';

const USUAL_LINE_BYTES = 32;
/** How many bytes before a cursor its mark is made from. */
const MARKED_BYTES = 512;

/**
 * One page of a file's members, read from the byte where the last one ended, so the millionth page costs no more than the first.
 *
 * A cursor is `<byte>:<line>:<mark>:<last member>`, where the mark is a hash of the bytes before it. When those are no longer there, the
 * file was rewritten. The page then begins after the last member, wherever that is now, or at the top if it is gone: a member that is read
 * twice gets the same delivery id twice, but one that is skipped is lost. The cursor then also counts how often that has happened
 * (`<line>~<restarts>`), so that no cursor comes twice.
 */
export async function readMembersPage(
  file: AudienceFile,
  after: string | undefined,
  limit: number,
  problems: ProblemReport,
): Promise<MembersPage> {
  const handle = await open(file.path);
  try {
    const cursor = after === undefined ? undefined : parseCursor(after);
    const from = cursor === undefined ? top(file) : await placeOf(cursor, handle, file, problems);
    return await readPage(handle, from, limit, (what) => problems.add(file, what));
  } finally {
    await handle.close();
  }
}

/** Whether a file has this member. Reads it from the top, at some ten million members a second. */
export async function hasMember(file: AudienceFile, user: string): Promise<boolean> {
  const handle = await open(file.path);
  try {
    return (await placeBehind(user, handle, file)) !== undefined;
  } finally {
    await handle.close();
  }
}

async function readPage(
  handle: FileHandle,
  from: ReadPlace,
  limit: number,
  onProblem: (what: string) => void,
): Promise<MembersPage> {
  const ids: string[] = [];
  let next: LinePlace | undefined;
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
    else onProblem(`line ${line}: ${member.problem}`);
    return true;
  });
  const last = ids.at(-1);
  if (next === undefined || last === undefined) return { ids };
  const line = from.restarts === 0 ? next.line : `${next.line}~${from.restarts}`;
  return { ids, next: `${next.offset}:${line}:${await markBefore(handle, next.offset)}:${last}` };
}

interface ReadPlace extends LinePlace {
  /** How often reading went back because the file was rewritten. */
  readonly restarts: number;
}

interface Cursor extends ReadPlace {
  readonly mark: string;
  readonly last: string;
}

function parseCursor(text: string): Cursor {
  const [, offset, line, restarts = 0, mark, last] = /^(\d+):(\d+)(?:~(\d+))?:([0-9a-f]+):(.+)$/s.exec(text) ?? [];
  if (offset === undefined || line === undefined || mark === undefined || last === undefined)
    throw new SourceError(
      `"${text}" is not a cursor of a file of members. Pass what the previous page gave as "next".`,
    );
  return { offset: Number(offset), line: Number(line), restarts: Number(restarts), mark, last };
}

async function placeOf(
  cursor: Cursor,
  handle: FileHandle,
  file: AudienceFile,
  problems: ProblemReport,
): Promise<ReadPlace> {
  if ((await markBefore(handle, cursor.offset)) === cursor.mark) return cursor;
  const { restarts } = cursor;
  const behind = await placeBehind(cursor.last, handle, file);
  if (behind !== undefined) return { ...behind, restarts: behind.offset < cursor.offset ? restarts + 1 : restarts };
  problems.add(
    file,
    `which was being read, has been rewritten, and ${JSON.stringify(cursor.last)}, the last member read, is no longer in it. Its members are read again from the top.`,
  );
  return { ...file.members, restarts: restarts + 1 };
}

function top(file: AudienceFile): ReadPlace {
  return { ...file.members, restarts: 0 };
}

/** Where the line after this member's begins. */
async function placeBehind(user: string, handle: FileHandle, file: AudienceFile): Promise<LinePlace | undefined> {
  const spelling = JSON.stringify(user);
  let place: LinePlace | undefined;
  await scanLines(handle, file.members, 1024 * 1024, (bytes, start, end, offset, line) => {
    // Compared as text first: parsing ten million lines would take seconds.
    const text = bytes.toString('utf8', start, end);
    if (!text.includes(spelling) && !text.includes('\\')) return true;
    const member = readMember(text);
    if (!member.ok || member.user !== user) return true;
    place = { offset: offset + end - start + 1, line: line + 1 };
    return false;
  });
  return place;
}

async function markBefore(handle: FileHandle, offset: number): Promise<string> {
  const bytes = Math.min(MARKED_BYTES, offset);
  const buffer = Buffer.alloc(bytes);
  const { bytesRead } = await handle.read(buffer, 0, bytes, offset - bytes);
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex').slice(0, 16);
}

/** Reads `"<id>"` or `{"user":"<id>"}`. */
function readMember(text: string): UserReading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'a member must be a JSON string, "<id>", or {"user":"<id>"}' };
  }
  return readUser(typeof value === 'object' && value !== null ? Reflect.get(value, 'user') : value);
}
