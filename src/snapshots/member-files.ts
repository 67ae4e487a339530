import { bucketOf, BUCKETS } from './comparing.ts';
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ApplicationFailure } from '@temporalio/activity';
import { z } from 'zod';
import type { TriggerEvent } from '../contract/trigger.ts';
import { isRecord } from '../domain/json.ts';
import { AUDIENCE_ID } from '../domain/names.ts';

/**
 * The lines of a file of JSON values, one at a time, in memory that does not grow with the file. Only a newline ends a line. Node's own reader also
 * breaks lines at other characters, which may appear unescaped in a JSON string.
 *
 * @param start the byte at which a line begins.
 */
export async function* fileLines(path: string, start = 0): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8', start }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** A line for each person who entered or left. */
export function changeLines(event: TriggerEvent, users: readonly string[]): string {
  return users.map((user) => `${JSON.stringify([event, user])}\n`).join('');
}

/** Identifies damaged files: the number of bytes, and their CRC-32. */
export type FileSum = readonly [bytes: number, crc: number];

const EMPTY_SUM: FileSum = [0, 0];

/** The sum of a file after data was appended. */
function withMore([bytes, crc]: FileSum, more: Buffer): FileSum {
  return [bytes + more.length, crc32(more, crc)];
}

export function isSame(one: FileSum, other: FileSum | undefined): boolean {
  return one[0] === other?.[0] && one[1] === other[1];
}

/** Reads a file to its end, in memory that does not grow with it. */
export async function sumOf(path: string): Promise<FileSum> {
  let sum = EMPTY_SUM;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) sum = withMore(sum, chunk);
  return sum;
}

/** Writes a value with its sum, atomically: the file is complete, or as it was before. */
export async function writeSummed(path: string, value: object): Promise<void> {
  const json = JSON.stringify(value);
  const beside = `${path}.${randomUUID()}`;
  try {
    await writeFile(beside, `${json}\n${crc32(json)}\n`, { flush: true });
    await rename(beside, path);
  } catch (error) {
    // A full disk must not fill with attempts.
    await rm(beside, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Reads a value from `writeSummed`; undefined when the file is missing or damaged. */
export async function readSummed(path: string): Promise<unknown> {
  try {
    const [json = '', sum, ...more] = (await readFile(path, 'utf8')).split('\n');
    return sum === String(crc32(json)) && more.join('') === '' ? JSON.parse(json) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return isRecord(error) && error['code'] === 'ENOENT';
}

/** Characters that are kept in memory before they are appended to their files. */
const FLUSH_CHARACTERS = 4 * 1024 * 1024;

/** Writes ids into 256 files by their hash, so that two snapshots can be compared part by part. */
export class MemberBuckets {
  readonly #folder: string;
  readonly #prefix: string;
  readonly #waiting: string[] = Array.from({ length: BUCKETS }, () => '');
  readonly #sums: FileSum[] = Array.from({ length: BUCKETS }, () => EMPTY_SUM);
  #waitingCharacters = 0;

  constructor(folder: string, prefix: string) {
    this.#folder = folder;
    this.#prefix = prefix;
  }

  async add(users: Iterable<string>): Promise<void> {
    for (const user of users) {
      const bucket = bucketOf(user);
      // The id is written as JSON, since it may contain a newline.
      const line = `${JSON.stringify(user)}\n`;
      this.#waiting[bucket] += line;
      this.#waitingCharacters += line.length;
    }
    if (this.#waitingCharacters > FLUSH_CHARACTERS) await this.#flush();
  }

  /** Writes the rest from memory; returns the sum of each file. */
  async close(): Promise<FileSum[]> {
    await this.#flush();
    return this.#sums;
  }

  async #flush(): Promise<void> {
    for (const [bucket, lines] of this.#waiting.entries()) {
      if (lines === '') continue;
      const bytes = Buffer.from(lines);
      await appendFile(join(this.#folder, bucketName(this.#prefix, bucket)), bytes);
      this.#sums[bucket] = withMore(this.#sums[bucket] ?? EMPTY_SUM, bytes);
      this.#waiting[bucket] = '';
    }
    this.#waitingCharacters = 0;
  }
}

/**
 * The ids of one file, which has this sum; an id may appear twice. An empty bucket has no file.
 * @returns undefined when the file has changed since it was written.
 */
export async function readBucket(path: string, sum: FileSum): Promise<string[] | undefined> {
  if (isSame(sum, EMPTY_SUM)) return [];
  const content = await readFile(path);
  if (!isSame(withMore(EMPTY_SUM, content), sum)) return undefined;
  const lines = content.toString().split('\n');
  lines.pop(); // It is the text after the last newline.
  return lines.map((line) => JSON.parse(line) as string); // `add` wrote it.
}

export function bucketName(prefix: string, bucket: number): string {
  return `${prefix}-${bucket.toString(16).padStart(2, '0')}`;
}

/** Failure type of these activities: the snapshot is not in this worker's folder, or not as it was sealed. */
export const SNAPSHOT_NOT_HERE = 'SnapshotNotHere';

const SNAPSHOT_ID = /^[0-9a-f-]{36}$/;

const sum = z.tuple([z.int(), z.int()]).readonly();
const sums = z.array(sum).length(BUCKETS);

const manifestSchema = z.strictObject({
  v: z.literal(1),
  id: z.string(),
  /** The sum of each bucket. It detects one that lost its end in a crash of the machine, or was damaged. */
  members: sums,
  /** The same for people whom the scan did not see but who are still members; present once exits are confirmed. */
  stayed: sums.optional(),
  /** The sums of its other files. */
  files: z.record(z.string(), sum),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;

/**
 * One scan on disk: a folder with the members in 256 files, the differences from the previous scan, and a manifest. The manifest is written last: a
 * folder without one is not a snapshot. The workflow knows the id of the snapshot that counts; it is not stored here.
 */
export class Snapshot {
  readonly id: string;
  readonly folder: string;

  constructor(audienceFolder: string, id: string) {
    if (!SNAPSHOT_ID.test(id))
      throw ApplicationFailure.nonRetryable(
        'A snapshot is named by a UUID. Only a watch of ours starts this activity.',
        'NoSnapshotId',
      );
    this.id = id;
    this.folder = join(audienceFolder, id);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async create(): Promise<void> {
    // It contains the ids of the members.
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Makes it a snapshot, or extends the existing one. */
  async seal(manifest: Omit<Manifest, 'v' | 'id'>): Promise<void> {
    await writeSummed(this.path(MANIFEST), { v: 1, id: this.id, ...manifest });
  }

  /** Undefined when there is no snapshot of this id here, or its manifest is damaged. */
  async manifest(): Promise<Manifest | undefined> {
    const { success, data } = manifestSchema.safeParse(await readSummed(this.path(MANIFEST)));
    return success && data.id === this.id ? data : undefined;
  }

  /** Its manifest. @throws ApplicationFailure of type SnapshotNotHere */
  async sealed(): Promise<Manifest> {
    const manifest = await this.manifest();
    if (manifest === undefined) throw notHere(this);
    return manifest;
  }

  /** The members of one bucket. @throws ApplicationFailure of type SnapshotNotHere */
  async members({ members, stayed }: Manifest, bucket: number): Promise<Set<string>> {
    const users = new Set<string>();
    for (const [prefix, buckets] of [
      [MEMBERS, members],
      [STAYED, stayed],
    ] as const) {
      const sealed = buckets?.[bucket];
      if (sealed === undefined) continue;
      const name = bucketName(prefix, bucket);
      const read = await readBucket(this.path(name), sealed).catch((error: unknown) => {
        throw damaged(this, name, error);
      });
      if (read === undefined) throw damaged(this, name);
      for (const user of read) users.add(user);
    }
    return users;
  }

  /** The path of a file, after checking that it is as it was sealed. @throws ApplicationFailure of type SnapshotNotHere */
  async whole({ files }: Manifest, name: string): Promise<string> {
    const sealed = files[name];
    if (sealed === undefined) throw notHere(this);
    const found = await this.sum(name).catch((error: unknown) => {
      throw damaged(this, name, error);
    });
    if (!isSame(sealed, found)) throw damaged(this, name);
    return this.path(name);
  }

  /** The sum of one of its files. */
  async sum(name: string): Promise<FileSum> {
    return await sumOf(this.path(name));
  }
}

const MANIFEST = 'snapshot.json';
/** Prefixes of bucket files, and names of the other files. */
export const MEMBERS = 'members';
export const STAYED = 'stayed';
export const ENTERS = 'enters';
export const EXITS = 'exits';
export const CHANGES = 'changes';

/** The folder of an audience's snapshots that this worker keeps. @throws ApplicationFailure */
export function audienceFolder(root: string | undefined, audience: string): string {
  if (root === undefined)
    throw ApplicationFailure.create({
      message: 'This worker has no folder for snapshots. Set "watch.folder", or TRIGGERS_WATCH_FOLDER.',
      type: 'NoWatchFolder',
    });
  if (!AUDIENCE_ID.test(audience))
    throw ApplicationFailure.nonRetryable('An audience is watched by its id, 32 hex digits.', 'NoAudienceId');
  return join(root, audience);
}

function notHere({ id }: Snapshot): ApplicationFailure {
  return ApplicationFailure.create({
    message: `The snapshot ${id} is not in this worker's folder, or its manifest is damaged. If there are several workers, "watch.folder" must be one folder that they share.`,
    type: SNAPSHOT_NOT_HERE,
  });
}

function damaged({ id }: Snapshot, name: string, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    message: `The snapshot ${id} is damaged: the file "${name}" is missing, or not as it was written. Check the disk of "watch.folder".`,
    type: SNAPSHOT_NOT_HERE,
    ...(cause instanceof Error ? { cause } : {}),
  });
}
